"""REMOVE: gone for searches at once, then from the index and the disk."""

from __future__ import annotations

import asyncio

import structlog
from sqlalchemy import Text, cast
from sqlalchemy.ext.asyncio import AsyncConnection

from ragstone.embedding.base import Embedder
from ragstone.embedding.windows import window_keys
from ragstone.errors import IndexUnavailable, NotFound
from ragstone.index.base import Index
from ragstone.ingestion.claims import Claims
from ragstone.ingestion.generations import grow
from ragstone.ingestion.rebuild import document_sources
from ragstone.ingestion.sweep import clear_points, sweep_blobs
from ragstone.ingestion.versions import unlist
from ragstone.storage.blobs import LocalBlobs
from ragstone.storage.database import Database, any_of, scoped, scoped_delete, scoped_update
from ragstone.storage.schema import deliveries, documents, embedding_cache, turns
from ragstone.vocabulary import Scope

log = structlog.get_logger()


async def remove(
    database: Database,
    index: Index,
    blobs: LocalBlobs,
    claims: Claims,
    embedder: Embedder,
    scope: Scope,
    document_id: str,
) -> None:
    """Remove a document, its cached vectors too; what cannot be cleared now, a worker sweeps later.

    Raises:
        NotFound: no such document in the scope.
    """
    keys = await _vector_keys(database, embedder, scope, document_id)
    async with database.write(scope) as connection:
        found = await connection.execute(scoped(documents, scope).where(documents.c.id == document_id))
        document = found.mappings().first()
        if document is None:
            raise NotFound(f"There is no document {document_id[:80]!r} in this collection. List them for their ids.")
        await unlist(database, connection, document)
        held = await claims.hold(connection, scope, [document_id])
        vectors = scoped_delete(embedding_cache, scope.tenant).where(any_of(embedding_cache.c.key, keys))
        await connection.execute(vectors)
        await _stop_quoting(connection, scope.tenant, document_id)
        await _forget_callbacks(connection, scope.tenant, document_id)
        await grow(connection, scope)
    if held:  # else a worker is at it, and clears up when it finds the document gone
        await _clear(database, index, claims, scope, document_id)
    await sweep_blobs(database, blobs)
    log.info("remove.done", document=document_id)


async def _vector_keys(database: Database, embedder: Embedder, scope: Scope, document_id: str) -> list[str]:
    """What the cache keeps the vectors of the document under. Another one with the same words loses them too."""
    sources = await document_sources(database, scope, document_id)
    return await asyncio.to_thread(
        lambda: [key for each in sources for key in window_keys(embedder, each.chunk, title=each.title)]
    )


async def _stop_quoting(connection: AsyncConnection, tenant: str, document_id: str) -> None:
    """Take the document's words out of the citations of past answers. What the answers say is the conversations'."""
    quoting = cast(turns.c.citations, Text).contains(document_id)
    cited = scoped(turns, tenant, turns.c.id, turns.c.citations).where(quoting)
    for row in (await connection.execute(cited)).all():
        kept = [citation for citation in row.citations if citation["document_id"] != document_id]
        await connection.execute(scoped_update(turns, tenant).where(turns.c.id == row.id).values(citations=kept))


async def _forget_callbacks(connection: AsyncConnection, tenant: str, document_id: str) -> None:
    """Forget the callbacks that told of the document; one that is still to be sent is sent."""
    told = deliveries.c.finished_at.is_not(None) & deliveries.c.body.contains(document_id)
    await connection.execute(scoped_delete(deliveries, tenant).where(told))


async def _clear(database: Database, index: Index, claims: Claims, scope: Scope, document_id: str) -> None:
    try:
        await clear_points(database, index, scope, document_id)
    except IndexUnavailable as error:
        log.warning("remove.sweep_later", document=document_id, code=error.code)
        await claims.release(scope, [document_id], clean=False)
    else:
        await claims.release(scope, [document_id])
