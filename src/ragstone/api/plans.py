"""Routes of plans and of the models that plans name."""

from __future__ import annotations

from dataclasses import replace
from typing import Annotated, Any

from fastapi import APIRouter, Path, status
from pydantic import ConfigDict

from ragstone.api.bodies import Out, Request, request_for, response_for, shown
from ragstone.billing.plans import ModelEntry, Plan
from ragstone.http.capabilities import PlansDep
from ragstone.http.error_handlers import problems
from ragstone.http.routing import Admitted, admitted_router
from ragstone.identity.fields import ACCOUNT_ID_PATTERN
from ragstone.principals import Permission

PlanId = Annotated[str, Path(pattern=ACCOUNT_ID_PATTERN)]

router = admitted_router(tag="accounts", needs=Permission.MANAGE)
operating_router = admitted_router(tag="accounts", needs=Permission.OPERATE)

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


@request_for(Plan, without={"id"})
class PlanBody(Request):
    """The limits of a plan; null is no limit."""

    model_config = ConfigDict(json_schema_extra=shown({"name": "Team", **_LIMITS}))


@response_for(Plan)
class PlanOut(Out):
    """A plan and its limits; null is no limit."""

    model_config = ConfigDict(json_schema_extra=shown({"id": "team", "name": "Team", **_LIMITS}))


class PlanList(Out):
    """All plans, ordered by id."""

    model_config = ConfigDict(json_schema_extra=shown({"plans": [{"id": "team", "name": "Team", **_LIMITS}]}))

    plans: list[PlanOut]


@request_for(ModelEntry, without={"id"})
class ModelBody(Request):
    """A model that plans may name. Prices are millionths of the currency for a million tokens."""

    model_config = ConfigDict(json_schema_extra=shown(_PRICES))


@response_for(ModelEntry)
class ModelOut(Out):
    """A model and its prices. Only operators see its server and its key variable."""

    model_config = ConfigDict(json_schema_extra=shown({"id": "gpt-4o-mini", **_PRICES}))


class ModelList(Out):
    """All models, ordered by id."""

    model_config = ConfigDict(json_schema_extra=shown({"models": [{"id": "gpt-4o-mini", **_PRICES}]}))

    models: list[ModelOut]


@router.get("/api/accounts/plans", response_model=PlanList, summary="List plans")
async def list_plans(plans: PlansDep) -> PlanList:
    """All plans and their limits, ordered by id."""
    return PlanList(plans=[PlanOut.model_validate(plan) for plan in await plans.all()])


@operating_router.put(
    "/api/accounts/plans/{plan_id}", response_model=PlanOut, summary="Save a plan", responses=problems(400, 404)
)
async def save_plan(plan_id: PlanId, body: PlanBody, principal: Admitted, plans: PlansDep) -> Plan:
    """Add a plan, or replace the one of that id; it applies to its tenants within a second."""
    return await plans.save(principal.id, Plan(id=plan_id, **body.values()))


@operating_router.delete(
    "/api/accounts/plans/{plan_id}",
    status_code=status.HTTP_204_NO_CONTENT,
    summary="Remove a plan",
    responses=problems(404, 409),
)
async def remove_plan(plan_id: PlanId, principal: Admitted, plans: PlansDep) -> None:
    """Remove a plan without tenants."""
    await plans.remove(principal.id, plan_id)


@router.get("/api/accounts/models", response_model=ModelList, summary="List models and prices")
async def list_models(principal: Admitted, plans: PlansDep) -> ModelList:
    """All models that plans may name, with their prices in millionths of the currency for a million tokens."""
    found = await plans.models()
    if not principal.may(Permission.OPERATE):
        found = [replace(entry, base_url=None, key_variable=None) for entry in found]
    return ModelList(models=[ModelOut.model_validate(entry) for entry in found])


@operating_router.put(
    "/api/accounts/models/{model_id}", response_model=ModelOut, summary="Save a model", responses=problems(400, 404)
)
async def save_model(model_id: PlanId, body: ModelBody, principal: Admitted, plans: PlansDep) -> ModelEntry:
    """Add a model with its prices, or replace the one of that id. Past usage keeps its price."""
    return await plans.save_model(principal.id, ModelEntry(id=model_id, **body.values()))


@operating_router.delete(
    "/api/accounts/models/{model_id}",
    status_code=status.HTTP_204_NO_CONTENT,
    summary="Remove a model",
    responses=problems(404, 409),
)
async def remove_model(model_id: PlanId, principal: Admitted, plans: PlansDep) -> None:
    """Remove a model without plans."""
    await plans.remove_model(principal.id, model_id)


ROUTERS: tuple[APIRouter, ...] = (router, operating_router)
