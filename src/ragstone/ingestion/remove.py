"""REMOVE: hides a document from searches at once, then deletes its points, bytes, cached vectors and mentions.

Workers use the same functions to sweep: they delete the data that a removal or a dead worker left behind.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from contextlib import suppress

import structlog
from sqlalchemy import ColumnElement, Text, cast, exists, or_
from sqlalchemy.ext.asyncio import AsyncConnection

from ragstone.embedding.windows import window_keys
from ragstone.errors import IndexUnavailable, NotFound, Unavailable
from ragstone.identity.audit import record_change
from ragstone.identity.tenants import TenantState
from ragstone.ingestion.build import stored_point_sources
from ragstone.ingestion.parts import IngestionParts
from ragstone.ingestion.publish import withdraw
from ragstone.ingestion.queue import Claims
from ragstone.storage.blobs import LocalBlobs
from ragstone.storage.database import EVERY_TENANT, Database, any_of, scoped, scoped_delete, scoped_update, unscoped
from ragstone.storage.library import bump_generation
from ragstone.storage.schema import deliveries, discarded_blobs, documents, embedding_cache, job_files, tenants, turns
from ragstone.vocabulary import FileState, Scope

log = structlog.get_logger()

AT_ONCE = 50  # documents per query over the rows that may mention them
SWEPT_TENANTS = 20  # per turn of a worker
SWEPT_BLOBS = 100  # per tenant and transaction


async def remove(parts: IngestionParts, scope: Scope, document_id: str, *, principal: str) -> None:
    """Remove a document. A worker deletes later what cannot be deleted now.

    Raises:
        NotFound: the scope has no such document.
    """
    claims = parts.claims()
    keys = await _vector_keys(parts, scope, document_id)
    async with parts.database.write(scope) as connection:
        found = await connection.execute(scoped(documents, scope).where(documents.c.id == document_id))
        document = found.mappings().first()
        if document is None:
            raise NotFound(
                f"There is no document {document_id[:80]!r} in this collection. List the documents for their ids."
            )
        await withdraw(parts.database, connection, document)
        claimed = await claims.claim(connection, scope, [document_id])
        await _delete_vectors(connection, scope.tenant, keys)
        await delete_mentions(connection, scope.tenant, [document_id])
        await bump_generation(connection, scope)
        await record_change(
            parts.audit, connection, scope, principal=principal, action="document.removed", target=document_id
        )
    if claimed:  # else the worker that holds it deletes the points when it finds the document removed
        await _delete_points(parts, claims, scope, document_id)
    await sweep_blobs(parts)
    log.info("remove.done", document=document_id)
    await purge_cache(parts, scope.tenant)


async def purge_cache(parts: IngestionParts, tenant: str) -> None:
    """Empty the tenant's caches, so that they hold no text of removed documents.

    Searches do not find it in any case. A cache that is down drops its entries when they expire.
    """
    if parts.purge_cache:
        with suppress(Unavailable):
            await parts.purge_cache(tenant)


async def delete_mentions(connection: AsyncConnection, tenant: str, document_ids: Sequence[str]) -> None:
    """Delete mentions of removed documents: citations in past answers, and delivered webhooks.

    The text of an answer belongs to its conversation and is deleted with it. A pending webhook is still sent.
    """
    for start in range(0, len(document_ids), AT_ONCE):
        some = document_ids[start : start + AT_ONCE]
        await _delete_citations(connection, tenant, some)
        delivered = deliveries.c.finished_at.is_not(None) & _names_any(deliveries.c.body, some)
        await connection.execute(scoped_delete(deliveries, tenant).where(delivered))


async def delete_old_points(parts: IngestionParts, scope: Scope, document_id: str) -> None:
    """Delete all points of a document except those of its active version. The caller must hold its claim."""
    active = scoped(documents, scope, documents.c.active_version).where(documents.c.id == document_id)
    async with parts.database.read(scope) as connection:
        version = (await connection.execute(active)).scalar()
    await parts.index.delete_document(scope, document_id, keep_version=version)


async def sweep_orphans(parts: IngestionParts, claims: Claims) -> bool:
    """Delete the orphaned points of one document; returns whether there was one.

    Raises:
        IndexUnavailable: the index does not answer; the next sweep tries again.
    """
    orphaned = await claims.take_orphaned()
    if orphaned is None:
        return False
    scope, document_id = orphaned
    async with claims.kept(scope.tenant):
        await delete_old_points(parts, scope, document_id)
        await claims.release(scope, [document_id])
    return True


async def sweep_blobs(parts: IngestionParts) -> None:
    """Delete the discarded blobs without a reference from a document, a waiting file or a dead letter."""
    leaving = exists().where(tenants.c.tenant == discarded_blobs.c.tenant, tenants.c.state == TenantState.DELETING)
    some = unscoped(discarded_blobs, discarded_blobs.c.tenant).where(~leaving).distinct().limit(SWEPT_TENANTS)
    async with parts.database.read(EVERY_TENANT) as connection:
        having = (await connection.scalars(some)).all()
    for tenant in having:
        await _sweep_blobs_of(parts.database, parts.blobs, tenant)


async def _sweep_blobs_of(database: Database, blobs: LocalBlobs, tenant: str) -> None:
    # Deleting inside the transaction keeps a submission of the same bytes from
    # committing between the check and the deletion.
    async with database.write(tenant) as connection:
        discarded = scoped(discarded_blobs, tenant, discarded_blobs.c.blob_key).limit(SWEPT_BLOBS)
        for key in (await connection.scalars(discarded)).all():
            used = exists(scoped(documents, tenant, documents.c.id).where(documents.c.blob_key == key))
            waits = exists(
                scoped(job_files, tenant, job_files.c.id).where(
                    job_files.c.blob_key == key, (job_files.c.state == FileState.PENDING) | job_files.c.dead
                )
            )
            one = scoped_delete(discarded_blobs, tenant).where(discarded_blobs.c.blob_key == key)
            unused = scoped(discarded_blobs, tenant).where(discarded_blobs.c.blob_key == key, ~used, ~waits)
            if (await connection.execute(unused)).first() is not None:
                await blobs.delete(Scope(tenant), key)
            await connection.execute(one)


async def _delete_points(parts: IngestionParts, claims: Claims, scope: Scope, document_id: str) -> None:
    try:
        await delete_old_points(parts, scope, document_id)
    except IndexUnavailable as error:
        log.warning("remove.sweep_later", document=document_id, code=error.code)
        await claims.release(scope, [document_id], clean=False)
    else:
        await claims.release(scope, [document_id])


async def _vector_keys(parts: IngestionParts, scope: Scope, document_id: str) -> list[str]:
    """Cache keys of the vectors of a document's chunks."""
    sources = await stored_point_sources(parts.database, scope, document_id)
    return await asyncio.to_thread(
        lambda: [key for each in sources for key in window_keys(parts.embedder, each.chunk, title=each.title)]
    )


async def _delete_vectors(connection: AsyncConnection, tenant: str, keys: Sequence[str]) -> None:
    """Delete cached vectors. Another document with the same text loses them too; they are computed again."""
    await connection.execute(scoped_delete(embedding_cache, tenant).where(any_of(embedding_cache.c.key, keys)))


async def _delete_citations(connection: AsyncConnection, tenant: str, document_ids: Sequence[str]) -> None:
    quoting = _names_any(cast(turns.c.citations, Text), document_ids)
    cited = scoped(turns, tenant, turns.c.id, turns.c.citations).where(quoting)
    for row in (await connection.execute(cited)).all():
        kept = [citation for citation in row.citations if citation["document_id"] not in document_ids]
        await connection.execute(scoped_update(turns, tenant).where(turns.c.id == row.id).values(citations=kept))


def _names_any(column: ColumnElement[str], document_ids: Sequence[str]) -> ColumnElement[bool]:
    return or_(*(column.contains(document_id, autoescape=True) for document_id in document_ids))
