"""Latency of a question at 10,000 chunks, and memory of the platform.

Timed in one process with the services, questions one after another: `search` with its
query embedding (never cached), and the extractive answer, which includes `search`.
Memory is that of this process and of the index process, as the system counts it.

    python -m benchmarks.question_latency --keep /tmp/quality [--questions 500]

With the folder of `retrieval_quality` the passages of mlquestions are there already.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import random
import tempfile
import time
from collections.abc import Awaitable, Callable, Sequence
from contextlib import nullcontext
from pathlib import Path
from statistics import quantiles

from benchmarks.retrieval_quality import DATA, ingest
from ragstone.chat.ask import Finished
from ragstone.evaluation.datasets import read_collection
from ragstone.services import Services
from ragstone.settings import Settings
from ragstone.telemetry.logs import configure_logs
from ragstone.vocabulary import Query, Scope
from ragstone.wiring import open_services

WARM_UP = 20
LIMIT = 8


async def timed(ask: Callable[[str], Awaitable[object]], questions: Sequence[str]) -> list[float]:
    """Milliseconds of each question, after a warm-up that is not counted."""
    took = []
    for number, question in enumerate(questions):
        start = time.perf_counter()
        await ask(question)
        if number >= WARM_UP:
            took.append((time.perf_counter() - start) * 1000)
    return took


def row(name: str, took: Sequence[float]) -> str:
    """A line of the table."""
    cuts = quantiles(took, n=100, method="inclusive")
    return f"| {name} | {cuts[49]:.1f} | {cuts[94]:.1f} | {cuts[98]:.1f} |"


def resident_mb(pid: int) -> float:
    """Resident memory of a process, in MB."""
    status = Path(f"/proc/{pid}/status").read_text()
    return next(int(line.split()[1]) / 1000 for line in status.splitlines() if line.startswith("VmRSS"))


def index_process(folder: Path) -> int:
    """The process that serves the index in `folder`."""
    for entry in Path("/proc").glob("[0-9]*/cmdline"):
        words = entry.read_bytes().split(b"\0")
        if b"ragstone.index.qdrant_edge.process" in words and os.fsencode(folder) in words:
            return int(entry.parent.name)
    raise SystemExit(f"No index process serves {folder}.")


async def measure(folder: Path, data: Path, count: int) -> None:
    """Print the tables."""
    collection = read_collection(data / "mlquestions")
    questions = random.Random(0).sample(list(collection.questions.values()), count + WARM_UP)
    async with open_services(Settings(data_dir=folder)) as services:
        await ingest(services, collection)
        print(f"\n{await services.engines.index.count(Scope())} chunks, {count} questions, {LIMIT} passages each\n")
        print("| what | p50 ms | p95 ms | p99 ms |\n|---|---|---|---|")
        await _report(services, questions)
        index = resident_mb(index_process((folder / "index").resolve()))
        own = resident_mb(os.getpid())
        print(f"\nMemory: this process {own:.0f} MB, index process {index:.0f} MB, together {own + index:.0f} MB.")


async def _report(services: Services, questions: Sequence[str]) -> None:
    async def search(question: str) -> None:
        await services.answers.retriever.search(Scope(), Query(question, limit=LIMIT))

    async def embed(question: str) -> None:
        await services.engines.embedder.embed([question], purpose="query")

    async def answer(question: str) -> None:
        async for event in services.answers.chat.ask(Scope(), question):
            assert not isinstance(event, Finished) or not event.answer.degraded

    print(row("query embedding alone", await timed(embed, questions)))
    print(row("search, with query embedding", await timed(search, questions)))
    print(row("extractive answer, with search", await timed(answer, questions)))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, default=DATA, help="folder with the sets")
    parser.add_argument("--questions", type=int, default=500)
    parser.add_argument("--keep", type=Path, help="keep the ingested data here, and use it again")
    arguments = parser.parse_args()
    configure_logs("warning")
    with nullcontext(arguments.keep) if arguments.keep else tempfile.TemporaryDirectory() as folder:
        asyncio.run(measure(Path(folder) / "mlquestions", arguments.data, arguments.questions))


if __name__ == "__main__":
    main()
