"""Cost of rate limits with Redis and without, and while Redis is stopped, hung, blocked or full.

Counts requests against a plan at a steady pace through each state, and prints how long
a count takes, how many were counted together with other servers, and how soon after
the end of the fault they were again. Needs redis-server.

    python -m benchmarks.redis_faults [--seconds 3] [--per-second 500]
"""

from __future__ import annotations

import argparse
import asyncio
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from ragstone.billing.plans import Plan
from ragstone.billing.rate_limits import RateLimits
from ragstone.errors import RagstoneError
from ragstone.principals import CredentialType, Principal
from ragstone.settings import Settings
from ragstone.storage.redis import Redis
from ragstone.telemetry.metrics import Metrics
from ragstone.wiring import open_records
from tests.redis_server import RedisServer, throw_away_redis

CALLER = Principal("key:1", CredentialType.SECRET, tenant="acme", plan="million")
BACK_WITHIN_S = 10.0


@dataclass(slots=True)
class Measured:
    """Milliseconds of each count, and how it went."""

    ms: list[float] = field(default_factory=list)
    together: int = 0
    errors: int = 0

    def row(self, state: str, back_s: float | None) -> str:
        """A line of the table."""
        ordered = sorted(self.ms)
        p50, p99 = (ordered[int(len(ordered) * share)] for share in (0.5, 0.99))
        back = "" if back_s is None else f"{back_s:.1f}"
        share = self.together / len(ordered)
        return f"| {state} | {p50:.3f} | {p99:.3f} | {ordered[-1]:.1f} | {share:.0%} | {self.errors} | {back} |"


async def one(limits: RateLimits, measured: Measured) -> None:
    start = time.perf_counter()
    try:
        standing = await limits.hit(CALLER)
        measured.together += standing.shared
    except RagstoneError:
        measured.errors += 1
    measured.ms.append((time.perf_counter() - start) * 1000)


async def paced(limits: RateLimits, *, seconds: float, per_second: int) -> Measured:
    measured, begin = Measured(), time.perf_counter()
    async with asyncio.TaskGroup() as hits:
        for number in range(int(seconds * per_second)):
            await asyncio.sleep(max(0.0, begin + number / per_second - time.perf_counter()))
            hits.create_task(one(limits, measured))
    return measured


async def until_together(limits: RateLimits) -> float:
    start = time.perf_counter()
    while time.perf_counter() - start < BACK_WITHIN_S:
        if (await limits.hit(CALLER)).shared:
            return time.perf_counter() - start
        await asyncio.sleep(0.01)
    return float("inf")


def faults(server: RedisServer) -> list[tuple[str, Callable[[], object], Callable[[], object]]]:
    def limit(size: str) -> Callable[[], object]:
        return lambda: server.command("CONFIG", "SET", "maxmemory", size)

    def client(*words: str) -> Callable[[], object]:
        return lambda: server.command("CLIENT", *words)

    return [
        ("Redis stopped", server.stop, server.start),
        ("Redis hung (SIGSTOP)", server.pause, server.resume),
        ("Redis answers no writes for now", client("PAUSE", "3600000", "WRITE"), client("UNPAUSE")),
        ("Redis full (OOM)", limit("1"), limit("0")),
        ("Redis emptied (FLUSHALL)", lambda: server.command("FLUSHALL"), lambda: None),
    ]


async def main() -> None:
    arguments = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    arguments.add_argument("--seconds", type=float, default=3)
    arguments.add_argument("--per-second", type=int, default=500)
    asked = arguments.parse_args()
    pace = {"seconds": asked.seconds, "per_second": asked.per_second}
    with tempfile.TemporaryDirectory() as folder, throw_away_redis() as server:
        async with open_records(Settings(_env_file=None, data_dir=Path(folder))) as records:
            plans = records.billing.plans
            await plans.save("benchmark", Plan(id="million", name="Million", requests_per_hour=1_000_000))
            print("| state | p50 ms | p99 ms | longest ms | counted together | errors | together again after s |")
            print("|---|---|---|---|---|---|---|")
            alone = RateLimits(plans, None, Metrics())
            print((await paced(alone, **pace)).row("no Redis", None))
            redis = Redis(server.url)
            limits = RateLimits(plans, redis, Metrics())
            await limits.hit(CALLER)
            print((await paced(limits, **pace)).row("Redis", None))
            for state, breaks, mend in faults(server):
                breaks()
                measured = await paced(limits, **pace)
                mend()
                print(measured.row(state, await until_together(limits)))
            await redis.close()


if __name__ == "__main__":
    asyncio.run(main())
