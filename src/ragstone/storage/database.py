"""The relational database: opening it, transactions, and statements bound to a scope.

Durability: WAL with `synchronous=FULL`. A committed transaction survives kill -9 and,
as far as the disk honours fsync, a loss of power; whatever was not committed leaves no
trace. The index is derived: should it lose its last writes with the power, `rebuild`
makes it again from here.
"""

from __future__ import annotations

import asyncio
import json
import sqlite3
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager, contextmanager
from pathlib import Path
from typing import Any

from sqlalchemy import (
    ColumnElement,
    Connection,
    Delete,
    Insert,
    Select,
    Table,
    Text,
    Update,
    bindparam,
    delete,
    event,
    exc,
    func,
    insert,
    inspect,
    make_url,
    select,
    text,
    update,
)
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.engine import URL
from sqlalchemy.engine.interfaces import DBAPIConnection
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine, create_async_engine
from sqlalchemy.pool import ConnectionPoolEntry

from ragstone.errors import ConfigurationError, DataDirectoryError
from ragstone.storage.failures import database_failure, disk_failure
from ragstone.storage.schema import HEAD_REVISION
from ragstone.vocabulary import Scope

BUSY_TIMEOUT_S = 30.0  # how long one process waits for another one's write to end
_WRITES = "ragstone_writes"


class EveryTenant:
    """Says that a transaction is nobody's request: it may see and change the rows of all tenants."""

    def __repr__(self) -> str:
        return "EVERY_TENANT"


EVERY_TENANT = EveryTenant()
"""For the worker, the door and the operator; a house rule counts who uses it."""

Whose = Scope | str | EveryTenant
"""Whose rows a transaction may touch: a scope's or a tenant's, or everybody's."""


def scoped(table: Table, scope: Scope | str, *columns: ColumnElement[Any] | Table) -> Select[Any]:
    """Select from a tenant table: the only way to read one.

    Args:
        table: A table with a `tenant` column.
        scope: A scope, or a tenant's name for all collections of the tenant.
        columns: What to select; all columns of the table unless given.
    """
    return select(*(columns or (table,))).where(*_bounds(table, scope))


def scoped_update(table: Table, scope: Scope | str) -> Update:
    """Update rows of a tenant table, within `scope` only."""
    return update(table).where(*_bounds(table, scope))


def scoped_delete(table: Table, scope: Scope | str) -> Delete:
    """Delete rows of a tenant table, within `scope` only."""
    return delete(table).where(*_bounds(table, scope))


def scoped_insert(table: Table, scope: Scope) -> Insert:
    """Insert into a tenant table; `tenant` and `collection` are filled in from `scope`."""
    return insert(table).values(_owner(table, scope))


def unscoped(table: Table, *columns: ColumnElement[Any] | Table) -> Select[Any]:
    """Select from the rows of all tenants: for the worker and for tables that are no tenant's, never for a request."""
    return select(*(columns or (table,)))


def any_of(column: ColumnElement[Any], values: Sequence[str] | Sequence[int]) -> ColumnElement[bool]:
    """`column` is one of `values`, as one bound parameter however many there are.

    A plain IN has a parameter per value, which the database limits and which makes
    every length a statement of its own.
    """
    strings = func.json_each(bindparam("values", json.dumps(list(values)), Text, unique=True)).table_valued("value")
    return column.in_(select(strings.c.value))


def _bounds(table: Table, scope: Scope | str) -> list[ColumnElement[bool]]:
    if isinstance(scope, str):
        return [table.c.tenant == scope]
    return [table.c[name] == value for name, value in _owner(table, scope).items()]


def _owner(table: Table, scope: Scope) -> dict[str, str]:
    owner = {"tenant": scope.tenant}
    return owner | {"collection": scope.collection} if "collection" in table.c else owner


