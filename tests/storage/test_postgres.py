"""PostgreSQL opens, migrates and refuses with a sentence; a tenant's writers wait for each other, tenants do not."""

from __future__ import annotations

import asyncio
import socket
import subprocess
import sys
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest
from sqlalchemy import Connection, text, update

from ragstone.errors import ConfigurationError, DataDirectoryError, InvalidInput, RagstoneError, Unavailable
from ragstone.storage.database import EVERY_TENANT, Database, lock_tenant, scoped, scoped_insert, unscoped
from ragstone.storage.schema import HEAD_REVISION, collections, documents, metadata, plans
from ragstone.vocabulary import Scope
from tests.postgres import APP, PostgresServer, database_name
from tests.storage.rows import NOON, add_document

OURS = Scope("us", "docs")
OTHERS = Scope("them", "docs")


@pytest.fixture
async def database(postgres_url: str) -> AsyncIterator[Database]:
    opened = await Database.open(postgres_url)
    yield opened
    await opened.close()


@pytest.fixture
def empty(postgres: PostgresServer) -> Iterator[str]:
    """The name of a database without tables."""
    name = postgres.empty_database()
    yield name
    postgres.drop(name)


async def opened_and_closed(url: str, **options: object) -> None:
    await (await Database.open(url, **options)).close()  # type: ignore[arg-type]  # by name


async def test_the_owner_alone_makes_the_tables_and_uses_them(postgres: PostgresServer, empty: str):
    database = await Database.open(postgres.url(empty))
    await add_document(database, OURS, "a", "text")
    async with database.read("them") as connection:
        assert (await connection.execute(unscoped(documents))).all() == []
    async with database.read(EVERY_TENANT) as connection:
        assert len((await connection.execute(unscoped(documents))).all()) == 1
    await database.close()


async def test_the_owners_url_makes_the_tables_for_a_user_who_owns_nothing(postgres: PostgresServer, empty: str):
    database = await Database.open(postgres.url(empty, user=APP), owner_url=postgres.url(empty))
    await add_document(database, OURS, "a", "text")
    await database.close()
    await opened_and_closed(postgres.url(empty, user=APP))  # from now on without the owner


async def test_a_user_who_comes_later_is_let_in_by_the_owner(postgres: PostgresServer, postgres_url: str):
    name = database_name(postgres_url)
    postgres.execute('CREATE ROLE "Later""User" LOGIN')
    try:
        later = postgres.url(name, user="Later%22User")
        with pytest.raises(ConfigurationError, match=r"GRANT ragstone_tenant, ragstone_system TO"):
            await opened_and_closed(later)
        await opened_and_closed(later, owner_url=postgres.url(name))
        await opened_and_closed(later)
    finally:
        postgres.execute('DROP ROLE "Later""User"')


async def test_a_user_who_may_not_make_tables_is_told_what_to_do(postgres: PostgresServer, empty: str):
    with pytest.raises(ConfigurationError, match=r"RAGSTONE_DATABASE__OWNER_URL.*CREATE ROLE ragstone_tenant NOLOGIN"):
        await opened_and_closed(postgres.url(empty, user=APP))


async def test_the_migrations_make_exactly_the_tables_of_the_schema(postgres: PostgresServer, postgres_url: str):
    from alembic.autogenerate import compare_metadata
    from alembic.migration import MigrationContext

    def differences(connection: Connection) -> list[object]:
        return list(compare_metadata(MigrationContext.configure(connection), metadata))

    database = await Database.open(postgres_url)
    async with database.read(EVERY_TENANT) as connection:
        assert await connection.run_sync(differences) == []
    await database.close()


async def test_a_database_of_a_newer_version_is_refused_and_left_alone(postgres: PostgresServer, postgres_url: str):
    postgres.execute("UPDATE alembic_version SET version_num = '9999'", database=database_name(postgres_url))
    for options in ({}, {"owner_url": postgres.url(database_name(postgres_url))}):
        with pytest.raises(DataDirectoryError, match=r"newer version of Ragstone \(format 9999"):
            await opened_and_closed(postgres_url, **options)


OPENS = (
    "import asyncio, sys; from ragstone.storage.database import Database\n"
    "asyncio.run(Database.open(sys.argv[1], owner_url=sys.argv[2]))\n"
)


