"""The relational database: opening, migration, transactions, and statements bound to a scope."""

from __future__ import annotations

import json
import secrets
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager, contextmanager
from typing import Any

from sqlalchemy import (
    ARRAY,
    BigInteger,
    Boolean,
    ColumnElement,
    Connection,
    Delete,
    Dialect,
    Insert,
    Select,
    Table,
    Text,
    TypeDecorator,
    Update,
    bindparam,
    delete,
    exc,
    insert,
    make_url,
    select,
    update,
)
from sqlalchemy.engine import URL
from sqlalchemy.ext.asyncio import AsyncConnection
from sqlalchemy.ext.compiler import compiles
from sqlalchemy.sql.compiler import SQLCompiler
from sqlalchemy.sql.functions import FunctionElement
from sqlalchemy.types import TypeEngine

from ragstone.errors import ConfigurationError, DataDirectoryError, InvalidInput
from ragstone.storage.error_translation import NOT_TEXT
from ragstone.storage.schema import HEAD_REVISION, facts
from ragstone.storage.sqlite import Sqlite
from ragstone.storage.transactions import EVERY_TENANT, Backend, EveryTenant, TenantSelector, revision_of
from ragstone.vocabulary import Scope

__all__ = [
    "EVERY_TENANT",
    "Database",
    "EveryTenant",
    "TenantSelector",
    "any_of",
    "installation_id",
    "lock_tenant",
    "scoped",
    "scoped_delete",
    "scoped_insert",
    "scoped_update",
    "unscoped",
]


def scoped(table: Table, scope: Scope | str, *columns: ColumnElement[Any] | Table) -> Select[Any]:
    """Select from a tenant table: the only way to read one.

    Args:
        table: A table with a `tenant` column.
        scope: A scope, or a tenant's name for all collections of the tenant.
        columns: What to select; all columns of the table unless given.
    """
    return select(*(columns or (table,))).select_from(table).where(*_bounds(table, scope))


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
    """Select from the rows of all tenants. For the worker and for tables without tenants, never for a request."""
    return select(*(columns or (table,))).select_from(table)


def any_of(column: ColumnElement[Any], values: Sequence[str] | Sequence[int]) -> ColumnElement[bool]:
    """The condition that `column` is one of `values`, with a single bound parameter for all values.

    A plain IN has one parameter per value: databases limit their number, and every number of
    values is a different statement to prepare.
    """
    numbers = isinstance(column.type, BigInteger) or column.type.python_type is int
    return _AnyOf(column, bindparam("values", list(values), _Values(numbers=numbers), unique=True))


async def lock_tenant(connection: AsyncConnection, tenant: str) -> None:
    """Lock out other writers of `tenant` until an `EVERY_TENANT` transaction ends.

    A transaction of the tenant itself holds this lock already, and SQLite has one writer anyway.
    """
    if connection.dialect.name == "postgresql":
        from ragstone.storage import postgres

        await postgres.lock_tenant(connection, tenant)


class _Values(TypeDecorator[list[Any]]):
    """Any number of values in one parameter: an array on PostgreSQL, JSON on SQLite."""

    impl = Text
    cache_ok = True

    def __init__(self, *, numbers: bool) -> None:
        super().__init__()
        self.numbers = numbers

    def load_dialect_impl(self, dialect: Dialect) -> TypeEngine[Any]:
        """See the class."""
        if dialect.name != "postgresql":
            return dialect.type_descriptor(Text())
        return dialect.type_descriptor(ARRAY(BigInteger() if self.numbers else Text()))

    def process_bind_param(self, value: list[Any] | None, dialect: Dialect) -> list[Any] | str | None:
        """See the class."""
        return value if dialect.name == "postgresql" else json.dumps(value)


class _AnyOf(FunctionElement[bool]):
    type = Boolean()
    inherit_cache = True

    def self_group(self, against: object = None) -> _AnyOf:
        """Itself. The default would compare it with 1 on SQLite, which prevents the use of an index."""
        return self


