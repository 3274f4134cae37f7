"""Memory of the interceptor as a process of its own: idle, after many chats, and with many concurrent chats.

`ragstone intercept` stands between this client, a mock pipeline and a mock model in a process of its own. Every chat
is streamed and enriched; a chat that is not is counted, as its memory would say nothing.

    python -m benchmarks.lean_interceptor [--chats 1000] [--streams 100] [--tokens 100] [--rounds 3]

Resident memory as the system counts it (VmRSS), in MB of 10^6 bytes; `own` is what no other process shares (RssAnon).
Target: 80 MB throughout; goal: 50 MB.
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
from ragstone.identity.api_keys import NewKey
from ragstone.settings import load_settings
from ragstone.wiring import open_records
from tests.retrieval.vectorize_server import TOWER, a_pipeline, url_of

QUESTION = "How tall is the tower?"
TARGET_MB, GOAL_MB = 80, 50


@dataclass(frozen=True)
class Running:
    """The process, and how it is asked."""

    pid: int
    client: aiohttp.ClientSession


def memory(pid: int) -> dict[str, float]:
    """Resident memory of a process in MB, by the system's names."""
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    return {line.split(":")[0]: int(line.split()[1]) * 1024 / 1e6 for line in lines if " kB" in line}


def row(label: str, pid: int) -> None:
    """One line of the table."""
    now = memory(pid)
    fits = "yes" if now["VmHWM"] < TARGET_MB else "NO"
    print(f"{label:<34} {now['VmRSS']:>7.1f} {now['RssAnon']:>7.1f} {now['VmHWM']:>7.1f}   {fits}")


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


async def made_key(folder: Path) -> str:
    """A key of the database, as most installations have."""
    async with open_records(load_settings(data_dir=folder)) as records:
        return (await records.identity.api_keys.create("benchmark", "default", NewKey()))[1]


@asynccontextmanager
async def intercepting(folder: Path, key: str, model_url: str, pipeline_url: str) -> AsyncIterator[Running]:
    """Start the command, and end it."""
    settings = {
        "RAGSTONE_INTERCEPTOR__UPSTREAM_URL": model_url,
        "RAGSTONE_INTERCEPTOR__BUDGET_S": "5",
        "RAGSTONE_VECTORIZE__URL": pipeline_url,
        "RAGSTONE_VECTORIZE__TOKEN": "benchmark-token",
        "RAGSTONE_LOG__LEVEL": "error",
    }
    command = ["-m", "ragstone", "--data-dir", str(folder), "intercept", "--port", "0"]
    environment = {**os.environ, **settings}
    process = await asyncio.create_subprocess_exec(
        sys.executable, *command, stdout=asyncio.subprocess.PIPE, env=environment
    )
    assert process.stdout
    try:
        found = re.search(rb"http://[^;]+:[0-9]+", await process.stdout.readline())
        assert found, "it did not start"
        async with aiohttp.ClientSession(
            found[0].decode(), headers={"x-api-key": key}, connector=aiohttp.TCPConnector(limit=0)
        ) as client:
            yield Running(process.pid, client)
    finally:
        process.terminate()
        await process.wait()


async def measured(running: Running, args: argparse.Namespace) -> None:
    """The table, and what the chats came to."""
    print(f"{'':<34} {'RSS':>7} {'own':>7} {'peak':>7}   peak below {TARGET_MB} MB (goal {GOAL_MB})")
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
        key = await made_key(Path(folder))
        async with (
            a_pipeline(TOWER) as pipeline,
            intercepting(Path(folder), key, model.url, url_of(pipeline)) as running,
        ):
            await measured(running, args)


if __name__ == "__main__":
    asyncio.run(main())
