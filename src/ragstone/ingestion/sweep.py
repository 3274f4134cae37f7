"""Clearing up: points of abandoned versions and removed documents, bytes nobody refers to.

All of it can be interrupted and repeated; until it is done, nothing of it can be found.
"""

from __future__ import annotations

from sqlalchemy import exists

from ragstone.accounts.tenants import TenantState
from ragstone.index.base import Index
from ragstone.ingestion.claims import Claims
from ragstone.storage.blobs import LocalBlobs
from ragstone.storage.database import EVERY_TENANT, Database, scoped, scoped_delete, unscoped
from ragstone.storage.schema import discarded_blobs, documents, job_files, tenants
from ragstone.vocabulary import FileState, Scope

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
