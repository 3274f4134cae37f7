"""Users of a tenant, their roles and passwords."""

from __future__ import annotations

import asyncio
import re
import secrets
import unicodedata
from dataclasses import dataclass
from datetime import UTC, datetime
from enum import StrEnum
from typing import TYPE_CHECKING, Annotated, Any

from pydantic import Field
from sqlalchemy import Row
from sqlalchemy.exc import IntegrityError
from sqlalchemy.ext.asyncio import AsyncConnection

from ragstone.errors import Conflict, Forbidden, InvalidInput, NotFound, Unauthenticated
from ragstone.identity.audit import Audit, Detail
from ragstone.identity.cache_revision import CacheRevision
from ragstone.identity.fields import MAX_EMAIL_CHARS, DisplayName, Email
from ragstone.identity.tenants import TenantState, checked_name
from ragstone.principals import PERMISSIONS, Permission, Principal, Role, check_role
from ragstone.storage.database import (
    EVERY_TENANT,
    Database,
    scoped,
    scoped_delete,
    scoped_insert,
    scoped_update,
    unscoped,
)
from ragstone.storage.schema import sessions, tenants, users
from ragstone.vocabulary import Scope

if TYPE_CHECKING:
    from argon2 import PasswordHasher

MIN_PASSWORD_CHARS = 12
MAX_PASSWORD_CHARS = 1024
MEMORY_KIB = 19 * 1024  # with two passes and one lane: OWASP, Password Storage Cheat Sheet, argon2id
PASSES = 2
LANES = 1
CONCURRENT_HASHES = 2  # bounds the memory and CPU that logins use


def checked_password(password: str) -> str:
    """Validate the length of a new password.

    Raises:
        InvalidInput: it is too short or too long.
    """
    if MIN_PASSWORD_CHARS <= len(password) <= MAX_PASSWORD_CHARS:
        return password
    bounds = f"{MIN_PASSWORD_CHARS} to {MAX_PASSWORD_CHARS}"
    raise InvalidInput(f"The password has {len(password)} characters. Choose one of {bounds}.")


class Passwords:
    """Hashes and verifies passwords. A process shares one instance, which limits concurrent hashes."""

    def __init__(self, hasher: PasswordHasher | None = None) -> None:
        self._hasher = hasher
        self._hashing = asyncio.Semaphore(CONCURRENT_HASHES)

    async def hash(self, password: str) -> str:
        """The hash to store, with its salt and parameters."""
        async with self._hashing:
            return await asyncio.to_thread(self._hash, password)

    async def verify(self, password: str, stored: str | None) -> bool:
        """Whether `stored` is the hash of `password`. None takes as long, and is false."""
        async with self._hashing:
            verified = await asyncio.to_thread(self._verify, password[:MAX_PASSWORD_CHARS], stored)
            return verified and len(password) <= MAX_PASSWORD_CHARS

    def is_outdated(self, stored: str) -> bool:
        """Whether the hash was made with other parameters than the current ones."""
        return self._argon2().check_needs_rehash(stored)

    def _hash(self, password: str) -> str:
        return self._argon2().hash(_bytes(password))

    def _verify(self, password: str, stored: str | None) -> bool:
        from argon2.exceptions import InvalidHashError, VerificationError

        if stored is None:
            self._hash(password)  # takes as long as a verification
            return False
        try:
            return self._argon2().verify(stored, _bytes(password))
        except (VerificationError, InvalidHashError):
            return False

    def _argon2(self) -> PasswordHasher:
        """The hasher; imported on first use, since most processes verify no password."""
        from argon2 import PasswordHasher

        if self._hasher is None:
            self._hasher = PasswordHasher(PASSES, MEMORY_KIB, LANES)
        return self._hasher


def _bytes(password: str) -> bytes:
    """The same bytes on every keyboard and system (NIST SP 800-63B, 5.1.1.2)."""
    return unicodedata.normalize("NFKC", password).encode(errors="surrogatepass")


_LABEL = r"[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?"
# What browsers accept as an address: HTML, "valid e-mail address".
_EMAIL = re.compile(rf"[a-z0-9.!#$%&'*+/=?^_`{{|}}~-]{{1,64}}@{_LABEL}(?:\.{_LABEL})*")
_REFUSED = "The e-mail address or password is wrong, or the account is not active. Try again, or ask an owner."
_MANAGING_ROLES = tuple(role.value for role in Role if Permission.MANAGE in PERMISSIONS[role])


class UserState(StrEnum):
    """The state of a user. A suspended user cannot log in."""

    ACTIVE = "active"
    SUSPENDED = "suspended"


