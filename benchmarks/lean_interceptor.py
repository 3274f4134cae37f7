"""Memory of the interceptor alone: idle, after many chats, and with many concurrent chats.

`ragstone interceptor serve` runs between this client, a mock pipeline and a mock model. Every chat is streamed and
enriched; other outcomes are counted below the table.

    python -m benchmarks.lean_interceptor [--chats 1000] [--streams 100] [--tokens 100] [--rounds 3]

In MB of 10^6 bytes. RSS: resident memory (VmRSS). USS: the part that no other process shares (Private_Clean and
Private_Dirty of smaps_rollup). Limit: an RSS of 80 MB after 3,000 chats; goal: a USS below 50 MB.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import re
import sys
import tempfile
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import aiohttp

from benchmarks.mock_model import mock_model
from tests.retrieval.vectorize_server import TOWER, a_pipeline, url_of

QUESTION = "How tall is the tower?"
LIMIT_MB, GOAL_MB = 80, 50
KEY = "benchmark-key-" + "k" * 32


@dataclass(frozen=True)
class Running:
    """The process, and how it is asked."""

    pid: int
    client: aiohttp.ClientSession


def memory(pid: int) -> dict[str, float]:
    """Resident memory of a process in MB, by the system's names."""
    files = (Path(f"/proc/{pid}/{name}") for name in ("status", "smaps_rollup"))
    lines = [line for file in files for line in file.read_text().splitlines()]
    return {line.split(":")[0]: int(line.split()[1]) * 1024 / 1e6 for line in lines if line.endswith(" kB")}


def row(label: str, pid: int) -> None:
    """One line of the table."""
    now = memory(pid)
    own = now["Private_Clean"] + now["Private_Dirty"]
    fits, small = ("yes" if met else "NO" for met in (now["VmHWM"] < LIMIT_MB, own < GOAL_MB))
    print(f"{label:<34} {now['VmRSS']:>7.1f} {own:>7.1f} {now['VmHWM']:>7.1f}   {fits:<3} {small}")


async def chat(running: Running, tokens: int, rate: float) -> str:
    """One streamed chat, on a connection that is kept; what the interceptor did with it."""
    question = {"role": "user", "content": f"{QUESTION} tokens:{tokens} rate:{rate}"}
    body = {"model": "mock", "stream": True, "messages": [question]}
    async with running.client.post("/v1/chat/completions", json=body) as answer:
        whole = (await answer.read()).rstrip().endswith(b"[DONE]")
        return answer.headers.get("x-ragstone-status", str(answer.status)) if whole else "cut off"


async def chats(running: Running, count: int, at_once: int) -> Counter[str]:
    """Short chats, a few at a time."""
    room = asyncio.Semaphore(at_once)

    async def one() -> str:
        async with room:
            return await chat(running, 3, 1000.0)

    return Counter(await asyncio.gather(*(one() for _ in range(count))))


@asynccontextmanager
async def interceptor_alone(folder: Path, model_url: str, pipeline_url: str) -> AsyncIterator[Running]:
    """Start the command, and end it."""
    settings = {
        "RAGSTONE_SERVER__API_KEYS": KEY,
        "RAGSTONE_INTERCEPTOR__UPSTREAM_URL": model_url,
        "RAGSTONE_INTERCEPTOR__BUDGET_S": "5",
        "RAGSTONE_VECTORIZE__URL": pipeline_url,
        "RAGSTONE_VECTORIZE__TOKEN": "benchmark-token",
        "RAGSTONE_LOG__LEVEL": "error",
    }
    command = ["-m", "ragstone", "interceptor", "serve", "--port", "0"]
    environment = {**os.environ, **settings}
    process = await asyncio.create_subprocess_exec(
        sys.executable, *command, stdout=asyncio.subprocess.PIPE, env=environment, cwd=folder
    )
    assert process.stdout
    try:
        found = re.search(rb"http://[^;]+:[0-9]+", await process.stdout.readline())
        assert found, "it did not start"
        async with aiohttp.ClientSession(
            found[0].decode(), headers={"x-api-key": KEY}, connector=aiohttp.TCPConnector(limit=0)
        ) as client:
            yield Running(process.pid, client)
    finally:
        process.terminate()
        await process.wait()


async def measured(running: Running, args: argparse.Namespace) -> None:
    """The table, and what the chats came to."""
    print(f"{'':<34} {'RSS':>7} {'USS':>7} {'peak':>7}   peak below {LIMIT_MB}, USS below {GOAL_MB} MB")
    row("after the start", running.pid)
    outcomes = await chats(running, 1, 1)
    row("after one chat", running.pid)
    for done in range(1, args.rounds + 1):
        outcomes += await chats(running, args.chats, 4)
        row(f"after {done * args.chats:,} chats", running.pid)
    for _ in range(args.rounds):
        streams = [asyncio.create_task(chat(running, args.tokens, 20.0)) for _ in range(args.streams)]
        await asyncio.sleep(args.tokens / 20 / 2)
        row(f"with {args.streams} streams at once", running.pid)
        outcomes += Counter(await asyncio.gather(*streams))
    row(f"after {args.rounds} times {args.streams} streams", running.pid)
    print(", ".join(f"{outcome}: {count:,}" for outcome, count in outcomes.most_common()))


async def main() -> None:
    """Measure."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--chats", type=int, default=1000)
    parser.add_argument("--streams", type=int, default=100)
    parser.add_argument("--tokens", type=int, default=100)
    parser.add_argument("--rounds", type=int, default=3)
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder, mock_model() as model:
        async with (
            a_pipeline(TOWER) as pipeline,
            interceptor_alone(Path(folder), model.url, url_of(pipeline)) as running,
        ):
            await measured(running, args)


if __name__ == "__main__":
    asyncio.run(main())
