"""PostgreSQL: row level security, a role for each transaction, and locks where SQLite has one writer.

Tenants are kept apart twice: by the scoped statements, as on SQLite, and by policies of
the tables. Each transaction begins with one statement that takes the role
`ragstone_tenant` and names the tenant, or takes the role `ragstone_system`, and both
end with the transaction: what a crash leaves on a pooled connection is nothing.
"""

from __future__ import annotations

import asyncio
import hashlib
import importlib.util
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Any
from weakref import WeakValueDictionary

from sqlalchemy import TextClause, event, exc, text
from sqlalchemy.engine import URL, ExceptionContext
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine, create_async_engine
from sqlalchemy.pool import NullPool

from ragstone.errors import ConfigurationError, RagstoneError
from ragstone.storage.error_translation import CONFUSED, postgres_failure
from ragstone.storage.transactions import TenantSelector, compact_json, revision_of, tenant_of

TENANT_ROLE = "ragstone_tenant"
SYSTEM_ROLE = "ragstone_system"
STATEMENT_TIMEOUT_S = 60.0  # far beyond any statement of ours; what takes longer is stuck
LOCK_TIMEOUT_S = 30.0  # how long a writer waits for another one of the same tenant, as on SQLite
CONNECT_TIMEOUT_S = 10.0
MIGRATION_LOCK = 0x5261_6773_746F_6E65  # "Ragstone"; one migration at a time in a database

_BIND = "SELECT set_config('role', :role, true), set_config('ragstone.tenant', :tenant, true)"
_READ = text(_BIND)
_WRITE = text(f"{_BIND}, pg_advisory_xact_lock(:lock)")
_READABLE = text("SELECT coalesce(has_table_privilege(to_regclass('alembic_version'), 'SELECT'), false)")
# Since version 16, who makes a role is its member, but may take it only once that is granted as well.
_MEMBER = text(
    "SELECT count(*) = 2 FROM pg_roles WHERE rolname IN (:tenant, :system) "
    "AND pg_has_role(coalesce(:login, session_user), oid, "
    "CASE WHEN current_setting('server_version_num')::int < 160000 THEN 'MEMBER' ELSE 'SET' END)"
)
_HOLD = text("SELECT pg_advisory_xact_lock(:lock)")


class Postgres:
    """See `Backend`."""

    def __init__(self, url: URL, owner_url: URL, *, pool_size: int, pool_overflow: int, pool_timeout_s: float) -> None:
        """Nothing is connected yet.

        Raises:
            ConfigurationError: asyncpg is not installed.
        """
        if importlib.util.find_spec("asyncpg") is None:
            raise ConfigurationError(
                "PostgreSQL needs a driver that is not installed. Run `pip install 'ragstone[postgres]'`."
            )
        self._url, self._owner_url = _with_driver(url), _with_driver(owner_url)
        self.place = _place(self._url)
        self._engine = create_async_engine(
            self._url,
            pool_size=pool_size,
            max_overflow=pool_overflow,
            pool_timeout=pool_timeout_s,
            pool_use_lifo=True,  # what is not needed falls idle, and is closed by the server's side first
            **_options(),
        )
        event.listen(self._engine.sync_engine, "handle_error", _give_up_confused_connections)
        self._snapshots = self._engine.execution_options(isolation_level="REPEATABLE READ", postgresql_readonly=True)
        # Writers of one tenant queue here instead of each holding a connection while it waits for the lock.
        self._writers: WeakValueDictionary[str, asyncio.Lock] = WeakValueDictionary()

    async def revision(self) -> str | None:
        """See `Backend`."""
        async with AsyncExitStack() as stack:
            connection = await self._connected(self._engine, stack)
            if not (await connection.scalar(_READABLE) and await _may_take_roles(connection)):
                return None
            return await connection.run_sync(revision_of)

    @asynccontextmanager
    async def reading(self, selector: TenantSelector, *, snapshot: bool) -> AsyncIterator[AsyncConnection]:
        """See `Backend`."""
        async with self._begun(self._snapshots, _READ, _binding(selector)) as connection:
            yield connection

    @asynccontextmanager
    async def writing(self, selector: TenantSelector) -> AsyncIterator[AsyncConnection]:
        """See `Backend`."""
        tenant = tenant_of(selector)
        async with AsyncExitStack() as stack:
            if tenant is None:
                begun = self._begun(self._engine, _READ, _binding(selector))
            else:
                await stack.enter_async_context(self._writers.setdefault(tenant, asyncio.Lock()))
                begun = self._begun(self._engine, _WRITE, {**_binding(selector), "lock": lock_number(tenant)})
            connection = await stack.enter_async_context(begun)
            yield connection
            await connection.commit()

    @asynccontextmanager
    async def migrating(self) -> AsyncIterator[AsyncConnection]:
        """See `Backend`."""
        engine = create_async_engine(self._owner_url, poolclass=NullPool, **_options(patient=True))
        async with AsyncExitStack() as stack:
            stack.push_async_callback(engine.dispose)
            connection = await self._connected(engine, stack)
            await connection.execute(_HOLD, {"lock": MIGRATION_LOCK})
            yield connection
            await self._let_in(connection)
            await connection.commit()

    def failure(self, error: BaseException | None) -> RagstoneError:
        """See `Backend`."""
        return postgres_failure(error, self.place, self._url.username or "the database's user")

    async def close(self) -> None:
        """See `Backend`."""
        await self._engine.dispose()

    @asynccontextmanager
    async def _begun(
        self, engine: AsyncEngine, first: TextClause, values: dict[str, Any]
    ) -> AsyncIterator[AsyncConnection]:
        """A transaction selector first statement has run. What is not committed at the end is rolled back."""
        async with AsyncExitStack() as stack:
            connection = await self._connected(engine, stack)
            try:
                await connection.execute(first, values)
            except exc.DBAPIError as error:
                if not error.connection_invalidated:
                    raise
                # The pool held a connection that the server had closed; by now it holds none of that age.
                await stack.aclose()
                connection = await self._connected(engine, stack)
                await connection.execute(first, values)
            yield connection

    async def _connected(self, engine: AsyncEngine, stack: AsyncExitStack) -> AsyncConnection:
        import asyncpg

        try:
            return await stack.enter_async_context(engine.connect())
        except (OSError, exc.TimeoutError, asyncpg.PostgresError, asyncpg.InterfaceError) as error:
            raise self.failure(error) from error

    async def _let_in(self, connection: AsyncConnection) -> None:
        """Let take the roles who the platform connects as, and the owner: migrations and backups need to see rows."""
        owner = (await connection.execute(text("SELECT session_user"))).scalar_one()
        for login in {owner, self._url.username or owner}:
            if not await _may_take_roles(connection, login):
                quoted = '"' + login.replace('"', '""') + '"'
                await connection.execute(text(f"GRANT {TENANT_ROLE}, {SYSTEM_ROLE} TO {quoted}"))


