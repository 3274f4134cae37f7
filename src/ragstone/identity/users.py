"""Users: the people of a tenant, their roles and passwords."""

from __future__ import annotations

import asyncio
import re
import secrets
import unicodedata
from dataclasses import dataclass
from datetime import UTC, datetime
from enum import StrEnum
from typing import TYPE_CHECKING, Any

from sqlalchemy import Row
from sqlalchemy.exc import IntegrityError
from sqlalchemy.ext.asyncio import AsyncConnection

from ragstone.errors import Conflict, InvalidInput, NotFound, Unauthenticated
from ragstone.identity.audit import Audit, Detail
from ragstone.identity.cache_revision import CacheRevision
from ragstone.identity.tenants import TenantState, checked_name
from ragstone.principals import PERMISSIONS, Permission, Role
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

MIN_CHARS = 12
MAX_CHARS = 1024
MEMORY_KIB = 19 * 1024  # with two passes and one lane: OWASP, Password Storage Cheat Sheet, argon2id
PASSES = 2
LANES = 1
AT_ONCE = 2  # bounds what logins can take of memory and processors


def checked_password(password: str) -> str:
    """The password, if it can be one.

    Raises:
        InvalidInput: it is too short or too long.
    """
    if MIN_CHARS <= len(password) <= MAX_CHARS:
        return password
    raise InvalidInput(f"The password has {len(password)} characters. Choose one of {MIN_CHARS} to {MAX_CHARS}.")


class Passwords:
    """Hashes and verifies. All of a process share one, as it counts what runs at once."""

    def __init__(self, hasher: PasswordHasher | None = None) -> None:
        self._hasher = hasher
        self._turn = asyncio.Semaphore(AT_ONCE)

    async def hash(self, password: str) -> str:
        """The hash to keep, with its salt and parameters."""
        async with self._turn:
            return await asyncio.to_thread(self._hash, password)

    async def fits(self, password: str, kept: str | None) -> bool:
        """Whether `kept` was made of `password`; without one it takes as long, and is false."""
        async with self._turn:
            return await asyncio.to_thread(self._verify, password[:MAX_CHARS], kept) and len(password) <= MAX_CHARS

    def is_outdated(self, kept: str) -> bool:
        """Whether it was made with other parameters than hashes are made with now."""
        return self._argon2().check_needs_rehash(kept)

    def _hash(self, password: str) -> str:
        return self._argon2().hash(_bytes(password))

    def _verify(self, password: str, kept: str | None) -> bool:
        from argon2.exceptions import InvalidHashError, VerificationError

        if kept is None:
            self._hash(password)  # what a verification costs
            return False
        try:
            return self._argon2().verify(kept, _bytes(password))
        except (VerificationError, InvalidHashError):
            return False

    def _argon2(self) -> PasswordHasher:
        """The hasher; imported when first needed, since most processes meet no password."""
        from argon2 import PasswordHasher

        if self._hasher is None:
            self._hasher = PasswordHasher(PASSES, MEMORY_KIB, LANES)
        return self._hasher


def _bytes(password: str) -> bytes:
    """The same bytes on every keyboard and system (NIST SP 800-63B, 5.1.1.2)."""
    return unicodedata.normalize("NFKC", password).encode(errors="surrogatepass")


