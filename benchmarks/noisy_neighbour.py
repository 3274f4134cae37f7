"""Effect of a tenant at ten times its limit on the latency of another tenant.

B searches at a steady pace, in periods of a few seconds; in every second period, chosen by the seed within each pair,
A asks at ten times its limit. The table has B's times of both kinds of period, and the pairs' median change of p95.

    python -m benchmarks.noisy_neighbour [--pairs 10] [--limit 3600]

A's limit is requests an hour, `limit / 3600` a second on the long run; its asking at ten times that is refused as soon
as the hour's share is used up, which is before the measurement. Target: p95 changes by less than 20 %.
"""

from __future__ import annotations

import argparse
import asyncio
import random
import tempfile
import time
from collections import Counter
from pathlib import Path

import httpx2
import numpy as np

from benchmarks.probed_server import percentiles, probed_server
from benchmarks.streams import NOTES, QUESTION
from ragstone.billing.plans import Plan
from ragstone.identity.api_keys import NewKey
from ragstone.ingestion.submit import Upload
from ragstone.principals import LOCAL, SECRET_KEY_PERMISSIONS
from ragstone.settings import Settings
from ragstone.telemetry.logs import configure_logs
from ragstone.vocabulary import Scope
from ragstone.wiring import open_services

PERIOD_S = 6.0
PACE_S = 0.05  # of b
TIMES_ITS_LIMIT = 10


async def prepare(settings: Settings, limit: int) -> dict[str, str]:
    """Two tenants with a document and a key each; the keys."""
    keys = {}
    async with open_services(settings) as services:
        await services.billing.plans.save("local", Plan(id="a", name="A", requests_per_hour=limit))
        await services.billing.plans.save("local", Plan(id="b", name="B", requests_per_hour=10**9))
        for tenant in ("a", "b"):
            await services.identity.tenants.create("local", tenant, plan=tenant)
            key = NewKey(permissions=SECRET_KEY_PERMISSIONS)
            keys[tenant] = (await services.identity.api_keys.create(LOCAL, tenant, key))[1]
            scope = Scope(tenant)
            job = await services.corpus.ingestion.submit(scope, [Upload("text:crane", "Crane", NOTES.encode())])
            await services.corpus.ingestion.work(until_job=(scope, job.id))
    return keys


async def asked(client: httpx2.AsyncClient, key: str, number: int) -> int:
    """Search for something that was not asked before; the status."""
    body = {"query": f"{QUESTION} {number}"}
    return (await client.post("/api/search", json=body, headers={"x-api-key": key})).status_code


async def steady(client: httpx2.AsyncClient, key: str, end: float) -> list[float]:
    """B's times in ms, at its pace, until the end."""
    took = []
    while time.perf_counter() < end:
        started = time.perf_counter()
        status = await asked(client, key, random.getrandbits(40))
        took.append((time.perf_counter() - started) * 1e3)
        assert status == 200
        await asyncio.sleep(max(0.0, PACE_S - (time.perf_counter() - started)))
    return took


async def noise(client: httpx2.AsyncClient, key: str, per_s: float, end: float) -> Counter[int]:
    """A's requests at its rate, whether or not the ones before are answered; statuses by number."""
    statuses: Counter[int] = Counter()
    running: set[asyncio.Task[int]] = set()
    started, sent = time.perf_counter(), 0
    while (now := time.perf_counter()) < end:
        while sent < (now - started) * per_s and len(running) < 500:
            task = asyncio.create_task(asked(client, key, random.getrandbits(40)))
            running.add(task)
            task.add_done_callback(running.discard)
            task.add_done_callback(lambda done: statuses.update([done.result()]))
            sent += 1
        await asyncio.sleep(0.005)
    await asyncio.gather(*running)
    return statuses


async def measure(url: str, keys: dict[str, str], pairs: int, limit: int) -> None:
    """Print the table."""
    per_s = TIMES_ITS_LIMIT * limit / 3600
    times: dict[bool, list[float]] = {True: [], False: []}
    changes, statuses = [], Counter[int]()
    bounds = httpx2.Limits(max_connections=600)
    async with httpx2.AsyncClient(base_url=url, timeout=60, limits=bounds) as client:
        await steady(client, keys["b"], time.perf_counter() + 2)
        for number in range(limit):
            if await asked(client, keys["a"], number) == 429:
                break
        for _ in range(pairs):
            p95 = {}
            for noisy in random.sample([True, False], 2):
                end = time.perf_counter() + PERIOD_S
                of_a = noise(client, keys["a"], per_s, end) if noisy else asyncio.sleep(0)
                took, said = await asyncio.gather(steady(client, keys["b"], end), of_a)
                statuses.update(said or ())
                times[noisy] += took
                p95[noisy] = float(np.percentile(took, 95))
            changes.append(p95[True] / p95[False] - 1)
    print(f"A asks {per_s:.0f} times a second, its limit is {limit} an hour; statuses of A: {dict(statuses)}\n")
    print("| B's searches | p50 / p95 / p99 / max ms |\n|---|---|")
    print(f"| alone | {percentiles(times[False])} |\n| beside A | {percentiles(times[True])} |")
    print(f"\nChange of p95, median of {pairs} pairs: {np.median(changes):+.0%} (each: {_listed(changes)})")


def _listed(changes: list[float]) -> str:
    return ", ".join(f"{each:+.0%}" for each in sorted(changes))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--pairs", type=int, default=10)
    parser.add_argument("--limit", type=int, default=3600)
    arguments = parser.parse_args()
    configure_logs("error")
    random.seed(7)
    with tempfile.TemporaryDirectory() as folder:
        data = Path(folder) / "data"
        group = {"model": "hashing"}
        settings = Settings(_env_file=None, data_dir=data, embedding=group)
        keys = asyncio.run(prepare(settings, arguments.limit))
        with probed_server(data, RAGSTONE_EMBEDDING__MODEL="hashing") as server:
            asyncio.run(measure(server.url, keys, arguments.pairs, arguments.limit))


if __name__ == "__main__":
    main()
