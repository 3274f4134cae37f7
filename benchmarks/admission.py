"""Cost of authentication and rate limit: look-up of a known key, and the count against its plan.

In this process: `Admission.admit` of one key of many, and `RateLimits.hit`, in memory and, with --redis, in Redis.
Over HTTP, in turns: a public route against the same server's smallest authenticated route, so that the difference
of the medians is the cost of authentication.

    python -m benchmarks.admission [--calls 20000] [--redis redis://127.0.0.1:6379/0]

Target: at most 1 ms at p50.
"""

from __future__ import annotations

import argparse
import asyncio
import tempfile
import time
from collections.abc import Awaitable, Callable
from pathlib import Path

import httpx2
import numpy as np

from benchmarks.probed_server import ProbedServer, probed_server
from ragstone.billing.plans import Plan
from ragstone.identity.api_keys import NewKey
from ragstone.principals import LOCAL, SECRET_KEY_PERMISSIONS
from ragstone.settings import RedisSettings, Settings
from ragstone.telemetry.logs import configure_logs
from ragstone.wiring import open_records

KEYS = 200
WARM_UP = 200
HTTP_CALLS = 2000


def row(name: str, took_s: list[float]) -> None:
    """A line of the table, in microseconds."""
    p50, p95, p99 = np.percentile(np.array(took_s[WARM_UP:]) * 1e6, [50, 95, 99])
    print(f"| {name} | {p50:,.0f} | {p95:,.0f} | {p99:,.0f} |")


async def timed(call: Callable[[int], Awaitable[object]], count: int) -> list[float]:
    """Seconds of each call, one after another."""
    took = []
    for number in range(count):
        started = time.perf_counter()
        await call(number)
        took.append(time.perf_counter() - started)
    return took


async def prepare(settings: Settings) -> list[str]:
    """Make tenants with keys and a plan that never refuses; the keys as they are shown."""
    shown = []
    async with open_records(settings) as records:
        await records.billing.plans.save("local", Plan(id="bench", name="Bench", requests_per_hour=10**9))
        for number in range(KEYS):
            tenant = f"t{number}"
            await records.identity.tenants.create("local", tenant, plan="bench")
            key = NewKey(permissions=SECRET_KEY_PERMISSIONS)
            shown.append((await records.identity.api_keys.create(LOCAL, tenant, key))[1])
    return shown


async def in_process(settings: Settings, keys: list[str], calls: int) -> None:
    """Measure authentication without HTTP."""
    where = "Redis" if settings.redis.url else "memory"
    async with open_records(settings) as records:
        admission, limits = records.identity.admission, records.billing.limits

        async def admit(number: int) -> None:
            await admission.admit(keys[number % KEYS])

        async def both(number: int) -> None:
            await limits.hit(await admission.admit(keys[number % KEYS]))

        await timed(admit, KEYS)
        row("admit, seen before", await timed(admit, calls))
        row(f"admit and count in {where}", await timed(both, calls))


async def over_http(server: ProbedServer, key: str) -> None:
    """A public route and an admitted one, one after the other."""
    took: dict[str, list[float]] = {"/health": [], "/api/accounts/me": []}
    async with httpx2.AsyncClient(base_url=server.url, headers={"x-api-key": key}) as client:
        for _ in range(HTTP_CALLS):
            for path, times in took.items():
                started = time.perf_counter()
                response = await client.get(path)
                times.append(time.perf_counter() - started)
                assert response.status_code == 200, response.text
    for path, times in took.items():
        row(f"GET {path}", times)
    public, admitted = (float(np.median(times[WARM_UP:])) for times in took.values())
    print(f"\nAuthentication adds {(admitted - public) * 1e6:,.0f} us at the median (with the route itself).")


async def measure(folder: Path, calls: int, redis: str | None) -> None:
    """Print the table."""
    settings = Settings(_env_file=None, data_dir=folder)
    keys = await prepare(settings)
    print(f"{KEYS} tenants with a key each\n\n| what | p50 us | p95 us | p99 us |\n|---|---|---|---|")
    await in_process(settings, keys, calls)
    if redis:
        group = RedisSettings(url=redis, timeout_s=1.0)
        await in_process(settings.model_copy(update={"redis": group}), keys, calls)
    with probed_server(folder, RAGSTONE_EMBEDDING__MODEL="hashing", RAGSTONE_INDEX__ENGINE="memory") as server:
        await over_http(server, keys[0])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--calls", type=int, default=20_000)
    parser.add_argument("--redis", help="address of a Redis to count in too")
    arguments = parser.parse_args()
    configure_logs("error")
    with tempfile.TemporaryDirectory() as folder:
        asyncio.run(measure(Path(folder) / "data", arguments.calls, arguments.redis))


if __name__ == "__main__":
    main()
