"""Routes of tenants, for operators."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from fastapi import APIRouter, Query, status
from pydantic import ConfigDict, Field

from ragstone.api.bodies import Collection, NextPage, Out, Request, request_for, response_for, shown
from ragstone.http.capabilities import AuditDep, CacheRevisionDep, DatabaseDep, TenantsDep
from ragstone.http.error_handlers import problems
from ragstone.http.routing import Admitted, PathId, admitted_router
from ragstone.identity.fields import AccountId, DisplayName
from ragstone.identity.tenants import Tenant, TenantChange, TenantState
from ragstone.ingestion.tenant_deletion import request_deletion
from ragstone.principals import Permission

MAX_PAGE = 500

router = admitted_router(tag="accounts", needs=Permission.OPERATE)

TENANT: dict[str, Any] = {
    "id": "acme",
    "name": "Acme Ltd",
    "plan": "free",
    "state": "active",
    "retention_days": None,
    "created_at": "2026-11-21T10:00:00Z",
}


class TenantBody(Request):
    """A new tenant."""

    model_config = ConfigDict(json_schema_extra=shown({"id": "acme", "name": "Acme Ltd", "plan": "free"}))

    id: Collection = Field(description="Permanent: small letters, digits, - and _.")
    name: DisplayName = ""
    plan: AccountId = "free"


@request_for(TenantChange)
class TenantChangeBody(Request):
    """Changes of a tenant; a field that is left out stays."""

    model_config = ConfigDict(json_schema_extra=shown({"plan": "paid", "retention_days": 90}))

    state: Literal[TenantState.ACTIVE, TenantState.SUSPENDED] | None = None


@response_for(Tenant)
class TenantOut(Out):
    """A tenant of the installation."""

    model_config = ConfigDict(json_schema_extra=shown(TENANT))


class TenantList(Out):
    """Tenants, ordered by id."""

    model_config = ConfigDict(json_schema_extra=shown({"tenants": [TENANT], "next": None}))

    tenants: list[TenantOut]
    next: NextPage


@router.get("/api/accounts/tenants", response_model=TenantList, summary="List tenants")
async def list_tenants(
    tenants: TenantsDep,
    limit: Annotated[int, Query(ge=1, le=MAX_PAGE, description="Tenants on this page, at most.")] = 100,
    after: Annotated[str, Query(max_length=64, description="`next` of the page before.")] = "",
) -> TenantList:
    """All tenants, ordered by id."""
    found = await tenants.all(limit=limit + 1, after=after)
    page = [TenantOut.model_validate(tenant) for tenant in found[:limit]]
    return TenantList(tenants=page, next=found[limit - 1].id if len(found) > limit else None)


@router.post(
    "/api/accounts/tenants",
    status_code=status.HTTP_201_CREATED,
    response_model=TenantOut,
    summary="Add a tenant",
    responses=problems(400, 409),
)
async def add_tenant(body: TenantBody, principal: Admitted, tenants: TenantsDep) -> Tenant:
    """Create a tenant. Then add its owner with POST /api/accounts/users?tenant=…."""
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
    """Change name, plan, state or retention. A suspended tenant's users and keys are refused within a second."""
    return await tenants.change(principal.id, tenant_id, TenantChange(**body.values()))


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
    """Lock a tenant and delete all of its data; this cannot be undone.

    A worker deletes the data, then the tenant disappears from the list.
    """
    await request_deletion(database, audit, principal.id, tenant_id, changes=changes)
    return await tenants.get(tenant_id)


ROUTERS: tuple[APIRouter, ...] = (router,)
