"""HTTP receivers on loopback that write down what they get, and answer well or badly."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field

OK = b"HTTP/1.1 204 No Content\r\nconnection: close\r\n\r\n"


@dataclass(frozen=True)
class Received:
    """One request."""

    target: str
    headers: dict[str, str]
    body: bytes


@dataclass
class Receiver:
    """A running receiver; `place` is its host and port. Answers are given in turn, the last one for ever."""

    place: str = ""
    received: list[Received] = field(default_factory=list)
    answers: list[bytes] = field(default_factory=lambda: [OK])
    endless: bytes = b""
    pause_s: float = 0.0
    on_request: Callable[[], None] = lambda: None

    def url(self, path: str = "/hook") -> str:
        return f"http://{self.place}{path}"

    @property
    def port(self) -> int:
        return int(self.place.rsplit(":", 1)[1])

    def answer(self) -> bytes:
        return self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]


def status(code: int, more: str = "", body: bytes = b"") -> bytes:
    return f"HTTP/1.1 {code} X\r\n{more}content-length: {len(body)}\r\nconnection: close\r\n\r\n".encode() + body


@asynccontextmanager
async def receiving(certificate: ssl.SSLContext | None = None) -> AsyncIterator[Receiver]:
    """A receiver on a free port of loopback."""
    receiver = Receiver()
    tasks: set[asyncio.Task[None]] = set()

    async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task
        tasks.add(task)
        try:
            with suppress(ConnectionError, asyncio.IncompleteReadError):
                await _exchange(receiver, reader, writer)
        finally:
            writer.transport.abort() if receiver.endless else writer.close()
            with suppress(OSError):
                await writer.wait_closed()

    server = await asyncio.start_server(handle, "127.0.0.1", 0, ssl=certificate)
    receiver.place = f"127.0.0.1:{server.sockets[0].getsockname()[1]}"
    async with server:
        yield receiver
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


async def _exchange(receiver: Receiver, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").split("\r\n")
    headers = {name.lower(): value for name, _, value in (line.partition(": ") for line in head[1:] if line)}
    body = await reader.readexactly(int(headers.get("content-length", "0")))
    receiver.received.append(Received(head[0].split(" ")[1], headers, body))
    receiver.on_request()
    writer.write(receiver.answer())
    await writer.drain()
    while receiver.endless:
        writer.write(receiver.endless)
        await writer.drain()
        with suppress(TimeoutError):
            await asyncio.wait_for(asyncio.Event().wait(), receiver.pause_s)
