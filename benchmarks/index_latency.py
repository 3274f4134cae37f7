"""Query latency of the index at 10,000 chunks: Edge over its socket against the exact index in this process.

Run: python benchmarks/index_latency.py [CHUNKS]
Vectors are random, terms follow Zipf's law; half of the chunks belong to the tenant that asks.
"""

from __future__ import annotations

import asyncio
import json
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from ragstone.index.base import Index, Point
from ragstone.index.memory import MemoryIndex
from ragstone.index.qdrant_edge.index import EdgeIndex
from ragstone.vocabulary import Filters, Scope, SparseVector

DIMENSIONS = 384
TERMS_PER_CHUNK = 150
TERMS_PER_QUESTION = 8
VOCABULARY = 30_000
CANDIDATES = 50
SEARCHES = 500
SCOPES = (Scope("acme"), Scope("other"))


def unit(random: np.random.Generator, rows: int) -> np.ndarray:
    vectors = random.normal(size=(rows, DIMENSIONS)).astype(np.float32)
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    return vectors


def bag(random: np.random.Generator, terms: int) -> SparseVector:
    drawn = (VOCABULARY ** random.random(terms)).astype(np.uint32)  # rank r with probability ~ 1/r
    indices = np.unique(drawn)
    return SparseVector(indices, random.uniform(0.2, 1, len(indices)).astype(np.float32))


def made(random: np.random.Generator, number: int) -> Point:
    document, windows = f"d{number // 20}", int(random.integers(1, 4))
    metadata = {"lang": "de" if number % 3 else "en"}
    dense, sparse = unit(random, windows), bag(random, TERMS_PER_CHUNK)
    return Point(f"{document}:1:{number % 20}", document, 1, "text/markdown", dense, sparse, metadata)


async def filled(index: Index, points: Sequence[Point]) -> float:
    """Chunks per second, in batches of 256 as ingestion sends them."""
    started = time.perf_counter()
    for start in range(0, len(points), 256):
        await index.upsert(SCOPES[start // 256 % 2], points[start : start + 256])
    return len(points) / (time.perf_counter() - started)


async def searched(index: Index, *, filters: Filters, beside: asyncio.Task[float] | None = None) -> str:
    """p50, p95 and p99 in ms of hybrid searches, one after another."""
    random = np.random.default_rng(7)
    took = []
    for _ in range(SEARCHES):
        dense, sparse = unit(random, 1)[0], bag(random, TERMS_PER_QUESTION)
        started = time.perf_counter()
        await index.search(SCOPES[0], dense=dense, sparse=sparse, filters=filters, limit=CANDIDATES)
        took.append((time.perf_counter() - started) * 1e3)
        if beside is not None and beside.done():
            break
    return " / ".join(f"{value:5.1f}" for value in np.percentile(took, [50, 95, 99])) + f"  (n = {len(took)})"


def owner(folder: Path) -> int:
    pid: int = json.loads((folder / "owner.json").read_text())["pid"]
    return pid


def wait_for_end(pid: int) -> None:
    while Path(f"/proc/{pid}").exists():
        time.sleep(0.01)


def memory_mb(pid: int) -> str:
    status = Path(f"/proc/{pid}/status").read_text()
    fields = dict(line.split(":", 1) for line in status.splitlines())
    return f"{int(fields['VmRSS'].split()[0]) >> 10} MB, of which files {int(fields['RssFile'].split()[0]) >> 10}"


async def measure(name: str, index: Index, points: Sequence[Point]) -> None:
    print(f"{name}: upsert {await filled(index, points):,.0f} chunks/s")
    print(f"  hybrid, tenant and collection   p50/p95/p99 ms  {await searched(index, filters=Filters())}")
    german = Filters(metadata={"lang": ("de",)})
    print(f"  and a metadata filter           p50/p95/p99 ms  {await searched(index, filters=german)}")


async def main(chunks: int) -> None:
    random = np.random.default_rng(3)
    points = [made(random, number) for number in range(chunks)]
    more = [made(random, number) for number in range(chunks, chunks + chunks // 2)]
    print(f"{chunks:,} chunks of 1 to 3 windows, {DIMENSIONS} dimensions, {CANDIDATES} candidates a leg")
    await measure("MemoryIndex, in this process", MemoryIndex(DIMENSIONS), points)
    with tempfile.TemporaryDirectory() as folder:
        await measure_edge(Path(folder), points, more)


async def measure_edge(folder: Path, points: Sequence[Point], more: Sequence[Point]) -> None:
    started = time.perf_counter()
    edge = await EdgeIndex.connect(folder, dimensions=DIMENSIONS, embedder="bench", linger_s=0)
    print(f"EdgeIndex: {time.perf_counter() - started:.2f} s from nothing to the first answer")
    await measure("EdgeIndex, over the socket", edge, points)
    pid = owner(folder)
    print(f"  memory of its process           {memory_mb(pid)}")
    writing = asyncio.create_task(filled(edge, more))
    beside = await searched(edge, filters=Filters(), beside=writing)
    print(f"  hybrid while chunks are written p50/p95/p99 ms  {beside}; {await writing:,.0f} chunks/s")
    started = time.perf_counter()
    await edge.close()
    await asyncio.to_thread(wait_for_end, pid)
    print(f"  {time.perf_counter() - started:.2f} s until its process has ended")
    started = time.perf_counter()
    edge = await EdgeIndex.connect(folder, dimensions=DIMENSIONS, embedder="bench", linger_s=0)
    print(f"  {time.perf_counter() - started:.2f} s from there to the first answer")
    pid = owner(folder)
    await edge.close()
    await asyncio.to_thread(wait_for_end, pid)


if __name__ == "__main__":
    asyncio.run(main(int(sys.argv[1]) if len(sys.argv) > 1 else 10_000))
