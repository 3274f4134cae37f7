"""Limits on requests, streams and attempts, counted together by all servers where there is Redis."""

from __future__ import annotations

from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass

from ragstone.accounts.plans import Plans
from ragstone.principals import Principal
from ragstone.storage.redis import Redis
from ragstone.telemetry.metrics import Metrics


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

    def __init__(self, plans: Plans, redis: Redis | None, metrics: Metrics) -> None:
        self._plans = plans
        self._redis = redis
        self._metrics = metrics

    async def hit(self, principal: Principal) -> Standing:
        """Count one request against the plan of the principal's tenant.

        Raises:
            RateLimited: there is no room within the hour, and the plan has no overage.
        """
        raise NotImplementedError

    def stream(self, principal: Principal) -> AbstractAsyncContextManager[None]:
        """Hold one of the tenant's concurrent streams. Entering raises RateLimited if all are taken."""
        raise NotImplementedError

    async def attempt(self, name: str, *, limit: int, window_s: int) -> None:
        """Count an attempt at something, such as a login. Raises: RateLimited."""
        raise NotImplementedError
