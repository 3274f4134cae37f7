"""ERASE: a tenant and everything that is its, gone from every place, whatever happens on the way.

marked as deleting: nobody is let in, nothing new is taken on → points → rows → bytes → caches → once more,
until a pass finds nothing → the tenant's own row, and a record in the audit log, which stays
as the ledger does. A worker makes the passes; one that dies leaves the mark, and another goes on.
"""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable, Sequence

import structlog
from sqlalchemy import Table, func, tuple_
from sqlalchemy.ext.asyncio import AsyncConnection

from ragstone.accounts.audit import Audit
from ragstone.accounts.revisions import Changes
from ragstone.accounts.tenants import TenantState
from ragstone.errors import Conflict, IndexUnavailable, NotFound, Unavailable
from ragstone.index.base import Index
from ragstone.storage.blobs import LocalBlobs
from ragstone.storage.database import EVERY_TENANT, Database, scoped, scoped_delete, scoped_update, unscoped
from ragstone.storage.schema import audit_heads, audit_log, claims, metadata, tenants, usage_records
from ragstone.vocabulary import DEFAULT_TENANT

log = structlog.get_logger()

OUTLIVE_TENANTS = (audit_log, audit_heads, usage_records)
"""Who did what, and what is to be billed: they stay when the tenant goes. Neither holds what was in documents."""

ROWS = 1000  # deleted in one transaction, so that other writers wait for milliseconds only
ERASER = "system"  # who did it, in the audit log


def tables_of_tenants() -> list[Table]:
    """Every table with rows of tenants that goes with them, those that refer to others first."""
    kept = (*OUTLIVE_TENANTS, tenants)
    return [table for table in reversed(metadata.sorted_tables) if "tenant" in table.c and table not in kept]


async def begin(database: Database, audit: Audit, actor: str, tenant: str, *, changes: Changes | None = None) -> None:
    """Mark a tenant for erasure: from now on nobody of it is let in, and a worker deletes what it has.

    Marking twice is no error. There is no way back.

    Raises:
        NotFound: there is no such tenant.
        Conflict: it is the installation's own tenant.
    """
    if tenant == DEFAULT_TENANT:
        raise Conflict(f"The tenant {tenant!r} is the installation's own and stays. Remove its documents instead.")
    async with (changes or Changes(database)).change(tenant) as connection:
        state = (await connection.execute(scoped(tenants, tenant, tenants.c.state))).scalar()
        if state is None:
            raise NotFound(f"There is no tenant {tenant[:80]!r}. List the tenants for their ids.")
        if state != TenantState.DELETING:
            await connection.execute(scoped_update(tenants, tenant).values(state=TenantState.DELETING))
            await audit.record(connection, tenant, actor=actor, action="tenant.deleting", target=tenant)


class Eraser:
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
        changes: Changes | None = None,
        caches: Sequence[Callable[[str], Awaitable[None]]] = (),
        faults: Callable[[str], None] = lambda _step: None,
    ) -> None:
        self._database = database
        self._index = index
        self._blobs = blobs
        self._audit = audit
        self._changes = changes or Changes(database)
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
