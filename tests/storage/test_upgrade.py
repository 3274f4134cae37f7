"""What an earlier release wrote opens with this one, and is all there."""

from __future__ import annotations

import sqlite3
from pathlib import Path

import pytest
from alembic import command
from alembic.config import Config
from sqlalchemy import Connection, text
from sqlalchemy.ext.asyncio import create_async_engine

from ragstone.storage.database import EVERY_TENANT, Database, scoped, unscoped
from ragstone.storage.schema import HEAD_REVISION, collections, tenants
from ragstone.vocabulary import Scope
from tests.platforms import small_platform
from tests.postgres import APP, PostgresServer

DUMP = Path(__file__).with_name("schema_0001.sql")
DOCUMENT = "fd1737e9f2a55c53349b9550e08aeaac"
CONVERSATION = "27a7604a39331f6c70ad512fb2b8526e"
QUESTION = "How many days of paid leave do employees have?"


@pytest.fixture
def old_data(tmp_path: Path) -> Path:
    """A data directory as the first release left it."""
    folder = tmp_path / "data"
    folder.mkdir()
    connection = sqlite3.connect(folder / "ragstone.db")
    connection.executescript(DUMP.read_text(encoding="utf-8"))
    connection.close()
    return folder


async def test_a_data_directory_of_the_first_release_opens_and_answers(old_data: Path):
    async with small_platform(old_data) as platform:
        answer = await platform.ask(QUESTION)
        [citation] = answer.citations
        assert citation.document_id == DOCUMENT
        assert citation.quote == "Employees have 28 days of paid leave per year."
        assert [document.id for document in await platform.storage.library.documents(Scope())] == [DOCUMENT]


async def test_its_conversations_are_kept_and_go_on(old_data: Path):
    async with small_platform(old_data) as platform:
        [before] = await platform.answers.conversations.history(Scope(), CONVERSATION)
        assert (before.question, before.answer) == (QUESTION, "Employees have 28 days of paid leave per year [1].")
        await platform.ask("And how long is parental leave?", conversation_id=CONVERSATION)
        assert len(await platform.answers.conversations.history(Scope(), CONVERSATION)) == 2


async def test_its_tenant_has_an_account_without_limits_and_takes_documents(old_data: Path, tmp_path: Path):
    (tmp_path / "notice.md").write_text("# Notice\n\nThe notice period is six weeks.\n")
    async with small_platform(old_data) as platform:
        async with platform.storage.database.read(EVERY_TENANT) as connection:
            known = [(row.tenant, row.plan, row.state) for row in await connection.execute(unscoped(tenants))]
        assert known == [("default", "unlimited", "active")]
        assert (await platform.ingest(tmp_path / "notice.md")).done == 1
        assert "six weeks" in (await platform.ask("How long is the notice period?")).text


async def test_opening_it_again_changes_nothing(old_data: Path):
    for _ in range(2):
        async with small_platform(old_data) as platform, platform.storage.database.read("default") as connection:
            assert len((await connection.execute(scoped(collections, "default"))).all()) == 1


def _upgrade_to_0001(connection: Connection) -> None:
    config = Config()
    config.set_main_option("script_location", "ragstone.storage:migrations")
    config.attributes["connection"] = connection
    command.upgrade(config, "0001")
    connection.execute(text("INSERT INTO collections VALUES ('acme', 'handbook', now())"))


async def test_a_postgresql_database_of_the_first_schema_is_brought_up_to_date(postgres: PostgresServer):
    name = postgres.empty_database()
    engine = create_async_engine(postgres.url(name).replace("postgresql", "postgresql+asyncpg", 1))
    async with engine.begin() as connection:
        await connection.run_sync(_upgrade_to_0001)
    await engine.dispose()
    database = await Database.open(postgres.url(name, user=APP), owner_url=postgres.url(name))
    async with database.read("acme") as connection:
        assert [row.collection for row in await connection.execute(unscoped(collections))] == ["handbook"]
        assert [row.plan for row in await connection.execute(unscoped(tenants))] == ["unlimited"]
    await database.close()
    revision = postgres.execute("SELECT version_num FROM alembic_version", database=name)
    assert [row["version_num"] for row in revision] == [HEAD_REVISION]
    postgres.drop(name)
