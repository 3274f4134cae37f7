"""Embedding vectors by content, in the database; derived, and safe to empty."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from ragstone.storage.database import Database, any_of, unscoped
from ragstone.storage.schema import embedding_cache


class SqlVectorStore:
    """See `embedding.cached.VectorStore`. One statement a batch, whatever its size.

    Shared by all tenants: a key is the hash of a model's name and a text, so that only
    who already has the text can ask, and the vector tells nothing beyond it.
    """

    def __init__(self, database: Database) -> None:
        self._database = database

    async def get_many(self, keys: Sequence[str]) -> dict[str, bytes]:
        """The vectors that are kept, by key; keys without one are left out."""
        if not keys:
            return {}
        statement = unscoped(embedding_cache).where(any_of(embedding_cache.c.key, keys))
        async with self._database.read() as connection:
            return {row.key: row.vector for row in await connection.execute(statement)}

    async def put_many(self, vectors: Mapping[str, bytes]) -> None:
        """Keep all `vectors`; a key that is there already keeps its value."""
        if not vectors:
            return
        rows = [{"key": key, "vector": vector} for key, vector in vectors.items()]
        async with self._database.write() as connection:
            await connection.execute(self._database.insert_missing(embedding_cache), rows)
