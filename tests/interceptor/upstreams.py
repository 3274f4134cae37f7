"""A model's server on loopback that speaks both APIs, keeps connections, and fails in whichever way is asked of it."""

from __future__ import annotations

import asyncio
import gzip
import json
import socket
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field, replace
from enum import Enum
from typing import Any

from tests.llm.mock_upstreams import anthropic_events, openai_events

PIECES = ("The harbour ", "crane lifts ", "forty tonnes [1].")
USAGE = {
    "prompt_tokens": 100,
    "completion_tokens": 7,
    "total_tokens": 107,
    "prompt_tokens_details": {"cached_tokens": 60},
}
CALL = {"id": "call_1", "type": "function", "function": {"name": "weather", "arguments": '{"place":"harbour"}'}}
HTML = b"<!doctype html>\n<html><body>\n\n<h1>Welcome to nginx!</h1>\n\n</body></html>\n"
ALWAYS = "set-cookie: session=theirs\r\nserver: theirs\r\nx-request-id: theirs\r\nx-ratelimit-remaining: 41\r\n"


class Fault(Enum):
    """A way to fail."""

    REFUSE = "refuses connections"
    HANG = "takes the request and never answers"
    HANG_MIDWAY = "stops after the first piece"
    SLOW = "waits between pieces"
    LIMITED = "429 with Retry-After"
    BROKEN = "500"
    DOWN = "503"
    KEY = "401, quoting the key"
    HTML = "200 with a web page"
    HALF_JSON = "an event with half an object"
    LONG_LINE = "a line of 10 MB"
    NO_END = "no finish reason and no end mark, then a clean end"
    NO_DONE = "a finish reason, then a clean end"
    RESET = "the connection is reset after the first piece"
    GZIP = "packed, although it was asked not to"
    ERROR_EVENT = "200, then an error event that quotes the key"
    GARBAGE = "no HTTP"
    ENDLESS_HEAD = "headers without end"


STATUS = {Fault.LIMITED: 429, Fault.BROKEN: 500, Fault.DOWN: 503, Fault.KEY: 401}


@dataclass(frozen=True)
class Seen:
    """One request, as it came."""

    method: str
    path: str
    headers: list[tuple[str, str]]
    body: bytes

    @property
    def json(self) -> Any:
        return json.loads(self.body)

    def header(self, name: str) -> str | None:
        return next((value for known, value in self.headers if known == name), None)


@dataclass
class ModelServer:
    """The running server. `fault` may be changed at any time; it holds for `times` requests, if that is set.

    `asked` is set by a request, `hung_up` when a client leaves before an answer has ended; `running` counts the
    requests being answered, `connections` those that were ever made.
    """

    url: str = ""
    fault: Fault | None = None
    times: int | None = None
    pieces: Sequence[str] = PIECES
    tools: bool = False
    pause_s: float = 0.05
    seen: list[Seen] = field(default_factory=list)
    running: int = 0
    connections: int = 0
    asked: asyncio.Event = field(default_factory=asyncio.Event)
    hung_up: asyncio.Event = field(default_factory=asyncio.Event)

    @property
    def base_url(self) -> str:
        """What an OpenAI client is given."""
        return f"{self.url}/v1"

    def next_fault(self) -> Fault | None:
        if self.fault is None or self.times is None:
            return self.fault
        self.times -= 1
        return self.fault if self.times >= 0 else None

    def text(self) -> str:
        return "".join(self.pieces)


@asynccontextmanager
async def upstream(
    fault: Fault | None = None, *, times: int | None = None, pieces: Sequence[str] = PIECES, tools: bool = False
) -> AsyncIterator[ModelServer]:
    """Run a server; with `tools` its answer is a call of one, until it is given the result."""
    model = ModelServer(fault=fault, times=times, pieces=pieces, tools=tools)
    if fault is Fault.REFUSE:
        with socket.socket() as closed:
            closed.bind(("127.0.0.1", 0))  # bound and not listening, so that no other process gets the port
            model.url = f"http://127.0.0.1:{closed.getsockname()[1]}"
            yield model
        return
    tasks: set[asyncio.Task[None]] = set()

    async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task
        tasks.add(task)
        model.connections += 1
        with suppress(ConnectionError, asyncio.IncompleteReadError, asyncio.CancelledError):
            exchange = _Exchange(model, reader, writer)
            while await exchange.serve():
                pass
        writer.close()
        tasks.discard(task)

    server = await asyncio.start_server(handle, "127.0.0.1", 0, backlog=1024)
    model.url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    try:
        yield model
    finally:
        server.close()
        for task in tuple(tasks):
            task.cancel()
        await asyncio.gather(*tuple(tasks), return_exceptions=True)