MAX_EMAIL_CHARS = 254  # RFC 5321, with the errata
_LABEL = r"[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?"
# What browsers take for an address: HTML, "valid e-mail address".
_EMAIL = re.compile(rf"[a-z0-9.!#$%&'*+/=?^_`{{|}}~-]{{1,64}}@{_LABEL}(?:\.{_LABEL})*")
_REFUSED = "E-mail address or password are not right, or the account is not active. Try again, or ask its owner."
_RULERS = tuple(role.value for role in Role if Permission.MANAGE in PERMISSIONS[role])


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
    """Makes, reads and changes the users of a tenant. Role, state and password changes end their sessions.

    Whoever calls decides that the actor may: nobody gives, or takes from somebody who has
    it, a role with permissions that he has not himself (see `api_keys.grantable`).
    """

    def __init__(
        self, database: Database, audit: Audit, changes: CacheRevision | None = None, passwords: Passwords | None = None
    ) -> None:
        self._database = database
        self._audit = audit
        self._changes = changes or CacheRevision(database)
        self._passwords = passwords or Passwords()

    async def create(self, actor: str, tenant: str, *, email: str, password: str, role: Role, name: str = "") -> User:
        """Make a user.

        Raises:
            InvalidInput: no e-mail address, or a password shorter than 12 or longer than 1,024 characters.
            NotFound: there is no such tenant.
            Conflict: the address is taken.
        """
        address, named = checked_email(email), checked_name(name)
        kept = await self._passwords.hash(checked_password(password))
        new = User(secrets.token_hex(16), tenant, address, named, role, UserState.ACTIVE, datetime.now(UTC))
        try:
            async with self._changes.change(tenant) as connection:
                await _check_tenant(connection, tenant)
                await connection.execute(scoped_insert(users, Scope(tenant)), {**_row(new), "password_hash": kept})
                details: dict[str, Detail] = {"email": address, "role": role.value}
                await self._audit.record(
                    connection, tenant, actor=actor, action="user.created", target=new.id, details=details
                )
        except IntegrityError as error:
            raise Conflict(f"There is a user {address!r} already. Use another address.") from error
        return new

    async def get(self, tenant: str, user_id: str) -> User:
        """One user of the tenant. Raises: NotFound."""
        async with self._database.read(tenant) as connection:
            return await _found(connection, tenant, user_id)

    async def all(self, tenant: str, *, limit: int = 100, after: str = "") -> list[User]:
        """Up to `limit` users by e-mail address; `after` is the last address seen."""
        wanted = scoped(users, tenant).where(users.c.email > after).order_by(users.c.email).limit(limit)
        async with self._database.read(tenant) as connection:
            return [_user(row) for row in await connection.execute(wanted)]

    async def change(self, actor: str, tenant: str, user_id: str, change: UserChange) -> User:
        """Change a user. Raises: NotFound, InvalidInput, Conflict (the tenant's last owner stays one)."""
        values, details = await self._values(change)
        async with self._changes.change(tenant) as connection:
            before = await _found(connection, tenant, user_id)
            if not values:
                return before
            if not _rules(change.role or before.role, change.state or before.state):
                await _check_other_ruler(connection, before)
            await connection.execute(scoped_update(users, tenant).where(users.c.id == user_id).values(values))
            if values.keys() - {"name"}:
                await _end_sessions(connection, before)
            await self._audit.record(
                connection, tenant, actor=actor, action="user.changed", target=user_id, details=details
            )
            return await _found(connection, tenant, user_id)

    async def remove(self, actor: str, tenant: str, user_id: str) -> None:
        """Remove a user with all sessions. Raises: NotFound, Conflict (the last owner)."""
        async with self._changes.change(tenant) as connection:
            user = await _found(connection, tenant, user_id)
            await _check_other_ruler(connection, user)
            await connection.execute(scoped_delete(users, tenant).where(users.c.id == user_id))
            await self._audit.record(
                connection, tenant, actor=actor, action="user.removed", target=user_id, details={"email": user.email}
            )

    async def authenticate(self, email: str, password: str) -> User:
        """The user whose address and password these are; as slow for an unknown address.

        Raises:
            Unauthenticated: unknown, wrong, suspended, or of a tenant that is not active; always the same sentence.
        """
        found = await self._by_email(email)
        fits = await self._passwords.fits(password, found.password_hash if found else None)
        if not found or not fits or (found.state, found.tenant_state) != (UserState.ACTIVE, TenantState.ACTIVE):
            raise Unauthenticated(_REFUSED)
        if self._passwords.is_outdated(found.password_hash):
            await self._keep_anew(found.tenant, found.id, found.password_hash, password)
        return _user(found)

    async def by_email(self, email: str) -> User | None:
        """The user of an address, if there is one; for the door and the command line."""
        found = await self._by_email(email)
        return _user(found) if found else None

    async def has_owner(self) -> bool:
        """Whether somebody owns or operates the installation: before, no network may reach it."""
        roles = users.c.role.in_((Role.OWNER, Role.OPERATOR))
        wanted = unscoped(users, users.c.id).where(roles, users.c.state == UserState.ACTIVE).limit(1)
        async with self._database.read(EVERY_TENANT) as connection:
            return (await connection.execute(wanted)).first() is not None

    async def _by_email(self, email: str) -> Row[Any] | None:
        address = email.strip().lower()
        if not _EMAIL.fullmatch(address) or len(address) > MAX_EMAIL_CHARS:
            address = ""  # nobody's, and asked for like any other
        wanted = unscoped(users, users, tenants.c.state.label("tenant_state"))
        wanted = wanted.join(tenants, tenants.c.tenant == users.c.tenant).where(users.c.email == address)
        async with self._database.read(EVERY_TENANT) as connection:
            row: Row[Any] | None = (await connection.execute(wanted)).first()
        return row

    async def _keep_anew(self, tenant: str, user_id: str, old: str, password: str) -> None:
        kept = await self._passwords.hash(password)
        same = (users.c.id == user_id) & (users.c.password_hash == old)
        async with self._database.write(tenant) as connection:
            await connection.execute(scoped_update(users, tenant).where(same).values(password_hash=kept))

    async def _values(self, change: UserChange) -> tuple[dict[str, str], dict[str, Detail]]:
        """What to write, and what of it to record."""
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
    """The address in small letters.

    Raises:
        InvalidInput: it is none.
    """
    address = text.strip()
    if address.isascii() and len(address) <= MAX_EMAIL_CHARS and _EMAIL.fullmatch(address.lower()):
        return address.lower()
    raise InvalidInput(f"{text[:80]!r} is no e-mail address. Use one like name@example.org.")


