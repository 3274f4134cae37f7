"""AUTHENTICATE: resolves a presented API key or session token to a principal.

cached? → form and checksum → keyed hash → key or session → active tenant → principal

A cached principal is valid for 30 seconds at most, and only until accounts change. A change
made by this process invalidates the cache immediately; a change made by another process does
so at the next check of the revision number in SQL. While SQL cannot be read, cached principals
expire and every other request is refused.
"""

from __future__ import annotations

import asyncio
import hashlib
import hmac
import math
import time
from collections.abc import Awaitable, Callable, Iterable
from contextlib import aclosing
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, TypeVar

import structlog
from sqlalchemy import ColumnElement, Row, Select
from sqlalchemy.ext.asyncio import AsyncConnection

from ragstone.errors import RagstoneError, Unauthenticated
from ragstone.identity import api_keys as keys
from ragstone.identity import sessions as logins
from ragstone.identity.cache_revision import CacheRevision, current
from ragstone.identity.secrets import Secret
from ragstone.identity.sessions import SessionOptions
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

log = structlog.get_logger()
K = TypeVar("K")

CACHE_S = 30.0  # how long a cached principal is valid
POLL_S = 0.5  # between two checks for changes of other processes
MAX_CACHED = 10_000  # credentials; about 1 KiB each
USED_EVERY_S = 60.0  # resolution of a credential's `last_used_at`
WRITE_USES_S = 5.0  # between two writes of `last_used_at`
_REFUSED = "This key or session is not valid. Send a valid key as `Authorization: Bearer <key>`."
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


@dataclass(slots=True)
class _CachedCredential:
    """A credential that was authenticated; it must be read again at `cached_until`."""

    credential: Credential
    cached_until: float
    last_used: float

    def is_valid(self, now: float) -> bool:
        read = self.credential
        return now < self.cached_until and now < read.ends and now < self.last_used + read.idle_s


