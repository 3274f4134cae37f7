"""Mock model server in its own process: OpenAI's wire format, tokens at a steady rate with their send time.

Every token is ` <monotonic nanoseconds>`: the clock is the machine's, so a client on the same machine reads from it
how long the token was under way. What a test wants depends on words of the question:
`trial:N` names the request; `silent` answers 200 and never sends a token; `tokens:N` and `rate:N` say how many and
how fast.

Each request writes JSON lines to stdout: {"event": "asked" | "ended" | "hung_up", "trial": N, "at": nanoseconds}.
"""

from __future__ import annotations

import asyncio
import json
import re
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from typing import Any

TOKENS = 100
RATE_PER_S = 20.0
_ASKED = re.compile(r"\b(?P<name>trial|tokens|rate):(?P<value>[0-9.]+)")


async def _handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    with suppress(ConnectionError, asyncio.IncompleteReadError):
        while True:  # connections are kept, as the vendors' servers do
            head = (await reader.readuntil(b"\r\n\r\n")).decode().lower()
            length = re.search(r"content-length: (\d+)", head)
            body = json.loads(await reader.readexactly(int(length[1])) if length else b"{}")
            await _answer(body, reader, writer)
    writer.close()


async def _answer(body: dict[str, Any], reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    text = body["messages"][-1]["content"]
    asked = {found["name"]: float(found["value"]) for found in _ASKED.finditer(text)}
    trial = int(asked.get("trial", -1))
    _tell("asked", trial)
    hung_up = asyncio.create_task(_gone(reader))
    writer.write(b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n")
    sending = asyncio.create_task(_tokens(writer, asked, silent="silent" in text))
    await asyncio.wait({hung_up, sending}, return_when=asyncio.FIRST_COMPLETED)
    if not sending.done():
        sending.cancel()
        _tell("hung_up", trial)
        raise ConnectionResetError
    hung_up.cancel()
    await asyncio.gather(hung_up, return_exceptions=True)  # only one may read at a time
    _tell("hung_up" if sending.exception() else "ended", trial)


async def _gone(reader: asyncio.StreamReader) -> None:
    """Returns when the client has gone; while an answer is under way, clients send nothing."""
    with suppress(ConnectionError):
        await reader.read(1)


async def _tokens(writer: asyncio.StreamWriter, asked: dict[str, float], *, silent: bool) -> None:
    if silent:
        await asyncio.Event().wait()
    count, rate = int(asked.get("tokens", TOKENS)), asked.get("rate", RATE_PER_S)
    clock = asyncio.get_running_loop().time
    started = clock()
    for number in range(count):
        await asyncio.sleep(max(0.0, started + number / rate - clock()))
        _send(writer, {"delta": {"content": f" {time.monotonic_ns()}"}, "finish_reason": None})
        await writer.drain()
    _send(writer, {"delta": {}, "finish_reason": "stop"})
    usage = {"prompt_tokens": 100, "completion_tokens": count, "total_tokens": 100 + count}
    _send(writer, None, usage=usage)
    _chunk(writer, b"data: [DONE]\n\n")
    writer.write(b"0\r\n\r\n")
    await writer.drain()


def _send(writer: asyncio.StreamWriter, choice: dict[str, Any] | None, **more: object) -> None:
    choices = [] if choice is None else [{"index": 0, **choice}]
    chunk = {"id": "c", "object": "chat.completion.chunk", "created": 1, "model": "mock", "choices": choices, **more}
    _chunk(writer, f"data: {json.dumps(chunk)}\n\n".encode())


def _chunk(writer: asyncio.StreamWriter, data: bytes) -> None:
    writer.write(b"%x\r\n%b\r\n" % (len(data), data))


def _tell(event: str, trial: int) -> None:
    print(json.dumps({"event": event, "trial": trial, "at": time.monotonic_ns()}), flush=True)


async def _serve() -> None:
    server = await asyncio.start_server(_handle, "127.0.0.1", 0, backlog=2048)
    print(json.dumps({"port": server.sockets[0].getsockname()[1]}), flush=True)
    await server.serve_forever()


@dataclass
class MockModel:
    """The running server: its base URL, and when each trial was asked for and given up."""

    url: str
    pid: int
    at: dict[tuple[str, int], int] = field(default_factory=dict)

    async def until(self, event: str, trial: int, patience_s: float = 10.0) -> int | None:
        """When it happened, in monotonic nanoseconds; None if it does not happen in time."""
        give_up = time.monotonic() + patience_s
        while (event, trial) not in self.at:
            if time.monotonic() > give_up:
                return None
            await asyncio.sleep(0.001)
        return self.at[event, trial]


@contextmanager
def mock_model() -> Iterator[MockModel]:
    """Start the server, follow what it tells, end it."""
    process = subprocess.Popen([sys.executable, "-m", __name__], stdout=subprocess.PIPE, text=True)
    assert process.stdout
    model = MockModel(f"http://127.0.0.1:{json.loads(process.stdout.readline())['port']}/v1", process.pid)

    def follow(lines: Iterator[str], note: Callable[[dict[str, Any]], None]) -> None:
        for line in lines:
            note(json.loads(line))

    def note(told: dict[str, Any]) -> None:
        model.at[told["event"], told["trial"]] = told["at"]

    threading.Thread(target=follow, args=(iter(process.stdout), note), daemon=True).start()
    try:
        yield model
    finally:
        process.terminate()
        process.wait()


if __name__ == "__main__":
    with suppress(KeyboardInterrupt):
        asyncio.run(_serve())
