"""The SQLite backend: one file, many readers, one writer.

Durability: WAL with `synchronous=FULL`. A committed transaction survives kill -9 and, if the
disk honours fsync, a power failure; an uncommitted one leaves nothing behind. SQLite has no
users or row policies: only the scoped statements isolate tenants here.
"""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from sqlalchemy import Connection, event
from sqlalchemy.engine import URL
from sqlalchemy.engine.interfaces import DBAPIConnection
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine, create_async_engine
from sqlalchemy.pool import ConnectionPoolEntry

from ragstone.errors import DataDirectoryError, RagstoneError
from ragstone.storage.error_translation import database_failure, disk_failure
from ragstone.storage.transactions import EVERY_TENANT, TenantSelector, compact_json, revision_of

BUSY_TIMEOUT_S = 30.0  # how long one process waits for another one's write to end
_WRITES = "ragstone_writes"
_AUTOCOMMIT = "ragstone_autocommit"


class Sqlite:
    """See `Backend`."""

    def __init__(self, engine: AsyncEngine, file: Path) -> None:
        self.place = str(file)
        self._engine = engine
        self._file = file
        # Writers of one process wait here for each other instead of polling for SQLite's lock.
        self._writer = asyncio.Lock()

    @classmethod
    async def open(cls, url: URL) -> Sqlite:
        """Create the file (and its folder, if only that is missing) in WAL mode.

        Raises:
            DataDirectoryError: missing, read-only, or not a database.
        """
        file = Path(url.database or "")
        await asyncio.to_thread(_prepare_file, file)
        return cls(_engine(url.set(drivername="sqlite+aiosqlite")), file)

    async def revision(self) -> str | None:
        """See `Backend`."""
        async with self._engine.connect() as connection:
            return await connection.run_sync(revision_of)

    @asynccontextmanager
    async def reading(self, selector: TenantSelector, *, snapshot: bool) -> AsyncIterator[AsyncConnection]:
        """See `Backend`. A single statement needs no BEGIN, which would take a quarter of its time."""
        async with self._engine.connect() as connection:
            if not snapshot:
                await connection.execution_options(**{_AUTOCOMMIT: True})
            yield connection

    @asynccontextmanager
    async def writing(self, selector: TenantSelector) -> AsyncIterator[AsyncConnection]:
        """See `Backend`."""
        async with self._writer, self._engine.connect() as connection:
            await connection.execution_options(**{_WRITES: True})
            async with connection.begin():
                yield connection

    @asynccontextmanager
    async def migrating(self) -> AsyncIterator[AsyncConnection]:
        """See `Backend`."""
        async with self.writing(EVERY_TENANT) as connection:
            yield connection

    def failure(self, error: BaseException | None) -> RagstoneError:
        """See `Backend`."""
        return database_failure(error, self._file)

    async def close(self) -> None:
        """See `Backend`."""
        await self._engine.dispose()


def _prepare_file(path: Path) -> None:
    """Create the folder and switch the file to WAL, a mode that is stored in the file."""
    try:
        path.parent.mkdir(exist_ok=True)
    except FileNotFoundError as error:
        raise DataDirectoryError(
            f"{path.parent.parent} does not exist, so the data directory cannot be created in it. "
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


def _engine(url: URL) -> AsyncEngine:
    engine = create_async_engine(url, json_serializer=compact_json)
    event.listen(engine.sync_engine, "connect", _set_pragmas)
    event.listen(engine.sync_engine, "begin", _begin)
    return engine


def _set_pragmas(connection: DBAPIConnection, _entry: ConnectionPoolEntry) -> None:
    connection.isolation_level = None  # the driver must not begin transactions by itself
    cursor = connection.cursor()
    for pragma in (f"busy_timeout = {int(BUSY_TIMEOUT_S * 1000)}", "foreign_keys = ON", "synchronous = FULL"):
        cursor.execute(f"PRAGMA {pragma}")
    cursor.close()


def _begin(connection: Connection) -> None:
    options = connection.get_execution_options()
    if not options.get(_AUTOCOMMIT, False):
        connection.exec_driver_sql("BEGIN IMMEDIATE" if options.get(_WRITES, False) else "BEGIN")
