"""The worker process: ingests queued files and runs periodic tasks. It continues after every failure."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import partial

import structlog

from ragstone.chat import conversations as retention
from ragstone.ingestion import webhooks
from ragstone.ingestion.service import Ingestion
from ragstone.services import Services
from ragstone.storage.failure_log import FailureLog, run_flush

log = structlog.get_logger()

FIRST_WAIT_S = 1.0
LONGEST_WAIT_S = 60.0

FAILURES_S = 2.0
LEDGER_S = 60.0
ERASURE_S = 5.0  # between passes: answers that run when their tenant is marked end within 5 s
RETENTION_S = retention.INTERVAL_S


@dataclass(frozen=True, slots=True)
class PeriodicTask:
    """A task that a worker runs repeatedly, `every_s` seconds after its last run ended."""

    name: str
    every_s: float
    do: Callable[[], Awaitable[object]]


async def run(services: Services, stop: asyncio.Event) -> None:
    """Ingest and run all periodic tasks until `stop` is set; steps that are running then are completed.

    Any number of processes can work on one installation.
    """
    async with asyncio.TaskGroup() as working:
        working.create_task(ingest(services.corpus.ingestion, stop))
        for task in periodic_tasks(services, stop):
            working.create_task(repeat(task, stop))


def periodic_tasks(services: Services, stop: asyncio.Event) -> list[PeriodicTask]:
    """The tasks of a worker besides ingestion."""
    conversations, database = services.answers.conversations, services.storage.database
    return [
        PeriodicTask("callbacks", 0.0, partial(services.corpus.webhooks.run, stop)),
        failure_log_task(services),
        PeriodicTask("ledger", LEDGER_S, services.billing.ledger.expire),
        PeriodicTask("erasure", ERASURE_S, services.corpus.tenant_deletion.work),
        PeriodicTask(
            "retention",
            RETENTION_S,
            lambda: retention.expire_conversations(database, conversations, now=datetime.now(UTC)),
        ),
        PeriodicTask("old_callbacks", RETENTION_S, partial(_expire_webhooks, services)),
    ]


def failure_log_task(services: Services) -> PeriodicTask:
    """The task that writes the failures of this process to the failure log; each process runs its own."""
    failure_log = FailureLog(services.storage.database, most=services.settings.telemetry.max_failures)
    return PeriodicTask("failures", FAILURES_S, partial(run_flush, services.operations.failures, failure_log))


async def ingest(ingestion: Ingestion, stop: asyncio.Event) -> None:
    """Add chunks that are missing in the index, then ingest until `stop` is set.

    A failure loses nothing: the queue in SQL still holds the unfinished files.
    """

    async def heal_and_work() -> None:
        await ingestion.heal()
        await ingestion.work(stop=stop)

    await repeat(PeriodicTask("ingestion", 0.0, heal_and_work), stop)


async def repeat(task: PeriodicTask, stop: asyncio.Event) -> None:
    """Run a task repeatedly until `stop` is set. After a failure it is logged and retried.

    The wait doubles from failure to failure, up to a minute, and is reset after a minute without one.
    """
    wait_s = FIRST_WAIT_S
    clock = asyncio.get_running_loop().time
    while not stop.is_set():
        began = clock()
        try:
            await task.do()
        except Exception:
            wait_s = FIRST_WAIT_S if clock() - began > LONGEST_WAIT_S else wait_s
            log.exception("worker.failed", chore=task.name, retry_in_s=wait_s)
            await _pause(stop, wait_s)
            wait_s = min(2 * wait_s, LONGEST_WAIT_S)
        else:
            wait_s = FIRST_WAIT_S
            await _pause(stop, task.every_s)


async def _expire_webhooks(services: Services) -> None:
    before = datetime.now(UTC) - timedelta(days=webhooks.KEEP_DAYS)
    last = ""
    while page := await services.identity.tenants.all(after=last):
        for tenant in page:
            await services.corpus.webhooks.expire(tenant.id, before)
        last = page[-1].id


async def _pause(stop: asyncio.Event, seconds: float) -> None:
    """Wait until `stop` is set, for at most `seconds`."""
    with suppress(TimeoutError):
        await asyncio.wait_for(stop.wait(), seconds)
