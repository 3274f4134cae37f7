"""A database that counts its transactions."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

from sqlalchemy.ext.asyncio import AsyncConnection

from ragstone.errors import Unavailable
from ragstone.storage.database import Database, TenantSelector
from ragstone.storage.transactions import Backend


class CountingDatabase(Database):
    """Counts transactions. While `broken`, each one fails; `after_next_read` runs once, after the next read."""

    def __init__(self, backend: Backend, dialect: str) -> None:
        super().__init__(backend, dialect)
        self.asked = 0
        self.broken = False
        self.after_next_read: Callable[[], Awaitable[None]] | None = None

    @asynccontextmanager
    async def read(self, selector: TenantSelector, *, snapshot: bool = True) -> AsyncIterator[AsyncConnection]:
        self._count()
        async with super().read(selector, snapshot=snapshot) as connection:
            yield connection
        if happening := self.after_next_read:
            self.after_next_read = None
            await happening()

    @asynccontextmanager
    async def write(self, selector: TenantSelector) -> AsyncIterator[AsyncConnection]:
        self._count()
        async with super().write(selector) as connection:
            yield connection

    def _count(self) -> None:
        self.asked += 1
        if self.broken:
            raise Unavailable("The database does not answer.")
