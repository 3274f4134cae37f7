"""Limits on requests, streams and attempts, counted together by all servers where there is Redis.

Where Redis does not answer, each process holds the whole limit by itself, and goes on
to count what it let through while Redis did: it never lets more through than the limit.
"""

from __future__ import annotations

import math
import time
from collections.abc import AsyncGenerator, Callable
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from hashlib import blake2b

from ragstone.accounts.plans import WINDOW_S, Plans
from ragstone.accounts.slots import LEASE_S, LocalSlots, SharedSlots
from ragstone.accounts.windows import Count, LocalWindows, SharedWindows
from ragstone.errors import RateLimited, Unavailable
from ragstone.principals import Principal
from ragstone.storage.redis import Redis
from ragstone.telemetry.metrics import Metrics

CALLS_PER_MINUTE = 3000  # of one tenant to one server: far above what pages and pollers need, far below a flood


@dataclass(frozen=True, slots=True)
class Standing:
    """Where a tenant stands after a request; `limit` None: its plan has none.

    `reset_s` is how long until there is more room, `overage` whether this request is
    beyond the limit, `shared` whether all servers counted it together.
    """

    limit: int | None
    remaining: int
    reset_s: float
    overage: bool = False
    shared: bool = False


class RateLimits:
    """Counts in Redis, else in this process: then each process holds the whole limit by itself."""

    def __init__(
        self,
        plans: Plans,
        redis: Redis | None,
        metrics: Metrics,
        *,
        clock: Callable[[], float] = time.monotonic,
        lease_s: float = LEASE_S,
    ) -> None:
        self._plans = plans
        self._redis = redis
        self._metrics = metrics
        self._local = LocalWindows(clock)
        self._shared = SharedWindows(redis) if redis else None
        self._local_slots = LocalSlots()
        self._shared_slots = SharedSlots(redis, lease_s=lease_s) if redis else None

    async def hit(self, principal: Principal) -> Standing:
        """Count one request against the plan of the principal's tenant.

        Raises:
            RateLimited: there is no room within the hour, and the plan has no overage.
        """
        plan = await self._plans.get(principal.plan)
        limit = plan.requests_per_hour
        if limit is None:
            return Standing(None, 0, 0.0)
        count, shared = await self._take(f"requests:{principal.tenant}", limit, WINDOW_S)
        if not count.granted and not plan.overage:
            raise RateLimited(
                f"The plan has {limit} requests an hour, and all are used. "
                f"Try again in {_seconds(count.reset_s)}, or change to a larger plan.",
                retry_after_s=count.reset_s,
            )
        return Standing(limit, max(0, limit - count.held), count.reset_s, overage=not count.granted, shared=shared)

    async def call(self, principal: Principal) -> None:
        """Count a request that no plan counts, such as a look at a list, so that none of them floods the others.

        Raises:
            RateLimited: this server has answered `CALLS_PER_MINUTE` of the tenant's within the minute.
        """
        if (await self._plans.get(principal.plan)).requests_per_hour is None:
            return
        count = self._local.take(f"calls:{principal.tenant}", CALLS_PER_MINUTE, 60.0)
        if not count.granted:
            raise RateLimited(
                f"These are more than {CALLS_PER_MINUTE} requests a minute. Try again in {_seconds(count.reset_s)}.",
                retry_after_s=count.reset_s,
            )

    @asynccontextmanager
    async def stream(self, principal: Principal) -> AsyncGenerator[None, None]:
        """Hold one of the tenant's concurrent streams. Entering raises RateLimited if all are taken."""
        limit = (await self._plans.get(principal.plan)).concurrent_streams
        if limit is None:
            yield
            return
        async with self._slot(principal.tenant, limit):
            yield

    async def attempt(self, name: str, *, limit: int, window_s: int) -> None:
        """Count an attempt at something, such as a login. Raises: RateLimited."""
        count, _ = await self._take(_attempts(name), limit, window_s)
        if not count.granted:
            raise RateLimited(
                f"There were too many attempts. Try again in {_seconds(count.reset_s)}.", retry_after_s=count.reset_s
            )

    async def take_back(self, name: str) -> None:
        """Count the newest attempt no longer: it succeeded, and only failures shall count."""
        self._local.take_back(_attempts(name))
        if self._shared:
            with suppress(Unavailable):  # then it counts as a failure until its window is over
                await self._shared.take_back(_attempts(name))

    async def _take(self, name: str, limit: int, window_s: float) -> tuple[Count, bool]:
        """The count, and whether it is everybody's."""
        if self._redis is None or self._shared is None:
            return self._local.take(name, limit, window_s), False
        mine = self._local.look(name, limit, window_s)
        if not mine.granted:  # this process alone let all of them through: nobody need be asked
            return mine, self._redis.works
        try:
            count = await self._shared.take(name, limit, window_s)
        except Unavailable:
            self._alone()
            return self._local.take(name, limit, window_s), False
        if count.granted:
            self._local.add(name)
        return count, True

    @asynccontextmanager
    async def _slot(self, tenant: str, limit: int) -> AsyncGenerator[None, None]:
        async with self._local_slots.hold(tenant, limit):
            if self._shared_slots is None:
                yield
                return
            async with self._shared_slots.hold(tenant, limit) as shared:
                if not shared:
                    self._alone()
                yield

    def _alone(self) -> None:
        self._metrics.degraded.labels("limits_local").inc()


def _attempts(name: str) -> str:
    """Hashed, as a name may be an address of somebody, and of any length."""
    return f"attempts:{blake2b(name.encode(errors='surrogatepass'), digest_size=16).hexdigest()}"


def _seconds(seconds: float) -> str:
    whole = max(1, math.ceil(seconds))
    return "a second" if whole == 1 else f"{whole} seconds"
