"""Routes of the audit log: list the entries, verify the chain."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Annotated, Any

from fastapi import APIRouter, Query
from pydantic import ConfigDict, Field

from ragstone.api.bodies import KEY_ID, USER_ID, Out, shown
from ragstone.http.capabilities import AuditDep
from ragstone.http.error_handlers import problems
from ragstone.http.routing import ActingTenant, admitted_router
from ragstone.principals import Permission

MAX_PAGE = 500

router = admitted_router(tag="accounts", needs=Permission.MANAGE)

ENTRY: dict[str, Any] = {
    "number": 7,
    "at": "2026-11-21T10:00:00Z",
    "actor": f"user:{USER_ID}",
    "action": "key.created",
    "target": KEY_ID,
    "details": {"kind": "secret"},
}


class EntryOut(Out):
    """One entry of the audit log: actor, action and target."""

    number: int = Field(description="Counts from 1 within the tenant.")
    at: datetime
    actor: str
    action: str
    target: str
    details: Mapping[str, str | int | bool | None]


class AuditOut(Out):
    """Entries, newest first."""

    model_config = ConfigDict(json_schema_extra=shown({"entries": [ENTRY], "next": None}))

    entries: list[EntryOut]
    next: int | None = Field(description="Send it as `before` for the next page; null on the last page.")


class BrokenOut(Out):
    """The first entry of a tenant that was changed or is missing."""

    tenant: str
    number: int
    reason: str


class VerifiedOut(Out):
    """The result of a verification."""

    model_config = ConfigDict(json_schema_extra=shown({"whole": True, "broken": []}))

    whole: bool = Field(description="Whether no entry was changed or removed.")
    broken: list[BrokenOut]


@router.get("/api/accounts/audit", response_model=AuditOut, summary="Who did what", responses=problems(404))
async def list_entries(
    tenant: ActingTenant,
    audit: AuditDep,
    limit: Annotated[int, Query(ge=1, le=MAX_PAGE, description="Entries on this page, at most.")] = 100,
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
    """Check that no entry was changed and none between two is missing; name the first that fails."""
    broken = await audit.verify(tenant)
    return VerifiedOut(whole=not broken, broken=[BrokenOut.model_validate(each) for each in broken])


ROUTERS: tuple[APIRouter, ...] = (router,)
