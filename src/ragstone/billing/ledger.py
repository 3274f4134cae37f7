"""The usage ledger: one row per request, reserved before it runs and settled after it, with sums and CSV export.

Concurrent writes share transactions (group commit). CSV follows RFC 4180.
"""

from __future__ import annotations

import asyncio
import csv
import io
import secrets
import time
from collections import defaultdict
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Iterable, Mapping, Sequence
from dataclasses import astuple, dataclass, fields, replace
from datetime import UTC, datetime
from functools import lru_cache
from typing import Any, Literal

from sqlalchemy import ColumnElement, Insert, Integer, Select, String, Update, bindparam, cast, func, tuple_
from sqlalchemy.ext.asyncio import AsyncConnection
from sqlalchemy.ext.compiler import compiles
from sqlalchemy.sql.compiler import SQLCompiler
from sqlalchemy.sql.functions import FunctionElement

from ragstone.billing.plans import ModelEntry, Plans
from ragstone.errors import ConfigurationError, Unavailable
from ragstone.principals import Principal
from ragstone.storage.database import EVERY_TENANT, Database, scoped, scoped_insert, scoped_update, unscoped
from ragstone.storage.group_commit import GroupCommit
from ragstone.storage.schema import usage_records
from ragstone.vocabulary import Scope, Usage


class utc_day(FunctionElement[str]):  # noqa: N801 — named like an SQL function
    """The day of a `UtcDateTime` column in UTC, as `2026-11-21`."""

    type = String()
    inherit_cache = True

    def __init__(self, moment: ColumnElement[Any]) -> None:
        super().__init__(moment)


@compiles(utc_day, "sqlite")
def _sqlite(element: utc_day, compiler: SQLCompiler, **options: object) -> str:
    # Stored as text in UTC; SQLite's date function is slower and gives the same result.
    return f"substr({compiler.process(element.clauses, **options)}, 1, 10)"


@compiles(utc_day, "postgresql")
def _postgresql(element: utc_day, compiler: SQLCompiler, **options: object) -> str:
    return f"to_char({compiler.process(element.clauses, **options)} AT TIME ZONE 'UTC', 'YYYY-MM-DD')"


Granularity = Literal["day", "month"]
SUMMED = ("input_tokens", "output_tokens", "cached_tokens", "embedding_tokens", "cost")


@dataclass(frozen=True, slots=True)
class UsageSum:
    """Totals of one period (named by its first day, `2026-11-01`) for a tenant, or for one of its principals."""

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
    """The SQL condition for the rows of a period; `until` is exclusive."""
    return (usage_records.c.at >= since, usage_records.c.at < until)


def totals(*, by_key: bool) -> list[ColumnElement[Any]]:
    """The columns of sums: totals by tenant and day, and by principal if `by_key`."""
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
    """Run the statement and sum by day or month. SQL sums by day only, since databases name months differently."""
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


UsageKind = Literal["chat", "search", "ingest"]

NO_MODEL = "none"  # the model of a row whose request used no model
LIFETIME_S = 1800.0  # far longer than any answer: a row still reserved then belongs to a process that died
PAGE_ROWS = 500
CACHED_STATEMENTS = 1000  # compiled statements, one per tenant
MAX_COUNT = 2**31 - 1  # the largest number of the columns; a model server could report more


@dataclass(frozen=True, slots=True)
class Reservation:
    """A reserved row of the ledger, to be settled when its request ends."""

    id: str
    tenant: str


@dataclass(frozen=True, slots=True)
class UsageRecord:
    """One row; `cost` in millionths of the currency. `estimated`: counted here, not reported by the model."""

    id: str
    tenant: str
    at: datetime
    kind: str
    state: str
    principal: str
    conversation_id: str | None
    model: str
    input_tokens: int
    output_tokens: int
    cached_tokens: int
    embedding_tokens: int
    cost: int
    overage: bool
    estimated: bool


@dataclass(frozen=True, slots=True)
class _Settlement:
    """The values that complete a reserved row."""

    reservation: Reservation
    usage: tuple[Usage, ...]
    conversation_id: str | None
    embedding_tokens: int
    estimated: bool
    at: datetime


_Row = Mapping[str, Any]
_COLUMNS = tuple(usage_records.c[field.name] for field in fields(UsageRecord))


