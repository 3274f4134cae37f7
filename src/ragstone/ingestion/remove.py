"""REMOVE: gone for searches at once, then from the index and the disk."""

from __future__ import annotations

import structlog

from ragstone.accounts.audit import Audit
from ragstone.embedding.base import Embedder
from ragstone.errors import IndexUnavailable, NotFound
from ragstone.index.base import Index
from ragstone.ingestion.claims import Claims
from ragstone.ingestion.forgetting import forget_mentions, forget_vectors, vector_keys
from ragstone.ingestion.generations import grow
from ragstone.ingestion.record import record
from ragstone.ingestion.sweep import clear_points, sweep_blobs
from ragstone.ingestion.versions import unlist
from ragstone.storage.blobs import LocalBlobs
from ragstone.storage.database import Database, scoped
from ragstone.storage.schema import documents
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
        await record(audit, connection, scope, principal=principal, action="document.removed", target=document_id)
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
