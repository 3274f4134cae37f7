"""The ledger: one row a request, never lost, never doubled."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta

import pytest

from ragstone.billing.ledger import Ledger, UsageRecord
from ragstone.billing.plans import Plans
from ragstone.identity.audit import Audit
from ragstone.identity.secrets import Secret
from ragstone.principals import CredentialType, Principal
from ragstone.storage.database import EVERY_TENANT, Database
from ragstone.vocabulary import Usage
from tests.clocks import Clock

NOON = datetime(2026, 11, 21, 12, tzinfo=UTC)
EVER = {"since": datetime(2020, 1, 1, tzinfo=UTC), "until": datetime(2030, 1, 1, tzinfo=UTC)}
ANNA = Principal("key:anna", CredentialType.SECRET, tenant="acme")
BERT = Principal("key:bert", CredentialType.SECRET, tenant="acme")
CARA = Principal("key:cara", CredentialType.SECRET, tenant="other")


@pytest.fixture
def clock() -> Clock:
    return Clock(NOON.timestamp())


@pytest.fixture
async def database(database_url: str) -> AsyncIterator[Database]:
    opened = await Database.open(database_url)
    yield opened
    await opened.close()


@pytest.fixture
async def ledger(database: Database, clock: Clock) -> AsyncIterator[Ledger]:
    opened = Ledger(database, Plans(database, Audit(database, Secret(b"x" * 32))), clock=clock, lifetime_s=600)
    yield opened
    await opened.close()


async def rows(ledger: Ledger, tenant: str = "acme") -> list[UsageRecord]:
    return [row async for row in ledger.records(tenant, **EVER)]


async def test_a_row_is_there_before_anything_is_spent(ledger):
    reservation = await ledger.reserve(ANNA, "chat", overage=True)
    [row] = await rows(ledger)
    assert (row.id, row.state, row.principal, row.kind, row.overage, row.model, row.cost) == (
        reservation.id,
        "reserved",
        "key:anna",
        "chat",
        True,
        "none",
        0,
    )


async def test_a_row_is_completed_with_every_usage_and_its_price(ledger):
    reservation = await ledger.reserve(ANNA, "chat")
    condense, answer = Usage("gpt-4o-mini", 10, 3), Usage("claude-sonnet-4-5", 1000, 200, 400)
    await ledger.settle(reservation, (condense, answer), conversation_id="c1", embedding_tokens=9)
    [row] = await rows(ledger)
    assert (row.state, row.model, row.conversation_id, row.embedding_tokens) == ("settled", answer.model, "c1", 9)
    assert (row.input_tokens, row.output_tokens, row.cached_tokens) == (1010, 203, 400)
    # 10 * 0.15 + 3 * 0.6 = 3.3 → 3; 600 * 3 + 400 * 0.3 + 200 * 15 = 4920
    assert row.cost == 3 + 4920


async def test_a_second_settlement_changes_nothing(ledger):
    reservation = await ledger.reserve(ANNA, "chat")
    await ledger.settle(reservation, [Usage("m", 5, 5)])
    await ledger.settle(reservation, [Usage("m", 50, 50)], estimated=True)
    [row] = await rows(ledger)
    assert (row.input_tokens, row.estimated) == (5, False)


async def test_who_never_comes_back_is_lost_once_and_stays_lost(ledger, clock):
    reservation = await ledger.reserve(ANNA, "chat")
    assert await ledger.expire() == 0
    clock.now += 601
    assert await ledger.expire() == 1
    assert await ledger.expire() == 0
    await ledger.settle(reservation, [Usage("m", 5, 5)])
    [row] = await rows(ledger)
    assert (row.state, row.input_tokens) == ("lost", 0)


async def test_many_at_once_share_transactions(ledger):
    reservations = await asyncio.gather(*(ledger.reserve(who, "chat") for who in (ANNA, CARA) * 600))
    await asyncio.gather(*(ledger.settle(each, [Usage("m", 1, 2)]) for each in reservations))
    for tenant in ("acme", "other"):
        [total] = await ledger.sums(tenant, **EVER)
        assert (total.requests, total.input_tokens, total.output_tokens) == (600, 600, 1200)


async def test_who_is_cancelled_while_reserving_has_no_open_row(ledger):
    tasks = [asyncio.create_task(ledger.reserve(ANNA, "chat")) for _ in range(20)]
    for task in tasks[::2]:
        await asyncio.sleep(0)
        task.cancel()
    done = await asyncio.gather(*tasks, return_exceptions=True)
    for reservation in done:
        if not isinstance(reservation, BaseException):
            await ledger.settle(reservation, [Usage("m", 1, 1)])
    await ledger.close()
    states = [row.state for row in await rows(ledger)]
    assert set(states) == {"settled"}
    assert sum(row.input_tokens for row in await rows(ledger)) == 10


async def test_who_is_cancelled_while_settling_has_settled(ledger):
    reservation = await ledger.reserve(ANNA, "chat")
    task = asyncio.create_task(ledger.settle(reservation, [Usage("m", 7, 1)]))
    await asyncio.sleep(0)
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
    await ledger.close()
    assert [row.input_tokens for row in await rows(ledger)] == [7]


@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)  # PostgreSQL locks rows
async def test_while_the_database_is_locked_nothing_may_be_spent_and_nothing_is_forgotten(database, ledger):
    open_row = await ledger.reserve(ANNA, "chat")
    async with database.write(EVERY_TENANT):
        settling = asyncio.create_task(ledger.settle(open_row, [Usage("m", 7, 1)]))
        reserving = asyncio.create_task(ledger.reserve(BERT, "chat"))
        _, waiting = await asyncio.wait({settling, reserving}, timeout=0.05)
        assert waiting == {settling, reserving}
    await asyncio.gather(settling, reserving)
    assert sorted(row.state for row in await rows(ledger)) == ["reserved", "settled"]


async def test_sums_by_day_month_and_key_are_of_one_tenant(ledger, clock):
    for days, who in ((0, ANNA), (1, ANNA), (1, BERT), (20, ANNA), (0, CARA)):
        clock.now = (NOON + timedelta(days=days)).timestamp()
        await ledger.settle(await ledger.reserve(who, "chat", overage=who is BERT), [Usage("m", 1, 2)])
    by_day = await ledger.sums("acme", **EVER)
    assert [(each.period, each.principal, each.requests, each.overage) for each in by_day] == [
        ("2026-11-21", None, 1, 0),
        ("2026-11-22", None, 2, 1),
        ("2026-12-11", None, 1, 0),
    ]
    by_month = await ledger.sums("acme", **EVER, by="month", by_key=True)
    assert [(each.period, each.principal, each.output_tokens) for each in by_month] == [
        ("2026-11-01", "key:anna", 4),
        ("2026-11-01", "key:bert", 2),
        ("2026-12-01", "key:anna", 2),
    ]
    assert [each.tenant for each in await ledger.sums_of_all(**EVER, by="month")] == ["acme", "other", "acme"]


async def test_the_end_of_a_period_is_not_part_of_it(ledger):
    await ledger.reserve(ANNA, "search")
    assert await ledger.sums("acme", since=NOON - timedelta(days=1), until=NOON) == []
    assert len(await ledger.sums("acme", since=NOON, until=NOON + timedelta(seconds=1))) == 1


async def test_rows_come_in_pages_without_gap_or_double(ledger, clock):
    for _ in range(3):
        await asyncio.gather(*(ledger.reserve(ANNA, "chat") for _ in range(400)))
        clock.now += 1
    found = await rows(ledger)
    assert len({row.id for row in found}) == len(found) == 1200
    assert found == sorted(found, key=lambda row: (row.at, row.id))


async def test_absurd_counts_of_a_model_server_do_not_break_the_ledger(ledger):
    reservation = await ledger.reserve(ANNA, "chat")
    await ledger.settle(reservation, [Usage("m" * 500, 2**70, -5)])
    [row] = await rows(ledger)
    assert (row.state, row.input_tokens, row.output_tokens) == ("settled", 2**31 - 1, 0)
