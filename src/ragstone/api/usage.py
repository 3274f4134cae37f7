"""Routes of usage and cost: totals, and single requests as CSV."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, date, datetime, time, timedelta
from typing import Annotated, Literal

from fastapi import APIRouter, Depends, Query
from fastapi.responses import StreamingResponse
from pydantic import ConfigDict, Field

from ragstone.api.bodies import Out, shown
from ragstone.billing.ledger import UsageSum, records_csv
from ragstone.errors import Forbidden, InvalidInput, NotFound
from ragstone.http.capabilities import AuditDep, LedgerDep
from ragstone.http.error_handlers import problems
from ragstone.http.routing import Admitted, admitted_router
from ragstone.principals import Permission, Principal
from ragstone.vocabulary import COLLECTION_PATTERN

MAX_DAYS = 400  # a year and one month, to compare a month with that of the year before

router = admitted_router(tag="usage", needs=Permission.MANAGE)

_SUM = {
    "tenant": "acme",
    "period": "2026-11-21",
    "principal": None,
    "requests": 12,
    "overage": 0,
    "input_tokens": 9120,
    "output_tokens": 1430,
    "cached_tokens": 4096,
    "embedding_tokens": 96,
    "cost": 48_930,
}


class UsageSumOut(Out):
    """Totals of one day or month."""

    tenant: str
    period: str = Field(description="The day, or the first day of the month, in UTC.")
    principal: str | None = Field(description="The key or user of the requests; null: all of the tenant.")
    requests: int
    overage: int = Field(description="Requests beyond the limit of the plan.")
    input_tokens: int = Field(description="Tokens that models read, the cached ones included.")
    output_tokens: int
    cached_tokens: int
    embedding_tokens: int
    cost: int = Field(description="Millionths of the currency that the operator's prices are in.")


class UsageReportOut(Out):
    """Totals by period, oldest first."""

    model_config = ConfigDict(
        json_schema_extra=shown({"since": "2026-11-01", "until": "2026-12-01", "by": "day", "sums": [_SUM]})
    )

    since: date
    until: date = Field(description="The first day after the period.")
    by: Literal["day", "month"]
    sums: list[UsageSumOut]


@dataclass(frozen=True, slots=True)
class Period:
    """A range of days in UTC; `until` is exclusive."""

    since: date
    until: date

    def moments(self) -> dict[str, datetime]:
        """Its first moment, and the first moment after it."""
        return {name: datetime.combine(day, time(), UTC) for name, day in asdict(self).items()}


def _period(
    since: Annotated[date | None, Query(description="First day, in UTC; by default that of this month.")] = None,
    until: Annotated[date | None, Query(description="First day after the period; by default tomorrow.")] = None,
) -> Period:
    today = datetime.now(UTC).date()
    period = Period(since or today.replace(day=1), until or today + timedelta(days=1))
    if not timedelta(0) < period.until - period.since <= timedelta(days=MAX_DAYS):
        raise InvalidInput(f"since has to be before until, by at most {MAX_DAYS} days.")
    return period


AskedPeriod = Annotated[Period, Depends(_period)]
TenantAsked = Annotated[str | None, Query(pattern=COLLECTION_PATTERN, description="Another tenant, for the operator.")]


@router.get("/api/usage", response_model=UsageReportOut, summary="Sum up usage", responses=problems(400, 404))
async def usage(
    principal: Admitted,
    ledger: LedgerDep,
    period: AskedPeriod,
    tenant: TenantAsked = None,
    by: Annotated[Literal["day", "month"], Query(description="Totals of days or of months.")] = "day",
    by_key: Annotated[bool, Query(description="Whether to sum up each key and user separately.")] = False,
    all: Annotated[bool, Query(description="Every tenant, for the operator.")] = False,  # noqa: A002 — a parameter's public name
) -> UsageReportOut:
    """Usage by day or month. Running requests count, with no tokens yet."""
    if all:
        _require_operator(principal)
        sums = await ledger.sums_of_all(**period.moments(), by=by, by_key=by_key)
    else:
        sums = await ledger.sums(_tenant(principal, tenant), **period.moments(), by=by, by_key=by_key)
    return UsageReportOut(since=period.since, until=period.until, by=by, sums=_out(sums))


@router.get(
    "/api/usage/export",
    summary="Export usage as CSV",
    response_class=StreamingResponse,
    responses={
        200: {
            "description": "One line a request, oldest first.",
            "content": {"text/csv": {"schema": {"type": "string"}, "example": "id,tenant,at,kind,state\r\n"}},
        },
        **problems(400, 404),
    },
)
async def export(
    principal: Admitted, audit: AuditDep, ledger: LedgerDep, period: AskedPeriod, tenant: TenantAsked = None
) -> StreamingResponse:
    """All requests with their usage and cost. Cells are safe to open in a spreadsheet."""
    asked = _tenant(principal, tenant)
    days = {name: str(day) for name, day in asdict(period).items()}
    await audit.note(asked, actor=principal.id, action="usage.exported", details=days)
    lines = records_csv(ledger.records(asked, **period.moments()))
    name = f"usage-{asked}-{period.since}-{period.until}.csv"
    return StreamingResponse(
        lines, media_type="text/csv; charset=utf-8", headers={"content-disposition": f'attachment; filename="{name}"'}
    )


def _tenant(principal: Principal, asked: str | None) -> str:
    """The tenant to report on; only operators may name another than their own."""
    if asked is None or asked == principal.tenant:
        return principal.tenant
    if not principal.may(Permission.OPERATE):
        raise NotFound(f"There is no tenant {asked!r} here. Leave tenant out for your own usage.")
    return asked


def _require_operator(principal: Principal) -> None:
    if not principal.may(Permission.OPERATE):
        raise Forbidden("Only the operator sees the usage of every tenant. Leave `all` out for your own.")


def _out(sums: Sequence[UsageSum]) -> list[UsageSumOut]:
    return [UsageSumOut.model_validate(each) for each in sums]


ROUTERS: tuple[APIRouter, ...] = (router,)