def test_processes_that_open_at_once_migrate_once(postgres: PostgresServer, empty: str):
    command = [sys.executable, "-W", "ignore", "-c", OPENS, postgres.url(empty, user=APP), postgres.url(empty)]
    racers = [subprocess.Popen(command, stderr=subprocess.PIPE, text=True) for _ in range(3)]
    outcomes = [(racer.communicate()[1], racer.returncode) for racer in racers]
    assert [code for _, code in outcomes] == [0] * 3, outcomes
    rows = postgres.execute("SELECT version_num FROM alembic_version", database=empty)
    assert [row["version_num"] for row in rows] == [HEAD_REVISION]


async def test_a_wrong_password_is_named_and_not_shown(postgres: PostgresServer, postgres_url: str):
    name = database_name(postgres_url)
    with pytest.raises(ConfigurationError, match=f"refuses the password of {APP}") as caught:
        await opened_and_closed(postgres.tcp_url(name, password="hunter2"))
    assert "hunter2" not in caught.value.message
    await opened_and_closed(postgres.tcp_url(name) + "?sslmode=prefer")  # the right one, as libpq spells it


async def test_no_password_is_in_what_is_shown_of_a_database(postgres: PostgresServer, postgres_url: str):
    database = await Database.open(postgres.tcp_url(database_name(postgres_url)))
    assert postgres.password not in repr(database)
    await database.close()


@pytest.mark.parametrize(
    ("url", "error", "sentence"),
    [
        (
            "postgresql://me:hunter2@nowhere.invalid/ragstone",
            ConfigurationError,
            "host of the database .* cannot be resolved",
        ),
        ("postgres://me:hunter2@127.0.0.1:{free}/ragstone", Unavailable, "does not answer.*Check that it is running"),
        ("postgresql+asyncpg://me:hunter2@/ragstone?host=/nowhere", Unavailable, "does not answer"),
        ("mysql://me:hunter2@localhost/ragstone", ConfigurationError, "not of a supported kind"),
        ("://me:hunter2@", ConfigurationError, "cannot be read. Use sqlite"),
        ("postgresql://me:hunter2@localhost:port/ragstone", ConfigurationError, "cannot be read. Use sqlite"),
    ],
)
async def test_an_address_that_leads_nowhere_is_named_without_its_password(
    url: str, error: type[RagstoneError], sentence: str
):
    with socket.socket() as unheard:
        unheard.bind(("127.0.0.1", 0))
        with pytest.raises(error, match=sentence) as caught:
            await opened_and_closed(url.format(free=unheard.getsockname()[1]))
    assert "hunter2" not in caught.value.message


async def test_a_database_that_is_not_there_is_named(postgres: PostgresServer):
    with pytest.raises(ConfigurationError, match="There is no database nothing on"):
        await opened_and_closed(postgres.url("nothing"))


async def test_too_many_connections_may_be_fewer_in_a_moment(postgres: PostgresServer, empty: str):
    postgres.execute(f"ALTER DATABASE {empty} CONNECTION LIMIT 0")
    with pytest.raises(Unavailable, match="no free connection or transaction"):
        await opened_and_closed(postgres.url(empty))


async def test_a_pool_without_a_free_connection_says_so(postgres_url: str):
    database = await Database.open(postgres_url, pool_size=1, pool_overflow=0, pool_timeout_s=0.05)
    async with database.read("us"):
        with pytest.raises(Unavailable, match="RAGSTONE_DATABASE__POOL_SIZE"):
            async with database.read("them"):
                pass
    await database.close()


async def test_connections_that_the_server_closed_are_replaced(postgres: PostgresServer, postgres_url: str):
    database = await Database.open(postgres_url)
    async with database.read("us"), database.read("us"):
        pass
    ended = f"SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = '{database_name(postgres_url)}'"
    assert len(postgres.execute(ended)) == 2
    await add_document(database, OURS, "a", "text")
    async with database.write("us") as connection:
        assert len((await connection.execute(scoped(documents, "us"))).all()) == 1
    await database.close()


async def test_a_connection_lost_in_a_transaction_may_be_tried_again(postgres: PostgresServer, database: Database):
    async def lose() -> None:
        async with database.write("us") as connection:
            await connection.execute(scoped_insert(collections, OURS), {"created_at": NOON})
            pid = await connection.scalar(text("SELECT pg_backend_pid()"))
            await asyncio.to_thread(postgres.execute, f"SELECT pg_terminate_backend({pid})")
            await connection.execute(scoped(collections, "us"))

    with pytest.raises(Unavailable, match="was lost"):
        await lose()
    async with database.read("us") as connection:
        assert (await connection.execute(scoped(collections, "us"))).all() == []


