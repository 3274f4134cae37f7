"""API keys: secret keys for programs, publishable keys for web sites. Each is shown once and stored as a keyed hash."""

from __future__ import annotations

import math
import re
import secrets
import string
import time
import zlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import Annotated, Any, Literal

from pydantic import Field, StringConstraints
from sqlalchemy import ColumnElement, Row
from sqlalchemy.ext.asyncio import AsyncConnection

from ragstone.errors import Conflict, InvalidInput, NotFound
from ragstone.identity.allowed_domains import checked_domain
from ragstone.identity.audit import Audit, Detail
from ragstone.identity.cache_revision import CacheRevision
from ragstone.identity.fields import DisplayName, PlainText
from ragstone.identity.secrets import Secret
from ragstone.identity.tenants import checked_name
from ragstone.principals import PUBLISHABLE_KEY_PERMISSIONS, SECRET_KEY_PERMISSIONS, Permission, Principal, check_key
from ragstone.storage.database import EVERY_TENANT, Database, scoped, scoped_insert, scoped_update, unscoped
from ragstone.storage.schema import api_keys, tenants
from ragstone.vocabulary import COLLECTION_PATTERN, Scope

SECRET_PREFIX = "rs_sk_"  # noqa: S105 — a prefix, not a key
PUBLISHABLE_PREFIX = "rs_pk_"
_DIGITS = string.digits + string.ascii_uppercase + string.ascii_lowercase
_RANDOM_CHARS = 32  # 190 bits
_SHOWN_CHARS = 4  # of the random characters, to identify keys in lists; 166 bits stay unknown
_CHECKSUM_CHARS = 6  # 62 ** 6 > 2 ** 32
_FORM = re.compile(rf"rs_[sp]k_[0-9A-Za-z]{{{_RANDOM_CHARS + _CHECKSUM_CHARS}}}")


def well_formed(presented: str) -> bool:
    """Whether the text has the form and the checksum of a key; detects typing errors without the database."""
    if not _FORM.fullmatch(presented):
        return False
    return presented[-_CHECKSUM_CHARS:] == _checksum(presented[:-_CHECKSUM_CHARS])


def new_key(kind: Literal["secret", "publishable"]) -> str:
    """Generate a random key."""
    prefix = SECRET_PREFIX if kind == "secret" else PUBLISHABLE_PREFIX
    body = prefix + "".join(secrets.choice(_DIGITS) for _ in range(_RANDOM_CHARS))
    return body + _checksum(body)


def start_of(key: str) -> str:
    """The first characters of the key, which identify it in lists."""
    return key[: len(SECRET_PREFIX) + _SHOWN_CHARS]


def _checksum(body: str) -> str:
    """CRC-32 in base 62."""
    remainder, digits = zlib.crc32(body.encode()), ""
    for _ in range(_CHECKSUM_CHARS):
        remainder, digit = divmod(remainder, len(_DIGITS))
        digits = _DIGITS[digit] + digits
    return digits


__all__ = [
    "MAX_COLLECTIONS",
    "MAX_DOMAINS",
    "MAX_OVERLAP_S",
    "PUBLISHABLE_PREFIX",
    "PURPOSE",
    "ROTATION_OVERLAP_S",
    "SECRET_PREFIX",
    "ApiKey",
    "ApiKeys",
    "Domains",
    "NewKey",
    "well_formed",
]

ROTATION_OVERLAP_S = 86_400  # default: the old key works for one more day
MAX_OVERLAP_S = 30 * 86_400
PURPOSE = "api_key"  # purpose of the keyed hash
MAX_COLLECTIONS = 100
MAX_DOMAINS = 100
MAX_DOMAIN_CHARS = 300


CollectionName = Annotated[str, StringConstraints(pattern=COLLECTION_PATTERN)]
Domain = Annotated[PlainText, StringConstraints(max_length=MAX_DOMAIN_CHARS)]
Domains = Annotated[tuple[Domain, ...], Field(max_length=MAX_DOMAINS)]
Kind = Literal["secret", "publishable"]


