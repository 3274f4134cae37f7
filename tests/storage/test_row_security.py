"""PostgreSQL keeps tenants apart by itself: also where a statement forgot to, and whatever a crash left behind."""

from __future__ import annotations

from collections.abc import AsyncIterator

import asyncpg
import pytest
from sqlalchemy import Executable, Table, func, insert, text, update
from sqlalchemy import delete as delete_from

from ragstone.errors import RagstoneError
from ragstone.storage.database import EVERY_TENANT, Database, TenantSelector, scoped_insert, unscoped
from ragstone.storage.schema import OPERATORS_TABLES, audit_log, chunks, collections, documents, metadata, plans
from ragstone.vocabulary import Scope
from tests.postgres import APP, OWNER, PostgresServer, database_name
from tests.storage.rows import NOON, add_document

OURS = Scope("us", "docs")
OTHERS = Scope("them", "docs")
AUDIT_ROW = {"number": 1, "at": NOON, "actor": "me", "action": "key.created", "target": "", "details": {}, "hash": ""}


@pytest.fixture
async def database(postgres_url: str) -> AsyncIterator[Database]:
    """One connection only, so that every transaction follows another one on it."""
    opened = await Database.open(postgres_url, pool_size=1, pool_overflow=0)
    await add_document(opened, OURS, "ours", "text")
    await add_document(opened, OTHERS, "theirs", "text")
    yield opened
    await opened.close()


async def seen(database: Database, selector: TenantSelector, table: Table = documents) -> list[str]:
    """What a statement finds that forgot its scope."""
    async with database.read(selector) as connection:
        return list(await connection.scalars(unscoped(table, table.c.tenant)))


async def test_a_statement_that_forgot_its_scope_sees_only_rows_of_the_transactions_tenant(database: Database):
    for table in (documents, chunks):
        assert await seen(database, "us", table) == ["us"]
        assert await seen(database, OTHERS, table) == ["them"]
        assert sorted(await seen(database, EVERY_TENANT, table)) == ["them", "us"]


@pytest.mark.parametrize("unknown", ["", "nobody", "us ", "US", "' OR true --", "%"])
async def test_who_is_no_tenant_sees_nothing(database: Database, unknown: str):
    assert await seen(database, unknown) == []


async def test_a_login_that_takes_no_role_sees_nothing(database: Database, postgres_url: str):
    raw = await asyncpg.connect(postgres_url)
    try:
        for setting in (None, ""):
            if setting is not None:
                await raw.execute("SELECT set_config('ragstone.tenant', $1, false)", setting)
            assert await raw.fetchval("SELECT count(*) FROM documents") == 0
        with pytest.raises(asyncpg.InsufficientPrivilegeError):
            await raw.execute("INSERT INTO collections VALUES ('us', 'docs', now(), 0)")
    finally:
        await raw.close()


async def test_the_owner_sees_rows_only_in_a_role(database: Database, postgres: PostgresServer, postgres_url: str):
    raw = await asyncpg.connect(postgres.url(database_name(postgres_url)))
    try:
        assert await raw.fetchval("SELECT count(*) FROM documents") == 0
        await raw.execute("SET ROLE ragstone_system")  # as migrations and backups do
        assert await raw.fetchval("SELECT count(*) FROM documents") == 2
    finally:
        await raw.close()


async def test_no_row_of_another_tenant_is_changed_or_deleted(database: Database):
    async with database.write("us") as connection:
        changed = await connection.execute(update(documents).values(title="seen"))
        foreign = await connection.execute(update(documents).where(documents.c.tenant == "them").values(title="seen"))
        deleted = await connection.execute(delete_from(chunks))
        assert (changed.rowcount, foreign.rowcount, deleted.rowcount) == (1, 0, 1)
    assert await seen(database, "them", chunks) == ["them"]


@pytest.mark.parametrize(
    "statement",
    [
        insert(collections).values(tenant="them", collection="x", created_at=NOON),
        scoped_insert(collections, OTHERS).values(created_at=NOON),
        update(documents).values(tenant="them"),
    ],
)
async def test_no_row_is_written_for_another_tenant(database: Database, statement: Executable):
    async def write() -> None:
        async with database.write("us") as connection:
            await connection.execute(statement)

    with pytest.raises(RagstoneError, match="a row of another tenant"):
        await write()
    assert await seen(database, "them", collections) == []
    assert await seen(database, "us") == ["us"]


async def test_the_next_transaction_of_a_connection_sees_only_its_own_tenant(database: Database):
    async def crash(selector: TenantSelector) -> None:
        async with database.write(selector) as connection:
            await connection.execute(update(documents).values(title="half"))
            raise KeyboardInterrupt

    for selector in ("us", EVERY_TENANT):
        with pytest.raises(KeyboardInterrupt):
            await crash(selector)
        assert await seen(database, "them") == ["them"]
        assert await seen(database, "") == []