async def test_a_reader_writes_nothing(database: Database):
    with pytest.raises(RagstoneError):
        async with database.read("us") as connection:
            await connection.execute(scoped_insert(collections, OURS), {"created_at": NOON})


async def count_up(database: Database) -> None:
    """Read, then write what follows from it: right only without a write in between."""
    async with database.write("us") as connection:
        [row] = (await connection.execute(scoped(documents, "us"))).all()
        await asyncio.sleep(0)
        await connection.execute(update(documents).values(size_bytes=row.size_bytes + 1))


async def test_what_a_tenants_transaction_has_read_stays_until_it_writes(postgres_url: str):
    """Over two pools, as two processes have them."""
    first, second = [await Database.open(postgres_url, pool_size=3, pool_overflow=0) for _ in range(2)]
    await add_document(first, OURS, "a", "")
    await asyncio.gather(*(count_up(database) for database in (first, second) for _ in range(20)))
    async with first.read("us") as connection:
        assert [row.size_bytes for row in await connection.execute(scoped(documents, "us"))] == [40]
    await first.close()
    await second.close()


async def test_tenants_do_not_wait_for_each_other_nor_use_up_the_pool(postgres_url: str):
    database = await Database.open(postgres_url, pool_size=2, pool_overflow=0, pool_timeout_s=5)
    async with database.write("us"):
        waiting = [asyncio.create_task(add_document(database, OURS, f"d{number}", "text")) for number in range(5)]
        await asyncio.sleep(0)
        await add_document(database, OTHERS, "theirs", "text")
        assert not any(task.done() for task in waiting)
    await asyncio.gather(*waiting)
    await database.close()


async def test_the_operator_holds_a_tenant_where_it_has_to(postgres_url: str, database: Database):
    other = await Database.open(postgres_url)
    async with database.write(EVERY_TENANT) as connection:
        await lock_tenant(connection, "us")
        waiting = asyncio.create_task(add_document(other, OURS, "ours", "text"))
        await add_document(other, OTHERS, "theirs", "text")
        assert not waiting.done()
    await waiting
    await other.close()


async def test_a_deadlock_may_be_tried_again(database: Database):
    met = asyncio.Barrier(2)

    async def update_both(first: str, second: str) -> None:
        async with database.write(EVERY_TENANT) as connection:
            await connection.execute(update(plans).where(plans.c.id == first).values(name=first))
            await met.wait()
            await connection.execute(update(plans).where(plans.c.id == second).values(name=second))

    outcomes = await asyncio.gather(update_both("free", "paid"), update_both("paid", "free"), return_exceptions=True)
    assert [type(each) for each in outcomes if each is not None] == [Unavailable]


@pytest.mark.parametrize("changes", [{"title": "a\x00b"}, {"media_type": "x" * 129}])
async def test_a_value_that_it_cannot_keep_is_the_senders_fault(database: Database, changes: dict[str, str]):
    await add_document(database, OURS, "a", "text")
    with pytest.raises(InvalidInput):
        async with database.write("us") as connection:
            await connection.execute(update(documents).values(**changes))


async def test_an_error_does_not_repeat_what_a_tenant_wrote(database: Database):
    with pytest.raises(RagstoneError) as caught:
        async with database.write("us") as connection:
            await connection.execute(text("SELECT CAST(:value AS integer)"), {"value": "hunter2"})
    assert "hunter2" not in caught.value.message


def test_the_driver_is_named_where_it_is_not_installed(tmp_path: Path):
    """In a process of its own, whose importer knows no asyncpg."""
    script = (
        "import asyncio, sys, importlib.util as u\n"
        "from ragstone.errors import ConfigurationError\n"
        "from ragstone.storage.database import Database\n"
        "sys.modules['asyncpg'] = None\n"
        "find = u.find_spec; u.find_spec = lambda name, *a: None if name == 'asyncpg' else find(name, *a)\n"
        "try: asyncio.run(Database.open('postgresql://localhost/x'))\n"
        "except ConfigurationError as error: print(error)\n"
    )
    said = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, cwd=tmp_path)
    assert "pip install 'ragstone[postgres]'" in said.stdout, said.stderr