@dataclass(frozen=True, slots=True)
class ApiKey:
    """The stored properties of a key, without the key itself."""

    id: str
    tenant: str
    kind: Kind
    name: str
    start: Annotated[str, Field(description="Its first characters, to tell keys apart.")]
    permissions: frozenset[Permission]
    collections: frozenset[str] | None
    domains: tuple[str, ...]
    created_by: str
    created_at: datetime
    expires_at: datetime | None
    revoked_at: datetime | None
    last_used_at: Annotated[datetime | None, Field(description="To the minute.")]
    replaced_by: Annotated[str | None, Field(description="The key that it was rotated to.")]


@dataclass(frozen=True, slots=True, kw_only=True)
class NewKey:
    """The properties of a key to create."""

    kind: Kind = "secret"
    name: DisplayName = ""
    permissions: Annotated[
        frozenset[Permission] | None, Field(description="Of a secret key; left out, all except `manage`.")
    ] = None
    collections: Annotated[
        Sequence[CollectionName] | None,
        Field(max_length=MAX_COLLECTIONS, description="The only collections of the key; left out, all."),
    ] = None
    domains: Annotated[
        Sequence[Domain],
        Field(max_length=MAX_DOMAINS, description="The web sites of a publishable key; empty: none."),
    ] = ()
    expires_at: datetime | None = None


