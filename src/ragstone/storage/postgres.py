"""The PostgreSQL backend: row level security, a role per transaction, and a write lock per tenant.

Tenants are isolated twice: by the scoped statements, as on SQLite, and by policies of the
tables. The first statement of each transaction sets the role `ragstone_tenant` and the tenant,
or the role `ragstone_system`. Both settings end with the transaction, so a crash leaves nothing
on a pooled connection.
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
from ragstone.storage.error_translation import BROKEN_CONNECTION, postgres_failure
from ragstone.storage.transactions import TenantSelector, compact_json, revision_of, tenant_of

TENANT_ROLE = "ragstone_tenant"
SYSTEM_ROLE = "ragstone_system"
STATEMENT_TIMEOUT_S = 60.0  # far longer than any statement of Ragstone takes
LOCK_TIMEOUT_S = 30.0  # how long a writer waits for another writer of the same tenant, as on SQLite
CONNECT_TIMEOUT_S = 10.0
MIGRATION_LOCK = 0x5261_6773_746F_6E65  # "Ragstone"; one migration at a time in a database

_BIND = "SELECT set_config('role', :role, true), set_config('ragstone.tenant', :tenant, true)"
_READ = text(_BIND)
_WRITE = text(f"{_BIND}, pg_advisory_xact_lock(:lock)")
_READABLE = text("SELECT coalesce(has_table_privilege(to_regclass('alembic_version'), 'SELECT'), false)")
# Since version 16, the creator of a role is its member, but needs a separate grant to SET it.
_MEMBER = text(
    "SELECT count(*) = 2 FROM pg_roles WHERE rolname IN (:tenant, :system) "
    "AND pg_has_role(coalesce(:login, session_user), oid, "
    "CASE WHEN current_setting('server_version_num')::int < 160000 THEN 'MEMBER' ELSE 'SET' END)"
)
_LOCK = text("SELECT pg_advisory_xact_lock(:lock)")


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
            pool_use_lifo=True,  # unneeded connections stay idle, so that the server can close them
            **_options(),
        )
        event.listen(self._engine.sync_engine, "handle_error", _discard_broken_connections)
        self._snapshots = self._engine.execution_options(isolation_level="REPEATABLE READ", postgresql_readonly=True)
        # Writers of one tenant wait here for each other, so that none holds a connection while waiting for the lock.
        self._writers: WeakValueDictionary[str, asyncio.Lock] = WeakValueDictionary()

    async def revision(self) -> str | None:
        """See `Backend`."""
        async with AsyncExitStack() as stack:
            connection = await self._connected(self._engine, stack)
            if not (await connection.scalar(_READABLE) and await _is_role_member(connection)):
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
            await connection.execute(_LOCK, {"lock": MIGRATION_LOCK})
            yield connection
            await self._grant_roles(connection)
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
        """A transaction after its first statement. Without a commit, it is rolled back at the end."""
        async with AsyncExitStack() as stack:
            connection = await self._connected(engine, stack)
            try:
                await connection.execute(first, values)
            except exc.DBAPIError as error:
                if not error.connection_invalidated:
                    raise
                # The pool had a connection that the server had closed; it has now dropped all of that age.
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

    async def _grant_roles(self, connection: AsyncConnection) -> None:
        """Grant both roles to the login of the platform and to the owner, whose migrations and backups read rows."""
        owner = (await connection.execute(text("SELECT session_user"))).scalar_one()
        for login in {owner, self._url.username or owner}:
            if not await _is_role_member(connection, login):
                quoted = '"' + login.replace('"', '""') + '"'
                await connection.execute(text(f"GRANT {TENANT_ROLE}, {SYSTEM_ROLE} TO {quoted}"))


def lock_number(tenant: str) -> int:
    """The number of a tenant's advisory lock, the same in every process."""
    return int.from_bytes(hashlib.blake2b(tenant.encode(), digest_size=8).digest(), signed=True)


async def lock_tenant(connection: AsyncConnection, tenant: str) -> None:
    """Take the tenant's write lock until the transaction ends; waits for another writer to end."""
    await connection.execute(_LOCK, {"lock": lock_number(tenant)})


def _discard_broken_connections(context: ExceptionContext) -> None:
    """Mark a connection as disconnected if the server closed it during a statement: the driver cannot use it again."""
    if type(context.original_exception).__name__ == BROKEN_CONNECTION:
        context.is_disconnect = True


def _binding(selector: TenantSelector) -> dict[str, Any]:
    tenant = tenant_of(selector)
    if tenant is None:
        return {"role": SYSTEM_ROLE, "tenant": ""}
    return {"role": TENANT_ROLE, "tenant": tenant}


async def _is_role_member(connection: AsyncConnection, login: str | None = None) -> bool:
    """Whether a login (None: the connected one) can use both roles."""
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
    # JIT compilation of short statements costs more than it gains.
    settings |= {"application_name": "ragstone", "jit": "off"}
    return {
        "isolation_level": "READ COMMITTED",
        "json_serializer": compact_json,
        "connect_args": {"server_settings": settings, "timeout": CONNECT_TIMEOUT_S},
        "hide_parameters": True,  # errors must not contain data of tenants
    }
