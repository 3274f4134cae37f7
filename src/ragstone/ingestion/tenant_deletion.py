"""Deletion of a tenant, and the proof of a deletion: counts of the data that each store still holds."""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass

import numpy as np
import structlog
from sqlalchemy import JSON, ColumnElement, String, Table, Text, cast, func, literal, or_, tuple_
from sqlalchemy.ext.asyncio import AsyncConnection

from ragstone.errors import Conflict, IndexUnavailable, NotFound, Unavailable
from ragstone.identity.audit import Audit
from ragstone.identity.cache_revision import CacheRevision
from ragstone.identity.tenants import TenantState
from ragstone.index.base import Index
from ragstone.ingestion.parts import IngestionParts
from ragstone.ingestion.publish import REMOVED_SOURCE
from ragstone.storage.blobs import LocalBlobs
from ragstone.storage.database import EVERY_TENANT, Database, scoped, scoped_delete, scoped_update, unscoped
from ragstone.storage.schema import (
    audit_heads,
    audit_log,
    claims,
    collections,
    documents,
    job_files,
    metadata,
    tenants,
    usage_records,
)
from ragstone.vocabulary import DEFAULT_TENANT, FileState, Filters, Scope

log = structlog.get_logger()

MAX_POINTS = 1000  # counted per document and collection; a single one fails the proof
OUTLIVE_TENANTS = (audit_log, audit_heads, usage_records)
"""Tables that are kept when a tenant is deleted: the audit log and the usage. Neither holds text of documents."""

ROWS = 1000  # deleted per transaction, so that other writers wait for milliseconds only
ACTOR = "system"  # id in the audit log


def tables_of_tenants() -> list[Table]:
    """Tables with rows to delete, in order of deletion: a table that refers to another comes first."""
    kept = (*OUTLIVE_TENANTS, tenants)
    return [table for table in reversed(metadata.sorted_tables) if "tenant" in table.c and table not in kept]


async def request_deletion(
    database: Database, audit: Audit, actor: str, tenant: str, *, changes: CacheRevision | None = None
) -> None:
    """Mark a tenant for deletion: from now on its requests are refused, and a worker deletes its data.

    The mark cannot be removed. Marking twice is no error.

    Raises:
        NotFound: the tenant does not exist.
        Conflict: it is the default tenant of the installation.
    """
    if tenant == DEFAULT_TENANT:
        raise Conflict(f"The default tenant {tenant!r} cannot be deleted. Remove its documents instead.")
    async with (changes or CacheRevision(database)).change(tenant) as connection:
        state = (await connection.execute(scoped(tenants, tenant, tenants.c.state))).scalar()
        if state is None:
            raise NotFound(f"There is no tenant {tenant[:80]!r}. List the tenants for their ids.")
        if state != TenantState.DELETING:
            await connection.execute(scoped_update(tenants, tenant).values(state=TenantState.DELETING))
            await audit.record(connection, tenant, actor=actor, action="tenant.deleting", target=tenant)


class TenantDeletion:
    """Deletes the data of tenants that are marked for deletion, in passes."""

    def __init__(self, parts: IngestionParts, audit: Audit, *, changes: CacheRevision | None = None) -> None:
        self._parts = parts
        self._audit = audit
        self._changes = changes or CacheRevision(parts.database)

    async def work(self) -> int:
        """Make one pass over each marked tenant; returns how many are completely deleted.

        A tenant takes at least two passes: requests that were accepted before the mark may write
        rows during the first.
        """
        marked = unscoped(tenants, tenants.c.tenant).where(tenants.c.state == TenantState.DELETING)
        async with self._parts.database.read(EVERY_TENANT) as connection:
            leaving = (await connection.scalars(marked.order_by(tenants.c.tenant))).all()
        return sum([await self._pass(tenant) for tenant in leaving])

    async def _pass(self, tenant: str) -> bool:
        if await self._is_worked_on(tenant):
            return False
        try:
            found = await self._parts.index.count(tenant)
            await self._parts.index.delete_tenant(tenant)
        except IndexUnavailable as error:
            log.warning("erase.index_unavailable", tenant=tenant, code=error.code)
            return False
        self._parts.reached("points")
        for table in tables_of_tenants():
            found += await self._delete_rows(table, tenant)
            self._parts.reached(table.name)
        found += await self._parts.blobs.delete_tenant(tenant)
        self._parts.reached("blobs")
        try:
            if self._parts.purge_cache:
                await self._parts.purge_cache(tenant)
        except Unavailable as error:
            log.warning("erase.cache_unavailable", tenant=tenant, code=error.code)
            return False
        self._parts.reached("caches")
        if found:
            log.info("erase.pass", tenant=tenant, found=found)
            return False
        return await self._delete_tenant_row(tenant)

    async def _is_worked_on(self, tenant: str) -> bool:
        """Whether a worker holds a document of the tenant; it soon stops, or its lease expires."""
        held = scoped(claims, tenant, func.count()).where(claims.c.lease_until >= time.time())
        async with self._parts.database.read(tenant) as connection:
            return bool((await connection.execute(held)).scalar_one())

    async def _delete_rows(self, table: Table, tenant: str) -> int:
        """Delete the tenant's rows of a table, `ROWS` at a time; returns their number."""
        key = tuple_(*table.primary_key.columns)
        some = key.in_(scoped(table, tenant, *table.primary_key.columns).limit(ROWS))
        total = 0
        while True:
            async with self._parts.database.write(tenant) as connection:
                deleted = (await connection.execute(scoped_delete(table, tenant).where(some))).rowcount
            total += deleted
            if deleted < ROWS:
                return total

    async def _delete_tenant_row(self, tenant: str) -> bool:
        """Delete the tenant's own row, unless rows were added after the last pass."""
        async with self._changes.change(tenant) as connection:
            for table in tables_of_tenants():
                if await _has_rows(connection, table, tenant):
                    return False
            await connection.execute(scoped_delete(tenants, tenant))
            await self._audit.record(connection, tenant, actor=ACTOR, action="tenant.erased", target=tenant)
        log.info("erase.done", tenant=tenant)
        return True


