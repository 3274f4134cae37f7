"""Bulkhead: limits the concurrent calls to one server, and the share of one tenant.

Without it, a hanging server could take all connections and memory of this process, and a
busy tenant all places. A call without a free place waits in a bounded queue, in which
tenants take turns, independent of the number of their calls.
"""

from __future__ import annotations

import asyncio
from collections import Counter, OrderedDict, deque
from collections.abc import AsyncGenerator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass

from ragstone.errors import Overloaded

RETRY_AFTER_S = 5.0  # an estimate: an answer takes some seconds


@dataclass(frozen=True, slots=True, kw_only=True)
class ConcurrencyOptions:
    """Limits of concurrent calls; a call waits up to `queue_s` for its place. The queue has the same limits."""

    max_calls: int = 1000
    max_calls_per_tenant: int = 500
    queue_s: float = 1.0


class Bulkhead:
    """Bulkhead of one server. A tenant without running or waiting calls takes no memory."""

    def __init__(
        self, name: str, *, options: ConcurrencyOptions, on_change: Callable[[int], None] | None = None
    ) -> None:
        """`name` is used in errors; `on_change` is called with the number of running calls."""
        self._name = name
        self._options = options
        self._on_change = on_change
        self._running: Counter[str] = Counter()
        self._taken = 0
        self._queues: OrderedDict[str, deque[asyncio.Future[None]]] = OrderedDict()
        self._waiting = 0

    @property
    def running(self) -> int:
        """Number of running calls."""
        return self._taken

    @property
    def tenants(self) -> int:
        """Number of tenants with running or waiting calls."""
        return len(self._running.keys() | self._queues.keys())

    @asynccontextmanager
    async def place(self, tenant: str) -> AsyncGenerator[None, None]:
        """Hold a place during the block.

        Raises:
            Overloaded: no place became free in time, or the queue is full.
        """
        await self._enter(tenant)
        try:
            yield
        finally:
            self._leave(tenant)

    async def _enter(self, tenant: str) -> None:
        if not self._queues.get(tenant) and self._has_room(tenant):
            self._take(tenant)
            return
        options = self._options
        full = self._waiting >= options.max_calls or self._waits(tenant) >= options.max_calls_per_tenant
        if full or options.queue_s <= 0:
            raise self._overloaded(tenant)
        try:
            async with asyncio.timeout(options.queue_s):
                await self._wait_for_place(tenant)
        except TimeoutError:
            raise self._overloaded(tenant) from None

    async def _wait_for_place(self, tenant: str) -> None:
        """Wait in the queue until this call has a place; a cancelled call frees its place."""
        turn = asyncio.get_running_loop().create_future()
        self._queues.setdefault(tenant, deque()).append(turn)
        self._waiting += 1
        try:
            await turn
        except asyncio.CancelledError:
            if turn.cancelled():
                self._forget(tenant, turn)
            else:  # it got the place at the same moment
                self._leave(tenant)
            raise

    def _has_room(self, tenant: str) -> bool:
        return self._taken < self._options.max_calls and self._running[tenant] < self._options.max_calls_per_tenant

    def _waits(self, tenant: str) -> int:
        return len(self._queues.get(tenant, ()))

    def _take(self, tenant: str) -> None:
        self._taken += 1
        self._running[tenant] += 1
        if self._on_change:
            self._on_change(self._taken)

    def _leave(self, tenant: str) -> None:
        self._taken -= 1
        self._running[tenant] -= 1
        if not self._running[tenant]:
            del self._running[tenant]
        if self._on_change:
            self._on_change(self._taken)
        self._admit_next()

    def _admit_next(self) -> None:
        """Give the free place to the tenant with the longest wait for its turn; it moves to the end of the queue.

        Tenants at their own limit are skipped; their number is bounded by the number of places.
        """
        while (tenant := next((name for name in self._queues if self._has_room(name)), None)) is not None:
            turn = self._queues[tenant].popleft()
            self._waiting -= 1
            self._queues.move_to_end(tenant)
            self._drop_empty(tenant)
            if not turn.cancelled():
                self._take(tenant)
                turn.set_result(None)
                return

    def _forget(self, tenant: str, turn: asyncio.Future[None]) -> None:
        if turn in self._queues.get(tenant, ()):
            self._queues[tenant].remove(turn)
            self._waiting -= 1
            self._drop_empty(tenant)

    def _drop_empty(self, tenant: str) -> None:
        if not self._queues[tenant]:
            del self._queues[tenant]

    def _overloaded(self, tenant: str) -> Overloaded:
        of_tenant = "of this tenant " if self._running[tenant] >= self._options.max_calls_per_tenant else ""
        return Overloaded(
            f"The calls {of_tenant}to {self._name} have reached their limit. Try again in a few seconds.",
            retry_after_s=RETRY_AFTER_S,
        )