class Ledger:
    """Writes and sums the ledger. Concurrent writes share one transaction."""

    def __init__(
        self,
        database: Database,
        plans: Plans,
        *,
        clock: Callable[[], float] = time.time,
        lifetime_s: float = LIFETIME_S,
    ) -> None:
        """`lifetime_s`: a row that is still reserved after this time is closed as lost."""
        self._database = database
        self._plans = plans
        self._clock = clock
        self._lifetime_s = lifetime_s
        # One queue for both, so that a row is never settled before it was inserted.
        self._writes: GroupCommit[_Row | _Settlement] = GroupCommit(self._write)

    async def reserve(self, principal: Principal, kind: UsageKind, *, overage: bool = False) -> Reservation:
        """Insert a row durably before the request uses anything. Cancelling the call withdraws or settles the row.

        Raises:
            Unavailable: the ledger cannot be written; the request must not run.
        """
        reservation, writing = self.reserve_soon(principal, kind, overage=overage)
        try:
            await self.reserved(writing)
        except asyncio.CancelledError:
            if not self._writes.withdraw(writing):
                self._writes.add(self._unused(reservation), patient=True)
            raise
        return reservation

    def reserve_soon(
        self, principal: Principal, kind: UsageKind, *, overage: bool = False
    ) -> tuple[Reservation, asyncio.Future[None]]:
        """Start `reserve` without waiting; await `reserved` before the request uses anything.

        Raises:
            Unavailable: too many writes are waiting.
        """
        if self._writes.full:
            raise Unavailable("The usage ledger cannot keep up with the requests. Try again in a moment.")
        reservation = Reservation(secrets.token_hex(16), principal.tenant)
        now = self._clock()
        row = {
            "id": reservation.id,
            "tenant": principal.tenant,
            "at": datetime.fromtimestamp(now, UTC),
            "kind": kind,
            "state": "reserved",
            "principal": principal.id,
            "model": NO_MODEL,
            **dict.fromkeys(SUMMED, 0),
            "overage": overage,
            "estimated": False,
            "expires_at": now + self._lifetime_s,
        }
        return reservation, self._writes.add(row)

    async def reserved(self, writing: asyncio.Future[None]) -> None:
        """Wait until the row is stored.

        Raises:
            Unavailable: the ledger cannot be written; the request must not use or return anything.
        """
        try:
            await asyncio.shield(writing)
        except ConfigurationError as error:
            raise Unavailable(f"Requests are refused while their usage cannot be stored. {error.message}") from error

    async def settle(
        self,
        reservation: Reservation,
        usage: Sequence[Usage],
        *,
        conversation_id: str | None = None,
        embedding_tokens: int = 0,
        estimated: bool = False,
    ) -> None:
        """Complete the row with the usage of one or several models. A second call changes nothing.

        The row names the last model. Cancelling the call does not cancel the write.

        Raises:
            Unavailable: several attempts to write failed; the row will be closed as lost.
        """
        await self.settle_soon(
            reservation,
            usage,
            conversation_id=conversation_id,
            embedding_tokens=embedding_tokens,
            estimated=estimated,
        )

    def settle_soon(
        self,
        reservation: Reservation,
        usage: Sequence[Usage],
        *,
        conversation_id: str | None = None,
        embedding_tokens: int = 0,
        estimated: bool = False,
    ) -> asyncio.Future[None]:
        """Start `settle` without waiting. The write cannot be cancelled; the future need not be awaited."""
        settlement = replace(
            self._unused(reservation),
            usage=tuple(usage),
            conversation_id=conversation_id,
            embedding_tokens=embedding_tokens,
            estimated=estimated,
        )
        return self._writes.add(settlement, patient=True)

    async def sums(
        self, tenant: str, *, since: datetime, until: datetime, by: Granularity = "day", by_key: bool = False
    ) -> list[UsageSum]:
        """Totals by period, oldest first; `until` is exclusive."""
        statement = scoped(usage_records, tenant, *totals(by_key=by_key))
        async with self._database.read(tenant) as connection:
            return await summed(connection, statement, since, until, by)

    async def sums_of_all(
        self, *, since: datetime, until: datetime, by: Granularity = "day", by_key: bool = False
    ) -> list[UsageSum]:
        """Totals of every tenant, for operators."""
        statement = unscoped(usage_records, *totals(by_key=by_key))
        async with self._database.read(EVERY_TENANT) as connection:
            return await summed(connection, statement, since, until, by)

    async def records(self, tenant: str, *, since: datetime, until: datetime) -> AsyncGenerator[UsageRecord, None]:
        """All rows of a period, oldest first, read in pages."""
        position = tuple_(usage_records.c.at, usage_records.c.id)
        rows_of = scoped(usage_records, tenant, *_COLUMNS).where(*within(since, until))
        statement = rows_of.order_by(usage_records.c.at, usage_records.c.id).limit(PAGE_ROWS)
        after: tuple[datetime, str] | None = None
        while True:
            page = statement.where(position > after) if after else statement
            async with self._database.read(tenant) as connection:
                rows = (await connection.execute(page)).mappings().all()
            for row in rows:
                yield UsageRecord(**row)
            if len(rows) < PAGE_ROWS:
                return
            after = (rows[-1]["at"], rows[-1]["id"])

    async def expire(self) -> int:
        """Close rows that were never settled as `lost`. Returns their number."""
        now = self._clock()
        late = (usage_records.c.state == "reserved", usage_records.c.expires_at < now)
        lost = {"state": "lost", "settled_at": datetime.fromtimestamp(now, UTC)}
        closed = 0
        async with self._database.read(EVERY_TENANT) as connection:
            tenants = (await connection.scalars(unscoped(usage_records, usage_records.c.tenant).where(*late))).all()
        for tenant in sorted(set(tenants)):
            async with self._database.write(tenant) as connection:
                statement = scoped_update(usage_records, tenant).where(*late).values(lost)
                closed += (await connection.execute(statement)).rowcount
        return closed

    async def close(self) -> None:
        """Write everything that is waiting."""
        await self._writes.close()

    def _unused(self, reservation: Reservation) -> _Settlement:
        """A settlement of a request that used nothing."""
        return _Settlement(reservation, (), None, 0, estimated=False, at=datetime.fromtimestamp(self._clock(), UTC))

    async def _write(self, items: Sequence[_Row | _Settlement]) -> None:
        """Insert new rows, then complete settled ones; a group may hold both for the same row."""
        rows = [each for each in items if not isinstance(each, _Settlement)]
        settlements = [each for each in items if isinstance(each, _Settlement)]
        prices = await self._prices() if settlements else {}
        completions = _by_tenant((each.reservation.tenant, _completion(each, prices)) for each in settlements)
        async with self._database.write(EVERY_TENANT) as connection:
            for tenant, group in _by_tenant((row["tenant"], row) for row in rows).items():
                await connection.execute(_insert(tenant), group)
            for tenant, group in completions.items():
                await connection.execute(_complete(tenant), group)

    async def _prices(self) -> Mapping[str, ModelEntry]:
        """Models by id and by the provider's name. Several may share a provider's name; an id takes precedence."""
        entries = await self._plans.models()
        return {entry.model: entry for entry in entries} | {entry.id: entry for entry in entries}


