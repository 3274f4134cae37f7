"""Rate limits of a plan: requests per hour, calls per minute, concurrent streams.

With Redis, all servers share the counts. A stream holds a slot; in Redis a slot is a lease
that its holder renews, so that the slots of a process that died expire.
"""

from __future__ import annotations

import asyncio
import secrets
import time
from collections import Counter
from collections.abc import AsyncGenerator, Callable
from contextlib import asynccontextmanager, suppress

from ragstone.billing.plans import Plans
from ragstone.errors import RateLimited, Unavailable
from ragstone.principals import Principal
from ragstone.storage.rate_windows import (
    RateWindows,
    seconds_in_words,
)
from ragstone.storage.redis import Redis, Script
from ragstone.telemetry.metrics import Metrics
from ragstone.vocabulary import REQUESTS_WINDOW_S, RateLimitStatus

LEASE_S = 30.0  # after this time without renewal a slot is free again
RETRY_S = 5.0  # typical time of an answer; when a slot becomes free is not known
RENEWALS = 3  # per lease, so that a short failure of Redis loses no slot
CALLS_PER_MINUTE = 3000  # of one tenant to one server: far above the need of pages and polling clients


class RateLimits:
    """Applies the limits of plans. Without Redis, each process applies the whole limit by itself."""

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
        self._metrics = metrics
        self.windows = RateWindows(redis, metrics, clock=clock)
        self._local_slots = LocalSlots()
        self._shared_slots = SharedSlots(redis, lease_s=lease_s) if redis else None

    async def hit(self, principal: Principal) -> RateLimitStatus:
        """Count one request against the plan of the principal's tenant.

        Raises:
            RateLimited: the requests of the hour are used up, and the plan has no overage.
        """
        plan = await self._plans.get(principal.plan)
        limit = plan.requests_per_hour
        if limit is None:
            return RateLimitStatus(None, 0, 0.0)
        count, shared = await self.windows.take(f"requests:{principal.tenant}", limit, REQUESTS_WINDOW_S)
        if not count.granted and not plan.overage:
            raise RateLimited(
                f"All {limit} requests per hour of the plan are used. "
                f"Try again in {seconds_in_words(count.reset_s)}, or change to a larger plan.",
                retry_after_s=count.reset_s,
            )
        return RateLimitStatus(
            limit, max(0, limit - count.held), count.reset_s, overage=not count.granted, shared=shared
        )

    async def call(self, principal: Principal) -> None:
        """Count a request that is not part of the plan's limit, such as a listing, to protect the server from floods.

        Raises:
            RateLimited: this server answered `CALLS_PER_MINUTE` such requests of the tenant within a minute.
        """
        if (await self._plans.get(principal.plan)).requests_per_hour is None:
            return
        count = self.windows.take_locally(f"calls:{principal.tenant}", CALLS_PER_MINUTE, 60.0)
        if not count.granted:
            raise RateLimited(
                f"The limit of {CALLS_PER_MINUTE} requests per minute is reached. "
                f"Try again in {seconds_in_words(count.reset_s)}.",
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

    @asynccontextmanager
    async def _slot(self, tenant: str, limit: int) -> AsyncGenerator[None, None]:
        async with self._local_slots.hold(tenant, limit):
            if self._shared_slots is None:
                yield
                return
            async with self._shared_slots.hold(tenant, limit) as shared:
                if not shared:
                    self._metrics.degraded.labels("limits_local").inc()
                yield


class LocalSlots:
    """Stream slots of this process."""

    def __init__(self) -> None:
        self._held: Counter[str] = Counter()

    @asynccontextmanager
    async def hold(self, name: str, limit: int) -> AsyncGenerator[None, None]:
        """Hold one of `limit` slots during the block. Raises: RateLimited, on entering."""
        if self._held[name] >= limit:
            raise _all_taken(limit)
        self._held[name] += 1
        try:
            yield
        finally:
            self._held[name] -= 1
            self._held += Counter()  # drops names that hold none


class SharedSlots:
    """Slots of all processes, leased in Redis."""

    def __init__(self, redis: Redis, *, lease_s: float = LEASE_S) -> None:
        self._redis = redis
        self._lease_s = lease_s
        self._removals: set[asyncio.Task[None]] = set()

    @asynccontextmanager
    async def hold(self, name: str, limit: int) -> AsyncGenerator[bool, None]:
        """Hold one of `limit` slots during the block; yields False if Redis was not available.

        Raises:
            RateLimited: on entering.
        """
        key, holder, held = self._redis.key("slots", name), secrets.token_hex(8), True
        try:
            shared, held = await self._take(key, holder, limit)
            if not held:
                raise _all_taken(limit)
            async with self._renewed(key, holder):
                yield shared
        finally:
            if held:  # also after a cancellation during the call: Redis may have granted the slot
                await self._release(key, holder)

    async def _take(self, key: str, holder: str, limit: int) -> tuple[bool, bool]:
        try:
            return True, bool(await self._redis.run_script(_TAKE_SLOT, [key], (holder, limit, self._lease_ms)))
        except Unavailable:
            return False, True

    @asynccontextmanager
    async def _renewed(self, key: str, holder: str) -> AsyncGenerator[None, None]:
        renewing = asyncio.create_task(self._renew(key, holder))
        try:
            yield
        finally:
            renewing.cancel()

    async def _renew(self, key: str, holder: str) -> None:
        """Renew the lease periodically; creates it again if Redis lost it."""
        while True:
            await asyncio.sleep(self._lease_s / RENEWALS)
            with suppress(Unavailable):
                await self._redis.run_script(_RENEW, [key], (holder, self._lease_ms))

    async def _release(self, key: str, holder: str) -> None:
        """Free the slot, even if the holder is cancelled again. If Redis fails, the lease expires."""

        async def remove() -> None:
            with suppress(Unavailable):
                await self._redis.run(lambda client: client.zrem(key, holder))

        removal = asyncio.create_task(remove())
        self._removals.add(removal)
        removal.add_done_callback(self._removals.discard)
        await asyncio.shield(removal)

    @property
    def _lease_ms(self) -> int:
        return round(self._lease_s * 1000)


def _all_taken(limit: int) -> RateLimited:
    return RateLimited(
        f"All {limit} concurrent streams of the plan are in use. Wait until one has ended.",
        retry_after_s=RETRY_S,
    )


# A sorted set of holders by the end of their lease, in milliseconds by the clock of Redis.
_NOW = """
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
"""
_TAKE_SLOT = Script(f"""{_NOW}
redis.call('ZREMRANGEBYSCORE', KEYS[1], '-inf', now)
if redis.call('ZCARD', KEYS[1]) >= tonumber(ARGV[2]) then return 0 end
redis.call('ZADD', KEYS[1], now + ARGV[3], ARGV[1])
redis.call('PEXPIRE', KEYS[1], ARGV[3])
return 1
""")
_RENEW = Script(f"""{_NOW}
redis.call('ZADD', KEYS[1], now + ARGV[2], ARGV[1])
redis.call('PEXPIRE', KEYS[1], ARGV[2])
""")
