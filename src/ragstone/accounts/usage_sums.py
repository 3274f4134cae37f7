"""Sums of the ledger: by day or month, of a tenant or of one of its keys."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any, Literal

from sqlalchemy import ColumnElement, Integer, Select, cast, func
from sqlalchemy.ext.asyncio import AsyncConnection

from ragstone.storage.dates import utc_day
from ragstone.storage.schema import usage_records

Granularity = Literal["day", "month"]
SUMMED = ("input_tokens", "output_tokens", "cached_tokens", "embedding_tokens", "cost")


@dataclass(frozen=True, slots=True)
class UsageSum:
    """Totals of one period (its first day, `2026-11-01`), of one key if sums are by key, else of the tenant."""

    tenant: str
    period: str
    principal: str | None
    requests: int
    overage: int
    input_tokens: int
    output_tokens: int
    cached_tokens: int
    embedding_tokens: int
    cost: int


def within(since: datetime, until: datetime) -> tuple[ColumnElement[bool], ...]:
    """The rows of a period; `until` is exclusive."""
    return (usage_records.c.at >= since, usage_records.c.at < until)


def totals(*, by_key: bool) -> list[ColumnElement[Any]]:
    """What sums are made of: totals by tenant and day, and by key if that is wanted."""
    keys = [usage_records.c.principal] if by_key else []
    return [
        usage_records.c.tenant,
        utc_day(usage_records.c.at).label("day"),
        *keys,
        func.count().label("requests"),
        func.sum(cast(usage_records.c.overage, Integer)).label("overage"),
        *(func.sum(usage_records.c[name]).label(name) for name in SUMMED),
    ]


async def summed(
    connection: AsyncConnection, statement: Select[Any], since: datetime, until: datetime, by: Granularity
) -> list[UsageSum]:
    """Sums by day from SQL, added up to months here: both databases name months differently."""
    grouped = [column for column in statement.selected_columns if column.key in {"tenant", "day", "principal"}]
    found = await connection.execute(statement.where(*within(since, until)).group_by(*grouped))
    sums: dict[tuple[str, str, str | None], UsageSum] = {}
    for row in found.mappings():
        period = row["day"] if by == "day" else row["day"][:7] + "-01"
        one = UsageSum(
            row["tenant"],
            period,
            row.get("principal"),
            int(row["requests"]),
            int(row["overage"]),
            *(int(row[name]) for name in SUMMED),
        )
        key = (one.period, one.tenant, one.principal)
        sums[key] = _added(sums[key], one) if key in sums else one
    return [sums[key] for key in sorted(sums, key=lambda key: (key[0], key[1], key[2] or ""))]


def _added(one: UsageSum, other: UsageSum) -> UsageSum:
    names = ("requests", "overage", *SUMMED)
    return replace(one, **{name: getattr(one, name) + getattr(other, name) for name in names})
