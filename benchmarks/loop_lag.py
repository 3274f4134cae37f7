"""Delay of the server's event loop during ingestion.

    python -m benchmarks.loop_lag [--documents 200] [--model minilm]

Documents of about 3,000 words come over HTTP in batches of 20. Target: p99 at most 50 ms.
"""

from __future__ import annotations

import argparse
import asyncio
import random
import tempfile
import time
from pathlib import Path

import httpx2

from benchmarks.probed_server import ProbedServer, percentiles, probed_server

BATCH = 20
WORDS = 3000
VOCABULARY = 5000
QUIET_S = 5.0


def document(drawn: random.Random) -> str:
    """A made-up text with headings and sentences."""
    parts = []
    for section in range(10):
        sentences = [
            " ".join(f"w{drawn.randrange(VOCABULARY)}" for _ in range(12)).capitalize() + "."
            for _ in range(WORDS // 120)
        ]
        parts.append(f"## Section {section}\n\n{' '.join(sentences)}\n")
    return "# Title\n\n" + "\n".join(parts)


async def ingest(server: ProbedServer, documents: int) -> float:
    """Send the documents and wait until they are searchable; how many seconds that took."""
    drawn = random.Random(7)
    started = time.perf_counter()
    async with httpx2.AsyncClient(base_url=server.url, timeout=600) as client:
        jobs = []
        for start in range(0, documents, BATCH):
            names = range(start, min(start + BATCH, documents))
            files = [("files", (f"{name}.md", document(drawn).encode())) for name in names]
            response = await client.post("/api/documents", files=files)
            assert response.status_code == 202, response.text
            jobs.append(response.json()["id"])
        for job in jobs:
            watched = await client.get(f"/api/jobs/{job}/events")
            assert "event: done" in watched.text
    return time.perf_counter() - started


async def measure(server: ProbedServer, documents: int) -> None:
    """Print the table."""
    await asyncio.sleep(QUIET_S)
    quiet = server.lags_ms()
    took = await ingest(server, documents)
    during = server.lags_ms()[len(quiet) :]
    print(f"{documents} documents of {WORDS:,} words in {took:.1f} s\n")
    print("| event loop late by | p50 / p95 / p99 / max ms |\n|---|---|")
    print(f"| at rest | {percentiles(quiet)} |\n| while it ingests | {percentiles(during)} |")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--documents", type=int, default=20)
    parser.add_argument("--model", default="minilm", choices=["minilm", "hashing"])
    arguments = parser.parse_args()
    with (
        tempfile.TemporaryDirectory() as folder,
        probed_server(Path(folder) / "data", RAGSTONE_EMBEDDING__MODEL=arguments.model) as server,
    ):
        asyncio.run(measure(server, arguments.documents))


if __name__ == "__main__":
    main()
