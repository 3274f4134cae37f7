"""ERASE: a tenant and everything that is its, gone from every place, whatever happens on the way.

marked as deleting: nobody is let in, nothing new is taken on → index → rows → bytes → caches → once more,
until a pass finds nothing → the tenant's own row, and a record in the audit log, which stays
as the ledger does. A worker makes the passes; one that dies leaves the mark, and another goes on.
"""

from __future__ import annotations

from ragstone.accounts.audit import Audit
from ragstone.accounts.revisions import bump
from ragstone.accounts.tenants import TenantState
from ragstone.errors import Conflict, NotFound
from ragstone.storage.database import EVERY_TENANT, Database, scoped, scoped_update
from ragstone.storage.schema import tenants
from ragstone.vocabulary import DEFAULT_TENANT


async def begin(database: Database, audit: Audit, actor: str, tenant: str) -> None:
    """Mark a tenant for erasure: from now on nobody of it is let in, and a worker deletes what it has.

    Marking twice is no error. There is no way back.

    Raises:
        NotFound: there is no such tenant.
        Conflict: it is the installation's own tenant.
    """
    if tenant == DEFAULT_TENANT:
        raise Conflict(f"The tenant {tenant!r} is the installation's own and stays. Remove its documents instead.")
    async with database.write(EVERY_TENANT) as connection:
        state = (await connection.execute(scoped(tenants, tenant, tenants.c.state))).scalar()
        if state is None:
            raise NotFound(f"There is no tenant {tenant[:80]!r}. List the tenants for their ids.")
        if state == TenantState.DELETING:
            return
        await connection.execute(scoped_update(tenants, tenant).values(state=TenantState.DELETING))
        await audit.record(connection, tenant, actor=actor, action="tenant.deleting", target=tenant)
        await bump(connection)
