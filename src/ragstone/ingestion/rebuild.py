"""REBUILD: the index made again from SQL, or filled where it lacks something, for all tenants."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from sqlalchemy import ColumnElement, func
from sqlalchemy.engine import RowMapping

from ragstone.embedding.base import Embedder
from ragstone.index.base import Index
from ragstone.ingestion.build import SourceFile, make_points
from ragstone.ingestion.queue import Claims
from ragstone.storage.database import EVERY_TENANT, Database, scoped, unscoped
from ragstone.storage.library import chunk_of
from ragstone.storage.schema import chunks, documents
from ragstone.vocabulary import Scope

RETRY_S = 0.2  # how soon to look again whether a worker is done with a document


async def rebuild(
    database: Database,
    index: Index,
    embedders: Callable[[str], Embedder],
    claims: Claims,
    *,
    clear: bool = True,
    progress: Callable[[int, int], None] | None = None,
) -> int:
    """Fill the index from the chunks in SQL; safe to interrupt and to repeat.

    Ingestion may go on meanwhile: each document is claimed while its points are made.

    Args:
        database: The truth.
        index: Where the points go.
        embedders: Gives the embedder of a tenant; vectors it has cached are not made again.
        claims: A set of claims of the caller's own.
        clear: Empty the index first; searches then find little until the end.
        progress: Called with chunks done and chunks in all, after each document.

    Returns:
        How many chunks were written.
    """
    if clear:
        await index.clear()
    total = await _count(database)
    done = 0
    last_id = ""
    while (row := await _next_document(database, last_id)) is not None:
        last_id = row["id"]
        done += await _rebuild_document(
            database, index, embedders, claims, Scope(row["tenant"], row["collection"]), last_id
        )
        if progress is not None:
            progress(done, max(total, done))
    return done


async def missing_chunks(database: Database, index: Index) -> int:
    """How many chunks the index lacks: after its folder was lost, or a rebuild was interrupted."""
    by_scope = unscoped(documents, documents.c.tenant, documents.c.collection, func.sum(documents.c.chunk_count))
    async with database.read(EVERY_TENANT) as connection:
        rows = (await connection.execute(by_scope.group_by(documents.c.tenant, documents.c.collection))).all()
    held = [await index.count(Scope(tenant, collection)) for tenant, collection, _ in rows]
    return sum(max(0, expected - count) for (_, _, expected), count in zip(rows, held, strict=True))


async def _rebuild_document(
    database: Database,
    index: Index,
    embedders: Callable[[str], Embedder],
    claims: Claims,
    scope: Scope,
    document_id: str,
) -> int:
    await _hold(database, claims, scope, document_id)
    async with claims.kept(scope.tenant):
        sources = await document_sources(database, scope, document_id)
        async for points in make_points(sources, embedders(scope.tenant)):
            await index.upsert(scope, points)
        await claims.release(scope, [document_id])
    return len(sources)


async def _hold(database: Database, claims: Claims, scope: Scope, document_id: str) -> None:
    while True:
        async with database.write(scope) as connection:
            if await claims.hold(connection, scope, [document_id]):
                return
        await asyncio.sleep(RETRY_S)


async def _count(database: Database) -> int:
    async with database.read(EVERY_TENANT) as connection:
        return int((await connection.execute(unscoped(documents, func.sum(documents.c.chunk_count)))).scalar() or 0)


async def _next_document(database: Database, after: str) -> RowMapping | None:
    following = (
        unscoped(documents, documents.c.id, documents.c.tenant, documents.c.collection)
        .where(documents.c.id > after, documents.c.active_version.is_not(None))
        .order_by(documents.c.id)
        .limit(1)
    )
    async with database.read(EVERY_TENANT) as connection:
        row: RowMapping | None = (await connection.execute(following)).mappings().first()
        return row


async def document_sources(database: Database, scope: Scope, document_id: str) -> list[SourceFile]:
    """The chunks of a document's active version, with all that their points are made from."""
    active: ColumnElement[bool] = (documents.c.id == chunks.c.document_id) & (
        documents.c.active_version == chunks.c.version
    )
    of_document = (
        scoped(chunks, scope, chunks, documents.c.title, documents.c.media_type, documents.c.metadata)
        .join(documents, active)
        .where(chunks.c.document_id == document_id)
        .order_by(chunks.c.ordinal)
    )
    async with database.read(scope) as connection:
        rows = (await connection.execute(of_document)).mappings().all()
    return [SourceFile(chunk_of(row), row["title"], row["media_type"], row["metadata"]) for row in rows]