class _Exchange:
    """The requests of one connection, one after another."""

    def __init__(self, model: ModelServer, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._model = model
        self._reader = reader
        self._writer = writer
        self._ahead = b""  # the first byte of the next request, read while a hang-up was waited for

    async def serve(self) -> bool:
        """Whether the connection is kept."""
        seen = await self._read()
        self._model.seen.append(seen)
        self._model.asked.set()
        fault = self._model.next_fault()
        self._model.running += 1
        answering = asyncio.ensure_future(self._answer(seen, fault))
        leaving = asyncio.ensure_future(self._gone())
        try:
            await asyncio.wait({answering, leaving}, return_when=asyncio.FIRST_COMPLETED)
            if answering.done():
                return answering.result()
            self._model.hung_up.set()
            return False
        finally:
            self._model.running -= 1
            answering.cancel()
            leaving.cancel()
            await asyncio.gather(answering, leaving, return_exceptions=True)

    async def _gone(self) -> None:
        with suppress(ConnectionError):
            self._ahead = await self._reader.read(1)
        if self._ahead:
            await asyncio.Event().wait()

    async def _read(self) -> Seen:
        head = self._ahead + await self._reader.readuntil(b"\r\n\r\n")
        self._ahead = b""
        first, *lines = head.decode("latin-1").split("\r\n")
        method, path, _ = first.split(" ")
        headers = [(name.lower(), value.strip()) for name, _, value in (line.partition(":") for line in lines if line)]
        length = int(dict(headers).get("content-length", "0"))
        return Seen(method, path, headers, await self._reader.readexactly(length))

    async def _answer(self, seen: Seen, fault: Fault | None) -> bool:
        match fault:
            case Fault.HANG:
                await asyncio.Event().wait()
            case Fault.GARBAGE:
                return await self._raw(b"\x00\x01 this is no HTTP at all\r\n\r\n")
            case Fault.ENDLESS_HEAD:
                return await self._endless_head()
            case Fault.LIMITED | Fault.BROKEN | Fault.DOWN | Fault.KEY:
                return await self._refuse(seen, STATUS[fault])
            case Fault.HTML:
                return await self._whole(200, "text/html", HTML)
        if seen.path.endswith("/models"):
            return await self._json({"object": "list", "data": [_model("mock-1"), _model("mock-2")]})
        if seen.path.endswith("/embeddings"):
            data = [{"object": "embedding", "index": 0, "embedding": [0.25, -0.5]}]
            return await self._json({"object": "list", "model": "mock", "data": data, "usage": {"prompt_tokens": 3}})
        anthropic = seen.path.endswith("/messages")
        if not seen.json.get("stream"):
            return await self._at_once(self._message() if anthropic else self._completion(), fault)
        return await self._stream(_events(self._told(seen), fault, anthropic=anthropic), fault)

    def _told(self, seen: Seen) -> ModelServer:
        """The server as this request finds it: it needs no tool whose result it has."""
        last = seen.json["messages"][-1]
        told = last["role"] == "tool" or "tool_result" in json.dumps(last)
        return replace(self._model, tools=self._model.tools and not told)

    async def _stream(self, events: Sequence[str], fault: Fault | None) -> bool:
        packer = gzip if fault is Fault.GZIP else None
        packed = "content-encoding: gzip\r\n" if packer else ""
        await self._head(200, "text/event-stream", f"transfer-encoding: chunked\r\n{packed}")
        if packer:
            await self._chunk(gzip.compress("".join(events).encode()))
            events = ()
        for sent, event in enumerate(events):
            await self._chunk(event.encode())
            if fault is Fault.SLOW:
                with suppress(TimeoutError):
                    await asyncio.wait_for(asyncio.Event().wait(), self._model.pause_s)
            if fault is Fault.HANG_MIDWAY and sent == 3:
                await asyncio.Event().wait()
            if fault is Fault.RESET and sent == 3:
                self._writer.transport.abort()
                return False
        return await self._raw(b"0\r\n\r\n", keep=True)

    async def _at_once(self, answer: dict[str, Any], fault: Fault | None) -> bool:
        body = json.dumps(answer).encode()
        match fault:
            case Fault.HANG_MIDWAY | Fault.RESET:
                await self._head(200, "application/json", f"content-length: {len(body)}\r\n")
                await self._raw(body[: len(body) // 2])
                if fault is Fault.HANG_MIDWAY:
                    await asyncio.Event().wait()
                self._writer.transport.abort()
                return False
            case Fault.HALF_JSON | Fault.NO_END:
                return await self._whole(200, "application/json", body[: len(body) // 2])
            case Fault.LONG_LINE:
                return await self._whole(200, "application/json", b'{"x":"' + b"x" * 10_000_000)
            case Fault.GZIP:
                packed = gzip.compress(body)
                await self._head(
                    200, "application/json", f"content-encoding: gzip\r\ncontent-length: {len(packed)}\r\n"
                )
                return await self._raw(packed, keep=True)
            case Fault.ERROR_EVENT:
                return await self._json({"error": {"message": "Overloaded.", "type": "overloaded_error"}})
        return await self._whole(200, "application/json", body)

    async def _refuse(self, seen: Seen, status: int) -> bool:
        key = seen.header("x-api-key") or (seen.header("authorization") or "").removeprefix("Bearer ")
        host = seen.header("host")
        message = f"Incorrect API key provided: {key}." if status == 401 else f"{host} says no."
        error = {"type": "error", "error": {"message": message, "type": "theirs", "param": None, "code": "their_code"}}
        return await self._whole(status, "application/json", json.dumps(error).encode(), "retry-after: 1\r\n")

    async def _json(self, answer: object) -> bool:
        return await self._whole(200, "application/json", json.dumps(answer).encode())

    async def _whole(self, status: int, kind: str, body: bytes, more: str = "") -> bool:
        await self._head(status, kind, f"content-length: {len(body)}\r\n{more}")
        return await self._raw(body, keep=True)

    async def _head(self, status: int, kind: str, more: str) -> None:
        await self._raw(f"HTTP/1.1 {status} X\r\ncontent-type: {kind}\r\n{ALWAYS}{more}\r\n".encode())

    async def _endless_head(self) -> bool:
        await self._raw(b"HTTP/1.1 200 OK\r\n")
        while True:
            await self._raw(b"x-more: and more\r\n" * 100)

    async def _chunk(self, data: bytes) -> None:
        await self._raw(b"%x\r\n%b\r\n" % (len(data), data))

    async def _raw(self, data: bytes, *, keep: bool = False) -> bool:
        self._writer.write(data)
        await self._writer.drain()
        return keep

    def _completion(self) -> dict[str, Any]:
        message: dict[str, Any] = {"role": "assistant", "content": self._model.text(), "refusal": None}
        if self._model.tools:
            message |= {"content": None, "tool_calls": [CALL]}
        reason = "tool_calls" if self._model.tools else "stop"
        choice = {"index": 0, "message": message, "finish_reason": reason, "logprobs": None}
        answer = {"id": "c1", "object": "chat.completion", "created": 1, "model": "mock", "choices": [choice]}
        return {**answer, "usage": USAGE}

    def _message(self) -> dict[str, Any]:
        block: dict[str, Any] = {"type": "text", "text": self._model.text(), "citations": None}
        if self._model.tools:
            block = {"type": "tool_use", "id": "t1", "name": "weather", "input": {"place": "harbour"}}
        stop = "tool_use" if self._model.tools else "end_turn"
        usage = {"input_tokens": 40, "cache_read_input_tokens": 60, "output_tokens": 7}
        return {
            "id": "m1",
            "type": "message",
            "role": "assistant",
            "model": "mock",
            "content": [block],
            "stop_reason": stop,
            "stop_sequence": None,
            "usage": usage,
        }


def _model(name: str) -> dict[str, Any]:
    return {"id": name, "object": "model", "created": 1, "owned_by": "mock"}


def _events(model: ModelServer, fault: Fault | None, *, anthropic: bool) -> list[str]:
    """The events of a streamed answer, spoilt as the fault wants it."""
    events = _anthropic(model) if anthropic else _openai(model)
    match fault:
        case Fault.NO_END:
            return events[:4]
        case Fault.NO_DONE:
            return events[:-1]
        case Fault.HALF_JSON:
            return [*events[:3], events[3][: len(events[3]) // 2] + "\n\n"]
        case Fault.LONG_LINE:
            return [*events[:3], "data: " + "x" * 10_000_000]
        case Fault.ERROR_EVENT:
            error = {"type": "error", "error": {"message": f"No: sk-theirs-123456 at {model.url}", "type": "theirs"}}
            name = "event: error\n" if anthropic else ""
            return [*events[:3], f"{name}data: {json.dumps(error)}\n\n"]
    return events


def _openai(model: ModelServer) -> list[str]:
    if not model.tools:
        return openai_events(list(model.pieces), usage=USAGE)
    first, *_, finish, usage, done = openai_events([""], finish="tool_calls", usage=USAGE)
    call = {"index": 0, "delta": {"tool_calls": [{"index": 0, **CALL}]}, "finish_reason": None}
    chunk = {"id": "c1", "object": "chat.completion.chunk", "created": 1, "model": "m", "choices": [call]}
    return [first, f"data: {json.dumps(chunk)}\n\n", finish, usage, done]


def _anthropic(model: ModelServer) -> list[str]:
    if not model.tools:
        return anthropic_events(list(model.pieces))
    start, *_, end, stop = anthropic_events([""], stop="tool_use")
    block = {"type": "tool_use", "id": "t1", "name": "weather", "input": {}}
    delta = {"type": "input_json_delta", "partial_json": '{"place":"harbour"}'}
    call = [
        {"type": "content_block_start", "index": 0, "content_block": block},
        {"type": "content_block_delta", "index": 0, "delta": delta},
        {"type": "content_block_stop", "index": 0},
    ]
    return [start, *(f"event: {told['type']}\ndata: {json.dumps(told)}\n\n" for told in call), end, stop]
