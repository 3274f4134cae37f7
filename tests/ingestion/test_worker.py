"""The worker outlives failures and ends when told to."""

from __future__ import annotations

import asyncio

from ragstone import worker
from ragstone.vocabulary import JobState
from tests.ingestion.stand import SCOPE, Stand, upload


async def test_a_failure_nobody_expected_does_not_end_the_worker(stand: Stand):
    failures = iter([True])

    def fail_once(_step: str) -> None:
        if next(failures, False):
            raise ZeroDivisionError

    stop = asyncio.Event()
    job = await stand.ingestion.submit(SCOPE, [upload("a.md", "zebra")])
    failing = stand.another(faults=fail_once, lease_s=0.05)
    running = asyncio.create_task(worker.ingest(failing, stop))
    states = [each.state async for each in failing.watch(SCOPE, job.id, poll_s=0.01)]
    stop.set()
    await running
    assert states[-1] is JobState.DONE
