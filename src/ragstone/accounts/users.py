"""Users: the people of a tenant, their roles and passwords."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from ragstone.accounts.audit import Audit
from ragstone.principals import Role
from ragstone.storage.database import Database


class UserState(StrEnum):
    """A suspended user is not let in."""

    ACTIVE = "active"
    SUSPENDED = "suspended"


@dataclass(frozen=True, slots=True)
class User:
    """One person; `email` is unique in the installation, in small letters."""

    id: str
    tenant: str
    email: str
    name: str
    role: Role
    state: UserState
    created_at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class UserChange:
    """What to change of a user; None leaves it."""

    name: str | None = None
    role: Role | None = None
    state: UserState | None = None
    password: str | None = None


class Users:
    """Makes, reads and changes the users of a tenant. Role, state and password changes end their sessions."""

    def __init__(self, database: Database, audit: Audit) -> None:
        self._database = database
        self._audit = audit

    async def create(self, actor: str, tenant: str, *, email: str, password: str, role: Role, name: str = "") -> User:
        """Make a user.

        Raises:
            InvalidInput: no e-mail address, or a password shorter than 12 or longer than 1,024 characters.
            NotFound: there is no such tenant.
            Conflict: the address is taken.
        """
        raise NotImplementedError

    async def get(self, tenant: str, user_id: str) -> User:
        """One user of the tenant. Raises: NotFound."""
        raise NotImplementedError

    async def all(self, tenant: str, *, limit: int = 100, after: str = "") -> list[User]:
        """Up to `limit` users by e-mail address; `after` is the last address seen."""
        raise NotImplementedError

    async def change(self, actor: str, tenant: str, user_id: str, change: UserChange) -> User:
        """Change a user. Raises: NotFound, InvalidInput, Conflict (the tenant's last owner stays one)."""
        raise NotImplementedError

    async def remove(self, actor: str, tenant: str, user_id: str) -> None:
        """Remove a user with all sessions. Raises: NotFound, Conflict (the last owner)."""
        raise NotImplementedError

    async def authenticate(self, email: str, password: str) -> User:
        """The user whose address and password these are; as slow for an unknown address.

        Raises:
            Unauthenticated: unknown, wrong, suspended, or of a tenant that is not active; always the same sentence.
        """
        raise NotImplementedError
