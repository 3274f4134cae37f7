"""Cost of relaying a stream: reading it from the model's server, inspecting each chunk, writing it to the client.

First the reading of chunks alone, without input or output. Then 300 streams through a relay in a process of its own
(uvicorn on uvloop, aiohttp towards the model, nothing else of the platform), against the same streams taken straight
from the mock model; CPU is that of the relay's process as the system counts it, once all streams have begun.

    python -m benchmarks.relay [--streams 300] [--tokens 400] [--ramp 8]

Targets: 15 us a chunk to look at it, 25 us to gather its text too; 100 us of CPU a chunk through the relay.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import aclosing, contextmanager, suppress
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from urllib.parse import parse_qs

import uvicorn
import uvloop
from starlette.requests import Request
from starlette.types import Receive, Scope, Send

from benchmarks.mock_model import mock_model
from benchmarks.probed_server import percentiles
from benchmarks.sse_client import posted, status_of
from benchmarks.streams import Tally, at_once, straight
from ragstone.http.server import listen
from ragstone.http.streaming import StreamingHandler, Writer
from ragstone.interceptor.anthropic import AnthropicStream
from ragstone.interceptor.openai import OpenAIErrors, OpenAIStream
from ragstone.interceptor.sse import AnswerChanges
from ragstone.resilience.http_client import HttpClient
from ragstone.telemetry.logs import configure_logs

OPENAI_CHUNK = (
    b'data: {"id":"chatcmpl-CgXnUhqQqDq3vZb1","object":"chat.completion.chunk","created":1763700000,"model":"gpt-5",'
    b'"choices":[{"index":0,"delta":{"content":" word"},"logprobs":null,"finish_reason":null}],"usage":null}\n\n'
)
ANTHROPIC_CHUNK = (
    b"event: content_block_delta\n"
    b'data: {"type":"content_block_delta","index":0,"delta":{"type":"text_delta","text":" word"}}\n\n'
)
ROUNDS = 40_000


def footer(_text: str) -> str:
    """What follows an enriched answer."""
    return "\n\n---\n1. [Crane](https://example.com)"


def looking() -> None:
    """Print what looking at a chunk costs."""
    print("| looking at one chunk | bytes | us |\n|---|---|---|")
    kinds: list[tuple[str, Callable[[], OpenAIStream | AnthropicStream], bytes]] = [
        ("OpenAI, as it is", OpenAIStream, OPENAI_CHUNK),
        ("OpenAI, text gathered", lambda: OpenAIStream(AnswerChanges(enriched=True, footer=footer)), OPENAI_CHUNK),
        ("Anthropic, as it is", AnthropicStream, ANTHROPIC_CHUNK),
        ("Anthropic, text gathered", lambda: AnthropicStream(AnswerChanges(footer=footer)), ANTHROPIC_CHUNK),
    ]
    for name, stream, chunk in kinds:
        best = min(_fed(stream(), [chunk] * ROUNDS) for _ in range(3))
        print(f"| {name} | {len(chunk)} | {best:.1f} |")
    torn = [OPENAI_CHUNK[at : at + 60] for at in range(0, len(OPENAI_CHUNK), 60)] * (ROUNDS // 4)
    print(f"| OpenAI, in pieces of 60 bytes, each | 60 | {_fed(OpenAIStream(), torn):.1f} |")


def _fed(stream: OpenAIStream | AnthropicStream, chunks: list[bytes]) -> float:
    feed, started = stream.feed, time.process_time()
    for chunk in chunks:
        feed(chunk)
    return (time.process_time() - started) / len(chunks) * 1e6


class RelayApp:
    """Passes every request on to the mock model; `?enriched=1` gathers the text and adds a footer."""

    def __init__(self, upstream: str) -> None:
        self._upstream = upstream
        self._http: HttpClient | None = None

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        self._http = self._http or HttpClient()
        body = await Request(scope, receive).body()
        enriched = b"enriched" in parse_qs(scope["query_string"])
        relay = StreamingHandler(partial(self._story, self._http, body, enriched), OpenAIErrors())
        await relay(scope, receive, send)

    async def _story(self, http: HttpClient, body: bytes, enriched: bool, writer: Writer) -> None:
        stream = OpenAIStream(AnswerChanges(enriched=enriched, footer=footer if enriched else None))
        async with http.open("POST", f"{self._upstream}/chat/completions", body=body, trusted=True) as answer:
            await writer.start(answer.status, [("content-type", "text/event-stream")], streaming=True)
            async with aclosing(answer.chunks()) as chunks:
                async for chunk in chunks:
                    if passed := stream.feed(chunk):
                        await writer.write(passed)
            await writer.write(stream.finish())


@dataclass(frozen=True, slots=True)
class RelayProcess:
    """The running relay."""

    port: int
    pid: int

    def cpu_s(self) -> float:
        """CPU seconds the process used so far."""
        fields = Path(f"/proc/{self.pid}/stat").read_text().rsplit(")", 1)[1].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


@contextmanager
def relay_process(upstream: str) -> Iterator[RelayProcess]:
    """Start the relay, end it."""
    command = [sys.executable, "-m", "benchmarks.relay", "--serve", upstream]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    assert process.stdout
    try:
        yield RelayProcess(int(process.stdout.readline()), process.pid)
    finally:
        process.terminate()
        process.wait()


def serve(upstream: str) -> None:
    """Be the relay."""
    configure_logs("error")
    config = uvicorn.Config(RelayApp(upstream), log_config=None, access_log=False, lifespan="off", loop="uvloop")
    server = uvicorn.Server(config)

    async def run() -> None:
        listener = listen("127.0.0.1", 0)
        print(listener.getsockname()[1], flush=True)
        await server.serve([listener])

    with suppress(KeyboardInterrupt), asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(run())


async def through(port: int, path: str, question: str, tally: Tally) -> None:
    """One answer through the relay, to its end mark."""
    first, ended = False, False
    async with posted(port, path, {"messages": [{"content": question}], "stream": True}) as (reader, _):
        await status_of(reader)
        while (line := await reader.readline()) and line != b"0\r\n":
            arrived = time.monotonic_ns()
            if line.startswith(b'data: {"id": "c"') and b'"content": "' in line:
                first = first or tally.first(0)
                tally.token(line.split(b'"content": "', 1)[1].split(b'"', 1)[0].decode(), arrived)
            ended = ended or line.startswith(b"data: [DONE]")
    tally.outcomes["ok" if ended else "cut off"] += 1


async def measure(model_port: int, relay: RelayProcess, streams: int, tokens: int, ramp_s: float) -> None:
    """Print the table."""
    print("\n| what | outcomes | lag p50 / p95 / p99 / max ms | relay's CPU us per chunk |\n|---|---|---|---|")
    alone = await at_once(streams, partial(straight, model_port), tokens, ramp_s, relay.cpu_s)
    print(f"| straight from the model | {dict(alone.outcomes)} | {percentiles(alone.lags_ms)} | |")
    for name, path in (("as it is", "/v1"), ("text gathered, footer", "/v1?enriched=1")):
        tally = await at_once(streams, partial(through, relay.port, path), tokens, ramp_s, relay.cpu_s)
        each = float("nan")
        if tally.steady_from:
            chunks, spent = tally.steady_from
            each = (relay.cpu_s() - spent) / max(len(tally.lags_ms) - chunks, 1) * 1e6
        print(f"| through the relay, {name} | {dict(tally.outcomes)} | {percentiles(tally.lags_ms)} | {each:.0f} |")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--streams", type=int, default=300)
    parser.add_argument("--tokens", type=int, default=400)
    parser.add_argument("--ramp", type=float, default=8.0, help="seconds within which all begin")
    parser.add_argument("--serve", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.serve:
        serve(arguments.serve)
        return
    looking()
    with mock_model() as model, relay_process(model.url) as relay:
        model_port = int(model.url.rsplit(":", 1)[1].split("/")[0])
        asyncio.run(measure(model_port, relay, arguments.streams, arguments.tokens, arguments.ramp))


if __name__ == "__main__":
    main()
