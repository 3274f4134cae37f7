"""A process that ingests, and kills itself at a given step: `python -m … FOLDER STEP`."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

from ragstone.documents.chunking import ChunkingOptions
from ragstone.documents.parser import SandboxedParser
from ragstone.embedding.hashing import HashingEmbedder
from ragstone.index.qdrant_edge.index import EdgeIndex
from ragstone.ingestion.parts import IngestionOptions, IngestionParts
from ragstone.ingestion.service import Ingestion
from ragstone.storage.blobs import LocalBlobs
from ragstone.storage.database import Database
from ragstone.storage.library import Library
from ragstone.telemetry.metrics import Metrics

OPTIONS = IngestionOptions(
    chunking=ChunkingOptions(max_tokens=40, overlap_tokens=0), lease_s=0.5, retry_s=0.01, poll_s=0.02
)


@dataclass(frozen=True)
class Parts:
    database: Database
    library: Library
    index: EdgeIndex
    ingestion: Ingestion


@asynccontextmanager
async def open_parts(folder: Path, faults: Callable[[str], None] = lambda _step: None) -> AsyncIterator[Parts]:
    embedder = HashingEmbedder()
    database = await Database.open(f"sqlite+aiosqlite:///{folder / 'ragstone.db'}")
    blobs = LocalBlobs(folder / "blobs")
    library = Library(database, blobs)
    index = await EdgeIndex.connect(folder / "index", dimensions=embedder.dimensions, embedder=embedder.name)
    parser = SandboxedParser(processes=1)
    parts = IngestionParts(
        database=database,
        blobs=blobs,
        parser=parser,
        embedder=embedder,
        index=index,
        metrics=Metrics(),
        options=OPTIONS,
        reached=faults,
    )
    try:
        yield Parts(database, library, index, Ingestion(parts))
    finally:
        await parser.close()
        await index.close()
        await database.close()


async def main(folder: Path, last_step: int) -> None:
    steps = iter(range(1, 1000))

    def die_in_time(step: str) -> None:
        if next(steps) == last_step:
            sys.stdout.write(step)
            sys.stdout.flush()
            os.kill(os.getpid(), signal.SIGKILL)

    async with open_parts(folder, die_in_time) as parts:
        await parts.ingestion.work()


if __name__ == "__main__":
    asyncio.run(main(Path(sys.argv[1]), int(sys.argv[2])))
