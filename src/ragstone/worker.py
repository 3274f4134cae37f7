"""The worker: ingests what waits and sees to the other chores until it is told to stop; it outlives every failure."""

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
    """What a worker does again and again, `every_s` seconds after it was done."""

    name: str
    every_s: float
    do: Callable[[], Awaitable[object]]


async def run(services: Services, stop: asyncio.Event) -> None:
    """Ingest, and do all chores, until `stop` is set; what is begun then is brought to an end.

    Any number of processes may do so on one installation.
    """
    async with asyncio.TaskGroup() as working:
        working.create_task(ingest(services.corpus.ingestion, stop))
        for chore in chores(services, stop):
            working.create_task(repeat(chore, stop))


def chores(services: Services, stop: asyncio.Event) -> list[PeriodicTask]:
    """What there is to do beside ingesting."""
    conversations, database = services.answers.conversations, services.storage.database
    return [
        PeriodicTask("callbacks", 0.0, partial(services.corpus.webhooks.run, stop)),
        failures_chore(services),
        PeriodicTask("ledger", LEDGER_S, services.billing.ledger.expire),
        PeriodicTask("erasure", ERASURE_S, services.corpus.tenant_deletion.work),
        PeriodicTask(
            "retention",
            RETENTION_S,
            lambda: retention.expire_conversations(database, conversations, now=datetime.now(UTC)),
        ),
        PeriodicTask("old_callbacks", RETENTION_S, partial(_forget_callbacks, services)),
    ]


def failures_chore(services: Services) -> PeriodicTask:
    """Writes down what failed in this process; each process has to do its own."""
    log_of_failures = FailureLog(services.storage.database, most=services.settings.telemetry.max_failures)
    return PeriodicTask("failures", FAILURES_S, partial(run_flush, services.operations.failures, log_of_failures))


async def ingest(ingestion: Ingestion, stop: asyncio.Event) -> None:
    """Fill the index if it lacks something, then ingest until `stop` is set.

    Nothing is lost by a failure: SQL knows what is not done yet.
    """

    async def heal_and_work() -> None:
        await ingestion.heal()
        await ingestion.work(stop=stop)

    await repeat(PeriodicTask("ingestion", 0.0, heal_and_work), stop)


async def repeat(chore: PeriodicTask, stop: asyncio.Event) -> None:
    """Do a chore until `stop` is set. A failure is logged, and the chore taken up again after a wait.

    The wait doubles from failure to failure, up to a minute, and starts anew after a minute without one.
    """
    wait_s = FIRST_WAIT_S
    clock = asyncio.get_running_loop().time
    while not stop.is_set():
        began = clock()
        try:
            await chore.do()
        except Exception:
            wait_s = FIRST_WAIT_S if clock() - began > LONGEST_WAIT_S else wait_s
            log.exception("worker.failed", chore=chore.name, retry_in_s=wait_s)
            await _pause(stop, wait_s)
            wait_s = min(2 * wait_s, LONGEST_WAIT_S)
        else:
            wait_s = FIRST_WAIT_S
            await _pause(stop, chore.every_s)


async def _forget_callbacks(services: Services) -> None:
    before = datetime.now(UTC) - timedelta(days=webhooks.KEEP_DAYS)
    last = ""
    while page := await services.identity.tenants.all(after=last):
        for tenant in page:
            await services.corpus.webhooks.expire(tenant.id, before)
        last = page[-1].id


async def _pause(stop: asyncio.Event, seconds: float) -> None:
    """Wait until `stop` is set, at most for `seconds`."""
    with suppress(TimeoutError):
        await asyncio.wait_for(stop.wait(), seconds)
