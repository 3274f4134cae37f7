"""A number in SQL that grows with each change of what processes remember: who may come in, and under which plan."""

from __future__ import annotations

from sqlalchemy.ext.asyncio import AsyncConnection

from ragstone.storage.database import EVERY_TENANT, Database, unscoped
from ragstone.storage.schema import revisions

_NAME = "accounts"


async def bump(connection: AsyncConnection) -> None:
    """Tell all processes, when the caller's transaction commits, that something changed."""
    row = revisions.update().where(revisions.c.name == _NAME)
    await connection.execute(row.values(value=revisions.c.value + 1))


async def current(database: Database) -> int:
    """The number now."""
    async with database.read(EVERY_TENANT) as connection:
        found = await connection.execute(unscoped(revisions, revisions.c.value).where(revisions.c.name == _NAME))
        return int(found.scalar_one())