class ApiKeys:
    """Creates, lists, changes, rotates and revokes the keys of a tenant.

    `actor` is the principal that requests the change. It needs the permissions and collections of
    the key (`principals.check_key`).
    """

    def __init__(
        self,
        database: Database,
        secret: Secret,
        audit: Audit,
        *,
        changes: CacheRevision | None = None,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._database = database
        self._secret = secret
        self._audit = audit
        self._changes = changes or CacheRevision(database)
        self._clock = clock

    async def create(self, actor: Principal, tenant: str, new: NewKey) -> tuple[ApiKey, str]:
        """Create a key. Returns its properties and the key itself, which cannot be shown again.

        Raises:
            Forbidden: the key has permissions or collections that the actor does not have.
            InvalidInput: permissions, collections, domains or expiry are not valid.
            NotFound: the tenant does not exist.
        """
        shown = new_key(new.kind)
        key = self._checked(actor.id, tenant, new, shown)
        check_key(actor, key.permissions, key.collections)
        async with self._changes.change(tenant) as connection:
            await self._add(connection, key, shown)
            details: dict[str, Detail] = {"kind": key.kind, "permissions": " ".join(sorted(key.permissions))}
            await self._audit.record(
                connection, tenant, actor=actor.id, action="key.created", target=key.id, details=details
            )
        return key, shown

    async def get(self, tenant: str, key_id: str) -> ApiKey:
        """One key. Raises: NotFound."""
        async with self._database.read(tenant) as connection:
            return await _found(connection, tenant, key_id)

    async def all(self, tenant: str, *, limit: int = 100, after: str | None = None) -> list[ApiKey]:
        """Up to `limit` keys, newest first; `after` is the id of the last key of the previous page."""
        wanted = scoped(api_keys, tenant).order_by(api_keys.c.created_at.desc(), api_keys.c.id.desc()).limit(limit)
        async with self._database.read(tenant) as connection:
            if after is not None:
                wanted = wanted.where(_older(await _found(connection, tenant, after)))
            return [_key(row) for row in await connection.execute(wanted)]

    async def change(
        self,
        actor: Principal,
        tenant: str,
        key_id: str,
        *,
        name: str | None = None,
        domains: Sequence[str] | None = None,
    ) -> ApiKey:
        """Rename a key or replace its domains. Raises: NotFound, Forbidden, InvalidInput."""
        async with self._changes.change(tenant) as connection:
            before = await _found(connection, tenant, key_id)
            check_key(actor, before.permissions, before.collections)
            after = replace(
                before,
                name=before.name if name is None else checked_name(name),
                domains=before.domains if domains is None else _checked_domains(before.kind, domains),
            )
            if after == before:
                return before
            await _update(connection, before, name=after.name, domains=list(after.domains))
            details: dict[str, Detail] = {"name": after.name, "domains": " ".join(after.domains)}
            await self._audit.record(
                connection, tenant, actor=actor.id, action="key.changed", target=key_id, details=details
            )
        return after

    async def rotate(
        self, actor: Principal, tenant: str, key_id: str, *, overlap_s: float = ROTATION_OVERLAP_S
    ) -> tuple[ApiKey, str]:
        """Replace a key by a new one with the same properties; the old key expires after `overlap_s`.

        Raises:
            NotFound: the key does not exist.
            Forbidden: the key has permissions or collections that the actor does not have.
            Conflict: the key was revoked or rotated, or it has expired.
        """
        if not 0 <= overlap_s <= MAX_OVERLAP_S:
            raise InvalidInput(f"Two keys cannot overlap for {overlap_s} seconds. Use 0 to {MAX_OVERLAP_S}.")
        async with self._changes.change(tenant) as connection:
            old = await _found(connection, tenant, key_id)
            check_key(actor, old.permissions, old.collections)
            self._check_rotatable(old)
            shown = new_key(old.kind)
            new = replace(
                old,
                id=secrets.token_hex(16),
                start=start_of(shown),
                created_by=actor.id,
                created_at=self._now(),
                last_used_at=None,
            )
            ends = self._now() + timedelta(seconds=overlap_s)
            await self._add(connection, new, shown)
            await _update(connection, old, expires_at=min(ends, old.expires_at or ends), replaced_by=new.id)
            details: dict[str, Detail] = {"new": new.id, "overlap_s": math.ceil(overlap_s)}
            await self._audit.record(
                connection, tenant, actor=actor.id, action="key.rotated", target=key_id, details=details
            )
        return new, shown

    async def revoke(self, actor: Principal, tenant: str, key_id: str) -> None:
        """Revoke a key; every process refuses it within a second. Raises: NotFound."""
        async with self._changes.change(tenant) as connection:
            key = await _found(connection, tenant, key_id)
            if key.revoked_at is not None:
                return
            await _update(connection, key, revoked_at=self._now())
            await self._audit.record(connection, tenant, actor=actor.id, action="key.revoked", target=key_id)

    async def origins(self) -> frozenset[str]:
        """The domains of all valid publishable keys, against which preflight requests without a key are checked."""
        wanted = unscoped(api_keys, api_keys.c.domains).join(tenants, tenants.c.tenant == api_keys.c.tenant)
        wanted = wanted.where(
            api_keys.c.kind == "publishable",
            api_keys.c.revoked_at.is_(None),
            api_keys.c.expires_at.is_(None) | (api_keys.c.expires_at > self._now()),
            tenants.c.state == "active",
        )
        async with self._database.read(EVERY_TENANT) as connection:
            return frozenset(domain for row in await connection.scalars(wanted) for domain in row)

    def _checked(self, actor: str, tenant: str, new: NewKey, shown: str) -> ApiKey:
        now = self._now()
        return ApiKey(
            id=secrets.token_hex(16),
            tenant=tenant,
            kind=new.kind,
            name=checked_name(new.name),
            start=start_of(shown),
            permissions=_checked_permissions(new),
            collections=_checked_collections(new.collections),
            domains=_checked_domains(new.kind, new.domains),
            created_by=actor,
            created_at=now,
            expires_at=_checked_expiry(new.expires_at, now),
            revoked_at=None,
            last_used_at=None,
            replaced_by=None,
        )

    async def _add(self, connection: AsyncConnection, key: ApiKey, shown: str) -> None:
        if (await connection.execute(scoped(tenants, key.tenant, tenants.c.tenant))).first() is None:
            raise NotFound(f"There is no tenant {key.tenant[:80]!r}. Create it first.")
        row = {
            "id": key.id,
            "kind": key.kind,
            "name": key.name,
            "start": key.start,
            "key_hash": self._secret.digest(PURPOSE, shown),
            "permissions": sorted(key.permissions),
            "domains": list(key.domains),
            "created_by": key.created_by,
            "created_at": key.created_at,
            "expires_at": key.expires_at,
        }
        if key.collections is not None:  # JSON would store None as `null`, which is not NULL
            row["collections"] = sorted(key.collections)
        await connection.execute(scoped_insert(api_keys, Scope(key.tenant)), row)

    def _check_rotatable(self, key: ApiKey) -> None:
        if key.revoked_at or key.replaced_by or (key.expires_at and key.expires_at <= self._now()):
            raise Conflict("The key was revoked or rotated, or it has expired. Create a new one.")

    def _now(self) -> datetime:
        return datetime.fromtimestamp(self._clock(), UTC)


def _checked_permissions(new: NewKey) -> frozenset[Permission]:
    if new.kind == "publishable":
        if new.permissions not in {None, PUBLISHABLE_KEY_PERMISSIONS}:
            raise InvalidInput("The permissions of a publishable key are fixed. Leave `permissions` out.")
        return PUBLISHABLE_KEY_PERMISSIONS
    if new.permissions is None:
        return SECRET_KEY_PERMISSIONS - {Permission.MANAGE}
    if new.permissions and new.permissions <= SECRET_KEY_PERMISSIONS:
        return new.permissions
    raise InvalidInput(
        f"A secret key needs one or more of these permissions: {', '.join(sorted(SECRET_KEY_PERMISSIONS))}."
    )


def _checked_collections(names: Sequence[str] | None) -> frozenset[str] | None:
    if names is None:
        return None
    if not 1 <= len(names) <= MAX_COLLECTIONS:
        raise InvalidInput(
            f"A key is limited to 1 to {MAX_COLLECTIONS} collections. Leave `collections` out to allow all."
        )
    for name in names:
        if not re.fullmatch(COLLECTION_PATTERN, name):
            raise InvalidInput(
                f"{name[:80]!r} is not a valid collection name. Use up to 64 lower-case letters, digits, - and _."
            )
    return frozenset(names)


def _checked_domains(kind: str, domains: Sequence[str]) -> tuple[str, ...]:
    if domains and kind != "publishable":
        raise InvalidInput("Only publishable keys have domains. Leave `domains` out for a secret key.")
    if len(domains) > MAX_DOMAINS:
        raise InvalidInput(f"A key has at most {MAX_DOMAINS} domains. Create several keys.")
    return tuple(sorted({checked_domain(domain) for domain in domains}))


def _checked_expiry(ends: datetime | None, now: datetime) -> datetime | None:
    if ends is None:
        return None
    if ends.tzinfo is None:
        raise InvalidInput("The expiry time has no time zone. Write it like 2030-01-31T12:00:00Z.")
    if ends <= now:
        raise InvalidInput("The expiry time is in the past. Choose one in the future.")
    return ends.astimezone(UTC)


def _older(than: ApiKey) -> ColumnElement[bool]:
    at, key_id = api_keys.c.created_at, api_keys.c.id
    return (at < than.created_at) | ((at == than.created_at) & (key_id < than.id))


async def _update(connection: AsyncConnection, key: ApiKey, **values: object) -> None:
    await connection.execute(scoped_update(api_keys, key.tenant).where(api_keys.c.id == key.id).values(values))


async def _found(connection: AsyncConnection, tenant: str, key_id: str) -> ApiKey:
    row = (await connection.execute(scoped(api_keys, tenant).where(api_keys.c.id == key_id))).first()
    if row is None:
        raise NotFound("There is no such key. List the keys with `ragstone accounts keys list`.")
    return _key(row)


def _key(row: Row[Any]) -> ApiKey:
    return ApiKey(
        id=row.id,
        tenant=row.tenant,
        kind=row.kind,
        name=row.name,
        start=row.start,
        permissions=frozenset(Permission(each) for each in row.permissions),
        collections=None if row.collections is None else frozenset(row.collections),
        domains=tuple(row.domains),
        created_by=row.created_by,
        created_at=row.created_at,
        expires_at=row.expires_at,
        revoked_at=row.revoked_at,
        last_used_at=row.last_used_at,
        replaced_by=row.replaced_by,
    )