@compiles(_AnyOf)
def _in_json(element: _AnyOf, compiler: SQLCompiler, **options: Any) -> str:  # noqa: ANN401 — the compiler's own
    column, values = (compiler.process(clause, **options) for clause in element.clauses)
    return f"({column} IN (SELECT value FROM json_each({values})))"  # noqa: S608 — parts from the compiler


@compiles(_AnyOf, "postgresql")
def _in_array(element: _AnyOf, compiler: SQLCompiler, **options: Any) -> str:  # noqa: ANN401 — as above
    column, values = (compiler.process(clause, **options) for clause in element.clauses)
    return f"({column} = ANY ({values}))"


def _bounds(table: Table, scope: Scope | str) -> list[ColumnElement[bool]]:
    if isinstance(scope, str):
        return [table.c.tenant == scope]
    return [table.c[name] == value for name, value in _owner(table, scope).items()]


def _owner(table: Table, scope: Scope) -> dict[str, str]:
    owner = {"tenant": scope.tenant}
    return owner | {"collection": scope.collection} if "collection" in table.c else owner


class Database:
    """The database of a process; many processes can open the same one."""

    def __init__(self, backend: Backend, dialect: str) -> None:
        self._backend = backend
        self._dialect = dialect

    def __repr__(self) -> str:
        return f"Database({self._backend.place!r})"

    @classmethod
    async def open(
        cls,
        url: str,
        *,
        owner_url: str | None = None,
        pool_size: int = 10,
        pool_overflow: int = 10,
        pool_timeout_s: float = 10.0,
    ) -> Database:
        """Open the database at `url`, for example `sqlite+aiosqlite:////srv/data/ragstone.db`.

        On SQLite, creates the file (and its folder, if only that is missing). Migrates the
        tables to the newest version; of several processes, one runs the migration.

        Args:
            url: SQLite or PostgreSQL.
            owner_url: PostgreSQL only: URL of the same database for the user that owns the tables
                and creates the roles, so that the user of `url` owns nothing.
            pool_size: PostgreSQL only: connections that stay open.
            pool_overflow: PostgreSQL only: additional connections under load.
            pool_timeout_s: PostgreSQL only: how long to wait for a free connection.

        Raises:
            DataDirectoryError: missing, read-only, full, not a database, or of a newer version.
            ConfigurationError: no such database, user or password; a kind that is not
                supported; or roles that an administrator has to create.
            Unavailable: PostgreSQL does not answer.
        """
        parsed = _parsed(url)
        backend: Backend
        match parsed.get_backend_name():
            case "sqlite" if parsed.database:
                backend = await Sqlite.open(parsed)
            case "postgresql":
                from ragstone.storage.postgres import Postgres

                owner = _parsed(owner_url) if owner_url else parsed
                backend = Postgres(
                    parsed, owner, pool_size=pool_size, pool_overflow=pool_overflow, pool_timeout_s=pool_timeout_s
                )
            case _:
                raise ConfigurationError(_NOT_SUPPORTED.format(url=parsed.render_as_string()))
        database = cls(backend, parsed.get_backend_name())
        async with AsyncExitStack() as on_failure:
            on_failure.push_async_callback(database.close)
            await database._migrate()
            on_failure.pop_all()
        return database

    async def close(self) -> None:
        """Close all connections."""
        await self._backend.close()

    @asynccontextmanager
    async def read(self, selector: TenantSelector, *, snapshot: bool = True) -> AsyncIterator[AsyncConnection]:
        """A read transaction on the rows of `selector`: all statements of the block see the same state.

        For a single statement, `snapshot=False` is faster on SQLite. On SQLite, and for
        `EVERY_TENANT`, only the scoped statements limit the rows.
        """
        with self._translated():
            async with self._backend.reading(selector, snapshot=snapshot) as connection:
                yield connection

    @asynccontextmanager
    async def write(self, selector: TenantSelector) -> AsyncIterator[AsyncConnection]:
        """A write transaction with exclusive write access to the rows of `selector`; commits at the block's end.

        No other transaction changes these rows until it ends: SQLite has one writer, and on
        PostgreSQL each transaction holds the lock of its tenant. So code that reads and then
        writes is correct on both. A transaction of `EVERY_TENANT` on PostgreSQL holds no lock,
        because it would block every tenant: it locks the rows it depends on, or calls `lock_tenant`.

        Keep the block short, and wait only for the database in it.

        Raises:
            DataDirectoryError: the disk is full or read-only; nothing was written.
            Unavailable: another transaction locked the rows for too long, or the connection broke.
        """
        with self._translated():
            async with self._backend.writing(selector) as connection:
                yield connection

    def insert_missing(self, table: Table) -> Insert:
        """An insert that skips rows whose key exists already."""
        # Imported late: a process uses one dialect, and each takes 2 MiB.
        if self._dialect == "sqlite":
            from sqlalchemy.dialects import sqlite

            return sqlite.insert(table).on_conflict_do_nothing()
        from sqlalchemy.dialects import postgresql

        return postgresql.insert(table).on_conflict_do_nothing()

    async def _migrate(self) -> None:
        with self._translated():
            revision = await self._backend.revision()
            self._refuse_newer(revision)
            if revision == HEAD_REVISION:
                return
            async with self._backend.migrating() as connection:
                revision = await connection.run_sync(revision_of)  # another process may have migrated
                self._refuse_newer(revision)
                if revision != HEAD_REVISION:
                    await connection.run_sync(_upgrade)

    def _refuse_newer(self, revision: str | None) -> None:
        if revision is not None and revision > HEAD_REVISION:
            raise DataDirectoryError(
                f"The database {self._backend.place} was written by a newer version of Ragstone (format {revision}; "
                f"this one reads up to {HEAD_REVISION}). Install that version, or restore a backup made by this one."
            )

    @contextmanager
    def _translated(self) -> Iterator[None]:
        try:
            yield
        except exc.DBAPIError as error:
            if isinstance(error, exc.IntegrityError):
                raise
            raise self._backend.failure(error.orig) from error
        except UnicodeEncodeError as error:
            raise InvalidInput(NOT_TEXT) from error


