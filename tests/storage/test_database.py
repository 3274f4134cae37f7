"""The database opens, upgrades and refuses with a sentence; transactions are whole."""

from __future__ import annotations

import asyncio
import os
import sqlite3
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from sqlalchemy import ColumnElement, Connection, text
from sqlalchemy.dialects import sqlite
from sqlalchemy.exc import IntegrityError

from ragstone.errors import ConfigurationError, DataDirectoryError, InvalidInput
from ragstone.storage.database import (
    EVERY_TENANT,
    Database,
    any_of,
    scoped,
    scoped_delete,
    scoped_insert,
    scoped_update,
)
from ragstone.storage.schema import (
    HEAD_REVISION,
    audit_log,
    chunks,
    collections,
    documents,
    embedding_cache,
    metadata,
    plans,
)
from ragstone.vocabulary import Scope
from tests.storage.rows import NOON, add_document, url_of

OURS = Scope("us", "docs")
OTHERS = Scope("them", "docs")


@pytest.fixture
def read_only_folder() -> Iterator[Path]:
    """A folder that this process may read and not write, even when the tests run as root."""
    with tempfile.TemporaryDirectory() as made:
        folder = Path(made)
        folder.chmod(0o555)
        root = os.geteuid() == 0
        if root:
            os.seteuid(65534)
        try:
            yield folder
        finally:
            if root:
                os.seteuid(0)
            folder.chmod(0o755)


async def test_a_missing_folder_is_made_if_its_parent_exists(tmp_path: Path):
    database = await Database.open(url_of(tmp_path / "data" / "ragstone.db"))
    await database.close()
    assert (tmp_path / "data" / "ragstone.db").is_file()


async def test_a_missing_parent_is_named(tmp_path: Path):
    with pytest.raises(DataDirectoryError, match=r"no/where.* does not exist.*RAGSTONE_DATA_DIR"):
        await Database.open(url_of(tmp_path / "no" / "where" / "data" / "ragstone.db"))


async def test_a_file_in_the_folders_place_is_named(tmp_path: Path):
    (tmp_path / "data").write_text("a file")
    with pytest.raises(DataDirectoryError, match="is a file"):
        await Database.open(url_of(tmp_path / "data" / "ragstone.db"))


async def test_a_read_only_folder_is_named(read_only_folder: Path):
    with pytest.raises(DataDirectoryError, match=f"Check that this user may write to {read_only_folder}"):
        await Database.open(url_of(read_only_folder / "ragstone.db"))


async def test_no_folder_can_be_made_in_a_read_only_one(read_only_folder: Path):
    with pytest.raises(DataDirectoryError, match="Make it writable for this user"):
        await Database.open(url_of(read_only_folder / "data" / "ragstone.db"))


async def test_a_file_that_is_no_database_is_refused_and_left_alone(tmp_path: Path):
    file = tmp_path / "ragstone.db"
    file.write_text("dear diary, " * 100)
    with pytest.raises(DataDirectoryError, match="is not a Ragstone database"):
        await Database.open(url_of(file))
    assert file.read_text().startswith("dear diary")


async def test_a_database_of_a_newer_version_is_refused_and_left_alone(tmp_path: Path):
    file = tmp_path / "ragstone.db"
    await (await Database.open(url_of(file))).close()
    with sqlite3.connect(file) as connection:
        connection.execute("UPDATE alembic_version SET version_num = '9999'")
    connection.close()
    with pytest.raises(DataDirectoryError, match=r"newer version of Ragstone \(format 9999"):
        await Database.open(url_of(file))


async def test_another_kind_of_database_is_refused_without_its_password():
    with pytest.raises(ConfigurationError, match="not of a supported kind") as caught:
        await Database.open("mysql://me:hunter2@localhost/ragstone")
    assert "hunter2" not in caught.value.message


