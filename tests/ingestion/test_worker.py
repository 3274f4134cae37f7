"""The worker survives failures and ends when it is stopped."""

from __future__ import annotations

import asyncio
from pathlib import Path

from ragstone import worker
from ragstone.ingestion.tenant_deletion import request_deletion
from ragstone.vocabulary import JobState, Scope
from tests.ingestion.harness import SCOPE, Harness, upload
from tests.platforms import small_platform


async def test_an_unexpected_failure_does_not_end_the_worker(harness: Harness):
    failures = iter([True])

    def fail_once(_step: str) -> None:
        if next(failures, False):
            raise ZeroDivisionError

    stop = asyncio.Event()
    job = await harness.ingestion.submit(SCOPE, [upload("a.md", "zebra")])
    failing = harness.another(faults=fail_once, lease_s=0.05)
    running = asyncio.create_task(worker.ingest(failing, stop))
    states = [each.state async for each in failing.watch(SCOPE, job.id, poll_s=0.01)]
    stop.set()
    await running
    assert states[-1] is JobState.DONE


async def test_a_periodic_task_that_always_fails_does_not_stop_the_others():
    stop = asyncio.Event()
    done: list[str] = []

    async def fail() -> None:
        done.append("failed")
        raise ZeroDivisionError

    async def work() -> None:
        done.append("worked")
        if done.count("worked") == 5:
            stop.set()

    periodic_tasks = [worker.PeriodicTask("bad", 0.0, fail), worker.PeriodicTask("good", 0.001, work)]
    await asyncio.gather(*(worker.repeat(chore, stop) for chore in periodic_tasks))
    assert done.count("worked") == 5
    assert done.count("failed") == 1


async def test_a_worker_runs_every_periodic_task_and_ends_when_it_is_stopped(tmp_path: Path):
    async with small_platform(tmp_path) as platform:
        await platform.identity.tenants.create("test", "leaving")
        await platform.corpus.ingestion.submit(Scope("leaving"), [upload("a.md", "zebra")])
        await request_deletion(platform.storage.database, platform.identity.audit, "test", "leaving")
        job = await platform.corpus.ingestion.submit(Scope(), [upload("a.md", "zebra")])
        stop = asyncio.Event()
        running = asyncio.create_task(worker.run(platform.services, stop))
        states = [each.state async for each in platform.corpus.ingestion.watch(Scope(), job.id, poll_s=0.01)]
        report = await platform.corpus.deletion_check.of_tenant("leaving")
        while {place.name for place in report.places if place.left} & {"sql documents", "blobs"}:
            report = await platform.corpus.deletion_check.of_tenant("leaving")
        stop.set()
        await running
    assert states[-1] is JobState.DONE
