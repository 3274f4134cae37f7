"""REBUILD: fills the index from the chunks in SQL, for all tenants; the whole index or its missing chunks."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from sqlalchemy import func
from sqlalchemy.engine import RowMapping

from ragstone.ingestion.build import build_points, stored_point_sources
from ragstone.ingestion.parts import IngestionParts
from ragstone.ingestion.queue import Claims
from ragstone.storage.database import EVERY_TENANT, Database, unscoped
from ragstone.storage.schema import documents
from ragstone.vocabulary import Scope

RETRY_S = 0.2  # between attempts to claim a document that a worker holds


async def rebuild(
    parts: IngestionParts, *, clear: bool = True, progress: Callable[[int, int], None] | None = None
) -> int:
    """Fill the index from the chunks in SQL; safe to interrupt and to repeat.

    Ingestion may run at the same time: each document is claimed while its points are built.

    Args:
        parts: Its embedder uses the tenant's cache: cached vectors are not computed again.
        clear: Empty the index first; searches find little until the end.
        progress: Called after each document, with the written chunks and their total.

    Returns:
        Number of chunks written.
    """
    if clear:
        await parts.index.clear()
    claims = parts.claims()
    total = await _count(parts.database)
    done = 0
    last_id = ""
    while (row := await _next_document(parts.database, last_id)) is not None:
        last_id = row["id"]
        done += await _rebuild_document(parts, claims, Scope(row["tenant"], row["collection"]), last_id)
        if progress is not None:
            progress(done, max(total, done))
    return done


async def missing_chunks(parts: IngestionParts) -> int:
    """Number of chunks that the index lacks, for example after an interrupted rebuild or the loss of its folder."""
    by_scope = unscoped(documents, documents.c.tenant, documents.c.collection, func.sum(documents.c.chunk_count))
    async with parts.database.read(EVERY_TENANT) as connection:
        rows = (await connection.execute(by_scope.group_by(documents.c.tenant, documents.c.collection))).all()
    held = [await parts.index.count(Scope(tenant, collection)) for tenant, collection, _ in rows]
    return sum(max(0, expected - count) for (_, _, expected), count in zip(rows, held, strict=True))


async def _rebuild_document(parts: IngestionParts, claims: Claims, scope: Scope, document_id: str) -> int:
    await _claim(parts.database, claims, scope, document_id)
    async with claims.kept(scope.tenant):
        sources = await stored_point_sources(parts.database, scope, document_id)
        async for points in build_points(sources, parts.embedder_of(scope.tenant)):
            await parts.index.upsert(scope, points)
        await claims.release(scope, [document_id])
    return len(sources)


async def _claim(database: Database, claims: Claims, scope: Scope, document_id: str) -> None:
    """Claim a document; waits until no worker holds it."""
    while True:
        async with database.write(scope) as connection:
            if await claims.claim(connection, scope, [document_id]):
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
