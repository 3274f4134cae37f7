"""The port of a database backend, and the tenant that a transaction is for."""

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
    """The tenant selector rows are meant; None: every tenant's."""
    match selector:
        case EveryTenant():
            return None
        case Scope():
            return selector.tenant
        case _:
            return selector


class Backend(Protocol):
    """A kind of database: how it begins transactions, and what its failures mean."""

    place: str
    """Where the database is, for people: without a password."""

    async def revision(self) -> str | None:
        """The migration it is at; None if it has no tables yet, or has to be made ready for this user."""

    def reading(self, selector: TenantSelector, *, snapshot: bool) -> AbstractAsyncContextManager[AsyncConnection]:
        """See `Database.read`."""

    def writing(self, selector: TenantSelector) -> AbstractAsyncContextManager[AsyncConnection]:
        """See `Database.write`."""

    def migrating(self) -> AbstractAsyncContextManager[AsyncConnection]:
        """A transaction that may change tables, and that no other migration runs beside."""

    def failure(self, error: BaseException | None) -> RagstoneError:
        """What an error of the driver means, as a sentence."""

    async def close(self) -> None:
        """Let go of all connections."""


def revision_of(connection: Connection) -> str | None:
    """The newest migration that ran on the database; None: none did."""
    if not inspect(connection).has_table("alembic_version"):
        return None
    return connection.execute(text("SELECT version_num FROM alembic_version")).scalar()


def compact_json(value: object) -> str:
    """JSON as both kinds of database store it."""
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"))
