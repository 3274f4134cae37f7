"""The cache revision: a number in SQL that every change of accounts, plans or tenant settings increments.

Processes compare it with the number they saw last, and clear their caches when it has changed.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, AsyncIterator, Callable
from contextlib import aclosing, asynccontextmanager

from sqlalchemy.ext.asyncio import AsyncConnection

from ragstone.storage.database import EVERY_TENANT, Database, TenantSelector, unscoped
from ragstone.storage.redis import Redis
from ragstone.storage.schema import revisions

_NAME = "accounts"


async def bump(connection: AsyncConnection) -> None:
    """Increment the revision. Call it last in the transaction: every such transaction locks this row."""
    row = revisions.update().where(revisions.c.name == _NAME)
    await connection.execute(row.values(value=revisions.c.value + 1))


async def current(database: Database) -> int:
    """The current revision."""
    async with database.read(EVERY_TENANT) as connection:
        found = await connection.execute(unscoped(revisions, revisions.c.value).where(revisions.c.name == _NAME))
        return int(found.scalar_one())


class CacheRevision:
    """Runs transactions that change accounts, increments the revision and notifies the caches of this process.

    Other processes poll the revision; with Redis, a message tells them when to read it.
    """

    def __init__(self, database: Database, redis: Redis | None = None) -> None:
        self._database = database
        self._redis = redis
        self._listeners: list[Callable[[], None]] = []

    def listen(self, listener: Callable[[], None]) -> None:
        """Register a function that clears a cache; it is called after each change."""
        self._listeners.append(listener)

    def notify_listeners(self) -> None:
        """Call all listeners after a change by this process or another."""
        for listener in self._listeners:
            listener()

    @asynccontextmanager
    async def change(self, selector: TenantSelector) -> AsyncIterator[AsyncConnection]:
        """A write transaction; when the block has ended, this process has cleared its caches."""
        try:
            async with self._database.write(selector) as connection:
                yield connection
                await bump(connection)
        finally:
            self.notify_listeners()  # also after an error: the commit may have succeeded
        if self._redis:
            await self._redis.publish(_NAME, "changed")

    async def notifications(self) -> AsyncGenerator[None, None]:
        """Yields once per change that another process published; without Redis, it yields nothing."""
        if self._redis:
            async with aclosing(self._redis.messages(_NAME)) as messages:
                async for _ in messages:
                    yield