@dataclass(frozen=True, slots=True)
class User:
    """A user of a tenant; `email` is unique in the installation and in lower case."""

    id: str
    tenant: str
    email: str
    name: str
    role: Role
    state: UserState
    created_at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class NewUser:
    """A user to create."""

    email: Email
    password: Annotated[str, Field(max_length=MAX_PASSWORD_CHARS)]
    role: Role = Role.VIEWER
    name: DisplayName = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class UserChange:
    """Changes of a user; None leaves a field as it is."""

    name: DisplayName | None = None
    role: Role | None = None
    state: UserState | None = None
    password: Annotated[str | None, Field(max_length=MAX_PASSWORD_CHARS)] = None


class Users:
    """Creates, reads and changes the users of a tenant. Changes of role, state or password end their sessions.

    `actor` is the principal that requests the change. It needs the permissions of the roles that
    it grants, and of the users that it changes or removes (`principals.check_role`).
    """

    def __init__(
        self, database: Database, audit: Audit, changes: CacheRevision | None = None, passwords: Passwords | None = None
    ) -> None:
        self._database = database
        self._audit = audit
        self._changes = changes or CacheRevision(database)
        self._passwords = passwords or Passwords()

    async def create(self, actor: Principal, tenant: str, new: NewUser) -> User:
        """Create a user.

        Raises:
            Forbidden: the role has permissions that the actor does not have.
            InvalidInput: the address is not valid, or the password has less than 12 or more than 1,024 characters.
            NotFound: the tenant does not exist.
            Conflict: the address is taken.
        """
        check_role(actor, new.role)
        address, named = checked_email(new.email), checked_name(new.name)
        password_hash = await self._passwords.hash(checked_password(new.password))
        user = User(secrets.token_hex(16), tenant, address, named, new.role, UserState.ACTIVE, datetime.now(UTC))
        try:
            async with self._changes.change(tenant) as connection:
                await _check_tenant(connection, tenant)
                await connection.execute(scoped_insert(users, Scope(tenant)), _row(user, password_hash))
                details: dict[str, Detail] = {"email": address, "role": user.role.value}
                await self._audit.record(
                    connection, tenant, actor=actor.id, action="user.created", target=user.id, details=details
                )
        except IntegrityError as error:
            raise Conflict(f"The address {address!r} belongs to another user. Use another address.") from error
        return user

    async def get(self, tenant: str, user_id: str) -> User:
        """One user of the tenant. Raises: NotFound."""
        async with self._database.read(tenant) as connection:
            return await _found(connection, tenant, user_id)

    async def all(self, tenant: str, *, limit: int = 100, after: str = "") -> list[User]:
        """Up to `limit` users by e-mail address; `after` is the last address of the previous page."""
        wanted = scoped(users, tenant).where(users.c.email > after).order_by(users.c.email).limit(limit)
        async with self._database.read(tenant) as connection:
            return [_user(row) for row in await connection.execute(wanted)]

    async def change(self, actor: Principal, tenant: str, user_id: str, change: UserChange) -> User:
        """Change a user.

        Raises:
            NotFound: the user does not exist.
            Forbidden: the present or the new role has permissions that the actor does not have, or the actor
                changes the own role or state.
            InvalidInput: the name or password is not valid.
            Conflict: the change would leave the tenant without an active owner.
        """
        values, details = await self._values(change)
        async with self._changes.change(tenant) as connection:
            before = await _found(connection, tenant, user_id)
            _check_change(actor, before, change)
            if not values:
                return before
            if not _manages(change.role or before.role, change.state or before.state):
                await _check_other_owner(connection, before)
            await connection.execute(scoped_update(users, tenant).where(users.c.id == user_id).values(values))
            if values.keys() - {"name"}:
                await _end_sessions(connection, before)
            await self._audit.record(
                connection, tenant, actor=actor.id, action="user.changed", target=user_id, details=details
            )
            return await _found(connection, tenant, user_id)

    async def remove(self, actor: Principal, tenant: str, user_id: str) -> None:
        """Remove a user with all sessions. Raises: NotFound, Forbidden, Conflict (the tenant's last active owner)."""
        async with self._changes.change(tenant) as connection:
            user = await _found(connection, tenant, user_id)
            check_role(actor, user.role)
            await _check_other_owner(connection, user)
            await connection.execute(scoped_delete(users, tenant).where(users.c.id == user_id))
            await self._audit.record(
                connection,
                tenant,
                actor=actor.id,
                action="user.removed",
                target=user_id,
                details={"email": user.email},
            )

    async def authenticate(self, email: str, password: str) -> User:
        """Verify an e-mail address and a password. An unknown address takes as long as a wrong password.

        Raises:
            Unauthenticated: unknown, wrong, suspended, or of a tenant that is not active; always the same message.
        """
        found = await self._by_email(email)
        verified = await self._passwords.verify(password, found.password_hash if found else None)
        if not found or not verified or (found.state, found.tenant_state) != (UserState.ACTIVE, TenantState.ACTIVE):
            raise Unauthenticated(_REFUSED)
        if self._passwords.is_outdated(found.password_hash):
            await self._rehash(found.tenant, found.id, found.password_hash, password)
        return _user(found)

    async def by_email(self, email: str) -> User | None:
        """The user of an e-mail address, if there is one."""
        found = await self._by_email(email)
        return _user(found) if found else None

    async def has_owner(self) -> bool:
        """Whether there is an active owner or operator; without one, the server listens on loopback only."""
        roles = users.c.role.in_((Role.OWNER, Role.OPERATOR))
        wanted = unscoped(users, users.c.id).where(roles, users.c.state == UserState.ACTIVE).limit(1)
        async with self._database.read(EVERY_TENANT) as connection:
            return (await connection.execute(wanted)).first() is not None

    async def _by_email(self, email: str) -> Row[Any] | None:
        address = email.strip().lower()
        if not _EMAIL.fullmatch(address) or len(address) > MAX_EMAIL_CHARS:
            address = ""  # no user has it; the query runs all the same, so that it takes as long
        wanted = unscoped(users, users, tenants.c.state.label("tenant_state"))
        wanted = wanted.join(tenants, tenants.c.tenant == users.c.tenant).where(users.c.email == address)
        async with self._database.read(EVERY_TENANT) as connection:
            row: Row[Any] | None = (await connection.execute(wanted)).first()
        return row

    async def _rehash(self, tenant: str, user_id: str, old: str, password: str) -> None:
        password_hash = await self._passwords.hash(password)
        unchanged = (users.c.id == user_id) & (users.c.password_hash == old)
        async with self._database.write(tenant) as connection:
            await connection.execute(scoped_update(users, tenant).where(unchanged).values(password_hash=password_hash))

    async def _values(self, change: UserChange) -> tuple[dict[str, str], dict[str, Detail]]:
        """The columns to write, and the details for the audit log."""
        values: dict[str, str] = {}
        if change.name is not None:
            values["name"] = checked_name(change.name)
        if change.role is not None:
            values["role"] = change.role.value
        if change.state is not None:
            values["state"] = change.state.value
        details: dict[str, Detail] = dict(values)
        if change.password is not None:
            values["password_hash"] = await self._passwords.hash(checked_password(change.password))
            details["password"] = True
        return values, details