def _rules(role: Role, state: UserState) -> bool:
    return role.value in _RULERS and state is UserState.ACTIVE


async def _check_tenant(connection: AsyncConnection, tenant: str) -> None:
    if (await connection.execute(scoped(tenants, tenant, tenants.c.tenant))).first() is None:
        raise NotFound(f"There is no tenant {tenant[:80]!r}. Create it first.")


async def _check_other_ruler(connection: AsyncConnection, user: User) -> None:
    """Somebody is left who can give out roles and keys."""
    if not _rules(user.role, user.state):
        return
    others = scoped(users, user.tenant, users.c.id).where(
        users.c.id != user.id, users.c.role.in_(_RULERS), users.c.state == UserState.ACTIVE.value
    )
    if (await connection.execute(others.limit(1))).first() is None:
        raise Conflict(f"{user.email} is the tenant's last active owner. Make somebody else an owner first.")


async def _end_sessions(connection: AsyncConnection, user: User) -> None:
    theirs = (sessions.c.user_id == user.id) & sessions.c.revoked_at.is_(None)
    await connection.execute(scoped_update(sessions, user.tenant).where(theirs).values(revoked_at=datetime.now(UTC)))


async def _found(connection: AsyncConnection, tenant: str, user_id: str) -> User:
    row = (await connection.execute(scoped(users, tenant).where(users.c.id == user_id))).first()
    if row is None:
        raise NotFound("There is no such user. List them with `ragstone accounts users list`.")
    return _user(row)


def _row(user: User) -> dict[str, object]:
    return {
        "id": user.id,
        "email": user.email,
        "name": user.name,
        "role": user.role.value,
        "state": user.state.value,
        "created_at": user.created_at,
    }


def _user(row: Row[Any]) -> User:
    return User(row.id, row.tenant, row.email, row.name, Role(row.role), UserState(row.state), row.created_at)
