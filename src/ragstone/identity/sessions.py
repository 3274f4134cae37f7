"""Sessions: opaque tokens that SQL knows, and so can end."""

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
from ragstone.identity.secrets import Secret
from ragstone.identity.users import MAX_EMAIL_CHARS, User, Users
from ragstone.storage.database import Database, scoped, scoped_delete, scoped_insert, scoped_update
from ragstone.storage.rate_windows import RateWindows
from ragstone.storage.schema import sessions
from ragstone.vocabulary import DEFAULT_TENANT, Scope

SESSION_PREFIX = "rs_se_"
PURPOSE = "session"  # of the keyed hash
_TOKEN = re.compile(rf"{SESSION_PREFIX}[A-Za-z0-9_-]{{43}}")  # 256 bits


@dataclass(frozen=True, slots=True, kw_only=True)
class SessionOptions:
    """How long a session lasts, unused and at all, and how many failed logins are heard."""

    idle_s: float = 1800
    max_s: float = 43_200
    per_minute: int = 5
    per_hour: int = 100


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
    """Whether it has the form of a session's token."""
    return _TOKEN.fullmatch(presented) is not None


class Sessions:
    """Opens, lists and ends sessions."""

    def __init__(
        self,
        database: Database,
        secret: Secret,
        audit: Audit,
        users: Users,
        windows: RateWindows,
        options: SessionOptions = SessionOptions(),
        *,
        changes: CacheRevision | None = None,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._database = database
        self._secret = secret
        self._audit = audit
        self._users = users
        self._windows = windows
        self._options = options
        self._changes = changes or CacheRevision(database)
        self._clock = clock

    async def login(self, email: str, password: str, *, address: str) -> tuple[Session, str]:
        """Open a session; returns it and its token, which nobody can show again.

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
            await self._note_refusal(email, address)
            raise
        for name, _, _ in attempts:
            await self._windows.take_back(name)
        return await self._open(user, address)

    async def all(self, tenant: str, user_id: str | None = None) -> list[Session]:
        """The sessions that run, of one user or of all the tenant's, newest first."""
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
        """End a session, effective within a second everywhere. Raises: NotFound."""
        running = (sessions.c.id == session_id) & sessions.c.revoked_at.is_(None)
        async with self._changes.change(tenant) as connection:
            ended = await connection.execute(
                scoped_update(sessions, tenant).where(running).values(revoked_at=self._now())
            )
            if not ended.rowcount:
                raise NotFound("There is no such session, or it has ended.")
            await self._audit.record(connection, tenant, actor=actor, action="session.ended", target=session_id)

    async def _open(self, user: User, address: str) -> tuple[Session, str]:
        token = SESSION_PREFIX + secrets.token_urlsafe(32)
        now = self._now()
        ends = now + timedelta(seconds=self._options.max_s)
        new = Session(secrets.token_hex(16), user.tenant, user.id, now, now, ends)
        row = {"id": new.id, "user_id": user.id, "token_hash": self._secret.digest(PURPOSE, token)}
        times = {"created_at": now, "last_used_at": now, "expires_at": ends}
        over = (sessions.c.user_id == user.id) & (sessions.c.expires_at < now)
        async with self._database.write(user.tenant) as connection:
            await connection.execute(scoped_delete(sessions, user.tenant).where(over))
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
        """What an attempt counts against: name, limit, seconds. Counted before it is made, lest many be made at once.

        Somebody far away can use up the second, and so keep the owner out, for an hour at most.
        """
        account = email.strip().lower()[:MAX_EMAIL_CHARS]
        return [
            (f"login:{account}:{address}", self._options.per_minute, 60),
            (f"login:{account}", self._options.per_hour, 3600),
        ]

    async def _note_refusal(self, email: str, address: str) -> None:
        """Record it with the account's tenant; that of nobody's account with the installation's, at the same cost."""
        user = await self._users.by_email(email)
        tenant, target = (user.tenant, user.id) if user else (DEFAULT_TENANT, "")
        await self._audit.note(
            tenant, actor="anonymous", action="session.refused", target=target, details={"address": address}
        )

    def _now(self) -> datetime:
        return datetime.fromtimestamp(self._clock(), UTC)


def _session(row: Row[Any]) -> Session:
    return Session(row.id, row.tenant, row.user_id, row.created_at, row.last_used_at, row.expires_at)
