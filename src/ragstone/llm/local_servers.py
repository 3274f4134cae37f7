"""Finds language models that servers on this machine offer: Ollama, llama.cpp, LM Studio and vLLM.

All four list their models at `/v1/models`, in the form of OpenAI's API. They are asked on loopback only, at the same
time, each for a fraction of a second, and nothing is sent but the request for the list. What they reply is checked: any
program may listen on these ports.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from http import HTTPStatus
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from aiohttp import StreamReader

HOST = "127.0.0.1"
TIMEOUT_S = 0.2
"""For the whole reply of one server; a server on the same machine lists its models within milliseconds."""
MAX_LIST_BYTES = 1 << 20
MAX_LISTED = 50
"""Models of one server, at most."""
MAX_NAME_CHARS = 200

OLLAMA, LLAMA_CPP, LM_STUDIO, VLLM = "Ollama", "llama.cpp", "LM Studio", "vLLM"
_BY_PORT = {11434: OLLAMA, 1234: LM_STUDIO}
"""Ports that hardly any other program uses. On the others (8080, 8000) the list itself has to name the server."""
_BY_OWNER = {"library": OLLAMA, "llamacpp": LLAMA_CPP, "organization_owner": LM_STUDIO, "vllm": VLLM}
"""The servers by what their lists say under `owned_by`."""
OURSELVES = "ragstone"
"""What Ragstone's own list says under `owned_by`; behind it may stand the models of another server."""
_NO_CHAT = ("embed", "rerank", "whisper", "bge-", "clip-")
"""Parts of the names of models that write no text."""


@dataclass(frozen=True, slots=True)
class LocalModel:
    """A model that a server on this machine offers; `base_url` is that of its OpenAI-compatible API."""

    name: str
    server: str
    base_url: str


async def local_models(ports: Iterable[int], *, timeout_s: float = TIMEOUT_S) -> tuple[LocalModel, ...]:
    """The models of the servers on these ports of loopback, in this order. Takes `timeout_s` at most; never fails."""
    found = await asyncio.gather(*(_models_at(port, timeout_s) for port in dict.fromkeys(ports)))
    return tuple(model for models in found for model in models)


async def _models_at(port: int, timeout_s: float) -> list[LocalModel]:
    import aiohttp

    url = f"http://{HOST}:{port}/v1"
    try:
        async with (
            asyncio.timeout(timeout_s),
            aiohttp.ClientSession(trust_env=False) as session,
            session.get(f"{url}/models", allow_redirects=False) as response,
        ):
            if response.status != HTTPStatus.OK:
                return []
            body = await _bounded(response.content)
    except (aiohttp.ClientError, TimeoutError, OSError, ValueError):
        return []
    return [LocalModel(name, server, url) for name, server in listed(body, port)]


async def _bounded(content: StreamReader) -> bytes:
    body = b""
    while piece := await content.read(1 << 16):
        body += piece
        if len(body) > MAX_LIST_BYTES:
            return b""
    return body


def listed(body: bytes, port: int) -> Iterator[tuple[str, str]]:
    """Name and server of each model in a list that answered on `port`; nothing of what is no such list."""
    try:
        answer = json.loads(body)
    except (ValueError, RecursionError):
        return
    data = answer.get("data") if isinstance(answer, Mapping) else None
    entries = [entry for entry in data if isinstance(entry, Mapping)] if isinstance(data, list) else []
    if any(entry.get("owned_by") == OURSELVES for entry in entries):
        return
    for entry in entries[:MAX_LISTED]:
        name, owner = entry.get("id"), entry.get("owned_by")
        server = _BY_OWNER.get(owner if isinstance(owner, str) else "") or _BY_PORT.get(port)
        if server and isinstance(name, str) and _is_a_name(name):
            yield name, server


def _is_a_name(name: str) -> bool:
    """Whether a text may be a model's name: printable, not too long, and of a model that writes text."""
    usable = 0 < len(name) <= MAX_NAME_CHARS and name.isprintable() and name == name.strip()
    return usable and not any(part in name.lower() for part in _NO_CHAT)