async def test_a_transaction_broken_by_an_error_leaves_nothing_to_the_next(database: Database):
    async def fail() -> None:
        async with database.write("us") as connection:
            await connection.execute(text("SELECT 1 / 0"))

    with pytest.raises(RagstoneError):
        await fail()
    assert await seen(database, "them") == ["them"]


async def test_a_tenants_transaction_reads_prices_and_changes_none(database: Database):
    async with database.read("us") as connection:
        assert await connection.scalar(unscoped(plans, func.count())) >= 3

    async def raise_limits() -> None:
        async with database.write("us") as connection:
            await connection.execute(update(plans).values(requests_per_hour=None))

    with pytest.raises(RagstoneError, match="permission denied"):
        await raise_limits()


@pytest.mark.parametrize(
    "change", ["UPDATE audit_log SET actor = 'you'", "DELETE FROM audit_log", "TRUNCATE audit_log"]
)
def test_the_audit_log_is_append_only_even_for_the_owner(postgres: PostgresServer, postgres_url: str, change: str):
    name = database_name(postgres_url)
    with pytest.raises(asyncpg.PostgresError, match="append-only"):
        postgres.execute(change, database=name)


@pytest.mark.parametrize("selector", ["us", EVERY_TENANT])
async def test_no_role_of_the_platform_may_change_the_audit_log(database: Database, selector: TenantSelector):
    async with database.write(selector) as connection:
        await connection.execute(insert(audit_log).values(tenant="us", **AUDIT_ROW))

    async def change() -> None:
        async with database.write(selector) as connection:
            await connection.execute(update(audit_log).values(actor="you"))

    with pytest.raises(RagstoneError, match="permission denied"):
        await change()


def unprotected(postgres: PostgresServer, database: str) -> list[str]:
    """Tables with a tenant whose rows the server would show to any login."""
    rows = postgres.execute(
        """
        SELECT c.relname FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
        JOIN pg_attribute a ON a.attrelid = c.oid AND a.attname = 'tenant' AND NOT a.attisdropped
        WHERE n.nspname = 'public' AND c.relkind IN ('r', 'p', 'v', 'm') AND NOT (
            c.relrowsecurity AND c.relforcerowsecurity
            AND 2 = (SELECT count(*) FROM pg_policies p WHERE p.tablename = c.relname)
        )
        """,
        database=database,
    )
    return [row["relname"] for row in rows]


def test_every_table_of_tenants_is_protected(postgres: PostgresServer, postgres_url: str):
    name = database_name(postgres_url)
    assert unprotected(postgres, name) == []
    protected = {row["tablename"] for row in postgres.execute("SELECT tablename FROM pg_policies", database=name)}
    assert protected == {table.name for table in metadata.sorted_tables} - {table.name for table in OPERATORS_TABLES}
    # And a migration that forgets would be seen:
    postgres.execute("CREATE TABLE forgotten (tenant text)", database=name)
    assert unprotected(postgres, name) == ["forgotten"]


def test_every_policy_asks_for_the_tenant_in_both_directions(postgres: PostgresServer, postgres_url: str):
    name = database_name(postgres_url)
    rows = postgres.execute("SELECT policyname, roles, cmd, qual, with_check FROM pg_policies", database=name)
    kinds = {(row["policyname"], tuple(row["roles"]), row["cmd"]) for row in rows}
    assert kinds == {("of_tenant", ("ragstone_tenant",), "ALL"), ("of_system", ("ragstone_system",), "ALL")}
    assert all(row["qual"] == row["with_check"] for row in rows)
    assert all("ragstone.tenant" in row["qual"] for row in rows if row["policyname"] == "of_tenant")


def test_the_roles_own_nothing_and_bypass_nothing(postgres: PostgresServer, postgres_url: str):
    name = database_name(postgres_url)
    roles = postgres.execute(
        "SELECT rolname, rolsuper, rolbypassrls, rolcreaterole, rolcreatedb, rolcanlogin, "
        "(SELECT count(*) FROM pg_class WHERE relowner = r.oid) AS owned "
        f"FROM pg_roles r WHERE rolname IN ('ragstone_tenant', 'ragstone_system', '{APP}') ORDER BY rolname",
        database=name,
    )
    assert [tuple(row) for row in roles] == [
        (APP, False, False, False, False, True, 0),
        ("ragstone_system", False, False, False, False, False, 0),
        ("ragstone_tenant", False, False, False, False, False, 0),
    ]
    owners = postgres.execute("SELECT DISTINCT tableowner FROM pg_tables WHERE schemaname = 'public'", database=name)
    assert [row["tableowner"] for row in owners] == [OWNER]
