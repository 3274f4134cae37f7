"""Server-sent events of model servers, one JSON object each.

The SDKs make a validated object of every event, which costs 100 µs of CPU for a token
of a few bytes; with hundreds of streams at once that is what a server does all day. The
SDKs still send the requests and say what failed; only the reading of events is ours
(13 µs, most of it the transport's).
"""

from __future__ import annotations

import json
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import aclosing
from typing import Any

MAX_EVENT_BYTES = 4 << 20  # a token has some hundred; what is longer is no event


async def events_of(content: AsyncIterator[bytes]) -> AsyncGenerator[dict[str, Any], None]:
    """The `data` of each event, until the stream or its `[DONE]` ends.

    Raises:
        ValueError: an event is no JSON object, or longer than `MAX_EVENT_BYTES`.
    """
    async with aclosing(_lines(content)) as lines:
        async for line in lines:
            if not line.startswith(b"data:"):
                continue
            data = line[5:].strip()
            if data == b"[DONE]":
                return
            yield _object(data)


def count(value: object) -> int:
    """A number of tokens as a vendor reports it; what is none, or below zero, counts nothing."""
    return max(0, value) if isinstance(value, int) else 0


def _object(data: bytes) -> dict[str, Any]:
    try:
        event = json.loads(data)
    except RecursionError as error:
        raise ValueError("an event is nested too deeply") from error
    if not isinstance(event, dict):
        raise ValueError("an event is no JSON object")  # noqa: TRY004 — a value of the wrong kind came in
    return event


async def _lines(content: AsyncIterator[bytes]) -> AsyncGenerator[bytes, None]:
    """Lines without their ends; the last one may lack its own."""
    pieces: list[bytes] = []
    size = 0
    async for piece in content:
        *ended, rest = piece.split(b"\n")
        for end in ended:
            yield b"".join((*pieces, end)).rstrip(b"\r")
            pieces, size = [], 0
        pieces.append(rest)
        size += len(rest)
        if size > MAX_EVENT_BYTES:
            raise ValueError("an event is too long")
    yield b"".join(pieces)
