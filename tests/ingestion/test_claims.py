"""Claims: another worker takes over from a dead one, and a worker that only paused changes nothing."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Sequence
from contextlib import suppress
from typing import Any

import pytest
from sqlalchemy import Row

from ragstone.embedding.base import Matrix, Purpose
from ragstone.embedding.hashing import HashingEmbedder
from ragstone.ingestion.queue import ClaimOptions, Claims, Queue
from ragstone.storage.database import EVERY_TENANT, unscoped
from ragstone.storage.schema import claims
from ragstone.vocabulary import DocumentState, FileState, JobState
from tests.ingestion.harness import SCOPE, Harness, upload


class Killed(BaseException):
    """Ends a worker at once, as kill -9 would: it cleans up nothing in SQL."""


class PoisonedEmbedder(HashingEmbedder):
    """One text ends the process that embeds it."""

    async def embed(self, texts: Sequence[str], *, purpose: Purpose) -> Matrix:
        if any("poison" in text for text in texts):
            raise Killed
        return await super().embed(texts, purpose=purpose)


def dies_at(step: str):
    def die(at: str) -> None:
        if at == step:
            raise Killed

    return die


async def die(harness: Harness, step: str) -> None:
    with pytest.raises(Killed):
        await harness.another(faults=dies_at(step), lease_s=0.05).work()


@pytest.mark.parametrize("step", ["claimed", "parsed", "embedded", "upserted", "published", "old_points_deleted"])
async def test_the_work_of_a_dead_worker_is_finished_by_another(harness: Harness, step: str):
    await harness.ingest(upload("zoo.md", "old zebra"))
    job = await harness.ingestion.submit(SCOPE, [upload("zoo.md", "new zebra")])
    await die(harness, step)
    assert len(await harness.found("zebra")) == 1
    assert (await harness.finish(job)).state is JobState.DONE
    await harness.settle()
    assert [passage.chunk.text for passage in await harness.found("zebra")] == ["new zebra"]
    assert await harness.index.count(SCOPE) == 1
    assert harness.stored_bytes() == {b"new zebra"}


@pytest.mark.parametrize("step", ["parsed", "embedded", "upserted"])
async def test_a_worker_that_slept_through_its_lease_changes_nothing(harness: Harness, step: str):
    job = await harness.ingestion.submit(SCOPE, [upload("zoo.md", "zebra")])
    async with harness.paused_at(step, job, lease_s=0.05):
        await harness.finish(job)
        (before,) = await harness.library.documents(SCOPE)
    await harness.settle()
    (after,) = await harness.library.documents(SCOPE)
    assert after == before
    assert after.active_version == 2
    assert (await harness.ingestion.job(SCOPE, job.id)).done == 1
    assert await harness.index.count(SCOPE) == 1
    assert len(await harness.found("zebra")) == 1


async def test_a_worker_that_wakes_while_another_holds_its_file_changes_nothing(harness: Harness):
    job = await harness.ingestion.submit(SCOPE, [upload("zoo.md", "zebra")])
    async with harness.paused_at("upserted", job, lease_s=0.05) as wake, harness.paused_at("embedded", job):
        wake()
        while not (claim := await the_claim(harness)).orphaned:  # the woken one marked its points for the sweep
            (document,) = await harness.library.documents(SCOPE)
            assert document.active_version is None
        assert claim.lease_until > time.time()
    await harness.settle()
    assert await harness.index.count(SCOPE) == 1
    assert [passage.chunk.version for passage in await harness.found("zebra")] == [2]


async def the_claim(harness: Harness) -> Row[Any]:
    async with harness.database.read(EVERY_TENANT) as connection:
        row: Row[Any] = (await connection.execute(unscoped(claims))).one()
        return row


async def test_a_living_worker_keeps_its_claim_beyond_the_lease(harness: Harness):
    """Its heartbeat continues while its embedder takes three leases; no other worker gets the file."""
    options = ClaimOptions(lease_s=0.3)
    mine, theirs = Claims(harness.database, "mine", options), Claims(harness.database, "theirs", options)
    await harness.ingestion.submit(SCOPE, [upload("zoo.md", "zebra")])
    assert await Queue(harness.database, mine, options).take(1)
    async with mine.kept(SCOPE.tenant):
        never = asyncio.Event()
        await asyncio.wait([asyncio.ensure_future(never.wait())], timeout=0.9)
        assert not await Queue(harness.database, theirs, options).take(1)


async def test_a_file_that_kills_its_worker_is_given_up_and_the_others_are_not(harness: Harness):
    texts = {"a.md": "zebra", "b.md": "poison", "c.md": "gnu"}
    job = await harness.ingestion.submit(SCOPE, [upload(name, text) for name, text in texts.items()])

    for _ in range(20):
        with suppress(Killed):
            await harness.another(embedder=PoisonedEmbedder(), lease_s=0.01, max_attempts=3).work(
                until_job=(SCOPE, job.id)
            )
            break
    finished = await harness.ingestion.job(SCOPE, job.id)
    assert [file.state for file in finished.files] == [FileState.DONE, FileState.FAILED, FileState.DONE]
    assert "tried 3 times" in (finished.files[1].error or "")
    failed = [document for document in await harness.library.documents(SCOPE) if document.state is DocumentState.FAILED]
    assert [document.source for document in failed] == ["upload:b.md"]


async def test_a_death_between_bytes_and_job_loses_only_the_unanswered_submission(harness: Harness):
    dying = harness.another(faults=dies_at("stored"))
    with pytest.raises(Killed):
        await dying.submit(SCOPE, [upload("zoo.md", "zebra")])
    assert await harness.ingestion.jobs(SCOPE) == []
    assert (await harness.ingest(upload("zoo.md", "zebra"))).state is JobState.DONE
