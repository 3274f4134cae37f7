"""Embedding vectors by content, in the database; derived, and safe to empty."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from ragstone.storage.database import Database, any_of, scoped
from ragstone.storage.schema import embedding_cache


class SqlVectorStore:
    """See `embedding.cached.VectorStore`. One statement a batch, whatever its size.

    Each tenant has vectors of its own, though equal texts give equal ones: how quickly a
    text is embedded would tell whether somebody else has it too.
    """

    def __init__(self, database: Database, tenant: str) -> None:
        self._database = database
        self._tenant = tenant

    async def get_many(self, keys: Sequence[str]) -> dict[str, bytes]:
        """The vectors that are kept, by key; keys without one are left out."""
        if not keys:
            return {}
        statement = scoped(embedding_cache, self._tenant).where(any_of(embedding_cache.c.key, keys))
        async with self._database.read(self._tenant) as connection:
            return {row.key: row.vector for row in await connection.execute(statement)}

    async def put_many(self, vectors: Mapping[str, bytes]) -> None:
        """Keep all `vectors`; a key that is there already keeps its value."""
        if not vectors:
            return
        rows = [{"tenant": self._tenant, "key": key, "vector": vector} for key, vector in vectors.items()]
        async with self._database.write(self._tenant) as connection:
            await connection.execute(self._database.insert_missing(embedding_cache), rows)
