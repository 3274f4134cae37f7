"""What is left of what was deleted, place by place: for whoever has to prove that nothing is."""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
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

OUTLIVE_TENANTS = (audit_log, audit_heads, usage_records)
"""Who did what, and what is to be billed: they stay when the tenant goes. Neither holds what was in documents."""

ROWS = 1000  # deleted in one transaction, so that other writers wait for milliseconds only
ERASER = "system"  # who did it, in the audit log


def tables_of_tenants() -> list[Table]:
    """Every table with rows of tenants that goes with them, those that refer to others first."""
    kept = (*OUTLIVE_TENANTS, tenants)
    return [table for table in reversed(metadata.sorted_tables) if "tenant" in table.c and table not in kept]


async def begin(
    database: Database, audit: Audit, actor: str, tenant: str, *, changes: CacheRevision | None = None
) -> None:
    """Mark a tenant for erasure: from now on nobody of it is let in, and a worker deletes what it has.

    Marking twice is no error. There is no way back.

    Raises:
        NotFound: there is no such tenant.
        Conflict: it is the installation's own tenant.
    """
    if tenant == DEFAULT_TENANT:
        raise Conflict(f"The tenant {tenant!r} is the installation's own and stays. Remove its documents instead.")
    async with (changes or CacheRevision(database)).change(tenant) as connection:
        state = (await connection.execute(scoped(tenants, tenant, tenants.c.state))).scalar()
        if state is None:
            raise NotFound(f"There is no tenant {tenant[:80]!r}. List the tenants for their ids.")
        if state != TenantState.DELETING:
            await connection.execute(scoped_update(tenants, tenant).values(state=TenantState.DELETING))
            await audit.record(connection, tenant, actor=actor, action="tenant.deleting", target=tenant)


class TenantDeletion:
    """Makes passes over the tenants that were marked.

    `caches` delete what they hold of a tenant. `faults` is called with the name of each step
    before the next one begins, so that a test can end the process there.
    """

    def __init__(
        self,
        *,
        database: Database,
        index: Index,
        blobs: LocalBlobs,
        audit: Audit,
        changes: CacheRevision | None = None,
        caches: Sequence[Callable[[str], Awaitable[None]]] = (),
        faults: Callable[[str], None] = lambda _step: None,
    ) -> None:
        self._database = database
        self._index = index
        self._blobs = blobs
        self._audit = audit
        self._changes = changes or CacheRevision(database)
        self._caches = caches
        self._reached = faults

    async def work(self) -> int:
        """Make one pass over each marked tenant; how many of them are gone for good now.

        One takes two passes at least: requests that were let in before the mark may have
        written something behind the first.
        """
        marked = unscoped(tenants, tenants.c.tenant).where(tenants.c.state == TenantState.DELETING)
        async with self._database.read(EVERY_TENANT) as connection:
            leaving = (await connection.scalars(marked.order_by(tenants.c.tenant))).all()
        return sum([await self._pass(tenant) for tenant in leaving])

    async def _pass(self, tenant: str) -> bool:
        if await self._is_worked_on(tenant):
            return False
        try:
            found = await self._index.count(tenant)
            await self._index.delete_tenant(tenant)
        except IndexUnavailable as error:
            log.warning("erase.index_unavailable", tenant=tenant, code=error.code)
            return False
        self._reached("points")
        for table in tables_of_tenants():
            found += await self._delete_rows(table, tenant)
            self._reached(table.name)
        found += await self._blobs.delete_tenant(tenant)
        self._reached("blobs")
        try:
            for forget in self._caches:
                await forget(tenant)
        except Unavailable as error:
            log.warning("erase.cache_unavailable", tenant=tenant, code=error.code)
            return False
        self._reached("caches")
        if found:
            log.info("erase.pass", tenant=tenant, found=found)
            return False
        return await self._strike_out(tenant)

    async def _is_worked_on(self, tenant: str) -> bool:
        """Whether a worker still has a document of it in hand; it stops soon, or its lease runs out."""
        held = scoped(claims, tenant, func.count()).where(claims.c.lease_until >= time.time())
        async with self._database.read(tenant) as connection:
            return bool((await connection.execute(held)).scalar_one())

    async def _delete_rows(self, table: Table, tenant: str) -> int:
        """Delete the tenant's rows, some at a time; how many there were."""
        key = tuple_(*table.primary_key.columns)
        some = key.in_(scoped(table, tenant, *table.primary_key.columns).limit(ROWS))
        total = 0
        while True:
            async with self._database.write(tenant) as connection:
                deleted = (await connection.execute(scoped_delete(table, tenant).where(some))).rowcount
            total += deleted
            if deleted < ROWS:
                return total

    async def _strike_out(self, tenant: str) -> bool:
        """Delete the tenant's own row, unless something came behind the last pass."""
        async with self._changes.change(tenant) as connection:
            for table in tables_of_tenants():
                if await _has_rows(connection, table, tenant):
                    return False
            await connection.execute(scoped_delete(tenants, tenant))
            await self._audit.record(connection, tenant, actor=ERASER, action="tenant.erased", target=tenant)
        log.info("erase.done", tenant=tenant)
        return True


