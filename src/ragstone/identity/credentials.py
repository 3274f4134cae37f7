"""Credentials: keys and sessions read from SQL, each with its principal and its expiry."""

from __future__ import annotations

import hmac
import math
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from sqlalchemy import ColumnElement, Row, Select
from sqlalchemy.ext.asyncio import AsyncConnection

from ragstone.identity import api_keys as keys
from ragstone.identity import sessions as logins
from ragstone.identity.secrets import Secret
from ragstone.principals import (
    PERMISSIONS,
    PUBLISHABLE_KEY_PERMISSIONS,
    SECRET_KEY_PERMISSIONS,
    CredentialType,
    Permission,
    Principal,
    Role,
)
from ragstone.storage.database import EVERY_TENANT, Database, scoped_update, unscoped
from ragstone.storage.schema import api_keys, sessions, tenants, users

_ACTIVE = "active"  # a tenant's state, and a user's


@dataclass(frozen=True, slots=True)
class Credential:
    """A key or session that was not revoked; its expiry is not checked yet. All times are Unix seconds.

    It expires at `ends`, or after `idle_s` without use. `used` is its last use that SQL recorded.
    """

    principal: Principal
    ends: float
    idle_s: float
    used: float


class Credentials:
    """Looks up keys and sessions, and stores when they were used."""

    def __init__(self, database: Database, secret: Secret, *, session_idle_s: float) -> None:
        self._database = database
        self._secret = secret
        self._session_idle_s = session_idle_s

    async def presented(self, text: str) -> Credential | None:
        """The credential of a presented key or token. A text of another form needs no SQL statement."""
        if keys.well_formed(text):
            digest = self._secret.digest(keys.PURPOSE, text)
            return await self._key(api_keys.c.key_hash == digest, digest)
        if logins.is_token(text):
            digest = self._secret.digest(logins.PURPOSE, text)
            return await self._session(sessions.c.token_hash == digest, digest)
        return None

    async def of(self, principal: Principal) -> Credential | None:
        """The credential that the principal authenticated with."""
        if principal.kind is CredentialType.SESSION:
            return await self._session(sessions.c.id == principal.credential)
        return await self._key(api_keys.c.id == principal.credential)

    async def any_exist(self) -> bool:
        """Whether there is a user or a key."""
        async with self._database.read(EVERY_TENANT) as connection:
            for wanted in (unscoped(users, users.c.id), unscoped(api_keys, api_keys.c.id)):
                if (await connection.execute(wanted.limit(1))).first():
                    return True
        return False

    async def note_use(self, uses: Iterable[tuple[Principal, float]]) -> None:
        """Store when the credentials of principals were last used."""
        async with self._database.write(EVERY_TENANT) as connection:
            for principal, used in uses:
                await _note_use(connection, principal, datetime.fromtimestamp(used, UTC))

    async def _key(self, which: ColumnElement[bool], digest: str | None = None) -> Credential | None:
        wanted = unscoped(api_keys, api_keys, tenants.c.plan, tenants.c.state.label("tenant_state"))
        row = await self._row(wanted.join(tenants, tenants.c.tenant == api_keys.c.tenant).where(which))
        if row is None or row.revoked_at or row.tenant_state != _ACTIVE or not _matches(row.key_hash, digest):
            return None
        return Credential(_of_key(row), _seconds(row.expires_at, math.inf), math.inf, _seconds(row.last_used_at, 0.0))

    async def _session(self, which: ColumnElement[bool], digest: str | None = None) -> Credential | None:
        wanted = unscoped(sessions, sessions, users.c.role, users.c.state, tenants.c.plan)
        wanted = wanted.add_columns(tenants.c.state.label("tenant_state"))
        wanted = wanted.join(users, (users.c.id == sessions.c.user_id) & (users.c.tenant == sessions.c.tenant))
        row = await self._row(wanted.join(tenants, tenants.c.tenant == sessions.c.tenant).where(which))
        if row is None or row.revoked_at or (row.tenant_state, row.state) != (_ACTIVE, _ACTIVE):
            return None
        if not _matches(row.token_hash, digest):
            return None
        ends, used = row.expires_at.timestamp(), row.last_used_at.timestamp()
        return Credential(_of_session(row), ends, self._session_idle_s, used)

    async def _row(self, wanted: Select[Any]) -> Row[Any] | None:
        async with self._database.read(EVERY_TENANT) as connection:
            row: Row[Any] | None = (await connection.execute(wanted)).first()
        return row


def _matches(stored: str, digest: str | None) -> bool:
    """Whether the hashes are equal, compared in constant time after the database's own comparison."""
    return digest is None or hmac.compare_digest(stored, digest)


def _of_key(row: Row[Any]) -> Principal:
    kind = CredentialType(row.kind)
    grantable = PUBLISHABLE_KEY_PERMISSIONS if kind is CredentialType.PUBLISHABLE else SECRET_KEY_PERMISSIONS
    return Principal(
        id=f"key:{row.id}",
        kind=kind,
        tenant=row.tenant,
        plan=row.plan,
        permissions=grantable & {Permission(each) for each in row.permissions},
        collections=None if row.collections is None else frozenset(row.collections),
        domains=tuple(row.domains),
        credential=row.id,
    )


def _of_session(row: Row[Any]) -> Principal:
    return Principal(
        id=f"user:{row.user_id}",
        kind=CredentialType.SESSION,
        tenant=row.tenant,
        plan=row.plan,
        permissions=PERMISSIONS[Role(row.role)],
        credential=row.id,
    )


async def _note_use(connection: AsyncConnection, principal: Principal, used: datetime) -> None:
    table = sessions if principal.kind is CredentialType.SESSION else api_keys
    earlier = table.c.last_used_at.is_(None) | (table.c.last_used_at < used)
    this = (table.c.id == principal.credential) & earlier
    await connection.execute(scoped_update(table, principal.tenant).where(this).values(last_used_at=used))


def _seconds(moment: datetime | None, otherwise: float) -> float:
    return moment.timestamp() if moment else otherwise
