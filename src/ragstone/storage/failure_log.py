"""The failure log: a bounded number of recent failures in SQL, written in batches, read in groups."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from sqlalchemy import Row
from sqlalchemy.ext.asyncio import AsyncConnection

from ragstone.errors import RagstoneError
from ragstone.storage.database import EVERY_TENANT, Database, any_of, scoped_delete, unscoped
from ragstone.storage.schema import failures, tenants
from ragstone.telemetry.failure_buffer import Failure, FailureBuffer

MAX_ROWS = 10_000
EXAMPLES = 3  # request ids of a group
MINUTES = 60  # maximum length of a group's history
TRIM_BATCH = 1000  # rows deleted per transaction, so that other writers wait for milliseconds only
_ACTIVE = "active"


@dataclass(frozen=True, slots=True, kw_only=True)
class FailureGroup:
    """Failures of one code, stage and upstream.

    Args:
        code: The error's code, or `internal`.
        stage: Where it happened.
        upstream: The server that was called; "" if none.
        errors: Classes of the exceptions, the most frequent first.
        count: The number of failures.
        share: Share of all failures in the period, from 0 to 1.
        first: Time of the first failure in the period.
        last: Time of the last failure.
        requests: Ids of the latest failed requests, newest first.
        per_minute: Failures in each minute of the period, oldest first; at most the last hour.
    """

    code: str
    stage: str
    upstream: str
    errors: tuple[str, ...]
    count: int
    share: float
    first: datetime
    last: datetime
    requests: tuple[str, ...]
    per_minute: tuple[int, ...]


class FailureLog:
    """The table of recent failures. Only the newest `most` rows are stored."""

    def __init__(self, database: Database, *, most: int = MAX_ROWS) -> None:
        self._database = database
        self._most = most

    async def write(self, noted: Sequence[Failure]) -> None:
        """Insert a batch and delete the oldest rows beyond the maximum.

        Failures of a tenant that is deleted or being deleted are stored without its name.
        """
        if not noted:
            return
        newest = sorted(noted, key=lambda failure: failure.at)[-self._most :]
        async with self._database.write(EVERY_TENANT) as connection:
            active = await _active_tenants(connection)
            rows = [_row(failure, active) for failure in newest]
            await connection.execute(self._database.insert_missing(failures), rows)
        while await self._trim() == TRIM_BATCH:
            pass

    async def grouped(self, since: datetime, *, now: datetime | None = None) -> list[FailureGroup]:
        """The failures from `since` to `now`, grouped by code, stage and upstream; the most frequent group first."""
        until = now or datetime.now(UTC)
        columns = (failures.c.code, failures.c.stage, failures.c.upstream)
        about = (failures.c.at, failures.c.error, failures.c.request_id)
        recent = unscoped(failures, *columns, *about).where(failures.c.at >= since, failures.c.at <= until)
        async with self._database.read(EVERY_TENANT, snapshot=False) as connection:
            rows = (
                await connection.execute(recent.order_by(failures.c.at.desc(), failures.c.id).limit(self._most))
            ).all()
        alike: defaultdict[tuple[str, str, str], list[Row[tuple[object, ...]]]] = defaultdict(list)
        for row in rows:
            alike[row.code, row.stage, row.upstream].append(row)
        groups = [_group(key, members, len(rows), since, until) for key, members in alike.items()]
        return sorted(groups, key=lambda group: (-group.count, group.code, group.stage, group.upstream))

    async def _trim(self) -> int:
        """Delete a batch of the oldest rows beyond the maximum. Returns their number."""
        newest_first = unscoped(failures, failures.c.id, failures.c.tenant).order_by(
            failures.c.at.desc(), failures.c.id.desc()
        )
        async with self._database.write(EVERY_TENANT) as connection:
            beyond = (await connection.execute(newest_first.offset(self._most).limit(TRIM_BATCH))).all()
            for tenant in sorted({row.tenant for row in beyond}):
                ids = [row.id for row in beyond if row.tenant == tenant]
                await connection.execute(scoped_delete(failures, tenant).where(any_of(failures.c.id, ids)))
        return len(beyond)


async def run_flush(collected: FailureBuffer, log: FailureLog) -> None:
    """Write the failures collected since the last call. After an error they are written by the next call.

    Raises:
        RagstoneError: the database could not write them.
    """
    batch = collected.drain()
    try:
        await log.write(batch)
    except RagstoneError:
        collected.restore(batch)
        raise


async def _active_tenants(connection: AsyncConnection) -> set[str]:
    active = unscoped(tenants, tenants.c.tenant).where(tenants.c.state == _ACTIVE)
    return set((await connection.scalars(active)).all())


def _row(failure: Failure, active: set[str]) -> dict[str, object]:
    return {
        "id": failure.id,
        "tenant": failure.tenant if failure.tenant in active else "",
        "at": failure.at,
        "stage": failure.stage,
        "upstream": failure.upstream,
        "code": failure.code,
        "error": failure.error,
        "request_id": failure.request_id,
    }


def _group(
    key: tuple[str, str, str], rows: Sequence[Row[tuple[object, ...]]], total: int, since: datetime, until: datetime
) -> FailureGroup:
    """The group of `rows`, which are ordered newest first."""
    code, stage, upstream = key
    classes = Counter(row.error for row in rows if row.error)
    return FailureGroup(
        code=code,
        stage=stage,
        upstream=upstream,
        errors=tuple(name for name, _ in classes.most_common()),
        count=len(rows),
        share=len(rows) / total,
        first=rows[-1].at,
        last=rows[0].at,
        requests=tuple(dict.fromkeys(row.request_id for row in rows if row.request_id))[:EXAMPLES],
        per_minute=_per_minute((row.at for row in rows), since, until),
    )


def _per_minute(moments: Iterable[datetime], since: datetime, until: datetime) -> tuple[int, ...]:
    minute = timedelta(minutes=1)
    minutes = max(1, min(MINUTES, -((since - until) // minute)))
    ago = Counter(int((until - at) / minute) for at in moments)
    return tuple(ago[number] for number in reversed(range(minutes)))
