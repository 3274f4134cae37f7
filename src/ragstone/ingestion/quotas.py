"""Quotas: limits of a plan on the documents, bytes and pages that a tenant stores.

The transaction that adds documents also counts and compares them. A tenant has one writer at a time
(see `Database.write`), so concurrent submissions cannot exceed a limit together.
"""

from __future__ import annotations

from collections.abc import Sequence

from sqlalchemy import and_, case, func, or_
from sqlalchemy.ext.asyncio import AsyncConnection

from ragstone.billing.plans import Plan
from ragstone.errors import NotFound, QuotaExceeded
from ragstone.identity.tenants import TenantState
from ragstone.storage.database import any_of, scoped
from ragstone.storage.schema import audit_heads, documents, job_files, tenants
from ragstone.vocabulary import FileState

_WANTED = and_(job_files.c.id == documents.c.wanted_file, or_(job_files.c.state == FileState.PENDING, job_files.c.dead))
_ACTIVE_BYTES = case((documents.c.active_version.is_not(None), documents.c.size_bytes), else_=0)
_WANTED_BYTES = func.coalesce(job_files.c.size_bytes, 0)


async def require_tenant(connection: AsyncConnection, tenant: str) -> None:
    """Check that the tenant exists and is not being deleted.

    Raises:
        NotFound: the tenant is being deleted, or was deleted.
    """
    state = (await connection.execute(scoped(tenants, tenant, tenants.c.state))).scalar()
    if state == TenantState.DELETING or (state is None and await _was_deleted(connection, tenant)):
        raise NotFound("This tenant is being deleted and accepts no documents. Use another tenant.")


async def require_room(connection: AsyncConnection, tenant: str, plan: Plan) -> None:
    """Check that the documents and bytes of a tenant, with those of the open transaction, are within the plan.

    A document counts from its submission on. While it is being replaced, its larger version counts.

    Raises:
        QuotaExceeded: too many documents or bytes; the caller has to roll back the transaction.
    """
    if plan.overage or (plan.max_documents is None and plan.max_bytes is None):
        return
    larger = case((_WANTED_BYTES > _ACTIVE_BYTES, _WANTED_BYTES), else_=_ACTIVE_BYTES)
    held = (
        scoped(documents, tenant, func.count(), func.coalesce(func.sum(larger), 0))
        .outerjoin(job_files, _WANTED)
        .where(or_(documents.c.active_version.is_not(None), job_files.c.id.is_not(None)))
    )
    count, size_bytes = (await connection.execute(held)).one()
    if plan.max_documents is not None and count > plan.max_documents:
        raise QuotaExceeded(
            f"The plan {plan.name} allows {plan.max_documents:,} documents; this submission would make it {count:,}. "
            "Remove some, or change the plan."
        )
    if plan.max_bytes is not None and size_bytes > plan.max_bytes:
        raise QuotaExceeded(
            f"The plan {plan.name} allows {plan.max_bytes:,} bytes; this submission would make it {size_bytes:,}. "
            "Remove documents, or change the plan."
        )


async def pages_left(connection: AsyncConnection, tenant: str, plan: Plan, replaced: Sequence[str]) -> float:
    """Pages that the plan still allows; the pages of the `replaced` documents do not count. Text has no pages."""
    if plan.overage or plan.max_pages is None:
        return float("inf")
    of_others = scoped(documents, tenant, func.coalesce(func.sum(documents.c.page_count), 0)).where(
        ~any_of(documents.c.id, replaced)
    )
    return plan.max_pages - int((await connection.execute(of_others)).scalar_one())


def too_many_pages(plan: Plan, pages: int) -> QuotaExceeded:
    """Error of a document with more pages than the plan still allows."""
    return QuotaExceeded(
        f"The plan {plan.name} allows {plan.max_pages:,} pages, too few to add the {pages:,} of this document. "
        "Remove documents, or change the plan, and submit it again."
    )


async def _was_deleted(connection: AsyncConnection, tenant: str) -> bool:
    """Whether a tenant without a row was deleted: then its audit log still exists."""
    return (await connection.execute(scoped(audit_heads, tenant, audit_heads.c.tenant))).first() is not None