_NOT_SUPPORTED = (
    "The database URL {url!r} is not of a supported kind. "
    "Use sqlite+aiosqlite:///path/to/ragstone.db or postgresql://user:password@host/name."
)


def _parsed(url: str) -> URL:
    if url.startswith("postgres://"):  # the form that many providers show
        url = url.replace("postgres", "postgresql", 1)
    try:
        return make_url(url)
    except (exc.ArgumentError, ValueError) as error:
        raise ConfigurationError("The database URL cannot be read. " + _NOT_SUPPORTED.partition(". ")[2]) from error


def _upgrade(connection: Connection) -> None:
    # Imported late: Alembic costs 0.2 s, and an up-to-date database does not need it.
    from alembic import command
    from alembic.config import Config

    config = Config()
    config.set_main_option("script_location", "ragstone.storage:migrations")
    config.attributes["connection"] = connection
    command.upgrade(config, "head")


_INSTALLATION = "installation"  # the name of the fact
_INSTALLATION_BYTES = 8  # of the random id


async def installation_id(database: Database) -> str:
    """The random id of an installation, created at the first call: the prefix of its keys in a shared Redis.

    A new database has a new id, because its version numbers start at one again: it must not
    find keys in Redis of an earlier database or another installation.
    """
    known = unscoped(facts, facts.c.value).where(facts.c.name == _INSTALLATION)
    async with database.read(EVERY_TENANT) as connection:
        found = (await connection.execute(known)).scalar()
    if found is None:
        async with database.write(EVERY_TENANT) as connection:
            new = {"name": _INSTALLATION, "value": secrets.token_hex(_INSTALLATION_BYTES)}
            await connection.execute(database.insert_missing(facts), new)
            found = (await connection.execute(known)).scalar_one()
    return str(found)