async def test_a_full_disk_says_so_and_leaves_nothing_half_written(tmp_path: Path):
    database = await Database.open(url_of(tmp_path / "ragstone.db"))
    row = {"tenant": "us", "vector": b"1"}

    async def write_a_lot() -> None:
        async with database.write(EVERY_TENANT) as connection:
            pages = (await connection.execute(text("PRAGMA page_count"))).scalar_one()
            await connection.execute(text(f"PRAGMA max_page_count = {pages + 4}"))
            await connection.execute(database.insert_missing(embedding_cache), {**row, "key": "small"})
            await connection.execute(
                database.insert_missing(embedding_cache), {**row, "key": "big", "vector": bytes(1 << 20)}
            )

    with pytest.raises(DataDirectoryError, match="is full; the write was rolled back"):
        await write_a_lot()
    async with database.read(EVERY_TENANT) as connection:
        assert (await connection.execute(embedding_cache.select())).all() == []
    await database.close()


OPENS = (
    "import asyncio, sys; from ragstone.storage.database import Database\n"
    "async def main():\n"
    "    await (await Database.open(sys.argv[1])).close()\n"
    "asyncio.run(main())\n"
)


def test_processes_that_open_at_once_agree_on_one_database(tmp_path: Path):
    command = [sys.executable, "-c", OPENS, url_of(tmp_path / "ragstone.db")]
    racers = [subprocess.Popen(command, stderr=subprocess.PIPE, text=True) for _ in range(4)]
    outcomes = [(racer.communicate()[1], racer.returncode) for racer in racers]
    assert outcomes == [("", 0)] * 4


def test_opening_an_up_to_date_database_does_not_load_alembic(tmp_path: Path):
    command = [sys.executable, "-c", OPENS, url_of(tmp_path / "ragstone.db")]
    checked = [*command[:2], OPENS + "assert 'alembic' not in sys.modules", command[3]]
    assert "AssertionError" in subprocess.run(checked, capture_output=True, text=True).stderr  # it migrates
    assert subprocess.run(checked, capture_output=True, text=True).stderr == ""


async def test_the_migrations_make_exactly_the_tables_of_the_schema(database: Database):
    from alembic.autogenerate import compare_metadata
    from alembic.migration import MigrationContext

    def differences(connection: Connection) -> list[object]:
        return list(compare_metadata(MigrationContext.configure(connection), metadata))

    async with database.read(EVERY_TENANT) as connection:
        assert await connection.run_sync(differences) == []


def test_the_newest_migration_is_the_one_the_schema_names():
    from alembic.config import Config
    from alembic.script import ScriptDirectory

    config = Config()
    config.set_main_option("script_location", "ragstone.storage:migrations")
    assert ScriptDirectory.from_config(config).get_heads() == [HEAD_REVISION]


async def test_what_fails_half_way_leaves_no_trace(database: Database):
    async def fail() -> None:
        async with database.write(EVERY_TENANT) as connection:
            await connection.execute(scoped_insert(collections, OURS), {"created_at": NOON})
            raise RuntimeError

    with pytest.raises(RuntimeError):
        await fail()
    async with database.read(EVERY_TENANT) as connection:
        assert (await connection.execute(scoped(collections, "us"))).all() == []


async def test_many_writers_at_once_lose_nothing(database: Database):
    async def write(number: int) -> None:
        async with database.write(EVERY_TENANT) as connection:
            await connection.execute(scoped_insert(collections, Scope("us", f"c{number}")), {"created_at": NOON})

    await asyncio.gather(*(write(number) for number in range(50)))
    async with database.read(EVERY_TENANT) as connection:
        assert len((await connection.execute(scoped(collections, "us"))).all()) == 50


async def test_a_reader_sees_one_state_while_others_write(database: Database):
    await add_document(database, OURS, "a", "text")
    async with database.read(EVERY_TENANT) as reader:
        before = (await reader.execute(scoped(documents, OURS))).all()
        async with database.write(EVERY_TENANT) as writer:
            await writer.execute(scoped_delete(documents, OURS))
        assert (await reader.execute(scoped(documents, OURS))).all() == before


