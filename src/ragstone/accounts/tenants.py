"""Tenants: the customers of an installation, who know nothing of each other."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from ragstone.accounts.audit import Audit
from ragstone.storage.database import Database


class TenantState(StrEnum):
    """`suspended` and `deleting` tenants are not let in."""

    ACTIVE = "active"
    SUSPENDED = "suspended"
    DELETING = "deleting"


@dataclass(frozen=True, slots=True)
class Tenant:
    """One customer. `retention_days`: conversations older than that are deleted; None keeps them."""

    id: str
    name: str
    plan: str
    state: TenantState
    retention_days: int | None
    created_at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class TenantChange:
    """What to change of a tenant; None leaves it. `retention_days` 0 keeps conversations for ever."""

    name: str | None = None
    plan: str | None = None
    state: TenantState | None = None
    retention_days: int | None = None


class Tenants:
    """Makes, reads and changes tenants. `actor` is the id of the principal who asks for it."""

    def __init__(self, database: Database, audit: Audit) -> None:
        self._database = database
        self._audit = audit

    async def create(self, actor: str, tenant: str, *, name: str = "", plan: str = "free") -> Tenant:
        """Make a tenant.

        Raises:
            InvalidInput: the id cannot be used (see `COLLECTION_PATTERN`), or there is no such plan.
            Conflict: there is a tenant of that id, or there was one.
        """
        raise NotImplementedError

    async def get(self, tenant: str) -> Tenant:
        """One tenant. Raises: NotFound."""
        raise NotImplementedError

    async def all(self, *, limit: int = 100, after: str = "") -> list[Tenant]:
        """Up to `limit` tenants by id; `after` is the last id seen."""
        raise NotImplementedError

    async def change(self, actor: str, tenant: str, change: TenantChange) -> Tenant:
        """Change a tenant, effective within a second. Raises: NotFound, InvalidInput, Conflict."""
        raise NotImplementedError