class Admission:
    """Authenticates API keys and session tokens, with a cache that account changes invalidate."""

    def __init__(
        self,
        database: Database,
        secret: Secret,
        *,
        changes: CacheRevision | None = None,
        session_idle_s: float = SessionOptions().idle_s,
        max_cached: int = MAX_CACHED,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._database = database
        self._credentials = Credentials(database, secret, session_idle_s=session_idle_s)
        self._max_cached = max_cached
        self._clock = clock
        self._changes = changes or CacheRevision(database)
        self._changes.listen(self.clear_cache)
        self._by_digest: dict[bytes, _CachedCredential] = {}  # SHA-256 of the presented text, which is not stored
        self._by_id: dict[str, _CachedCredential] = {}
        self._accounts: tuple[bool, float] | None = None  # whether there are any, and until when that is cached
        self._epoch = 0  # counts invalidations: what was read before one is not cached after it
        self._uses: dict[str, tuple[Principal, float]] = {}
        self._revision: int | None = None
        self._database_failed = False  # the last check for changes failed, which the log reports once

    async def admit(self, presented: str) -> Principal:
        """The principal of a key or session token. A cached one needs no SQL statement.

        Raises:
            Unauthenticated: unknown, expired, revoked, or its tenant or user is not active; always the same message.
        """
        digest = hashlib.sha256(presented.encode(errors="surrogatepass")).digest()
        cached = self._by_digest.get(digest)
        if cached is None or not cached.is_valid(self._clock()):
            epoch = self._epoch
            cached = self._valid(await self._credentials.presented(presented))
            if cached is None:
                raise Unauthenticated(_REFUSED)
            self._cache(cached, epoch, digest)
        self._note_use(cached)
        return cached.credential.principal

    async def has_accounts(self) -> bool:
        """Whether any user or key exists; if so, every request must be authenticated."""
        if self._accounts and self._clock() < self._accounts[1]:
            return self._accounts[0]
        epoch = self._epoch
        exist = await self._credentials.any_exist()
        if epoch == self._epoch:
            self._accounts = (exist, self._clock() + CACHE_S)
        return exist

    async def is_still_valid(self, principal: Principal) -> bool:
        """Whether a principal still has all it had when it was authenticated; checked while its stream runs."""
        if principal.kind is CredentialType.SETTING:
            return True  # settings do not change while the process runs
        if principal.kind is CredentialType.LOCAL:
            return not await self.has_accounts()
        cached = self._by_id.get(principal.credential)
        if cached is None or not cached.is_valid(self._clock()):
            epoch = self._epoch
            cached = self._valid(await self._credentials.of(principal))
            if cached is None:
                return False
            self._cache(cached, epoch)
        return _covers(cached.credential.principal, principal)

    async def watch(self) -> None:
        """Detect changes of accounts by any process within a second; runs until cancelled."""
        async with asyncio.TaskGroup() as both:
            both.create_task(self._poll())
            both.create_task(self._follow_notifications())

    async def check_revision(self) -> None:
        """Clear the caches if the revision has changed since the last check. Raises: Unavailable."""
        revision = await current(self._database)
        if self._revision not in {None, revision}:
            self._changes.notify_listeners()
        self._revision = revision

    async def write_uses(self) -> None:
        """Store when credentials were last used. Raises: Unavailable; the times are then written by the next call."""
        uses = dict(self._uses)
        if uses:
            # All processes write in the same order, so that they cannot deadlock.
            await self._credentials.note_use(uses[credential] for credential in sorted(uses))
        for credential, use in uses.items():
            if self._uses.get(credential) == use:
                del self._uses[credential]

    def clear_cache(self) -> None:
        """Drop all cached credentials."""
        self._epoch += 1
        self._by_digest.clear()
        self._by_id.clear()
        self._accounts = None

    async def _poll(self) -> None:
        written = self._clock()
        while True:
            await self._attempt(self.check_revision)
            if self._clock() >= written + WRITE_USES_S:
                written = self._clock()
                await self._attempt(self.write_uses)
            await asyncio.sleep(POLL_S)

    async def _follow_notifications(self) -> None:
        async with aclosing(self._changes.notifications()) as notifications:
            async for _ in notifications:
                await self._attempt(self.check_revision)

    async def _attempt(self, step: Callable[[], Awaitable[None]]) -> None:
        """Run a step and log its failure; the next step tries again, and cached credentials expire until one works."""
        try:
            await step()
        except RagstoneError as error:
            if not self._database_failed:
                log.warning("admission.cannot_look", error=error.message)
            self._database_failed = True
        else:
            self._database_failed = False

    def _valid(self, found: Credential | None) -> _CachedCredential | None:
        """A credential that was read from SQL, if it is valid by the clock of this process."""
        if found is None:
            return None
        now = self._clock()
        _, used = self._uses.get(found.principal.credential, (None, 0.0))
        read = _CachedCredential(found, now + CACHE_S, max(found.used, used))
        return read if read.is_valid(now) else None

    def _cache(self, read: _CachedCredential, epoch: int, digest: bytes | None = None) -> None:
        if epoch != self._epoch:
            return
        if digest is not None:
            _put(self._by_digest, digest, read, self._max_cached)
        _put(self._by_id, read.credential.principal.credential, read, self._max_cached)

    def _note_use(self, cached: _CachedCredential) -> None:
        now = self._clock()
        if now >= cached.last_used + USED_EVERY_S:
            cached.last_used = now
            principal = cached.credential.principal
            self._uses[principal.credential] = (principal, now)


def _put(cache: dict[K, _CachedCredential], key: K, value: _CachedCredential, max_entries: int) -> None:
    cache.pop(key, None)
    if len(cache) >= max_entries:
        del cache[next(iter(cache))]  # the oldest
    cache[key] = value


def _covers(now: Principal, then: Principal) -> bool:
    """Whether the principal has lost no permission or domain since `then`."""
    return now.tenant == then.tenant and now.permissions >= then.permissions and set(now.domains) >= set(then.domains)