def checked_email(text: str) -> str:
    """The e-mail address in lower case.

    Raises:
        InvalidInput: the text is not an e-mail address.
    """
    address = text.strip()
    if address.isascii() and len(address) <= MAX_EMAIL_CHARS and _EMAIL.fullmatch(address.lower()):
        return address.lower()
    raise InvalidInput(f"{text[:80]!r} is not an e-mail address. Use one like name@example.org.")


def _check_change(actor: Principal, user: User, change: UserChange) -> None:
    """Check that the actor may change this user. Raises: Forbidden."""
    check_role(actor, user.role)
    if change.role is not None:
        check_role(actor, change.role)
    if user.id == actor.user_id and (change.role or change.state):
        raise Forbidden("You cannot change your own role or state. Ask another owner.")


def _manages(role: Role, state: UserState) -> bool:
    return role.value in _MANAGING_ROLES and state is UserState.ACTIVE


async def _check_tenant(connection: AsyncConnection, tenant: str) -> None:
    if (await connection.execute(scoped(tenants, tenant, tenants.c.tenant))).first() is None:
        raise NotFound(f"There is no tenant {tenant[:80]!r}. Create it first.")


async def _check_other_owner(connection: AsyncConnection, user: User) -> None:
    """Check that another active user can manage the tenant. Raises: Conflict."""
    if not _manages(user.role, user.state):
        return
    others = scoped(users, user.tenant, users.c.id).where(
        users.c.id != user.id, users.c.role.in_(_MANAGING_ROLES), users.c.state == UserState.ACTIVE.value
    )
    if (await connection.execute(others.limit(1))).first() is None:
        raise Conflict(f"{user.email} is the tenant's last active owner. Make another user an owner first.")


async def _end_sessions(connection: AsyncConnection, user: User) -> None:
    active = (sessions.c.user_id == user.id) & sessions.c.revoked_at.is_(None)
    await connection.execute(scoped_update(sessions, user.tenant).where(active).values(revoked_at=datetime.now(UTC)))


async def _found(connection: AsyncConnection, tenant: str, user_id: str) -> User:
    row = (await connection.execute(scoped(users, tenant).where(users.c.id == user_id))).first()
    if row is None:
        raise NotFound("There is no such user. List the users with `ragstone accounts users list`.")
    return _user(row)


def _row(user: User, password_hash: str) -> dict[str, object]:
    return {
        "id": user.id,
        "email": user.email,
        "name": user.name,
        "role": user.role.value,
        "state": user.state.value,
        "password_hash": password_hash,
        "created_at": user.created_at,
    }


def _user(row: Row[Any]) -> User:
    return User(row.id, row.tenant, row.email, row.name, Role(row.role), UserState(row.state), row.created_at)
