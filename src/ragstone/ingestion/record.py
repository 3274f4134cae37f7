"""RECORD: who brought documents in and took them out, in the transaction that does so."""

from __future__ import annotations

from sqlalchemy.ext.asyncio import AsyncConnection

from ragstone.accounts.audit import Audit, Detail
from ragstone.storage.database import scoped
from ragstone.storage.schema import tenants
from ragstone.vocabulary import Scope


async def record(
    audit: Audit | None,
    connection: AsyncConnection,
    scope: Scope,
    *,
    principal: str,
    action: str,
    target: str,
    **counts: int,
) -> None:
    """Append to the tenant's audit log: ids and counts, no names and no text, for it outlives the documents.

    Names that no tenant has belong to the program that embeds the platform, and have no log.
    """
    if audit is None:
        return
    listed = scoped(tenants, scope.tenant, tenants.c.tenant)
    if (await connection.execute(listed)).first() is None:
        return
    details: dict[str, Detail] = {"collection": scope.collection, **counts}
    await audit.record(connection, scope.tenant, actor=principal, action=action, target=target, details=details)
