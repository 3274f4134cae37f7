"""Group commit: the writes of many requests in one transaction.

A commit waits for the disk (about 1 to 10 ms), regardless of its size. Writes that arrive
during a commit are written together by the next one, so groups grow with the load. Awaited
writes start a commit immediately; patient ones join it, or start one after `LINGER_S`.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterable, Sequence
from typing import Generic, TypeVar

import structlog

from ragstone.errors import ConfigurationError, RagstoneError, Unavailable

MAX_WAITING = 10_000  # writes in memory; beyond it the disk is slower than the requests
MAX_GROUP = 500  # writes; keeps a transaction to some tens of milliseconds
LINGER_S = 0.02  # maximum delay of a patient write; at 50 requests a second, the next write includes it
RETRY_S = 0.2  # before the second attempt, twice that before the third, …

log = structlog.get_logger()
T = TypeVar("T")


class GroupCommit(Generic[T]):
    """Hands waiting items to `write` in groups, in order; one group at a time.

    A group that cannot be written fails for all its writers, after `attempts` attempts.
    """

    def __init__(self, write: Callable[[Sequence[T]], Awaitable[None]], *, attempts: int = 3) -> None:
        self._write = write
        self._attempts = attempts
        self._waiting: dict[asyncio.Future[None], T] = {}
        self._writer: asyncio.Task[None] | None = None
        self._urgent = False
        self._timer: asyncio.TimerHandle | None = None

    @property
    def full(self) -> bool:
        """Whether so many writes are waiting that new work should be refused."""
        return len(self._waiting) >= MAX_WAITING

    def add(self, item: T, *, patient: bool = False) -> asyncio.Future[None]:
        """Queue an item. The returned future completes when it is durable; it need not be awaited.

        A `patient` item is written with the next item that is not patient, or after `LINGER_S`.
        """
        loop = asyncio.get_running_loop()
        future = loop.create_future()
        future.add_done_callback(_retrieved)
        self._waiting[future] = item
        if not patient:
            self._begin()
        elif self._timer is None:
            self._timer = loop.call_later(LINGER_S, self._begin)
        return future

    def withdraw(self, future: asyncio.Future[None]) -> bool:
        """Remove an item from the queue. False if it is being written or was written."""
        return self._waiting.pop(future, None) is not None

    async def close(self) -> None:
        """Write everything that is waiting."""
        self._begin()
        while self._writer is not None and not self._writer.done():
            await asyncio.wait({self._writer})

    def _begin(self) -> None:
        self._urgent = True
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        if self._writer is None or self._writer.done():
            self._writer = asyncio.create_task(self._run())

    async def _run(self) -> None:
        while self._waiting and self._urgent:
            self._urgent = len(self._waiting) > MAX_GROUP
            group = dict(list(self._waiting.items())[:MAX_GROUP])
            for future in group:
                del self._waiting[future]
            try:
                _complete(group, await self._attempt(list(group.values())))
            except BaseException as error:
                _complete(group, error)
                raise

    async def _attempt(self, items: Sequence[T]) -> RagstoneError | None:
        for attempt in range(1, self._attempts + 1):
            try:
                await self._write(items)
            except (Unavailable, ConfigurationError) as error:  # locked for too long, or the disk is full
                log.warning("ledger.not_written", items=len(items), attempt=attempt, reason=error.message)
                failure = error
                if attempt < self._attempts:
                    await asyncio.sleep(RETRY_S * attempt)
            else:
                return None
        return failure


def _complete(group: Iterable[asyncio.Future[None]], error: BaseException | None) -> None:
    """Complete the futures of a group."""
    for future in group:
        if future.done():  # its writer was cancelled
            continue
        if error:
            future.set_exception(error)
        else:
            future.set_result(None)


def _retrieved(future: asyncio.Future[None]) -> None:
    """Mark the exception as retrieved, so that asyncio does not warn if the future is not awaited."""
    if not future.cancelled():
        future.exception()
