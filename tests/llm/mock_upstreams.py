"""Model servers on loopback that speak the vendors' wire formats, and fail as they do."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from typing import Any

Script = Callable[["Exchange"], Awaitable[None]]


@dataclass
class Upstream:
    """A running server: its address, the requests it saw, and whether the client hung up."""

    url: str = ""
    paths: list[str] = field(default_factory=list)
    headers: list[dict[str, str]] = field(default_factory=list)
    bodies: list[dict[str, Any]] = field(default_factory=list)
    hung_up: asyncio.Event = field(default_factory=asyncio.Event)


class Exchange:
    """One request, and the means to answer it, well or badly."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, upstream: Upstream) -> None:
        self._reader = reader
        self._writer = writer
        self._upstream = upstream
        self.body = upstream.bodies[-1]

    async def send(self, data: str) -> None:
        self._writer.write(data.encode())
        await self._writer.drain()

    async def head(self, status: int = 200, kind: str = "text/event-stream", more: str = "") -> None:
        await self.send(f"HTTP/1.1 {status} X\r\ncontent-type: {kind}\r\n{more}connection: close\r\n\r\n")

    async def json(self, status: int, body: object, more: str = "") -> None:
        await self.head(status, "application/json", more)
        await self.send(json.dumps(body))

    async def until_hung_up(self) -> None:
        await self._reader.read()
        self._upstream.hung_up.set()

    def reset(self) -> None:
        self._writer.transport.abort()


@asynccontextmanager
async def serving(script: Script) -> AsyncIterator[Upstream]:
    """Serve `script` on a free port of loopback."""
    upstream = Upstream()
    tasks: set[asyncio.Task[None]] = set()

    async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task
        tasks.add(task)
        with suppress(ConnectionError, asyncio.CancelledError):
            await _read(reader, upstream)
            await script(Exchange(reader, writer, upstream))
        writer.close()
        tasks.discard(task)

    server = await asyncio.start_server(handle, "127.0.0.1", 0)
    upstream.url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    try:
        yield upstream
    finally:
        server.close()
        for task in tuple(tasks):
            task.cancel()
        await asyncio.gather(*tuple(tasks), return_exceptions=True)


async def _read(reader: asyncio.StreamReader, upstream: Upstream) -> None:
    head = (await reader.readuntil(b"\r\n\r\n")).decode().split("\r\n")
    headers = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in head[1:] if line)}
    body = await reader.readexactly(int(headers.get("content-length", "0")))
    upstream.paths.append(head[0].split(" ")[1])
    upstream.headers.append(headers)
    upstream.bodies.append(json.loads(body or b"{}"))


def openai_events(
    pieces: list[str],
    *,
    finish: str | None = "stop",
    usage: object = None,
    done: bool = True,
    running: Callable[[int], object] = lambda _sent: None,
) -> list[str]:
    """The lines of a streamed chat completion; `running` gives the usage of each chunk by the pieces sent."""

    def event(choices: list[object], **more: object) -> str:
        chunk = {"id": "c1", "object": "chat.completion.chunk", "created": 1, "model": "m", "choices": choices, **more}
        return f"data: {json.dumps(chunk)}\n\n"

    def choice(delta: object, reason: str | None = None) -> dict[str, object]:
        return {"index": 0, "delta": delta, "finish_reason": reason, "logprobs": None}

    events = [event([choice({"role": "assistant", "content": ""})], usage=running(0)), ": keepalive\n\n"]
    events += [event([choice({"content": piece})], usage=running(sent)) for sent, piece in enumerate(pieces, 1)]
    events += [event([choice({}, finish)])] if finish else []
    events += [event([], usage=usage)] if usage else []
    return events + (["data: [DONE]\n\n"] if done else [])


def anthropic_events(
    pieces: list[str], *, stop: str = "end_turn", ended: bool = True, delta_usage: object = None, cached: int = 2000
) -> list[str]:
    """The lines of a streamed message: 2105 input tokens, 100 of them written to the cache, `cached` read from it."""

    def event(kind: str, **fields: object) -> str:
        return f"event: {kind}\ndata: {json.dumps({'type': kind, **fields})}\n\n"

    usage = {
        "input_tokens": 2005 - cached,
        "cache_creation_input_tokens": 100,
        "cache_read_input_tokens": cached,
        "output_tokens": 1,
    }
    message: dict[str, object] = {
        "id": "m1",
        "type": "message",
        "role": "assistant",
        "model": "m",
        "content": [],
        "stop_reason": None,
        "stop_sequence": None,
        "usage": usage,
    }
    events = [event("message_start", message=message)]
    events += [event("content_block_start", index=0, content_block={"type": "text", "text": ""}), event("ping")]
    events += [event("content_block_delta", index=0, delta={"type": "text_delta", "text": piece}) for piece in pieces]
    events += [event("unheard_of", index=0), event("content_block_stop", index=0)]
    if ended:
        delta = {"stop_reason": stop, "stop_sequence": None}
        events += [
            event("message_delta", delta=delta, usage=delta_usage or {"output_tokens": 42}),
            event("message_stop"),
        ]
    return events


def telling(events: list[str]) -> Script:
    """A server that sends these events and closes."""

    async def script(exchange: Exchange) -> None:
        await exchange.head()
        for event in events:
            await exchange.send(event)

    return script


def refusing(status: int, message: str = "no") -> Script:
    """A server that answers with an error."""

    async def script(exchange: Exchange) -> None:
        await exchange.json(status, {"type": "error", "error": {"type": "x", "message": message, "code": None}})

    return script


async def hanging(exchange: Exchange) -> None:
    """Accepts the request and never answers."""
    await exchange.until_hung_up()


async def silent(exchange: Exchange) -> None:
    """Answers 200 and sends no token."""
    await exchange.head()
    await exchange.until_hung_up()


def then_resetting(events: list[str]) -> Script:
    """Sends these events, then cuts the connection."""

    async def script(exchange: Exchange) -> None:
        await exchange.head(more="transfer-encoding: chunked\r\n")
        for event in events:
            await exchange.send(f"{len(event.encode()):x}\r\n{event}\r\n")
        exchange.reset()

    return script


def then_hanging(events: list[str]) -> Script:
    """Sends these events, then nothing, until the client hangs up."""

    async def script(exchange: Exchange) -> None:
        await exchange.head()
        for event in events:
            await exchange.send(event)
        await exchange.until_hung_up()

    return script