@lru_cache(maxsize=CACHED_STATEMENTS)
def _insert(tenant: str) -> Insert:
    """Cached, because building the statement takes longer than running it."""
    return scoped_insert(usage_records, Scope(tenant))


@lru_cache(maxsize=CACHED_STATEMENTS)
def _complete(tenant: str) -> Update:
    return scoped_update(usage_records, tenant).where(
        usage_records.c.id == bindparam("row"), usage_records.c.state == "reserved"
    )


def _completion(settlement: _Settlement, prices: Mapping[str, ModelEntry]) -> _Row:
    usage = settlement.usage
    return {
        "row": settlement.reservation.id,
        "state": "settled",
        "settled_at": settlement.at,
        "conversation_id": settlement.conversation_id,
        "model": usage[-1].model[:128] if usage else NO_MODEL,
        "input_tokens": _count(each.input_tokens for each in usage),
        "output_tokens": _count(each.output_tokens for each in usage),
        "cached_tokens": _count(each.cached_tokens for each in usage),
        "embedding_tokens": _count([settlement.embedding_tokens]),
        "cost": sum(max(0, prices[each.model].cost(each)) for each in usage if each.model in prices),
        "estimated": settlement.estimated,
    }


def _count(numbers: Iterable[int]) -> int:
    return min(max(sum(numbers), 0), MAX_COUNT)


def _by_tenant(rows: Iterable[tuple[str, _Row]]) -> dict[str, list[_Row]]:
    groups: dict[str, list[_Row]] = defaultdict(list)
    for tenant, row in rows:
        groups[tenant].append(row)
    return groups


FORMULA_STARTS = ("=", "+", "-", "@", "\t", "\r")
"""Characters with which a spreadsheet formula begins (OWASP, CSV Injection); a leading apostrophe makes it text."""
LINES_PER_PIECE = 100


def csv_cell(value: object) -> object:
    """A cell value that a spreadsheet does not run as a formula."""
    if value is None:
        return ""
    if isinstance(value, datetime):
        return value.isoformat()
    if isinstance(value, str) and value.startswith(FORMULA_STARTS):
        return f"'{value}"
    return value


def sums_csv(sums: Iterable[UsageSum]) -> str:
    """All totals as CSV, with a header line."""
    return _lines([_names(UsageSum), *(astuple(each) for each in sums)])


async def records_csv(records: AsyncIterator[UsageRecord]) -> AsyncGenerator[str, None]:
    """The rows as CSV in pieces of `LINES_PER_PIECE` lines, with a header line first."""
    rows: list[Sequence[object]] = [_names(UsageRecord)]
    async for record in records:
        rows.append(astuple(record))
        if len(rows) == LINES_PER_PIECE:
            yield _lines(rows)
            rows = []
    yield _lines(rows)


def _names(kind: type[UsageRecord | UsageSum]) -> list[str]:
    return [field.name for field in fields(kind)]


def _lines(rows: Iterable[Sequence[object]]) -> str:
    text = io.StringIO()
    csv.writer(text).writerows([csv_cell(value) for value in row] for row in rows)
    return text.getvalue()
