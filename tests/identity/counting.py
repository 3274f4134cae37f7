"""A database that counts how often it was asked."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

from sqlalchemy.ext.asyncio import AsyncConnection

from ragstone.errors import Unavailable
from ragstone.storage.database import Database, Whose
from ragstone.storage.transactions import Backend


class CountingDatabase(Database):
    """See the module. While `broken`, it is as if nobody could reach it; `meanwhile` happens after the next read."""

    def __init__(self, backend: Backend, dialect: str) -> None:
        super().__init__(backend, dialect)
        self.asked = 0
        self.broken = False
        self.meanwhile: Callable[[], Awaitable[None]] | None = None

    @asynccontextmanager
    async def read(self, whose: Whose, *, snapshot: bool = True) -> AsyncIterator[AsyncConnection]:
        self._count()
        async with super().read(whose, snapshot=snapshot) as connection:
            yield connection
        if happening := self.meanwhile:
            self.meanwhile = None
            await happening()

    @asynccontextmanager
    async def write(self, whose: Whose) -> AsyncIterator[AsyncConnection]:
        self._count()
        async with super().write(whose) as connection:
            yield connection

    def _count(self) -> None:
        self.asked += 1
        if self.broken:
            raise Unavailable("The database does not answer.")
