"""What a tenant is held to and can look up: plans, prices, and who did what."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from datetime import datetime
from typing import Annotated, Any, Literal

from fastapi import APIRouter, Path, Query, status
from pydantic import ConfigDict, Field, StringConstraints

from ragstone.api.account_models import KEY_ID, USER_ID, AccountId, Name
from ragstone.api.bodies import Out, PlainText, Request, shown
from ragstone.billing.plans import ModelEntry, Plan
from ragstone.http.capabilities import AuditDep, PlansDep
from ragstone.http.error_handlers import problems
from ragstone.http.routing import ActingTenant, Admitted, admitted_router
from ragstone.principals import Permission

Limit = Annotated[int, Field(ge=0, lt=2**31)]

ENTRY: dict[str, Any] = {
    "number": 7,
    "at": "2026-11-21T10:00:00Z",
    "actor": f"user:{USER_ID}",
    "action": "key.created",
    "target": KEY_ID,
    "details": {"kind": "secret"},
}
_LIMITS: dict[str, Any] = {
    "requests_per_hour": 500,
    "max_documents": 1000,
    "max_bytes": 1_073_741_824,
    "max_pages": 20000,
    "concurrent_streams": 5,
    "overage": True,
    "models": ["gpt-4o-mini"],
}
_PRICES: dict[str, Any] = {
    "provider": "openai",
    "model": "gpt-4o-mini",
    "base_url": None,
    "key_variable": "OPENAI_API_KEY",
    "input_price": 150_000,
    "output_price": 600_000,
    "cached_price": 75_000,
}


class EntryOut(Out):
    """One record of who did what."""

    number: int = Field(description="Counts from 1 within the tenant.")
    at: datetime
    actor: str
    action: str
    target: str
    details: Mapping[str, str | int | bool | None]


class AuditOut(Out):
    """Records, newest first."""

    model_config = ConfigDict(json_schema_extra=shown({"entries": [ENTRY], "next": None}))

    entries: list[EntryOut]
    next: int | None = Field(description="Send it as `before` for the next page; null on the last page.")


class BrokenOut(Out):
    """The first record of a chain that is not as it was written."""

    tenant: str
    number: int
    reason: str


class VerifiedOut(Out):
    """Whether the records are as they were written."""

    model_config = ConfigDict(json_schema_extra=shown({"whole": True, "broken": []}))

    whole: bool
    broken: list[BrokenOut]


class PlanBody(Request):
    """The limits of a plan; null is no limit."""

    model_config = ConfigDict(json_schema_extra=shown({"name": "Team", **_LIMITS}))

    name: Name
    requests_per_hour: Limit | None = None
    max_documents: Limit | None = None
    max_bytes: Annotated[int, Field(ge=0, lt=2**63)] | None = None
    max_pages: Limit | None = None
    concurrent_streams: Limit | None = None
    overage: bool = Field(False, description="Serve requests beyond the limit, and count them as overage.")
    models: list[AccountId] = Field([], max_length=8, description="Asked in order; then answers are extracted.")


class PlanOut(Out):
    """What a tenant may use."""

    model_config = ConfigDict(json_schema_extra=shown({"id": "team", "name": "Team", **_LIMITS}))

    id: str
    name: str
    requests_per_hour: int | None
    max_documents: int | None
    max_bytes: int | None
    max_pages: int | None
    concurrent_streams: int | None
    overage: bool
    models: list[str]


class PlanList(Out):
    """Every plan, by id."""

    model_config = ConfigDict(json_schema_extra=shown({"plans": [{"id": "team", "name": "Team", **_LIMITS}]}))

    plans: list[PlanOut]


class ModelBody(Request):
    """A model that plans may name. Prices are millionths of the currency for a million tokens."""

    model_config = ConfigDict(json_schema_extra=shown(_PRICES))

    provider: Literal["openai", "anthropic", "extractive"]
    model: Name
    base_url: Annotated[PlainText, StringConstraints(max_length=2000)] | None = None
    key_variable: Annotated[PlainText, StringConstraints(max_length=100)] | None = Field(
        None, description="The environment variable of the server that holds the key."
    )
    input_price: int = Field(0, ge=0, lt=2**53)
    output_price: int = Field(0, ge=0, lt=2**53)
    cached_price: int = Field(0, ge=0, lt=2**53)


class ModelOut(Out):
    """A model and what it costs. Where it is reached, operators alone are told."""

    model_config = ConfigDict(json_schema_extra=shown({"id": "gpt-4o-mini", **_PRICES}))

    id: str
    provider: Literal["openai", "anthropic", "extractive"]
    model: str
    base_url: str | None
    key_variable: str | None
    input_price: int
    output_price: int
    cached_price: int


class ModelList(Out):
    """Every model, by id."""

    model_config = ConfigDict(json_schema_extra=shown({"models": [{"id": "gpt-4o-mini", **_PRICES}]}))

    models: list[ModelOut]


MAX_PAGE = 500
PlanId = Annotated[str, Path(pattern=r"^[a-z0-9][a-z0-9._-]{0,63}$")]

router = admitted_router(tag="accounts", needs=Permission.MANAGE)
operating_router = admitted_router(tag="accounts", needs=Permission.OPERATE)


@router.get("/api/accounts/audit", response_model=AuditOut, summary="Who did what", responses=problems(404))
async def list_entries(
    tenant: ActingTenant,
    audit: AuditDep,
    limit: Annotated[int, Query(ge=1, le=MAX_PAGE, description="Records on this page, at most.")] = 100,
    before: Annotated[int | None, Query(ge=1, lt=2**63, description="`next` of the page before.")] = None,
) -> AuditOut:
    """Logins, and changes of users, keys, documents and settings, newest first."""
    found = await audit.entries(tenant, limit=limit + 1, before=before)
    page = [EntryOut.model_validate(entry) for entry in found[:limit]]
    return AuditOut(entries=page, next=page[-1].number if len(found) > limit else None)


@router.get(
    "/api/accounts/audit/verify", response_model=VerifiedOut, summary="Verify the records", responses=problems(404)
)
async def verify_entries(tenant: ActingTenant, audit: AuditDep) -> VerifiedOut:
    """Whether each record is as it was written, and none is missing between two; else the first that is not."""
    broken = await audit.verify(tenant)
    return VerifiedOut(whole=not broken, broken=[BrokenOut.model_validate(each) for each in broken])


@router.get("/api/accounts/plans", response_model=PlanList, summary="List plans")
async def list_plans(plans: PlansDep) -> PlanList:
    """Every plan and its limits, by id."""
    return PlanList(plans=[PlanOut.model_validate(plan) for plan in await plans.all()])


@operating_router.put(
    "/api/accounts/plans/{plan_id}", response_model=PlanOut, summary="Save a plan", responses=problems(400, 404)
)
async def save_plan(plan_id: PlanId, body: PlanBody, principal: Admitted, plans: PlansDep) -> Plan:
    """Add a plan, or replace the one of that id; tenants that have it feel it within a second."""
    plan = Plan(id=plan_id, **{**body.model_dump(), "models": tuple(body.models)})
    return await plans.save(principal.id, plan)


@operating_router.delete(
    "/api/accounts/plans/{plan_id}",
    status_code=status.HTTP_204_NO_CONTENT,
    summary="Remove a plan",
    responses=problems(404, 409),
)
async def remove_plan(plan_id: PlanId, principal: Admitted, plans: PlansDep) -> None:
    """Remove a plan that no tenant has."""
    await plans.remove(principal.id, plan_id)


@router.get("/api/accounts/models", response_model=ModelList, summary="List models and prices")
async def list_models(principal: Admitted, plans: PlansDep) -> ModelList:
    """Every model that plans may name, with its prices in millionths of the currency for a million tokens."""
    found = await plans.models()
    if not principal.may(Permission.OPERATE):
        found = [replace(entry, base_url=None, key_variable=None) for entry in found]
    return ModelList(models=[ModelOut.model_validate(entry) for entry in found])


@operating_router.put(
    "/api/accounts/models/{model_id}", response_model=ModelOut, summary="Save a model", responses=problems(400, 404)
)
async def save_model(model_id: PlanId, body: ModelBody, principal: Admitted, plans: PlansDep) -> ModelEntry:
    """Add a model with its prices, or replace the one of that id. What was used before keeps its price."""
    return await plans.save_model(principal.id, ModelEntry(id=model_id, **body.model_dump()))


@operating_router.delete(
    "/api/accounts/models/{model_id}",
    status_code=status.HTTP_204_NO_CONTENT,
    summary="Remove a model",
    responses=problems(404, 409),
)
async def remove_model(model_id: PlanId, principal: Admitted, plans: PlansDep) -> None:
    """Remove a model that no plan names."""
    await plans.remove_model(principal.id, model_id)


ROUTERS: tuple[APIRouter, ...] = (router, operating_router)
