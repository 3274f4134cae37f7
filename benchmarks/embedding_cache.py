"""Number of storage operations of the embedding cache, in batches and one text at a time.

Embeds the same texts twice (a first ingestion, and one where a tenth has changed)
against a real database file, and counts the statements that reach it.

    python -m benchmarks.embedding_cache [--texts 1000] [--batch 100]
"""

from __future__ import annotations

import argparse
import asyncio
import tempfile
import time
from pathlib import Path

from sqlalchemy import event
from sqlalchemy.engine import Engine

from ragstone.embedding.cache import CachedEmbedder
from ragstone.embedding.hashing import HashingEmbedder
from ragstone.storage.database import Database
from ragstone.storage.shared_cache import SqlVectorStore
from ragstone.vocabulary import DEFAULT_TENANT


async def measure(texts: list[str], changed: list[str], *, batch: int) -> tuple[int, float]:
    """Statements and seconds of both passes, `batch` texts a call."""
    statements = 0

    def count(*_: object) -> None:
        nonlocal statements
        statements += 1

    with tempfile.TemporaryDirectory() as folder:
        database = await Database.open(f"sqlite+aiosqlite:///{Path(folder) / 'cache.db'}")
        cached = CachedEmbedder(HashingEmbedder(), SqlVectorStore(database, DEFAULT_TENANT))
        event.listen(Engine, "before_cursor_execute", count)
        start = time.perf_counter()
        for pass_ in (texts, changed):
            for at in range(0, len(pass_), batch):
                await cached.embed(pass_[at : at + batch], purpose="document")
        seconds = time.perf_counter() - start
        event.remove(Engine, "before_cursor_execute", count)
        await database.close()
    return statements, seconds


async def main() -> None:
    arguments = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    arguments.add_argument("--texts", type=int, default=1000)
    arguments.add_argument("--batch", type=int, default=100)
    asked = arguments.parse_args()
    texts = [f"Passage {number} tells of {number % 17} rivers." for number in range(asked.texts)]
    changed = [f"{text} Anew." if number % 10 == 0 else text for number, text in enumerate(texts)]
    single, single_s = await measure(texts, changed, batch=1)
    batched, batched_s = await measure(texts, changed, batch=asked.batch)
    print(f"{asked.texts} texts, embedded twice, a tenth of them changed in between\n")
    print("| way | storage operations | seconds |")
    print("|---|---|---|")
    print(f"| one text at a time | {single} | {single_s:.2f} |")
    print(f"| {asked.batch} texts a call | {batched} | {batched_s:.2f} |")
    print(f"\n{1 - batched / single:.1%} fewer storage operations (goal: 60 %)")


if __name__ == "__main__":
    asyncio.run(main())
