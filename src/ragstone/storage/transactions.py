"""The port of a database backend, and the selector of the tenants that a transaction may access."""

from __future__ import annotations

import json
from contextlib import AbstractAsyncContextManager
from typing import Protocol

from sqlalchemy import Connection, inspect, text
from sqlalchemy.ext.asyncio import AsyncConnection

from ragstone.errors import RagstoneError
from ragstone.vocabulary import Scope


class EveryTenant:
    """The type of `EVERY_TENANT`: a transaction for it may read and change the rows of all tenants."""

    def __repr__(self) -> str:
        return "EVERY_TENANT"


EVERY_TENANT = EveryTenant()
"""For the worker, authentication and the operator; a house rule limits which modules use it."""

TenantSelector = Scope | str | EveryTenant
"""The rows that a transaction may touch: those of a scope's tenant, of a tenant, or of all tenants."""


def tenant_of(selector: TenantSelector) -> str | None:
    """The tenant of a selector; None: every tenant."""
    match selector:
        case EveryTenant():
            return None
        case Scope():
            return selector.tenant
        case _:
            return selector


class Backend(Protocol):
    """A kind of database: begins its transactions and translates its errors."""

    place: str
    """The location of the database for messages, without a password."""

    async def revision(self) -> str | None:
        """The current migration; None if there are no tables yet, or this user has no access to them."""

    def reading(self, selector: TenantSelector, *, snapshot: bool) -> AbstractAsyncContextManager[AsyncConnection]:
        """See `Database.read`."""

    def writing(self, selector: TenantSelector) -> AbstractAsyncContextManager[AsyncConnection]:
        """See `Database.write`."""

    def migrating(self) -> AbstractAsyncContextManager[AsyncConnection]:
        """A transaction that may change tables and excludes every other migration."""

    def failure(self, error: BaseException | None) -> RagstoneError:
        """Translate an error of the driver."""

    async def close(self) -> None:
        """Close all connections."""


def revision_of(connection: Connection) -> str | None:
    """The newest migration that ran on the database; None if none did."""
    if not inspect(connection).has_table("alembic_version"):
        return None
    return connection.execute(text("SELECT version_num FROM alembic_version")).scalar()


def compact_json(value: object) -> str:
    """JSON as both kinds of database store it."""
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"))
