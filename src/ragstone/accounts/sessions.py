"""Sessions: opaque tokens that SQL knows, and so can end."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from ragstone.accounts.audit import Audit
from ragstone.accounts.rate_limits import RateLimits
from ragstone.accounts.secret import Secret
from ragstone.accounts.users import Users
from ragstone.storage.database import Database

SESSION_PREFIX = "rs_se_"


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


class Sessions:
    """Opens, lists and ends sessions."""

    def __init__(
        self,
        database: Database,
        secret: Secret,
        audit: Audit,
        users: Users,
        limits: RateLimits,
        options: SessionOptions = SessionOptions(),
    ) -> None:
        self._database = database
        self._secret = secret
        self._audit = audit
        self._users = users
        self._limits = limits
        self._options = options

    async def login(self, email: str, password: str, *, address: str) -> tuple[Session, str]:
        """Open a session; returns it and its token, which nobody can show again.

        Raises:
            Unauthenticated: see `Users.authenticate`.
            RateLimited: too many failures for this account and address.
        """
        raise NotImplementedError

    async def all(self, tenant: str, user_id: str | None = None) -> list[Session]:
        """The sessions that run, of one user or of all the tenant's, newest first."""
        raise NotImplementedError

    async def end(self, actor: str, tenant: str, session_id: str) -> None:
        """End a session, effective within a second everywhere. Raises: NotFound."""
        raise NotImplementedError
