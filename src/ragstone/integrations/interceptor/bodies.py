"""The body of a request as JSON, read without stopping everybody else for it."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Mapping
from typing import Any

from ragstone.errors import InvalidInput

MAX_BODY_BYTES = 32 << 20  # OpenAI and Anthropic take 32 MB; images travel inside
THREAD_BYTES = 256 << 10  # parsing takes about 10 ms a MiB: below that a thread costs more than it saves


async def parsed(body: bytes) -> Mapping[str, Any]:
    """The JSON object of a request.

    Raises:
        InvalidInput: it is none.
    """
    return _object(body) if len(body) < THREAD_BYTES else await asyncio.to_thread(_object, body)


def _object(body: bytes) -> Mapping[str, Any]:
    try:
        value = json.loads(body)
    except (ValueError, RecursionError) as error:
        raise InvalidInput("The body is not valid JSON. Send an object as the model's API describes it.") from error
    if not isinstance(value, dict):
        raise InvalidInput("The body has to be a JSON object, as the API of the model describes it.")
    return value
