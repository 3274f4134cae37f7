"""Added latency of the interceptor against the same chat directly to the model's server, in one run.

A mock model in a process of its own answers with one token at once, or with tokens at a steady rate. Requests are
sent in an open loop, blocks straight and blocks through the interceptor in turns, so that both meet the same machine.

    python -m benchmarks.interceptor [--keep /tmp/quality] [--rate 100] [--seconds 20] [--streams 300]

With the folder of `question_latency` the passages of mlquestions are there already, and retrieval is measured on them.

Targets: without retrieval at most 5 ms p50 and 15 ms p99 more, at 100 requests/s; with retrieval among 10,000 chunks
at most 30 ms p50 more; with retrieval dead and its circuit open at most 5 ms more; 300 streams of 20 tokens/s without
an error, at most 100 us of CPU a chunk.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import random
import tempfile
import time
from collections import Counter
from collections.abc import Awaitable, Callable, Iterator, Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass, field
from functools import partial
from itertools import cycle
from pathlib import Path

import numpy as np

from benchmarks.mock_model import mock_model
from benchmarks.probed_server import ProbedServer, percentiles, probed_server
from benchmarks.question_latency import index_process, resident_mb
from benchmarks.retrieval_quality import DATA, ingest
from benchmarks.sse_client import events, posted
from benchmarks.streams import QUESTION, Tally, at_once, ingest_notes, straight
from ragstone.evaluation.datasets import read_collection
from ragstone.settings import Settings
from ragstone.wiring import open_services

BLOCKS = 4
BYPASS = {"x-ragstone-bypass": "1"}
WARM_UP_S = 3.0


@dataclass
class Leg:
    """What one way of asking took, in ms to the first token, and what the interceptor said of it."""

    name: str
    port: int
    path: str
    headers: dict[str, str] = field(default_factory=dict)
    took_ms: list[float] = field(default_factory=list)
    said: Counter[str] = field(default_factory=Counter)

    async def ask(self, question: str) -> None:
        """One streamed chat of one token."""
        body = {"model": "mock", "stream": True, "messages": [{"role": "user", "content": f"{question} tokens:1"}]}
        began = time.perf_counter()
        async with posted(self.port, self.path, body, self.headers) as (reader, _):
            head = (await reader.readuntil(b"\r\n\r\n")).decode().lower()
            async for _name, data, _at in events(reader):
                if '"content":" ' in data or '"content": " ' in data:
                    self.took_ms.append((time.perf_counter() - began) * 1e3)
                    status = next((line for line in head.split("\r\n") if line.startswith("x-ragstone-status")), "")
                    self.said[status.removeprefix("x-ragstone-status: ").partition(";")[0] or "straight"] += 1
                    return
            self.said["no token"] += 1


async def block(leg: Leg, questions: Iterator[str], rate: float, seconds: float) -> None:
    """Ask at a steady rate, whether the answers come or not."""
    clock = asyncio.get_running_loop().time
    began, asking = clock(), []
    for number in range(int(rate * seconds)):
        await asyncio.sleep(max(0.0, began + number / rate - clock()))
        asking.append(asyncio.create_task(leg.ask(next(questions))))
    await asyncio.gather(*asking)


async def compare(legs: Sequence[Leg], questions: Sequence[str], rate: float, seconds: float) -> None:
    """Print what each leg takes more than the first."""
    asked = cycle(questions)
    for leg in legs:
        await block(leg, asked, rate, WARM_UP_S)
        leg.took_ms.clear()
        leg.said.clear()
    for _ in range(BLOCKS):
        for leg in legs:
            await block(leg, asked, rate, seconds / BLOCKS)
    print(f"\n{rate:g} requests/s\n\n| what | outcomes | first token p50 / p95 / p99 / max ms | more p50 | more p99 |")
    print("|---|---|---|---|---|")
    base = np.percentile(legs[0].took_ms, [50, 99])
    for leg in legs:
        more = np.percentile(leg.took_ms, [50, 99]) - base
        said = ", ".join(f"{count} {name}" for name, count in leg.said.items())
        print(f"| {leg.name} | {said} | {percentiles(leg.took_ms)} | {more[0]:.1f} | {more[1]:.1f} |", flush=True)


async def chatted(port: int, headers: dict[str, str], question: str, tally: Tally) -> None:
    """One streamed answer through the interceptor; `ok` when it ended as it should."""
    started, first = time.monotonic_ns(), False
    body = {"model": "mock", "stream": True, "messages": [{"role": "user", "content": question}]}
    async with posted(port, "/v1/chat/completions", body, headers) as (reader, _):
        await reader.readuntil(b"\r\n\r\n")
        async for _name, data, arrived in events(reader):
            if data == "[DONE]":
                tally.outcomes["ok"] += 1
                return
            choices = json.loads(data).get("choices")
            text = choices[0]["delta"].get("content", "") if choices else ""
            if text.strip().replace(" ", "").isdecimal():
                first = first or tally.first(arrived - started)
                tally.token(text, arrived)
    tally.outcomes["cut off"] += 1


async def streams(server: ProbedServer, model_port: int, count: int, tokens: int, ramp_s: float) -> None:
    """Print what many streams at once come to: straight, passed on as they are, and enriched."""
    legs: dict[str, Callable[[str, Tally], Awaitable[None]]] = {
        "client and model alone": partial(straight, model_port),
        "passed on as they are": partial(chatted, server.port, BYPASS),
        "enriched, with sources": partial(chatted, server.port, {}),
    }
    print(f"\n{count} streams of {tokens} tokens at 20/s, begun within {ramp_s:g} s\n")
    print("| what | outcomes | lag p50 / p95 / p99 / max ms | first token ms | CPU us per chunk, all begun |")
    print("|---|---|---|---|---|")
    for name, one in legs.items():
        tally = await at_once(count, one, tokens, ramp_s, server.cpu_s)
        each = ""
        if tally.steady_from and one is not legs["client and model alone"]:
            chunks, spent = tally.steady_from
            each = f"{(server.cpu_s() - spent) / max(len(tally.lags_ms) - chunks, 1) * 1e6:.0f}"
        lags, first = percentiles(tally.lags_ms), percentiles(tally.first_ms)
        print(f"| {name} | {dict(tally.outcomes)} | {lags} | {first} | {each} |", flush=True)
    print(f"\nEvent loop of the server, p50 / p95 / p99 / max ms late: {percentiles(server.lags_ms())}")


@contextmanager
def interceptor(data_dir: Path, model_url: str, **more: str) -> Iterator[ProbedServer]:
    """The server, whose chats go on to the mock model."""
    with probed_server(data_dir, RAGSTONE_INTERCEPTOR__UPSTREAM_URL=model_url, **more) as server:
        yield server


async def with_retrieval(folder: Path, data: Path, model_url: str, rate: float, seconds: float) -> None:
    """Print the comparison on 11,000 passages, with the default embedder and index."""
    collection = read_collection(data / "mlquestions")
    asked = random.Random(0).sample(list(collection.questions.values()), 1000)
    async with open_services(Settings(data_dir=folder)) as services:
        await ingest(services, collection)
    port = int(model_url.rsplit(":", 1)[1].split("/", maxsplit=1)[0])
    with interceptor(folder, model_url) as server:
        direct = Leg("straight", port, "/v1/chat/completions")
        through = Leg("enriched from 11,000 chunks", server.port, "/v1/chat/completions")
        await compare([direct, through], asked, rate, seconds)
        index = resident_mb(index_process((folder / "index").resolve()))
        print(f"\nMemory: the server {resident_mb(server.pid):.0f} MB, the index process {index:.0f} MB.")


async def without_retrieval(folder: Path, model_url: str, given: argparse.Namespace) -> None:
    """Print the comparisons in which nothing is looked up, and the streams."""
    port = int(model_url.rsplit(":", 1)[1].split("/", maxsplit=1)[0])
    small = {"RAGSTONE_EMBEDDING__MODEL": "hashing", "RAGSTONE_INDEX__ENGINE": "memory"}
    with interceptor(folder / "small", model_url, **small) as server:
        await ingest_notes(server)
        path = "/v1/chat/completions"
        legs = [
            Leg("straight", port, path),
            Leg("passed on as it is", server.port, path, BYPASS),
            Leg("enriched from one passage", server.port, path),
        ]
        await compare(legs, [QUESTION], given.rate, given.seconds)
        await streams(server, port, given.streams, given.tokens, given.ramp)
    dead = {**small, "RAGSTONE_INTERCEPTOR__BUDGET_S": "0.000001"}  # no retrieval is in time: the circuit opens
    with interceptor(folder / "dead", model_url, **dead, RAGSTONE_UPSTREAM__OPEN_S="600") as server:
        legs = [Leg("straight", port, path), Leg("retrieval dead, circuit open", server.port, path)]
        await compare(legs, [QUESTION], given.rate, given.seconds)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, default=DATA, help="folder with the sets")
    parser.add_argument("--keep", type=Path, help="keep the ingested passages here, and use them again")
    parser.add_argument("--rate", type=float, default=100.0, help="requests a second without retrieval")
    parser.add_argument("--searches", type=float, default=20.0, help="requests a second with retrieval")
    parser.add_argument("--seconds", type=float, default=20.0, help="of each leg")
    parser.add_argument("--streams", type=int, default=300)
    parser.add_argument("--tokens", type=int, default=400)
    parser.add_argument("--ramp", type=float, default=15.0, help="seconds within which all streams begin")
    parser.add_argument("--only", choices=["cheap", "retrieval"], help="one half of it")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder, mock_model() as model:
        if given.only != "retrieval":
            asyncio.run(without_retrieval(Path(folder), model.url, given))
        if given.only != "cheap":
            with nullcontext(given.keep) if given.keep else tempfile.TemporaryDirectory() as kept:
                run = with_retrieval(Path(kept) / "mlquestions", given.data, model.url, given.searches, given.seconds)
                asyncio.run(run)


if __name__ == "__main__":
    main()
