"""The queue: tenants take turns, workers share files; jobs queue their webhooks and raise the generation."""

from __future__ import annotations

import asyncio
import json
from typing import Any

from ragstone.ingestion.jobs import Task
from ragstone.ingestion.queue import ClaimOptions, Claims, Queue
from ragstone.ingestion.submit import StoredUpload, Submission, write_job
from ragstone.storage.database import EVERY_TENANT, scoped, unscoped
from ragstone.storage.schema import collections, deliveries
from ragstone.vocabulary import JobState, Scope
from tests.ingestion.harness import SCOPE, Harness, upload

OPTIONS = ClaimOptions(lease_s=600)
AT_ONCE = 32


def queue(harness: Harness, owner: str) -> Queue:
    return Queue(harness.database, Claims(harness.database, owner, OPTIONS), OPTIONS)


async def submit_many(harness: Harness, scope: Scope, count: int) -> str:
    """A job of many files, without their bytes."""
    entries = [StoredUpload(f"upload:{number}.md", fingerprint=f"{number}") for number in range(count)]
    return await write_job(harness.parts, scope, entries, Submission())


async def take_all(queue: Queue) -> list[Task]:
    taken: list[Task] = []
    while (tasks := await queue.take(AT_ONCE)) is not None:
        taken += tasks
    return taken


async def test_workers_taking_at_once_get_each_file_once(harness: Harness):
    scopes = [Scope(tenant) for tenant in ("a", "b", "c")]
    for scope in scopes:
        await submit_many(harness, scope, 50)
    shares = await asyncio.gather(*(take_all(queue(harness, f"worker {number}")) for number in range(3)))
    files = [task.file_id for share in shares for task in share]
    assert len(files) == len(set(files)) == 150


async def test_a_thousand_files_of_a_tenant_delay_the_one_of_another_by_a_turn(harness: Harness):
    worker = queue(harness, "worker")
    await submit_many(harness, Scope("large"), 1_000)
    assert len(await worker.take(AT_ONCE) or ()) == AT_ONCE
    await submit_many(harness, Scope("small"), 1)
    turns = [await worker.take(AT_ONCE) or [] for _ in range(2)]
    assert [(len(turn), turn[0].scope.tenant) for turn in turns] == [(1, "small"), (AT_ONCE, "large")]


async def test_with_others_waiting_turns_are_shorter(harness: Harness):
    worker = queue(harness, "worker")
    for tenant in ("a", "b", "c"):
        await submit_many(harness, Scope(tenant), 100)
    turns = [await worker.take(AT_ONCE) or [] for _ in range(6)]
    assert [(turn[0].scope.tenant, len(turn)) for turn in turns] == [(tenant, 8) for tenant in "abcabc"]


async def test_the_generation_grows_with_whatever_searches_may_find(harness: Harness):
    async def generation() -> int:
        async with harness.database.read(SCOPE) as connection:
            return int((await connection.execute(scoped(collections, SCOPE, collections.c.generation))).scalar_one())

    await harness.ingest(upload("a.md", "zebra"))
    seen = [await generation()]
    await harness.ingest(upload("a.md", "gnu"))
    seen.append(await generation())
    (document,) = await harness.library.documents(SCOPE)
    await harness.ingestion.remove(SCOPE, document.id)
    seen.append(await generation())
    assert 0 < seen[0] < seen[1] < seen[2]
    await harness.ingest(upload("b.md", " "))
    assert await generation() == seen[2]
    await harness.ingest(upload("c.md", "zebra"), scope=Scope("them", SCOPE.collection))
    assert await generation() == seen[2]


async def test_the_generation_grows_in_the_transaction_that_publishes(harness: Harness):
    seen: list[tuple[int, int]] = []

    async def watch() -> None:
        while not seen or seen[-1][1] == 0:
            async with harness.database.read(SCOPE) as connection:
                row = (await connection.execute(scoped(collections, SCOPE, collections.c.generation))).first()
            documents = await harness.library.documents(SCOPE)
            seen.append((row.generation if row else 0, sum(each.active_version is not None for each in documents)))

    job = await harness.ingestion.submit(SCOPE, [upload("a.md", "zebra")])
    await asyncio.gather(watch(), harness.finish(job))
    # The generation was read before the documents: it may lag behind them, and is never ahead of them.
    assert all(documents == 1 for generation, documents in seen if generation > 0)


async def test_a_finished_job_leaves_one_callback(harness: Harness):
    url = "https://example.org/hook"
    job = await harness.ingestion.submit(SCOPE, [upload("a.md", "zebra"), upload("b.md", " ")], callback_url=url)
    assert await callbacks(harness) == []
    assert (await harness.finish(job)).state is JobState.DONE
    (body,) = await callbacks(harness)
    assert (body["job_id"], body["counts"]["done"], body["counts"]["failed"]) == (job.id, 1, 1)
    await harness.ingest(upload("c.md", "gnu"))
    assert len(await callbacks(harness)) == 1


async def test_a_job_that_is_finished_at_once_leaves_its_callback_too(harness: Harness):
    await harness.ingestion.submit(SCOPE, [], callback_url="https://example.org/hook")
    assert len(await callbacks(harness)) == 1


async def callbacks(harness: Harness) -> list[dict[str, Any]]:
    async with harness.database.read(EVERY_TENANT) as connection:
        return [json.loads(row.body) for row in await connection.execute(unscoped(deliveries))]
