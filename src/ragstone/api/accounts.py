"""What a tenant is held to and can look up: plans, prices, and who did what."""

from __future__ import annotations

from dataclasses import replace
from typing import Annotated

from fastapi import APIRouter, Path, Query, status

from ragstone.accounts.plans import ModelEntry, Plan
from ragstone.api.plan_models import (
    AuditOut,
    BrokenOut,
    EntryOut,
    ModelBody,
    ModelList,
    ModelOut,
    PlanBody,
    PlanList,
    PlanOut,
    VerifiedOut,
)
from ragstone.http.auth import admitted_router
from ragstone.http.dependencies import ActingTenant, Admitted, OpenPlatform
from ragstone.http.errors import problems
from ragstone.principals import Permission

MAX_PAGE = 500
PlanId = Annotated[str, Path(pattern=r"^[a-z0-9][a-z0-9._-]{0,63}$")]

router = admitted_router(tag="accounts", needs=Permission.MANAGE)
operating_router = admitted_router(tag="accounts", needs=Permission.OPERATE)


@router.get("/api/accounts/audit", response_model=AuditOut, summary="Who did what", responses=problems(404))
async def list_entries(
    tenant: ActingTenant,
    platform: OpenPlatform,
    limit: Annotated[int, Query(ge=1, le=MAX_PAGE, description="Records on this page, at most.")] = 100,
    before: Annotated[int | None, Query(ge=1, lt=2**63, description="`next` of the page before.")] = None,
) -> AuditOut:
    """Logins, and changes of users, keys, documents and settings, newest first."""
    found = await platform.accounts.audit.entries(tenant, limit=limit + 1, before=before)
    page = [EntryOut.model_validate(entry) for entry in found[:limit]]
    return AuditOut(entries=page, next=page[-1].number if len(found) > limit else None)


@router.get(
    "/api/accounts/audit/verify", response_model=VerifiedOut, summary="Verify the records", responses=problems(404)
)
async def verify_entries(tenant: ActingTenant, platform: OpenPlatform) -> VerifiedOut:
    """Whether each record is as it was written, and none is missing between two; else the first that is not."""
    broken = await platform.accounts.audit.verify(tenant)
    return VerifiedOut(whole=not broken, broken=[BrokenOut.model_validate(each) for each in broken])


@router.get("/api/accounts/plans", response_model=PlanList, summary="List plans")
async def list_plans(platform: OpenPlatform) -> PlanList:
    """Every plan and its limits, by id."""
    return PlanList(plans=[PlanOut.model_validate(plan) for plan in await platform.accounts.plans.all()])


@operating_router.put(
    "/api/accounts/plans/{plan_id}", response_model=PlanOut, summary="Save a plan", responses=problems(400, 404)
)
async def save_plan(plan_id: PlanId, body: PlanBody, principal: Admitted, platform: OpenPlatform) -> Plan:
    """Add a plan, or replace the one of that id; tenants that have it feel it within a second."""
    plan = Plan(id=plan_id, **{**body.model_dump(), "models": tuple(body.models)})
    return await platform.accounts.plans.save(principal.id, plan)


@operating_router.delete(
    "/api/accounts/plans/{plan_id}",
    status_code=status.HTTP_204_NO_CONTENT,
    summary="Remove a plan",
    responses=problems(404, 409),
)
async def remove_plan(plan_id: PlanId, principal: Admitted, platform: OpenPlatform) -> None:
    """Remove a plan that no tenant has."""
    await platform.accounts.plans.remove(principal.id, plan_id)


@router.get("/api/accounts/models", response_model=ModelList, summary="List models and prices")
async def list_models(principal: Admitted, platform: OpenPlatform) -> ModelList:
    """Every model that plans may name, with its prices in millionths of the currency for a million tokens."""
    found = await platform.accounts.plans.models()
    if not principal.may(Permission.OPERATE):
        found = [replace(entry, base_url=None, key_variable=None) for entry in found]
    return ModelList(models=[ModelOut.model_validate(entry) for entry in found])


@operating_router.put(
    "/api/accounts/models/{model_id}", response_model=ModelOut, summary="Save a model", responses=problems(400, 404)
)
async def save_model(model_id: PlanId, body: ModelBody, principal: Admitted, platform: OpenPlatform) -> ModelEntry:
    """Add a model with its prices, or replace the one of that id. What was used before keeps its price."""
    return await platform.accounts.plans.save_model(principal.id, ModelEntry(id=model_id, **body.model_dump()))


@operating_router.delete(
    "/api/accounts/models/{model_id}",
    status_code=status.HTTP_204_NO_CONTENT,
    summary="Remove a model",
    responses=problems(404, 409),
)
async def remove_model(model_id: PlanId, principal: Admitted, platform: OpenPlatform) -> None:
    """Remove a model that no plan names."""
    await platform.accounts.plans.remove_model(principal.id, model_id)


ROUTERS: tuple[APIRouter, ...] = (router, operating_router)
