"""The audit log: one chain per tenant, and verification detects every way to break it."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Any

import pytest
from sqlalchemy import text

from ragstone.errors import ConfigurationError, Conflict
from ragstone.identity.audit import Audit, Detail
from ragstone.identity.secrets import Secret
from ragstone.storage.database import EVERY_TENANT, Database
from tests.identity.conftest import on_both

LAST = 5


@pytest.fixture
def audit(database: Database, secret: Secret) -> Audit:
    return Audit(database, secret)


@pytest.fixture
async def chain(audit: Audit) -> Audit:
    """Five records of acme, and one of other, which no test changes."""
    await audit.note("other", actor="key:9", action="document.removed")
    for number in range(1, LAST + 1):
        details: dict[str, Detail] = {"name": f"Ünïcode {number}", "size": number, "sure": True, "why": None}
        await audit.note("acme", actor="user:1", action="key.created", target=f"key {number}", details=details)
    return audit


async def tamper(database: Database, *statements: str, values: dict[str, Any] | None = None) -> None:
    """Change rows as an attacker who has the database but not the secret."""
    async with database.write(EVERY_TENANT) as connection:
        for trigger in ("update", "delete"):
            await connection.execute(text(f"DROP TRIGGER IF EXISTS audit_log_no_{trigger}"))
        for statement in statements:
            await connection.execute(text(statement), values or {})


async def first_broken(audit: Audit) -> tuple[str, int]:
    [broken] = await audit.verify()
    assert broken.reason
    return broken.tenant, broken.number


@on_both
async def test_what_was_recorded_is_read_back_newest_first(chain: Audit):
    newest, *rest = await chain.entries("acme", limit=2)
    assert (newest.number, newest.actor, newest.action, newest.target) == (5, "user:1", "key.created", "key 5")
    assert newest.details == {"name": "Ünïcode 5", "size": 5, "sure": True, "why": None}
    assert newest.at.tzinfo is not None
    assert [each.number for each in rest] == [4]
    assert [each.number for each in await chain.entries("acme", before=4)] == [3, 2, 1]
    assert [each.number for each in await chain.entries("other")] == [1]
    assert await chain.entries("nobody") == []


@on_both
async def test_an_unchanged_chain_is_valid(chain: Audit):
    assert await chain.verify() == []
    assert await chain.verify("acme") == []
    assert await chain.verify("nobody") == []


CHANGES = {
    "at": "UPDATE audit_log SET at = '2020-01-01 00:00:00.000000' WHERE tenant = 'acme' AND number = 3",
    "actor": "UPDATE audit_log SET actor = 'user:2' WHERE tenant = 'acme' AND number = 3",
    "action": "UPDATE audit_log SET action = 'key.revoked' WHERE tenant = 'acme' AND number = 3",
    "target": "UPDATE audit_log SET target = '' WHERE tenant = 'acme' AND number = 3",
    "details": "UPDATE audit_log SET details = '{}' WHERE tenant = 'acme' AND number = 3",
    "hash": "UPDATE audit_log SET hash = :hash WHERE tenant = 'acme' AND number = 3",
    "deleted": "DELETE FROM audit_log WHERE tenant = 'acme' AND number = 3",
    "moved": "UPDATE audit_log SET number = 77 WHERE tenant = 'acme' AND number = 3",
}


@pytest.mark.parametrize("change", CHANGES)
async def test_a_record_that_was_changed_is_named(chain: Audit, database: Database, change: str):
    values = {"hash": "0" * 64} if change == "hash" else None
    await tamper(database, CHANGES[change], values=values)
    assert await first_broken(chain) == ("acme", 3)


async def test_two_records_that_changed_places_are_named(chain: Audit, database: Database):
    swap = "UPDATE audit_log SET number = {} WHERE tenant = 'acme' AND number = {}"
    await tamper(database, swap.format(99, 2), swap.format(2, 4), swap.format(4, 99))
    assert await first_broken(chain) == ("acme", 2)


async def test_a_record_put_between_others_is_named(chain: Audit, database: Database):
    await tamper(
        database,
        "UPDATE audit_log SET number = number + 100 WHERE tenant = 'acme' AND number >= 3",
        "UPDATE audit_log SET number = number - 99 WHERE tenant = 'acme' AND number >= 100",
        "INSERT INTO audit_log SELECT tenant, 3, at, actor, action, target, details, hash "
        "FROM audit_log WHERE tenant = 'acme' AND number = 2",
    )
    assert await first_broken(chain) == ("acme", 3)


async def test_a_record_taken_from_another_tenant_is_named(chain: Audit, database: Database):
    await tamper(
        database,
        "DELETE FROM audit_log WHERE tenant = 'acme' AND number = 1",
        "INSERT INTO audit_log SELECT 'acme', 1, at, actor, action, target, details, hash "
        "FROM audit_log WHERE tenant = 'other'",
    )
    assert await first_broken(chain) == ("acme", 1)


@pytest.mark.parametrize("kept", [0, 1, 4])
async def test_a_cut_tail_is_named(chain: Audit, database: Database, kept: int):
    await tamper(database, f"DELETE FROM audit_log WHERE tenant = 'acme' AND number > {kept}")
    assert await first_broken(chain) == ("acme", kept + 1)


HEADS = {
    "set back to where the tail was cut": (
        "DELETE FROM audit_log WHERE tenant = 'acme' AND number = 5",
        (
            "UPDATE audit_heads SET number = 4, hash = "
            "(SELECT hash FROM audit_log WHERE tenant = 'acme' AND number = 4) WHERE tenant = 'acme'"
        ),
    ),
    "another seal": ("UPDATE audit_heads SET seal = hash WHERE tenant = 'acme'",),
    "that of another tenant": (
        (
            "UPDATE audit_heads SET number = (SELECT number FROM audit_heads WHERE tenant = 'other'), "
            "hash = (SELECT hash FROM audit_heads WHERE tenant = 'other'), "
            "seal = (SELECT seal FROM audit_heads WHERE tenant = 'other') WHERE tenant = 'acme'"
        ),
    ),
    "deleted": ("DELETE FROM audit_heads WHERE tenant = 'acme'",),
}


@pytest.mark.parametrize("change", HEADS)
async def test_an_altered_end_is_named_and_nothing_is_appended_to_it(chain: Audit, database: Database, change: str):
    await tamper(database, *HEADS[change])
    tenant, _ = await first_broken(chain)
    assert tenant == "acme"
    with pytest.raises(ConfigurationError, match="audit verify"):
        await chain.note("acme", actor="local", action="key.created")
    await chain.note("other", actor="local", action="key.created")


async def test_an_older_end_shows_what_came_after_it(audit: Audit, database: Database):
    await audit.note("acme", actor="local", action="key.created")
    read = text("SELECT number, hash, seal FROM audit_heads WHERE tenant = 'acme'")
    async with database.read(EVERY_TENANT) as connection:
        older = dict((await connection.execute(read)).mappings().one())
    await audit.note("acme", actor="local", action="key.revoked")
    put_back = "UPDATE audit_heads SET number = :number, hash = :hash, seal = :seal WHERE tenant = 'acme'"
    await tamper(database, put_back, values=older)
    assert await first_broken(audit) == ("acme", 2)


async def test_another_secret_verifies_no_record(chain: Audit, database: Database):
    broken: Sequence[Any] = await Audit(database, Secret(b"another")).verify()
    assert [(each.tenant, each.number) for each in broken] == [("acme", 1), ("other", 1)]


@on_both
@pytest.mark.parametrize("whose", ["acme", EVERY_TENANT], ids=["a tenant's", "every tenant's"])
async def test_fifty_concurrent_writers_make_one_chain(
    audit: Audit, database: Database, whose: str, kind_of_database: str
):
    async def write(number: int) -> None:
        async with database.write(whose) as connection:
            await audit.record(connection, "acme", actor=f"user:{number}", action="key.created")

    await asyncio.gather(*(write(number) for number in range(50)))
    entries = await audit.entries("acme")
    assert sorted(each.number for each in entries) == list(range(1, 51))
    assert {each.actor for each in entries} == {f"user:{number}" for number in range(50)}
    assert await audit.verify() == []


async def test_what_is_not_committed_is_not_recorded(audit: Audit, database: Database):
    async def fail() -> None:
        async with database.write("acme") as connection:
            await audit.record(connection, "acme", actor="local", action="key.created")
            raise Conflict("on purpose")

    with pytest.raises(Conflict):
        await fail()
    assert await audit.entries("acme") == []
    assert await audit.verify() == []


async def test_a_long_chain_is_read_in_pages(audit: Audit, database: Database):
    async with database.write("acme") as connection:
        for _ in range(1001):
            await audit.record(connection, "acme", actor="local", action="key.created")
    assert await audit.verify() == []
    await tamper(database, "UPDATE audit_log SET actor = 'me' WHERE number = 1001")
    assert await first_broken(audit) == ("acme", 1001)