class Database:
    """One database, shared by all parts of a process; many processes may open it at once."""

    def __init__(self, engine: AsyncEngine, file: Path) -> None:
        self._engine = engine
        self._file = file
        # Writers of one process queue here instead of polling for SQLite's lock.
        self._writer = asyncio.Lock()

    @classmethod
    async def open(cls, url: str) -> Database:
        """Open the database at `url`, for example `sqlite+aiosqlite:////srv/data/ragstone.db`.

        Makes the file (and its folder, if only that is missing) and brings the tables
        up to date.

        Raises:
            DataDirectoryError: missing, read-only, full, not a database, or of a newer version.
            ConfigurationError: a kind of database that is not supported.
        """
        parsed = make_url(url)
        if parsed.get_backend_name() != "sqlite" or not parsed.database:
            raise ConfigurationError(
                f"The database URL {parsed.render_as_string()!r} is not of a supported kind. "
                "Use sqlite+aiosqlite:///path/to/ragstone.db."
            )
        path = Path(parsed.database)
        await asyncio.to_thread(_prepare_file, path)
        database = cls(_sqlite_engine(parsed.set(drivername="sqlite+aiosqlite")), path)
        async with AsyncExitStack() as on_failure:
            on_failure.push_async_callback(database.close)
            await database._bring_up_to_date()
            on_failure.pop_all()
        return database

    async def close(self) -> None:
        """Let go of all connections."""
        await self._engine.dispose()

    @asynccontextmanager
    async def read(self, whose: Whose) -> AsyncIterator[AsyncConnection]:
        """A connection that sees one state of the database throughout the block, and of it the rows of `whose`."""
        with _translated(self._file):
            async with self._engine.connect() as connection:
                yield connection

    @asynccontextmanager
    async def write(self, whose: Whose) -> AsyncIterator[AsyncConnection]:
        """One transaction on the rows of `whose`, holding the write lock from its start; commits at the block's end.

        Keep it short, and never wait for anything but the database in it.

        Raises:
            DataDirectoryError: the disk is full or read-only; nothing was written.
            Unavailable: another process kept the database locked for too long.
        """
        with _translated(self._file):
            async with self._writer, self._engine.connect() as connection:
                await connection.execution_options(**{_WRITES: True})
                async with connection.begin():
                    yield connection

    def insert_missing(self, table: Table) -> Insert:
        """An insert that leaves rows alone whose key is already there."""
        if self._engine.dialect.name == "sqlite":
            return sqlite.insert(table).on_conflict_do_nothing()
        return postgresql.insert(table).on_conflict_do_nothing()

    async def _bring_up_to_date(self) -> None:
        async with self.read(EVERY_TENANT) as connection:
            revision = await connection.run_sync(_revision)
        if revision == HEAD_REVISION:
            return
        if revision is not None and revision > HEAD_REVISION:
            raise DataDirectoryError(
                f"The database {self._file} was written by a newer version of Ragstone (format {revision}; this one "
                f"reads up to {HEAD_REVISION}). Install that version, or restore a backup made by this one."
            )
        async with self.write(EVERY_TENANT) as connection:
            if await connection.run_sync(_revision) != HEAD_REVISION:  # nobody else did it while we waited
                await connection.run_sync(_upgrade)


def _prepare_file(path: Path) -> None:
    """Make the folder and switch the file to WAL, which then stays with the file."""
    try:
        path.parent.mkdir(exist_ok=True)
    except FileNotFoundError as error:
        raise DataDirectoryError(
            f"{path.parent.parent} does not exist, so no data directory can be made in it. "
            "Create it, or set RAGSTONE_DATA_DIR to another folder."
        ) from error
    except FileExistsError as error:
        raise DataDirectoryError(
            f"The data directory {path.parent} is a file. Move it away, or set RAGSTONE_DATA_DIR to a folder."
        ) from error
    except OSError as error:
        raise disk_failure(error, path.parent) from error
    try:
        connection = sqlite3.connect(path, timeout=BUSY_TIMEOUT_S, isolation_level=None)
        try:
            if connection.execute("PRAGMA journal_mode").fetchone()[0] != "wal":
                # Changing the mode ignores the busy timeout unless the lock is held already.
                connection.execute("PRAGMA journal_mode = WAL")
        finally:
            connection.close()
    except sqlite3.Error as error:
        raise database_failure(error, path) from error


def _sqlite_engine(url: URL) -> AsyncEngine:
    engine = create_async_engine(url, json_serializer=_compact_json)
    event.listen(engine.sync_engine, "connect", _set_pragmas)
    event.listen(engine.sync_engine, "begin", _begin)
    return engine


def _compact_json(value: object) -> str:
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"))


def _set_pragmas(connection: DBAPIConnection, _entry: ConnectionPoolEntry) -> None:
    connection.isolation_level = None  # the driver shall not begin transactions by its own rules
    cursor = connection.cursor()
    for pragma in (f"busy_timeout = {int(BUSY_TIMEOUT_S * 1000)}", "foreign_keys = ON", "synchronous = FULL"):
        cursor.execute(f"PRAGMA {pragma}")
    cursor.close()


def _begin(connection: Connection) -> None:
    writes = connection.get_execution_options().get(_WRITES, False)
    connection.exec_driver_sql("BEGIN IMMEDIATE" if writes else "BEGIN")


def _revision(connection: Connection) -> str | None:
    if not inspect(connection).has_table("alembic_version"):
        return None
    return connection.execute(text("SELECT version_num FROM alembic_version")).scalar()


def _upgrade(connection: Connection) -> None:
    # Imported late: Alembic costs 0.2 s, and an up-to-date database does not need it.
    from alembic import command
    from alembic.config import Config

    config = Config()
    config.set_main_option("script_location", "ragstone.storage:migrations")
    config.attributes["connection"] = connection
    command.upgrade(config, "head")


@contextmanager
def _translated(place: Path) -> Iterator[None]:
    try:
        yield
    except exc.DBAPIError as error:
        if isinstance(error, exc.IntegrityError):
            raise
        raise database_failure(error.orig, place) from error
