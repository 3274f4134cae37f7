"""Clearing up: points of abandoned versions and removed documents, bytes nobody refers to.

All of it can be interrupted and repeated; until it is done, nothing of it can be found.
"""

from __future__ import annotations

from sqlalchemy import exists

from ragstone.index.base import Index
from ragstone.ingestion.claims import Claims
from ragstone.storage.blobs import LocalBlobs
from ragstone.storage.database import EVERY_TENANT, Database, scoped, scoped_delete, unscoped
from ragstone.storage.schema import discarded_blobs, documents, job_files
from ragstone.vocabulary import FileState, Scope


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
    """Delete the discarded blobs that neither a document nor a waiting file refers to."""
    async with database.read(EVERY_TENANT) as connection:
        if (await connection.execute(unscoped(discarded_blobs).limit(1))).first() is None:
            return
    # Deleting inside the transaction keeps a submission of the same bytes from
    # committing between the check and the deletion.
    async with database.write(EVERY_TENANT) as connection:
        for tenant, key in (await connection.execute(unscoped(discarded_blobs).limit(100))).all():
            used = exists(scoped(documents, tenant, documents.c.id).where(documents.c.blob_key == key))
            waits = exists(
                scoped(job_files, tenant, job_files.c.id).where(
                    job_files.c.blob_key == key, job_files.c.state == FileState.PENDING
                )
            )
            one = scoped_delete(discarded_blobs, tenant).where(discarded_blobs.c.blob_key == key)
            unused = scoped(discarded_blobs, tenant).where(discarded_blobs.c.blob_key == key, ~used, ~waits)
            if (await connection.execute(unused)).first() is not None:
                await blobs.delete(Scope(tenant), key)
            await connection.execute(one)