@pytest.mark.parametrize("scope", [OURS, "us"])
async def test_statements_reach_only_rows_of_their_scope(database: Database, scope: Scope | str):
    await add_document(database, OURS, "ours", "text")
    await add_document(database, OTHERS, "theirs", "text")
    async with database.write(EVERY_TENANT) as connection:
        await connection.execute(scoped_update(documents, scope).values(title="seen"))
        await connection.execute(scoped_delete(documents, Scope("us", "elsewhere")))
        found = [row.id for row in await connection.execute(scoped(documents, scope))]
        titles = [row.title for row in await connection.execute(scoped(documents, OTHERS))]
    assert found == ["ours"]
    assert titles == ["Theirs"]


async def test_a_table_without_tenant_cannot_be_scoped():
    with pytest.raises(AttributeError):
        scoped(plans, "us")


async def test_on_sqlite_rows_are_looked_up_by_their_ids_not_searched_for(tmp_path: Path):
    database = await Database.open(url_of(tmp_path / "ragstone.db"))
    wanted = scoped(chunks, OURS, chunks.c.id).where(any_of(chunks.c.id, ["a"]))
    explained = text(f"EXPLAIN QUERY PLAN {wanted.compile(dialect=sqlite.dialect())}".replace("?", "'[]'"))
    async with database.read(OURS) as connection:
        plan = [row.detail for row in await connection.execute(explained)]
    await database.close()
    assert any(step.startswith("SEARCH chunks USING") for step in plan), plan


async def test_one_parameter_holds_any_number_of_values(database: Database):
    await add_document(database, OURS, "a", "text")
    wanted = ["a", 'with "quotes" and ü', *(str(number) for number in range(50_000))]
    async with database.read(EVERY_TENANT) as connection:
        rows = await connection.execute(scoped(documents, OURS).where(any_of(documents.c.id, wanted)))
        assert [row.id for row in rows] == ["a"]


async def test_moments_come_back_in_utc(database: Database):
    await add_document(database, OURS, "a", "text")
    async with database.read(EVERY_TENANT) as connection:
        row = (await connection.execute(scoped(documents, OURS))).one()
    assert row.created_at == NOON
    assert row.created_at.tzinfo is not None


async def test_half_a_character_is_the_senders_fault(database: Database):
    with pytest.raises(InvalidInput, match="lone surrogate"):
        await add_document(database, OURS, "a", "text", source="\ud800")
    with pytest.raises(InvalidInput, match="lone surrogate"):
        async with database.read("us") as connection:
            await connection.execute(scoped(documents, OURS).where(documents.c.id == "\ud800"))


async def test_numbers_and_strings_are_looked_up_many_at_once(database: Database):
    for number, name in enumerate(("a", "b", "c"), 1):
        await add_document(database, OURS, name, *("text",) * number)
    counts = any_of(documents.c.chunk_count, [1, 3, 10**12])
    names = any_of(documents.c.id, ["a", "b"])
    async with database.read("us") as connection:

        async def found(*conditions: ColumnElement[bool]) -> list[str]:
            return list(await connection.scalars(scoped(documents, OURS, documents.c.id).where(*conditions)))

        assert sorted(await found(counts)) == ["a", "c"]
        assert await found(counts, names) == ["a"]
        assert await found(~counts) == ["b"]
        assert sorted(await found(counts | names)) == ["a", "b", "c"]
        assert await found(any_of(documents.c.id, [])) == []


@pytest.mark.parametrize("change", ["UPDATE audit_log SET actor = 'you'", "DELETE FROM audit_log"])
async def test_the_audit_log_is_append_only(tmp_path: Path, change: str):
    """PostgreSQL's is in test_row_security."""
    database = await Database.open(url_of(tmp_path / "ragstone.db"))
    row = {"number": 1, "at": NOON, "actor": "me", "action": "key.created", "target": "", "details": {}, "hash": ""}
    async with database.write("us") as connection:
        await connection.execute(scoped_insert(audit_log, Scope("us")), row)
    with pytest.raises(IntegrityError, match="audit_log is append-only"):
        async with database.write("us") as connection:
            await connection.execute(text(change))
    await database.close()