async def _has_rows(connection: AsyncConnection, table: Table, tenant: str) -> bool:
    return (await connection.execute(scoped(table, tenant, table.c.tenant).limit(1))).first() is not None


@dataclass(frozen=True, slots=True)
class Place:
    """Number of items left in one store or table; `stays`: they are kept on purpose, for audit or billing."""

    name: str
    left: int
    stays: bool = False


@dataclass(frozen=True, slots=True)
class Report:
    """Result of a deletion check, with the count of each store."""

    subject: str
    places: tuple[Place, ...]

    @property
    def is_gone(self) -> bool:
        """Whether nothing is left except items that are kept on purpose."""
        return not any(place.left and not place.stays for place in self.places)


class DeletionCheck:
    """Counts the data of a tenant, document or conversation in each store.

    `caches` maps the name of a cache to a function that counts its entries of a tenant.
    """

    def __init__(
        self,
        *,
        database: Database,
        index: Index,
        blobs: LocalBlobs,
        dimensions: int,
        caches: Mapping[str, Callable[[str], Awaitable[int]]] = {},
    ) -> None:
        self._database = database
        self._index = index
        self._blobs = blobs
        self._dimensions = dimensions
        self._caches = caches

    async def of_tenant(self, tenant: str) -> Report:
        """Report on the data of a tenant."""
        counted = [await self._rows(table, table.c.tenant == tenant) for table in _tables() if "tenant" in table.c]
        caches = [Place(f"cache {name}", await count(tenant)) for name, count in self._caches.items()]
        points = Place("index", await self._index.count(tenant))
        files = Place("blobs", await self._blobs.count(tenant))
        return Report(f"tenant {tenant}", (*counted, points, files, *caches))

    async def of_document(self, document_id: str) -> Report:
        """Report on the data of a document: rows that contain its id, its points, and blobs without a reference."""
        rows = await self._mentions(document_id)
        points = Place("index", await self._points(document_id))
        files = Place("blobs without a document", await self._orphans())
        return Report(f"document {document_id}", (*rows, points, files))

    async def of_conversation(self, conversation_id: str) -> Report:
        """Report on the rows that contain the id of a conversation; the index and the blobs hold none."""
        return Report(f"conversation {conversation_id}", tuple(await self._mentions(conversation_id)))

    async def _mentions(self, subject_id: str) -> list[Place]:
        return [await self._rows(table, _names(table, subject_id)) for table in _tables()]

    async def _rows(self, table: Table, condition: ColumnElement[bool]) -> Place:
        async with self._database.read(EVERY_TENANT) as connection:
            left = (await connection.execute(unscoped(table, func.count()).where(condition))).scalar_one()
        return Place(f"sql {table.name}", left, stays=table in OUTLIVE_TENANTS)

    async def _points(self, document_id: str) -> int:
        """Count the points of a document: an exact search with any vector finds all points that pass the filter."""
        anything = np.eye(1, self._dimensions, dtype=np.float32)[0]
        chosen = Filters(documents=(document_id,))
        async with self._database.read(EVERY_TENANT) as connection:
            scopes = (
                await connection.execute(unscoped(collections, collections.c.tenant, collections.c.collection))
            ).all()
        found = [
            await self._index.search(Scope(*scope), dense=anything, sparse=None, filters=chosen, limit=MAX_POINTS)
            for scope in scopes
        ]
        return sum(len(candidates.dense) for candidates in found)

    async def _orphans(self) -> int:
        async with self._database.read(EVERY_TENANT) as connection:
            tenants = (await connection.scalars(unscoped(collections, collections.c.tenant).distinct())).all()
        return sum([await self._orphans_of(tenant) for tenant in tenants])

    async def _orphans_of(self, tenant: str) -> int:
        of_documents = scoped(documents, tenant, documents.c.blob_key)
        needed = (job_files.c.state == FileState.PENDING) | job_files.c.dead
        of_files = scoped(job_files, tenant, job_files.c.blob_key).where(needed)
        kept = await self._blobs.keys(
            tenant
        )  # read before the rows: a blob stored between the two must not count as an orphan
        async with self._database.read(tenant) as connection:
            used = {*(await connection.scalars(of_documents)).all(), *(await connection.scalars(of_files)).all()}
        return len(kept - used)


def _tables() -> list[Table]:
    return sorted(metadata.tables.values(), key=lambda table: table.name)


def _names(table: Table, subject_id: str) -> ColumnElement[bool]:
    """Condition: a text column of the row contains the id. A job's file of a removed document does not count."""
    holds = or_(literal(value=False), *(_holds(column, subject_id) for column in table.columns))
    return holds & (job_files.c.source != REMOVED_SOURCE) if table is job_files else holds


def _holds(column: ColumnElement[object], subject_id: str) -> ColumnElement[bool]:
    if isinstance(column.type, Text | JSON):
        return cast(column, Text).contains(subject_id, autoescape=True)
    return column == subject_id if isinstance(column.type, String) else literal(value=False)
