"""What else holds a document's words: past answers' citations, callbacks, cached vectors."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Sequence

from sqlalchemy import ColumnElement, Text, cast, or_
from sqlalchemy.ext.asyncio import AsyncConnection

from ragstone.embedding.base import Embedder
from ragstone.embedding.windows import window_keys
from ragstone.ingestion.rebuild import document_sources
from ragstone.storage.database import Database, any_of, scoped, scoped_delete, scoped_update
from ragstone.storage.schema import deliveries, embedding_cache, turns
from ragstone.vocabulary import Scope

AT_ONCE = 50  # documents looked for in one pass over what may name them


async def forget_mentions(connection: AsyncConnection, tenant: str, document_ids: Sequence[str]) -> None:
    """Take removed documents out of the citations of past answers, and forget the callbacks that told of them.

    What an answer says is its conversation's, and goes with it. A callback that is still to be sent is sent.
    """
    for some in _batches(document_ids):
        await _stop_quoting(connection, tenant, some)
        told = deliveries.c.finished_at.is_not(None) & _names_any(deliveries.c.body, some)
        await connection.execute(scoped_delete(deliveries, tenant).where(told))


async def forget_vectors(connection: AsyncConnection, tenant: str, keys: Sequence[str]) -> None:
    """Delete cached vectors. Another document with the same words loses them too, and they are made again."""
    await connection.execute(scoped_delete(embedding_cache, tenant).where(any_of(embedding_cache.c.key, keys)))


async def vector_keys(database: Database, embedder: Embedder, scope: Scope, document_id: str) -> list[str]:
    """What the cache keeps the vectors of a document's chunks under."""
    sources = await document_sources(database, scope, document_id)
    return await asyncio.to_thread(
        lambda: [key for each in sources for key in window_keys(embedder, each.chunk, title=each.title)]
    )


async def _stop_quoting(connection: AsyncConnection, tenant: str, document_ids: Sequence[str]) -> None:
    quoting = _names_any(cast(turns.c.citations, Text), document_ids)
    cited = scoped(turns, tenant, turns.c.id, turns.c.citations).where(quoting)
    for row in (await connection.execute(cited)).all():
        kept = [citation for citation in row.citations if citation["document_id"] not in document_ids]
        await connection.execute(scoped_update(turns, tenant).where(turns.c.id == row.id).values(citations=kept))


def _names_any(column: ColumnElement[str], document_ids: Sequence[str]) -> ColumnElement[bool]:
    return or_(*(column.contains(document_id, autoescape=True) for document_id in document_ids))


def _batches(document_ids: Sequence[str]) -> Iterator[Sequence[str]]:
    for start in range(0, len(document_ids), AT_ONCE):
        yield document_ids[start : start + AT_ONCE]
