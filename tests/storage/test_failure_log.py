"""Recent failures: written in batches, bounded, grouped, and gone with their tenant."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
import structlog

from ragstone.errors import IndexUnavailable, RagstoneError
from ragstone.identity.audit import Audit
from ragstone.identity.secrets import Secret
from ragstone.identity.tenants import Tenants
from ragstone.ingestion.tenant_deletion import tables_of_tenants
from ragstone.storage.database import EVERY_TENANT, Database, unscoped
from ragstone.storage.failure_log import FailureLog, run_flush
from ragstone.storage.schema import failures
from ragstone.telemetry.failure_buffer import Failure, FailureBuffer

NOON = datetime(2026, 11, 21, 12, tzinfo=UTC)


def failure(number: int = 0, *, minutes_ago: float = 0.0, **changes: str) -> Failure:
    made = Failure(id=f"{number:032x}", at=NOON - timedelta(minutes=minutes_ago), stage="retrieve", code="unavailable")
    return replace(made, **changes)  # type: ignore[arg-type]


async def rows(database: Database) -> list[tuple[str, str]]:
    async with database.read(EVERY_TENANT) as connection:
        found = await connection.execute(unscoped(failures, failures.c.id, failures.c.tenant).order_by(failures.c.id))
        return [(row.id, row.tenant) for row in found]


async def test_what_was_noted_is_written_and_read_by_code_stage_and_upstream(database: Database):
    log = FailureLog(database)
    await log.write(
        [
            failure(1, minutes_ago=4.5, error="ConnectTimeout", upstream="api.example", request_id="req-0001"),
            failure(2, minutes_ago=0.5, error="ConnectTimeout", upstream="api.example", request_id="req-0002"),
            failure(3, minutes_ago=0.2, error="ReadTimeout", upstream="api.example", request_id="req-0002"),
            failure(4, minutes_ago=1.5, stage="answer", code="internal", error="KeyError"),
            failure(5, minutes_ago=90.0),
        ]
    )
    first, second = await log.grouped(NOON - timedelta(minutes=5), now=NOON)
    assert (first.code, first.stage, first.upstream, first.count, first.share) == (
        *("unavailable", "retrieve", "api.example"),
        *(3, 0.75),
    )
    assert first.errors == ("ConnectTimeout", "ReadTimeout")
    assert first.requests == ("req-0002", "req-0001")
    assert (first.first, first.last) == (NOON - timedelta(minutes=4.5), NOON - timedelta(minutes=0.2))
    assert first.per_minute == (1, 0, 0, 0, 2)
    assert (second.stage, second.count, second.requests, second.per_minute) == ("answer", 1, (), (0, 0, 0, 1, 0))


async def test_of_a_long_time_the_course_shows_the_last_hour(database: Database):
    log = FailureLog(database)
    await log.write([failure(1, minutes_ago=90.0), failure(2, minutes_ago=59.5)])
    [group] = await log.grouped(NOON - timedelta(days=2), now=NOON)
    assert group.count == 2
    assert group.per_minute == (1, *[0] * 59)


async def test_where_nothing_failed_there_is_nothing_to_read(database: Database):
    assert await FailureLog(database).grouped(NOON, now=NOON) == []


async def test_only_the_newest_are_kept(database: Database):
    log = FailureLog(database, most=5)
    await log.write([failure(number, minutes_ago=number, tenant="default") for number in range(4)])
    await log.write([failure(number, minutes_ago=number) for number in range(4, 1300)])
    await log.write([failure(5000, minutes_ago=-1)])
    assert [int(row, 16) for row, _ in await rows(database)] == [0, 1, 2, 3, 5000]


async def test_a_tenant_that_is_unknown_or_leaves_is_not_named_and_rows_go_with_their_tenant(database: Database):
    await Tenants(database, Audit(database, Secret(b"k" * 32))).create("test", "acme")
    await FailureLog(database).write([failure(1, tenant="acme"), failure(2, tenant="gone"), failure(3)])
    assert [tenant for _, tenant in await rows(database)] == ["acme", "", ""]
    assert failures in tables_of_tenants()


async def test_a_flush_writes_what_was_noted_once(database: Database):
    collected, log = FailureBuffer(), FailureLog(database)
    with structlog.contextvars.bound_contextvars(request_id="order-4711"):
        collected.note("retrieve", IndexUnavailable("It is not there."), upstream="", tenant="")
    collected.note("http", KeyError("secret text"))
    await run_flush(collected, log)
    await run_flush(collected, log)
    groups = await log.grouped(datetime.now(UTC) - timedelta(minutes=1))
    assert [(group.code, group.stage, group.errors, group.requests, group.count) for group in groups] == [
        ("index_unavailable", "retrieve", ("IndexUnavailable",), ("order-4711",), 1),
        ("internal", "http", ("KeyError",), (), 1),
    ]


async def test_what_cannot_be_written_is_kept_for_the_next_time(database: Database):
    collected, log = FailureBuffer(), FailureLog(database)
    collected.restore([failure(1, code="no_answer", upstream="\ud800")])
    with pytest.raises(RagstoneError):
        await run_flush(collected, log)
    assert [kept.code for kept in collected.drain()] == ["no_answer"]
