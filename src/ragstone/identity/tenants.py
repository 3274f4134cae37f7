"""Tenants: the customers of an installation, isolated from each other."""

from __future__ import annotations

import re
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from enum import StrEnum
from typing import Annotated, Any

from pydantic import Field
from sqlalchemy import Row
from sqlalchemy.exc import IntegrityError
from sqlalchemy.ext.asyncio import AsyncConnection

from ragstone.errors import Conflict, InvalidInput, NotFound
from ragstone.identity.audit import Audit, Detail
from ragstone.identity.cache_revision import CacheRevision
from ragstone.identity.fields import MAX_NAME_CHARS, AccountId, DisplayName, checked
from ragstone.storage.database import EVERY_TENANT, Database, scoped, scoped_insert, scoped_update, unscoped
from ragstone.storage.schema import audit_heads, plans, tenants
from ragstone.vocabulary import COLLECTION_PATTERN, DEFAULT_TENANT, Scope


def checked_name(text: str) -> str:
    """The name without surrounding blanks; it may be empty.

    Raises:
        InvalidInput: it is too long or has control characters.
    """
    name = text.strip()
    if len(name) > MAX_NAME_CHARS:
        raise InvalidInput(f"The name has {len(name)} characters. Use at most {MAX_NAME_CHARS}.")
    if not name.isprintable():
        raise InvalidInput("The name contains control characters. Use letters, digits, blanks and punctuation.")
    return name


MAX_RETENTION_DAYS = 36_500  # a hundred years


class TenantState(StrEnum):
    """The state of a tenant. Keys and users of a suspended or deleting tenant are not authenticated."""

    ACTIVE = "active"
    SUSPENDED = "suspended"
    DELETING = "deleting"


@dataclass(frozen=True, slots=True)
class Tenant:
    """One customer. `retention_days`: older conversations are deleted; None: none are."""

    id: str
    name: str
    plan: str
    state: TenantState
    retention_days: int | None
    created_at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class TenantChange:
    """Changes of a tenant; None leaves a field as it is. `retention_days` 0: conversations are never deleted."""

    name: DisplayName | None = None
    plan: AccountId | None = None
    state: TenantState | None = None
    retention_days: Annotated[
        int | None, Field(ge=0, le=MAX_RETENTION_DAYS, description="Days conversations are kept; 0: for ever.")
    ] = None


class Tenants:
    """Creates, reads and changes tenants. `actor` is the id of the principal that requests the change."""

    def __init__(self, database: Database, audit: Audit, changes: CacheRevision | None = None) -> None:
        self._database = database
        self._audit = audit
        self._changes = changes or CacheRevision(database)

    async def create(self, actor: str, tenant: str, *, name: str = "", plan: str = "free") -> Tenant:
        """Create a tenant.

        Raises:
            InvalidInput: the id is not valid (see `COLLECTION_PATTERN`), or the plan does not exist.
            Conflict: a tenant has the id, or had it before.
        """
        if not re.fullmatch(COLLECTION_PATTERN, tenant):
            raise InvalidInput(
                f"{tenant[:80]!r} is not a valid tenant id. Use up to 64 lower-case letters, digits, - and _."
            )
        named = checked_name(name) or tenant
        new = Tenant(tenant, named, plan, TenantState.ACTIVE, None, datetime.now(UTC))
        try:
            async with self._changes.change(tenant) as connection:
                await self._add(connection, new)
                details: dict[str, Detail] = {"name": new.name, "plan": plan}
                await self._audit.record(
                    connection, tenant, actor=actor, action="tenant.created", target=tenant, details=details
                )
        except IntegrityError as error:
            raise _taken(tenant) from error
        return new

    async def get(self, tenant: str) -> Tenant:
        """One tenant. Raises: NotFound."""
        async with self._database.read(tenant) as connection:
            return await _found(connection, tenant)

    async def all(self, *, limit: int = 100, after: str = "") -> list[Tenant]:
        """Up to `limit` tenants by id; `after` is the last id of the previous page."""
        wanted = unscoped(tenants).where(tenants.c.tenant > after).order_by(tenants.c.tenant).limit(limit)
        async with self._database.read(EVERY_TENANT) as connection:
            return [_tenant(row) for row in await connection.execute(wanted)]

    async def change(self, actor: str, tenant: str, change: TenantChange) -> Tenant:
        """Change a tenant; every process applies it within a second. Raises: NotFound, InvalidInput, Conflict."""
        values = _values(checked(TenantChange, asdict(change)))
        async with self._changes.change(tenant) as connection:
            before = await _found(connection, tenant)
            _check_state(before, change.state)
            if change.plan is not None:
                await _check_plan(connection, change.plan)
            if values:
                await connection.execute(scoped_update(tenants, tenant).values(values))
                await self._audit.record(
                    connection, tenant, actor=actor, action="tenant.changed", target=tenant, details=values
                )
            return await _found(connection, tenant)

    async def _add(self, connection: AsyncConnection, new: Tenant) -> None:
        await _check_plan(connection, new.plan)
        # The audit log outlives its tenant: a new tenant of the same id would appear under the old one's records.
        for table in (tenants, audit_heads):
            if (await connection.execute(scoped(table, new.id, table.c.tenant))).first():
                raise _taken(new.id)
        row = {"name": new.name, "plan": new.plan, "state": new.state.value, "created_at": new.created_at}
        await connection.execute(scoped_insert(tenants, Scope(new.id)), row)


def _taken(tenant: str) -> Conflict:
    return Conflict(f"The tenant id {tenant!r} is in use or was used before. Choose another.")


async def _found(connection: AsyncConnection, tenant: str) -> Tenant:
    row = (await connection.execute(scoped(tenants, tenant))).first()
    if row is None:
        raise NotFound(f"There is no tenant {tenant[:80]!r}. List the tenants with `ragstone accounts tenants list`.")
    return _tenant(row)


async def _check_plan(connection: AsyncConnection, plan: str) -> None:
    if (await connection.execute(unscoped(plans, plans.c.id).where(plans.c.id == plan))).first() is None:
        raise InvalidInput(f"There is no plan {plan[:80]!r}. List the plans with `ragstone accounts plans list`.")


def _check_state(before: Tenant, wanted: TenantState | None) -> None:
    if wanted in {None, before.state}:
        return
    if before.id == DEFAULT_TENANT:
        raise Conflict(
            f"The state of the tenant {DEFAULT_TENANT!r} cannot be changed. Suspend its users or keys instead."
        )
    if before.state is TenantState.DELETING:
        raise Conflict(f"The tenant {before.id!r} is being deleted, which cannot be undone. Create another tenant.")


def _values(change: TenantChange) -> dict[str, Detail]:
    values: dict[str, Detail] = {}
    if change.name is not None:
        values["name"] = checked_name(change.name)
    if change.plan is not None:
        values["plan"] = change.plan
    if change.state is not None:
        values["state"] = change.state.value
    if change.retention_days is not None:
        values["retention_days"] = change.retention_days or None
    return values


def _tenant(row: Row[Any]) -> Tenant:
    return Tenant(row.tenant, row.name, row.plan, TenantState(row.state), row.retention_days, row.created_at)
