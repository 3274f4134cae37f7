"""A number in SQL that grows with each change of what processes remember: who may come in, and under which plan."""

from __future__ import annotations

from collections.abc import AsyncGenerator, AsyncIterator, Callable
from contextlib import aclosing, asynccontextmanager

from sqlalchemy.ext.asyncio import AsyncConnection

from ragstone.storage.database import EVERY_TENANT, Database, Whose, unscoped
from ragstone.storage.redis import Redis
from ragstone.storage.schema import revisions

_NAME = "accounts"


async def bump(connection: AsyncConnection) -> None:
    """Tell all processes, when the caller's transaction commits, that something changed.

    The last statement of its transaction: all such transactions queue for this one row.
    """
    row = revisions.update().where(revisions.c.name == _NAME)
    await connection.execute(row.values(value=revisions.c.value + 1))


async def current(database: Database) -> int:
    """The number now."""
    async with database.read(EVERY_TENANT) as connection:
        found = await connection.execute(unscoped(revisions, revisions.c.value).where(revisions.c.name == _NAME))
        return int(found.scalar_one())


class CacheRevision:
    """Makes changes of accounts, and tells this process of them at once.

    Other processes look at the number; where there is Redis, they hear when to look.
    """

    def __init__(self, database: Database, redis: Redis | None = None) -> None:
        self._database = database
        self._redis = redis
        self._listeners: list[Callable[[], None]] = []

    def listen(self, listener: Callable[[], None]) -> None:
        """Call `listener` after each change; it forgets what it remembers."""
        self._listeners.append(listener)

    def tell(self) -> None:
        """Something changed, here or in another process."""
        for listener in self._listeners:
            listener()

    @asynccontextmanager
    async def change(self, whose: Whose) -> AsyncIterator[AsyncConnection]:
        """A transaction whose changes are in force, in this process, once the block has ended."""
        try:
            async with self._database.write(whose) as connection:
                yield connection
                await bump(connection)
        finally:
            self.tell()  # also if it is not known whether the commit arrived
        if self._redis:
            await self._redis.publish(_NAME, "changed")

    async def news(self) -> AsyncGenerator[None, None]:
        """Yields whenever another process says that it changed something; never, without Redis."""
        if self._redis:
            async with aclosing(self._redis.messages(_NAME)) as messages:
                async for _ in messages:
                    yield
