"""The customers of the installation, for those who operate it."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Query, status

from ragstone.api.account_models import TenantBody, TenantChangeBody, TenantList, TenantOut
from ragstone.http.capabilities import AuditDep, CacheRevisionDep, DatabaseDep, TenantsDep
from ragstone.http.error_handlers import problems
from ragstone.http.routing import Admitted, PathId, admitted_router
from ragstone.identity.tenants import Tenant, TenantChange
from ragstone.ingestion.tenant_deletion import request_deletion
from ragstone.principals import Permission

MAX_PAGE = 500

router = admitted_router(tag="accounts", needs=Permission.OPERATE)


@router.get("/api/accounts/tenants", response_model=TenantList, summary="List tenants")
async def list_tenants(
    tenants: TenantsDep,
    limit: Annotated[int, Query(ge=1, le=MAX_PAGE, description="Tenants on this page, at most.")] = 100,
    after: Annotated[str, Query(max_length=64, description="`next` of the page before.")] = "",
) -> TenantList:
    """All tenants, ordered by id."""
    found = await tenants.all(limit=limit + 1, after=after)
    page = [TenantOut.model_validate(tenant) for tenant in found[:limit]]
    return TenantList(tenants=page, next=page[-1].id if len(found) > limit else None)


@router.post(
    "/api/accounts/tenants",
    status_code=status.HTTP_201_CREATED,
    response_model=TenantOut,
    summary="Add a tenant",
    responses=problems(400, 409),
)
async def add_tenant(body: TenantBody, principal: Admitted, tenants: TenantsDep) -> Tenant:
    """Make a tenant. Then add its owner with POST /api/accounts/users, naming the tenant in its query."""
    return await tenants.create(principal.id, body.id, name=body.name, plan=body.plan)


@router.get(
    "/api/accounts/tenants/{tenant_id}", response_model=TenantOut, summary="Show a tenant", responses=problems(404)
)
async def show_tenant(tenant_id: PathId, tenants: TenantsDep) -> Tenant:
    """One tenant, its plan and its state."""
    return await tenants.get(tenant_id)


@router.patch(
    "/api/accounts/tenants/{tenant_id}",
    response_model=TenantOut,
    summary="Change a tenant",
    responses=problems(400, 404, 409),
)
async def change_tenant(tenant_id: PathId, body: TenantChangeBody, principal: Admitted, tenants: TenantsDep) -> Tenant:
    """Change name, plan, state or retention. Suspended, nobody of the tenant is let in, within a second."""
    change = TenantChange(name=body.name, plan=body.plan, state=body.state, retention_days=body.retention_days)
    return await tenants.change(principal.id, tenant_id, change)


@router.delete(
    "/api/accounts/tenants/{tenant_id}",
    status_code=status.HTTP_202_ACCEPTED,
    response_model=TenantOut,
    summary="Erase a tenant",
    responses=problems(404, 409),
)
async def erase_tenant(
    tenant_id: PathId,
    principal: Admitted,
    database: DatabaseDep,
    audit: AuditDep,
    changes: CacheRevisionDep,
    tenants: TenantsDep,
) -> Tenant:
    """Begin to erase a tenant with all it has: nobody of it is let in from now on, and there is no way back.

    A worker does the work; when it is done, the tenant is gone from the list.
    """
    await request_deletion(database, audit, principal.id, tenant_id, changes=changes)
    return await tenants.get(tenant_id)


ROUTERS: tuple[APIRouter, ...] = (router,)
