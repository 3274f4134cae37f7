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

MOST = 10_000  # rows kept
EXAMPLES = 3  # request ids of a group
MINUTES = 60  # of a group's course, at most
TRIMMED_AT_ONCE = 1000  # rows in one transaction, so that other writers wait for milliseconds only
_ACTIVE = "active"


@dataclass(frozen=True, slots=True, kw_only=True)
class FailureGroup:
    """Failures of one code, stage and upstream.

    Args:
        code: The error's code, or `internal`.
        stage: Where it happened.
        upstream: The server that was asked; "" where there was none.
        errors: Classes of the exceptions, the most frequent first.
        count: How many.
        share: Of all failures in the time, from 0 to 1.
        first: When the first one was, in the time.
        last: When the last one was.
        requests: Ids of the latest requests that failed so, newest first.
        per_minute: How many in each minute of the time, oldest first; of the last hour at most.
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
    """The table of recent failures; the newest `most` are kept."""

    def __init__(self, database: Database, *, most: int = MOST) -> None:
        self._database = database
        self._most = most

    async def write(self, noted: Sequence[Failure]) -> None:
        """Write a batch, and let go of the oldest beyond what is kept.

        Failures of a tenant that leaves or is gone are kept without its name.
        """
        if not noted:
            return
        newest = sorted(noted, key=lambda failure: failure.at)[-self._most :]
        async with self._database.write(EVERY_TENANT) as connection:
            here = await _active_tenants(connection)
            rows = [_row(failure, here) for failure in newest]
            await connection.execute(self._database.insert_missing(failures), rows)
        while await self._trim() == TRIMMED_AT_ONCE:
            pass

    async def grouped(self, since: datetime, *, now: datetime | None = None) -> list[FailureGroup]:
        """What failed from `since` to `now`, by code, stage and upstream; the most frequent group first."""
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
        """Delete the oldest rows beyond what is kept, some at a time; how many there were."""
        newest_first = unscoped(failures, failures.c.id, failures.c.tenant).order_by(
            failures.c.at.desc(), failures.c.id.desc()
        )
        async with self._database.write(EVERY_TENANT) as connection:
            beyond = (await connection.execute(newest_first.offset(self._most).limit(TRIMMED_AT_ONCE))).all()
            for tenant in sorted({row.tenant for row in beyond}):
                ids = [row.id for row in beyond if row.tenant == tenant]
                await connection.execute(scoped_delete(failures, tenant).where(any_of(failures.c.id, ids)))
        return len(beyond)


async def run_flush(collected: FailureBuffer, log: FailureLog) -> None:
    """Write down what was collected since the last time; what cannot be written now is kept for the next.

    Raises:
        RagstoneError: the database does not take it.
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


def _row(failure: Failure, here: set[str]) -> dict[str, object]:
    return {
        "id": failure.id,
        "tenant": failure.tenant if failure.tenant in here else "",
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
    """Of rows that are newest first."""
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
