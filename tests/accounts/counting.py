"""A database that counts how often it was asked."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from sqlalchemy.ext.asyncio import AsyncConnection

from ragstone.errors import Unavailable
from ragstone.storage.database import Database, Whose
from ragstone.storage.transactions import Backend


class CountingDatabase(Database):
    """See the module. While `broken`, it is as if nobody could reach it."""

    def __init__(self, backend: Backend, dialect: str) -> None:
        super().__init__(backend, dialect)
        self.asked = 0
        self.broken = False

    @asynccontextmanager
    async def read(self, whose: Whose) -> AsyncIterator[AsyncConnection]:
        self._count()
        async with super().read(whose) as connection:
            yield connection

    @asynccontextmanager
    async def write(self, whose: Whose) -> AsyncIterator[AsyncConnection]:
        self._count()
        async with super().write(whose) as connection:
            yield connection

    def _count(self) -> None:
        self.asked += 1
        if self.broken:
            raise Unavailable("The database does not answer.")
