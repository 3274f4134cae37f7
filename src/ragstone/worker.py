"""The worker: ingests what waits until it is told to stop, and outlives every failure."""

from __future__ import annotations

import asyncio
from contextlib import suppress

import structlog

from ragstone.ingestion.ingest import Ingestion

log = structlog.get_logger()

FIRST_WAIT_S = 1.0
LONGEST_WAIT_S = 60.0


async def run(ingestion: Ingestion, stop: asyncio.Event) -> None:
    """Fill the index if it lacks something, then work until `stop` is set.

    A failure is logged, and the work taken up again after a wait.

    Nothing is lost by a failure: SQL knows what is not done yet. The wait doubles from
    failure to failure, up to a minute, and starts anew after a minute without one.
    """
    wait_s = FIRST_WAIT_S
    clock = asyncio.get_running_loop().time
    while not stop.is_set():
        began = clock()
        try:
            await ingestion.heal()
            await ingestion.work(stop=stop)
        except Exception:
            wait_s = FIRST_WAIT_S if clock() - began > LONGEST_WAIT_S else wait_s
            log.exception("worker.failed", retry_in_s=wait_s)
            with suppress(TimeoutError):
                await asyncio.wait_for(stop.wait(), wait_s)
            wait_s = min(2 * wait_s, LONGEST_WAIT_S)
