"""Time of a transaction on SQLite and PostgreSQL, alone and with many concurrent ones.

Run: `python -m benchmarks.transactions [postgresql://…]`; without a URL it starts a
throw-away PostgreSQL (without fsync: a commit there costs no disk).
"""

from __future__ import annotations

import asyncio
import sys
import tempfile
import time
from collections.abc import Awaitable, Callable
from pathlib import Path
from statistics import quantiles

from ragstone.storage.database import (
    EVERY_TENANT,
    Database,
    TenantSelector,
    scoped,
    scoped_insert,
    scoped_update,
    unscoped,
)
from ragstone.storage.schema import collections, plans
from ragstone.vocabulary import Scope
from tests.postgres import APP, running_postgres
from tests.storage.rows import NOON

ROUNDS = 1000
AT_ONCE = 16
OURS = Scope("us", "docs")

Step = Callable[[Database, int], Awaitable[None]]


async def read(database: Database, _number: int) -> None:
    async with database.read(OURS) as connection:
        (await connection.execute(scoped(collections, OURS))).all()


async def read_plans(database: Database, _number: int) -> None:
    async with database.read(EVERY_TENANT) as connection:
        (await connection.execute(unscoped(plans))).all()


async def write(database: Database, _number: int) -> None:
    await _count_up(database, OURS, OURS)


async def write_for_another(database: Database, number: int) -> None:
    scope = Scope(f"tenant-{number % AT_ONCE}", "docs")
    await _count_up(database, scope, scope)


async def _count_up(database: Database, selector: TenantSelector, scope: Scope) -> None:
    async with database.write(selector) as connection:
        await connection.execute(scoped_update(collections, scope).values(generation=collections.c.generation + 1))


async def measure(database: Database, step: Step, at_once: int) -> tuple[float, float, float]:
    """Milliseconds of one in the middle and at the 99th percentile, and how many fit into a second."""
    times: list[float] = []

    async def repeat(worker: int) -> None:
        for number in range(ROUNDS // at_once):
            began = time.perf_counter()
            await step(database, worker + number * at_once)
            times.append(time.perf_counter() - began)

    await asyncio.gather(*(repeat(worker) for worker in range(at_once)))  # opens the connections
    times.clear()
    began = time.perf_counter()
    await asyncio.gather(*(repeat(worker) for worker in range(at_once)))
    cuts = quantiles(times, n=100)
    return cuts[49] * 1e3, cuts[98] * 1e3, len(times) / (time.perf_counter() - began)


async def report(name: str, url: str, owner_url: str | None = None) -> None:
    database = await Database.open(url, owner_url=owner_url)
    for number in range(AT_ONCE):
        scope = Scope(f"tenant-{number}", "docs")
        async with database.write(scope) as connection:
            await connection.execute(scoped_insert(collections, scope), {"created_at": NOON})
    async with database.write(OURS) as connection:
        await connection.execute(scoped_insert(collections, OURS), {"created_at": NOON})
    for step in (read, read_plans, write, write_for_another):
        for at_once in (1, AT_ONCE):
            middle, slow, rate = await measure(database, step, at_once)
            print(f"{name:<10} {step.__name__:<18} {at_once:>7} {middle:>8.2f} {slow:>8.2f} {rate:>8.0f}")
    await database.close()


def main() -> None:
    print(f"{'database':<10} {'transaction':<18} {'at once':>7} {'p50 ms':>8} {'p99 ms':>8} {'per s':>8}")
    with tempfile.TemporaryDirectory() as folder:
        asyncio.run(report("SQLite", f"sqlite+aiosqlite:///{Path(folder) / 'ragstone.db'}"))
    if len(sys.argv) > 1:
        asyncio.run(report("PostgreSQL", sys.argv[1]))
        return
    with running_postgres() as server:
        asyncio.run(report("PostgreSQL", server.url(name := server.migrated_database(), user=APP), server.url(name)))


if __name__ == "__main__":
    main()
