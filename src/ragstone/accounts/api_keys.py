"""API keys: secret ones for programs, publishable ones for web sites. Shown once, kept as keyed hashes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Literal

from ragstone.accounts.audit import Audit
from ragstone.accounts.secret import Secret
from ragstone.principals import Permission
from ragstone.storage.database import Database

SECRET_PREFIX = "rs_sk_"  # noqa: S105 — how a key begins, no key
PUBLISHABLE_PREFIX = "rs_pk_"
ROTATION_OVERLAP_S = 86_400  # the old key works for a day, unless said otherwise


@dataclass(frozen=True, slots=True)
class ApiKey:
    """What is known of a key; never the key itself. `start` are its first characters."""

    id: str
    tenant: str
    kind: Literal["secret", "publishable"]
    name: str
    start: str
    permissions: frozenset[Permission]
    collections: frozenset[str] | None
    domains: tuple[str, ...]
    created_by: str
    created_at: datetime
    expires_at: datetime | None
    revoked_at: datetime | None
    last_used_at: datetime | None
    replaced_by: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class NewKey:
    """What a key is to be. `permissions` None: all of a secret key but `manage`."""

    kind: Literal["secret", "publishable"] = "secret"
    name: str = ""
    permissions: frozenset[Permission] | None = None
    collections: Sequence[str] | None = None
    domains: Sequence[str] = ()
    expires_at: datetime | None = None


def well_formed(presented: str) -> bool:
    """Whether it has the form and the checksum of a key; tells typing errors apart without the database."""
    raise NotImplementedError


class ApiKeys:
    """Makes, lists, changes, rotates and revokes the keys of a tenant."""

    def __init__(self, database: Database, secret: Secret, audit: Audit) -> None:
        self._database = database
        self._secret = secret
        self._audit = audit

    async def create(self, actor: str, tenant: str, new: NewKey) -> tuple[ApiKey, str]:
        """Make a key; returns what is known of it, and the key, which nobody can show again.

        Raises:
            InvalidInput: permissions, collections, domains or expiry that cannot be used.
            NotFound: there is no such tenant.
        """
        raise NotImplementedError

    async def get(self, tenant: str, key_id: str) -> ApiKey:
        """One key. Raises: NotFound."""
        raise NotImplementedError

    async def all(self, tenant: str, *, limit: int = 100, after: str | None = None) -> list[ApiKey]:
        """Up to `limit` keys, newest first; `after` is the id of the last one seen."""
        raise NotImplementedError

    async def change(
        self, actor: str, tenant: str, key_id: str, *, name: str | None = None, domains: Sequence[str] | None = None
    ) -> ApiKey:
        """Rename a key, or give it other domains. Raises: NotFound, InvalidInput."""
        raise NotImplementedError

    async def rotate(
        self, actor: str, tenant: str, key_id: str, *, overlap_s: float = ROTATION_OVERLAP_S
    ) -> tuple[ApiKey, str]:
        """A new key with everything of the old one, which ends after `overlap_s`. Raises: NotFound, Conflict."""
        raise NotImplementedError

    async def revoke(self, actor: str, tenant: str, key_id: str) -> None:
        """End a key, effective within a second everywhere. Raises: NotFound."""
        raise NotImplementedError

    async def origins(self) -> frozenset[str]:
        """The domains of all publishable keys that work, for answering preflights, which carry no key."""
        raise NotImplementedError
