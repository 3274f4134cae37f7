"""REMOVE: gone for searches at once, then from the index and the disk."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Sequence

import structlog
from sqlalchemy import ColumnElement, Text, cast, exists, or_
from sqlalchemy.ext.asyncio import AsyncConnection

from ragstone.embedding.base import Embedder
from ragstone.embedding.windows import window_keys
from ragstone.errors import IndexUnavailable, NotFound
from ragstone.identity.audit import Audit, record_change
from ragstone.identity.tenants import TenantState
from ragstone.index.base import Index
from ragstone.ingestion.publish import unlist
from ragstone.ingestion.queue import Claims
from ragstone.ingestion.rebuild import document_sources
from ragstone.storage.blobs import LocalBlobs
from ragstone.storage.database import EVERY_TENANT, Database, any_of, scoped, scoped_delete, scoped_update, unscoped
from ragstone.storage.library import grow
from ragstone.storage.schema import deliveries, discarded_blobs, documents, embedding_cache, job_files, tenants, turns
from ragstone.vocabulary import FileState, Scope

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


SWEPT_TENANTS = 20  # in one turn of a worker
SWEPT_BLOBS = 100  # of one tenant in one transaction


async def sweep_leftover(database: Database, index: Index, claims: Claims) -> bool:
    """Clear the index of one document's leftovers; whether there were any.

    Raises:
        IndexUnavailable: the index does not answer; the leftovers wait for the next sweep.
    """
    leftover = await claims.take_leftover()
    if leftover is None:
        return False
    scope, document_id = leftover
    async with claims.kept(scope.tenant):
        await clear_points(database, index, scope, document_id)
        await claims.release(scope, [document_id])
    return True


async def clear_points(database: Database, index: Index, scope: Scope, document_id: str) -> None:
    """Delete all points of a document but those of its active version. The caller holds its claim."""
    active = scoped(documents, scope, documents.c.active_version).where(documents.c.id == document_id)
    async with database.read(scope) as connection:
        version = (await connection.execute(active)).scalar()
    await index.delete_document(scope, document_id, keep_version=version)


async def sweep_blobs(database: Database, blobs: LocalBlobs) -> None:
    """Delete the discarded blobs that neither a document nor a file that waits or is dead refers to."""
    leaving = exists().where(tenants.c.tenant == discarded_blobs.c.tenant, tenants.c.state == TenantState.DELETING)
    some = unscoped(discarded_blobs, discarded_blobs.c.tenant).where(~leaving).distinct().limit(SWEPT_TENANTS)
    async with database.read(EVERY_TENANT) as connection:
        having = (await connection.scalars(some)).all()
    for tenant in having:
        await _sweep_blobs_of(database, blobs, tenant)


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


log = structlog.get_logger()


async def remove(
    database: Database,
    index: Index,
    blobs: LocalBlobs,
    claims: Claims,
    embedder: Embedder,
    scope: Scope,
    document_id: str,
    *,
    principal: str,
    audit: Audit | None = None,
) -> None:
    """Remove a document, its cached vectors too; what cannot be cleared now, a worker sweeps later.

    Who removed it is recorded, where there is an audit log.

    Raises:
        NotFound: no such document in the scope.
    """
    keys = await vector_keys(database, embedder, scope, document_id)
    async with database.write(scope) as connection:
        found = await connection.execute(scoped(documents, scope).where(documents.c.id == document_id))
        document = found.mappings().first()
        if document is None:
            raise NotFound(f"There is no document {document_id[:80]!r} in this collection. List them for their ids.")
        await unlist(database, connection, document)
        held = await claims.hold(connection, scope, [document_id])
        await forget_vectors(connection, scope.tenant, keys)
        await forget_mentions(connection, scope.tenant, [document_id])
        await grow(connection, scope)
        await record_change(
            audit, connection, scope, principal=principal, action="document.removed", target=document_id
        )
    if held:  # else a worker is at it, and clears up when it finds the document gone
        await _clear(database, index, claims, scope, document_id)
    await sweep_blobs(database, blobs)
    log.info("remove.done", document=document_id)


async def _clear(database: Database, index: Index, claims: Claims, scope: Scope, document_id: str) -> None:
    try:
        await clear_points(database, index, scope, document_id)
    except IndexUnavailable as error:
        log.warning("remove.sweep_later", document=document_id, code=error.code)
        await claims.release(scope, [document_id], clean=False)
    else:
        await claims.release(scope, [document_id])