async def _has_rows(connection: AsyncConnection, table: Table, tenant: str) -> bool:
    return (await connection.execute(scoped(table, tenant, table.c.tenant).limit(1))).first() is not None


MAX_POINTS = 1000  # counted of one document in one collection; one is too many


@dataclass(frozen=True, slots=True)
class Place:
    """How much is left in one place; `stays`: it is meant to, as a record of who did what or of what is billed."""

    name: str
    left: int
    stays: bool = False


@dataclass(frozen=True, slots=True)
class Report:
    """Every place that was looked at."""

    subject: str
    places: tuple[Place, ...]

    @property
    def is_gone(self) -> bool:
        """Whether nothing is left that is not meant to stay."""
        return not any(place.left and not place.stays for place in self.places)


class DeletionCheck:
    """Looks for what is left of tenants, documents and conversations, in every place there is.

    `caches` count what they hold of a tenant, by their names.
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
        """What is left of a tenant."""
        counted = [await self._rows(table, table.c.tenant == tenant) for table in _tables() if "tenant" in table.c]
        caches = [Place(f"cache {name}", await count(tenant)) for name, count in self._caches.items()]
        points = Place("index", await self._index.count(tenant))
        files = Place("blobs", await self._blobs.count(tenant))
        return Report(f"tenant {tenant}", (*counted, points, files, *caches))

    async def of_document(self, document_id: str) -> Report:
        """What is left of a document: rows that name it, its points, and bytes that nothing refers to."""
        rows = await self._mentions(document_id)
        points = Place("index", await self._points(document_id))
        files = Place("blobs without a document", await self._orphans())
        return Report(f"document {document_id}", (*rows, points, files))

    async def of_conversation(self, conversation_id: str) -> Report:
        """What is left of a conversation: rows that name it. Neither index nor blobs hold conversations."""
        return Report(f"conversation {conversation_id}", tuple(await self._mentions(conversation_id)))

    async def _mentions(self, subject_id: str) -> list[Place]:
        return [await self._rows(table, _names(table, subject_id)) for table in _tables()]

    async def _rows(self, table: Table, condition: ColumnElement[bool]) -> Place:
        async with self._database.read(EVERY_TENANT) as connection:
            left = (await connection.execute(unscoped(table, func.count()).where(condition))).scalar_one()
        return Place(f"sql {table.name}", left, stays=table in OUTLIVE_TENANTS)

    async def _points(self, document_id: str) -> int:
        """Any vector finds all points that the filter lets through."""
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
        kept = await self._blobs.keys(tenant)  # before the rows: what comes in meanwhile is not taken for an orphan
        async with self._database.read(tenant) as connection:
            used = {*(await connection.scalars(of_documents)).all(), *(await connection.scalars(of_files)).all()}
        return len(kept - used)


def _tables() -> list[Table]:
    return sorted(metadata.tables.values(), key=lambda table: table.name)


def _names(table: Table, subject_id: str) -> ColumnElement[bool]:
    """Whether any text of a row holds the id. A file of a job that tells nothing but the id does not count."""
    holds = or_(literal(value=False), *(_holds(column, subject_id) for column in table.columns))
    return holds & (job_files.c.source != REMOVED_SOURCE) if table is job_files else holds


def _holds(column: ColumnElement[object], subject_id: str) -> ColumnElement[bool]:
    if isinstance(column.type, Text | JSON):
        return cast(column, Text).contains(subject_id, autoescape=True)
    return column == subject_id if isinstance(column.type, String) else literal(value=False)
