"""Bodies and answers about plans, prices and the audit."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Annotated, Any, Literal

from pydantic import ConfigDict, Field, StringConstraints

from ragstone.api.account_models import KEY_ID, USER_ID, AccountId, Name
from ragstone.api.examples import shown
from ragstone.api.requests import PlainText, Request
from ragstone.api.responses import Out

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