def lock_number(tenant: str) -> int:
    """The number of a tenant's advisory lock, the same in every process."""
    return int.from_bytes(hashlib.blake2b(tenant.encode(), digest_size=8).digest(), signed=True)


async def hold_tenant(connection: AsyncConnection, tenant: str) -> None:
    """Wait until no other transaction writes for the tenant, and keep others waiting until this one ends."""
    await connection.execute(_HOLD, {"lock": lock_number(tenant)})


def _give_up_confused_connections(context: ExceptionContext) -> None:
    """The driver loses count when the server's goodbye meets a statement on its way; it can be used no more."""
    if type(context.original_exception).__name__ == CONFUSED:
        context.is_disconnect = True


def _binding(selector: TenantSelector) -> dict[str, Any]:
    tenant = tenant_of(selector)
    if tenant is None:
        return {"role": SYSTEM_ROLE, "tenant": ""}
    return {"role": TENANT_ROLE, "tenant": tenant}


async def _may_take_roles(connection: AsyncConnection, login: str | None = None) -> bool:
    """Whether a login, or the one that is connected, is a member of both roles."""
    values = {"tenant": TENANT_ROLE, "system": SYSTEM_ROLE, "login": login}
    return bool(await connection.scalar(_MEMBER, values))


def _with_driver(url: URL) -> URL:
    """The URL for asyncpg, which spells libpq's `sslmode` as `ssl`."""
    query = {("ssl" if name == "sslmode" else name): value for name, value in url.query.items()}
    return url.set(drivername="postgresql+asyncpg", query=query)


def _place(url: URL) -> str:
    host = url.host or url.query.get("host") or "localhost"
    return f"{url.database or url.username or 'postgres'} on {host}{f':{url.port}' if url.port else ''}"


def _options(*, patient: bool = False) -> dict[str, Any]:
    seconds = {
        "statement_timeout": 0.0 if patient else STATEMENT_TIMEOUT_S,
        "lock_timeout": 0.0 if patient else LOCK_TIMEOUT_S,
        "idle_in_transaction_session_timeout": STATEMENT_TIMEOUT_S,
    }
    settings = {name: str(int(value * 1000)) for name, value in seconds.items()}
    # Compiling our short statements, and those with which the driver learns types, costs more than it gains.
    settings |= {"application_name": "ragstone", "jit": "off"}
    return {
        "isolation_level": "READ COMMITTED",
        "json_serializer": compact_json,
        "connect_args": {"server_settings": settings, "timeout": CONNECT_TIMEOUT_S},
        "hide_parameters": True,  # errors shall not carry what tenants wrote
    }
