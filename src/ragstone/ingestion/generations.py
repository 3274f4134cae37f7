"""The generation of a collection: a number that grows with whatever changes what searches may find.

Whoever remembers an answer of a search remembers the generation with it, and asks again when it has grown.
"""

from __future__ import annotations

from sqlalchemy.ext.asyncio import AsyncConnection

from ragstone.storage.database import scoped_update
from ragstone.storage.schema import collections
from ragstone.vocabulary import Scope


async def grow(connection: AsyncConnection, scope: Scope) -> None:
    """Count a change, in the transaction that makes it; as its last statement, for all writers touch this row."""
    await connection.execute(scoped_update(collections, scope).values(generation=collections.c.generation + 1))
