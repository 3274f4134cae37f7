"""A process that ingests is killed, really and at ten points: each document stays wholly old or wholly new."""

from __future__ import annotations

import asyncio
import signal
import subprocess
import sys
from collections import defaultdict
from pathlib import Path

from ragstone.embedding.sparse import query_vector
from ragstone.ingestion.submit import Upload
from ragstone.storage.database import EVERY_TENANT, unscoped
from ragstone.storage.schema import claims
from ragstone.vocabulary import Filters, Hit, JobState, Scope
from tests.flows.ingesting_process import Parts, open_parts

REPOSITORY = Path(__file__).resolve().parents[2]
SCOPE = Scope("us", "docs")
PARAGRAPHS = {"a-small.md": 3, "b-large.md": 150, "c-small.md": 3}

# What the process does after each claim: the small and the large document share batches.
KILLED_AFTER = {
    1: "claimed",
    2: "parsed",
    4: "embedded",
    5: "upserted",
    7: "upserted",
    9: "upserted",
    10: "published",
    11: "old_points_deleted",
    13: "cleared",
    17: "published",
}


def uploads(generation: int) -> list[Upload]:
    """Each paragraph of each file names its generation, so that a mixture shows."""
    return [
        Upload(f"upload:{name}", name, _text(name, generation, count).encode()) for name, count in PARAGRAPHS.items()
    ]


def _text(name: str, generation: int, paragraphs: int) -> str:
    return "\n\n".join(
        f"zebra generation{generation} of {name}, paragraph {number}: " + "it sleeps in the shade of a tree. " * 3
        for number in range(paragraphs)
    )


async def searched(parts: Parts) -> dict[str, tuple[set[str], int]]:
    """By source: the generations that a search sees of it, and how many chunks."""
    candidates = await parts.index.search(
        SCOPE, dense=None, sparse=query_vector("zebra"), filters=Filters(), limit=1000
    )
    hits = [Hit(each.chunk_id, each.standing.score, {}) for each in candidates.sparse]
    words: dict[str, set[str]] = defaultdict(set)
    counts: dict[str, int] = defaultdict(int)
    for passage in await parts.library.passages(SCOPE, hits):
        words[passage.source] |= {word for word in passage.chunk.text.split() if word.startswith("generation")}
        counts[passage.source] += 1
    return {source: (words[source], counts[source]) for source in counts}


async def check_whole(parts: Parts, *generations: int) -> None:
    """Every document is seen, of one of the `generations` alone, and with every chunk of it."""
    allowed = [{f"generation{generation}"} for generation in generations]
    seen = await searched(parts)
    for document in await parts.library.documents(SCOPE):
        words, count = seen[document.source]
        assert words in allowed
        assert count == document.chunk_count > 0


async def swept(parts: Parts) -> None:
    """Work until no claim is left: nothing waits, nothing is left over."""
    stop = asyncio.Event()
    working = asyncio.create_task(parts.ingestion.work(stop=stop))
    left = True
    while left and not working.done():
        await asyncio.wait([working], timeout=0.05)
        async with parts.database.read(EVERY_TENANT) as connection:
            left = (await connection.execute(unscoped(claims))).first() is not None
    stop.set()
    await working


def kill_at(folder: Path, step: int) -> str:
    """Ingest in another process that dies at its `step`; the step's name."""
    command = [sys.executable, "-m", "tests.flows.ingesting_process", str(folder), str(step)]
    done = subprocess.run(command, cwd=REPOSITORY, capture_output=True, text=True, timeout=60)
    assert done.returncode == -signal.SIGKILL, done.stderr
    return done.stdout.split()[-1]


async def test_a_kill_leaves_each_document_wholly_old_or_new_and_the_job_is_finished(tmp_path: Path):
    async with open_parts(tmp_path) as parts:
        first = await parts.ingestion.submit(SCOPE, uploads(0))
        await parts.ingestion.work(until_job=(SCOPE, first.id))
        for step, name in KILLED_AFTER.items():
            job = await parts.ingestion.submit(SCOPE, uploads(step))
            assert await asyncio.to_thread(kill_at, tmp_path, step) == name
            before = 0 if step == 1 else max(earlier for earlier in KILLED_AFTER if earlier < step)
            await check_whole(parts, before, step)

            await parts.ingestion.work(until_job=(SCOPE, job.id))
            assert (await parts.ingestion.job(SCOPE, job.id)).state is JobState.DONE
            await check_whole(parts, step)
            await swept(parts)
            assert await parts.index.count(SCOPE) == (await parts.library.stats(SCOPE)).chunks
