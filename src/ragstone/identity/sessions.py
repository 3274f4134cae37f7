"""Sessions: logins with opaque tokens, stored in SQL, so that they can be ended."""

from __future__ import annotations

import re
import secrets
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from sqlalchemy import Row

from ragstone.errors import NotFound, Unauthenticated
from ragstone.identity.audit import Audit
from ragstone.identity.cache_revision import CacheRevision
from ragstone.identity.fields import MAX_EMAIL_CHARS
from ragstone.identity.secrets import Secret
from ragstone.identity.users import User, Users
from ragstone.storage.database import Database, scoped, scoped_delete, scoped_insert, scoped_update
from ragstone.storage.rate_windows import RateWindows
from ragstone.storage.schema import sessions
from ragstone.vocabulary import DEFAULT_TENANT, Scope

SESSION_PREFIX = "rs_se_"
PURPOSE = "session"  # purpose of the keyed hash
_TOKEN = re.compile(rf"{SESSION_PREFIX}[A-Za-z0-9_-]{{43}}")  # 256 bits


@dataclass(frozen=True, slots=True, kw_only=True)
class SessionOptions:
    """How long a session lasts without use (`idle_s`) and at most, and how many failed logins are accepted."""

    idle_s: float = 1800
    max_s: float = 43_200
    per_minute: int = 5
    per_hour: int = 100


@dataclass(frozen=True, slots=True, kw_only=True)
class SessionParts:
    """What sessions are made of; `windows` count the failed logins."""

    database: Database
    secret: Secret
    audit: Audit
    users: Users
    windows: RateWindows
    changes: CacheRevision


@dataclass(frozen=True, slots=True)
class Session:
    """One login; `id` is not the token."""

    id: str
    tenant: str
    user_id: str
    created_at: datetime
    last_used_at: datetime
    expires_at: datetime


def is_token(presented: str) -> bool:
    """Whether the text has the form of a session token."""
    return _TOKEN.fullmatch(presented) is not None


class Sessions:
    """Creates, lists and ends sessions."""

    def __init__(
        self,
        parts: SessionParts,
        options: SessionOptions = SessionOptions(),
        *,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._database = parts.database
        self._secret = parts.secret
        self._audit = parts.audit
        self._users = parts.users
        self._windows = parts.windows
        self._changes = parts.changes
        self._options = options
        self._clock = clock

    async def login(self, email: str, password: str, *, address: str) -> tuple[Session, str]:
        """Create a session. Returns it and its token, which cannot be shown again.

        Raises:
            Unauthenticated: see `Users.authenticate`.
            RateLimited: too many failures for this account and address.
        """
        attempts = self._attempts(email, address)
        for name, limit, window_s in attempts:
            await self._windows.attempt(name, limit=limit, window_s=window_s)
        try:
            user = await self._users.authenticate(email, password)
        except Unauthenticated:
            await self._record_refusal(email, address)
            raise
        for name, _, _ in attempts:
            await self._windows.undo_attempt(name)
        return await self._create(user, address)

    async def all(self, tenant: str, user_id: str | None = None) -> list[Session]:
        """The active sessions of one user, or of all users of the tenant, newest first."""
        now = self._now()
        idle_since = now - timedelta(seconds=self._options.idle_s)
        wanted = scoped(sessions, tenant).where(
            sessions.c.revoked_at.is_(None), sessions.c.expires_at > now, sessions.c.last_used_at > idle_since
        )
        if user_id is not None:
            wanted = wanted.where(sessions.c.user_id == user_id)
        async with self._database.read(tenant) as connection:
            rows = await connection.execute(wanted.order_by(sessions.c.created_at.desc(), sessions.c.id))
            return [_session(row) for row in rows]

    async def end(self, actor: str, tenant: str, session_id: str) -> None:
        """End a session; every process refuses it within a second. Raises: NotFound."""
        running = (sessions.c.id == session_id) & sessions.c.revoked_at.is_(None)
        async with self._changes.change(tenant) as connection:
            ended = await connection.execute(
                scoped_update(sessions, tenant).where(running).values(revoked_at=self._now())
            )
            if not ended.rowcount:
                raise NotFound("There is no such session, or it has ended already. List the sessions for their ids.")
            await self._audit.record(connection, tenant, actor=actor, action="session.ended", target=session_id)

    async def _create(self, user: User, address: str) -> tuple[Session, str]:
        token = SESSION_PREFIX + secrets.token_urlsafe(32)
        now = self._now()
        ends = now + timedelta(seconds=self._options.max_s)
        new = Session(secrets.token_hex(16), user.tenant, user.id, now, now, ends)
        row = {"id": new.id, "user_id": user.id, "token_hash": self._secret.digest(PURPOSE, token)}
        times = {"created_at": now, "last_used_at": now, "expires_at": ends}
        expired = (sessions.c.user_id == user.id) & (sessions.c.expires_at < now)
        async with self._database.write(user.tenant) as connection:
            await connection.execute(scoped_delete(sessions, user.tenant).where(expired))
            await connection.execute(scoped_insert(sessions, Scope(user.tenant)), row | times)
            await self._audit.record(
                connection,
                user.tenant,
                actor=f"user:{user.id}",
                action="session.opened",
                target=new.id,
                details={"address": address},
            )
        return new, token

    def _attempts(self, email: str, address: str) -> list[tuple[str, int, int]]:
        """The rate windows of a login attempt: name, limit, seconds.

        An attempt is counted before it is made, so that concurrent attempts cannot exceed the limit.
        An attacker can exhaust the second window, and so lock the owner out for an hour at most.
        """
        account = email.strip().lower()[:MAX_EMAIL_CHARS]
        return [
            (f"login:{account}:{address}", self._options.per_minute, 60),
            (f"login:{account}", self._options.per_hour, 3600),
        ]

    async def _record_refusal(self, email: str, address: str) -> None:
        """Record a refused login in the audit log of the account's tenant, or of the default tenant if unknown.

        Both cost the same, so that the time of the answer does not tell whether the account exists.
        """
        user = await self._users.by_email(email)
        tenant, target = (user.tenant, user.id) if user else (DEFAULT_TENANT, "")
        await self._audit.note(
            tenant, actor="anonymous", action="session.refused", target=target, details={"address": address}
        )

    def _now(self) -> datetime:
        return datetime.fromtimestamp(self._clock(), UTC)


def _session(row: Row[Any]) -> Session:
    return Session(row.id, row.tenant, row.user_id, row.created_at, row.last_used_at, row.expires_at)
