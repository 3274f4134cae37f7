"""Many concurrent streamed answers: errors, delay of each piece, and CPU per piece.

A mock model in a process of its own sends every token with the time it left; the client, in a third process, reads
from it how long the token was under way through the whole server (SDK, marker filter, events, SSE, sockets). A part
of that is the client's own delay, which the same client measures on streams straight from the model.

    python -m benchmarks.streams [--streams 300] [--tokens 600] [--ramp 15]

The streams begin one after another within the ramp, which costs searches and rows; from when all have begun, only
tokens pass: that row is the steady state, and its CPU a chunk that of a chunk alone.

On 2 cores the three processes share them; targets: no errors, p99 of the lag at most 100 ms.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import tempfile
import time
from collections import Counter
from collections.abc import Awaitable, Callable
from functools import partial
from pathlib import Path

from benchmarks.mock_model import mock_model
from benchmarks.probed_server import ProbedServer, percentiles, probed_server
from benchmarks.sse_client import events, posted, status_of

RATE_PER_S = 20
QUESTION = "How many tonnes does the harbour crane lift?"
NOTES = "# Crane\n\nThe harbour crane lifts forty tonnes.\n"


class Tally:
    """What the streams came to."""

    def __init__(self, expected: int) -> None:
        self._expected = expected
        self.begun = asyncio.Event()
        self.lags_ms: list[float] = []
        self.steady_from: tuple[int, float] | None = None
        self.first_ms: list[float] = []
        self.outcomes: Counter[str] = Counter()

    def first(self, took_ns: int) -> bool:
        """Take the time to the first token of a stream."""
        self.first_ms.append(took_ns / 1e6)
        if len(self.first_ms) == self._expected:
            self.begun.set()
        return True

    def token(self, text: str, arrived: int) -> None:
        """Take a piece of the answer: one stamp or several, never half of one, since tokens pass whole."""
        self.lags_ms += [(arrived - int(word)) / 1e6 for word in text.split()]


async def through_the_server(server: ProbedServer, question: str, tally: Tally) -> None:
    """One answer; it counts as `ok` when it ended with `done`, undegraded."""
    started = time.monotonic_ns()
    first = False
    async with posted(server.port, "/api/chat", {"question": question, "stream": True}) as (reader, _):
        status = await status_of(reader)
        if status != 200:
            tally.outcomes[f"status {status}"] += 1
            return
        async for name, data, arrived in events(reader):
            if name == "delta":
                first = first or tally.first(arrived - started)
                tally.token(json.loads(data)["text"], arrived)
            elif name == "done":
                degraded = json.loads(data)["degraded"]
                tally.outcomes[", ".join(degraded) or "ok"] += 1
                return
    tally.outcomes["cut off"] += 1


async def straight(port: int, question: str, tally: Tally) -> None:
    """The same tokens without the server between."""
    first = False
    async with posted(port, "/v1/chat/completions", {"messages": [{"content": question}]}) as (reader, _):
        await status_of(reader)
        while (line := await reader.readline()) and not line.startswith(b"data: [DONE]"):
            if line.startswith(b"data: {"):
                arrived = time.monotonic_ns()
                choices = json.loads(line[6:])["choices"]
                text = choices[0]["delta"].get("content", "") if choices else ""
                first = first or tally.first(0)
                tally.token(text, arrived)
    tally.outcomes["ok"] += 1


async def at_once(
    count: int, one: Callable[[str, Tally], Awaitable[None]], tokens: int, ramp_s: float, cpu_s: Callable[[], float]
) -> Tally:
    """`count` streams that begin within the ramp, with the tokens of all."""
    tally = Tally(count)

    async def later(number: int) -> None:
        await asyncio.sleep(ramp_s * number / count)
        try:
            await one(f"{QUESTION} tokens:{tokens} rate:{RATE_PER_S}", tally)
        except (OSError, asyncio.IncompleteReadError) as error:
            tally.outcomes[type(error).__name__] += 1

    async def begun() -> None:
        await tally.begun.wait()
        tally.steady_from = len(tally.lags_ms), cpu_s()

    watching = asyncio.create_task(begun())
    await asyncio.gather(*(later(number) for number in range(count)))
    watching.cancel()  # not all have begun, if it still waits
    return tally


async def ingest_notes(server: ProbedServer) -> None:
    """The document that the question is about."""
    async with posted(server.port, "/api/ingest", {"title": "Crane", "text": NOTES}) as (reader, _):
        assert await status_of(reader) == 202
    for _ in range(600):
        async with posted(server.port, "/api/search", {"query": QUESTION}) as (reader, _):
            if await status_of(reader) == 200 and b"forty" in await reader.read(1 << 16):
                return
        await asyncio.sleep(0.1)
    raise SystemExit("The notes did not become searchable.")


async def measure(server: ProbedServer, model_port: int, streams: int, tokens: int, ramp_s: float) -> None:
    """Print the table."""
    await ingest_notes(server)
    print(f"{streams} streams of {tokens} tokens at {RATE_PER_S}/s, begun within {ramp_s:g} s\n")
    print(
        "| what | outcomes | lag p50 / p95 / p99 / max ms | first token ms | CPU us per chunk |\n|---|---|---|---|---|"
    )
    alone = await at_once(streams, partial(straight, model_port), tokens, ramp_s, server.cpu_s)
    print(f"| client and model alone | {dict(alone.outcomes)} | {percentiles(alone.lags_ms)} | | |")
    before, probed = server.cpu_s(), len(server.lags_ms())
    tally = await at_once(streams, partial(through_the_server, server), tokens, ramp_s, server.cpu_s)
    whole = (server.cpu_s() - before) / max(len(tally.lags_ms), 1) * 1e6
    lags, first = percentiles(tally.lags_ms), percentiles(tally.first_ms)
    print(f"| through the server | {dict(tally.outcomes)} | {lags} | {first} | {whole:.0f} with all else |")
    if tally.steady_from:
        chunks, spent = tally.steady_from
        steady = tally.lags_ms[chunks:]
        each = (server.cpu_s() - spent) / max(len(steady), 1) * 1e6
        print(f"| the same, once all have begun | | {percentiles(steady)} | | {each:.0f} |")
    print(
        f"\nEvent loop of the server meanwhile, p50 / p95 / p99 / max ms late: {percentiles(server.lags_ms()[probed:])}"
    )


def model_settings(url: str) -> dict[str, str]:
    """Variables of a server whose answers are written by the mock model."""
    return {
        "RAGSTONE_EMBEDDING__MODEL": "hashing",
        "RAGSTONE_ANSWER__PROVIDER": "openai",
        "RAGSTONE_ANSWER__MODEL": "mock",
        "RAGSTONE_ANSWER__BASE_URL": url,
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--streams", type=int, default=300)
    parser.add_argument("--tokens", type=int, default=600)
    parser.add_argument("--ramp", type=float, default=15.0, help="seconds within which all begin")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder, mock_model() as model:
        model_port = int(model.url.rsplit(":", 1)[1].split("/")[0])
        with probed_server(Path(folder) / "data", **model_settings(model.url)) as server:
            asyncio.run(measure(server, model_port, arguments.streams, arguments.tokens, arguments.ramp))


if __name__ == "__main__":
    main()
