"""The store of tenant settings: each tenant's own settings and encrypted keys in SQL, with a cache."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any
from urllib.parse import urlsplit

from sqlalchemy import Row
from sqlalchemy.ext.asyncio import AsyncConnection

from ragstone.errors import ConfigurationError, InvalidInput
from ragstone.identity.audit import Audit, Detail
from ragstone.identity.cache_revision import CacheRevision
from ragstone.identity.secrets import Sealing, Secret
from ragstone.storage.database import Database, scoped, scoped_delete, scoped_insert, scoped_update
from ragstone.storage.schema import interceptors
from ragstone.tenants.settings import (
    KEYS,
    Pipeline,
    TenantSettings,
    checked_key,
    flat,
    from_flat,
    inherited,
    key_destinations,
    refuse_moved,
    with_allowed_servers,
    with_keys,
    without_keys,
    without_servers,
)
from ragstone.vocabulary import Scope

_RECORDED = ("enabled", "rollout_percent", "collection", "knowledge")
MAX_REMEMBERED = 2000  # tenants; about 1 KiB each, and 130 KiB for a tenant that uses every bound


@dataclass(frozen=True, slots=True)
class Stored:
    """The stored settings of a tenant, without secrets; `keys_set` has the time at which each key was set."""

    settings: TenantSettings
    keys_set: Mapping[str, datetime]
    updated_at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class StoreOptions:
    """Options of a `TenantSettingsStore`.

    `defaults` returns the settings of a tenant that stored none; they are trusted. `allowed` lists
    private hosts with port that a tenant may use. `check_token` raises ConfigurationError for an
    invalid pipeline key, such as an expired one. `max_cached` is the number of cached tenants.
    """

    defaults: Callable[[str], TenantSettings] = lambda _: TenantSettings()
    allowed: frozenset[str] = frozenset()
    check_token: Callable[[str, Pipeline | None], None] | None = None
    max_cached: int = MAX_REMEMBERED


class TenantSettingsStore:
    """Reads and changes the settings of each tenant, with a cache that changes invalidate."""

    def __init__(
        self, database: Database, secret: Secret, audit: Audit, changes: CacheRevision, options: StoreOptions
    ) -> None:
        """`secret` encrypts the keys; `changes` invalidates the cache."""
        self._database = database
        self._sealing = Sealing(secret)
        self._audit = audit
        self._changes = changes
        self._options = options
        self._known: dict[str, TenantSettings] = {}
        self._epoch = 0
        changes.listen(self.clear_cache)

    async def get(self, tenant: str) -> TenantSettings:
        """The settings in force for the tenant: its own, else the defaults. Cached ones need no SQL statement.

        Servers that it does not name are those of the defaults; see `inherited`.

        Raises:
            ConfigurationError: what is stored cannot be read; the message names the field or key.
        """
        if known := self._known.get(tenant):
            return known
        before = self._epoch
        row = await self._read(tenant)
        found = self._options.defaults(tenant)
        if row:
            found = inherited(with_keys(_read_settings(row), self._keys(row)), found)
        if before == self._epoch:  # else the settings were changed while they were read
            self._remember(tenant, found)
        return found

    async def stored(self, tenant: str) -> Stored | None:
        """The tenant's own settings, if it stored any. Keys that cannot be decrypted are still listed.

        Raises:
            ConfigurationError: the settings cannot be read.
        """
        row = await self._read(tenant)
        return Stored(_read_settings(row), _times(row.keys, row.updated_at), row.updated_at) if row else None

    async def to_change(self, tenant: str) -> TenantSettings:
        """The settings to apply a partial change to: the tenant's own, else the defaults without servers."""
        stored = await self.stored(tenant)
        return stored.settings if stored else without_servers(self._options.defaults(tenant))

    async def change(
        self, actor: str, tenant: str, settings: TenantSettings, keys: Mapping[str, str | None] | None = None
    ) -> Stored:
        """Replace all settings of the tenant. Of `keys`, None removes one; keys that are not named are unchanged.

        Raises:
            InvalidInput: a value or key is not valid, or an unchanged key was set for another server.
        """
        wanted = self._checked(tenant, settings)
        given = self._checked_keys(keys or {}, wanted.knowledge.pipeline)
        stored = flat(wanted)
        async with self._changes.change(tenant) as connection:
            row = await _row(connection, tenant)
            before = dict(_mapping(row.keys)) if row else {}
            unchanged = {name: each for name, each in before.items() if name not in given}
            moved_from = key_destinations(_mapping(row.settings)) if row else {}
            refuse_moved(moved_from, key_destinations(stored), frozenset(unchanged))
            now = datetime.now(UTC)
            sealed = unchanged | {name: self._sealed(tenant, name, text, now) for name, text in given.items() if text}
            values = {"settings": stored, "keys": sealed, "updated_at": now}
            if row:
                await connection.execute(scoped_update(interceptors, tenant).values(values))
            else:
                await connection.execute(scoped_insert(interceptors, Scope(tenant)), values)
            await self._record(connection, tenant, actor, "changed", _details(stored, given))
        return Stored(wanted, _times(sealed, now), now)

    async def remove(self, actor: str, tenant: str) -> None:
        """Delete the tenant's settings and keys, so that the defaults apply. Does nothing if there are none."""
        async with self._changes.change(tenant) as connection:
            deleted = await connection.execute(scoped_delete(interceptors, tenant))
            if deleted.rowcount:
                await self._record(connection, tenant, actor, "removed", {})

    def clear_cache(self) -> None:
        """Drop all cached settings."""
        self._known.clear()
        self._epoch += 1

    def _checked(self, tenant: str, settings: TenantSettings) -> TenantSettings:
        wanted = without_keys(with_allowed_servers(settings, allowed=self._options.allowed))
        source = wanted.knowledge.source
        if source != "index" and not (wanted.knowledge.pipeline or self._options.defaults(tenant).knowledge.pipeline):
            raise InvalidInput(f"knowledge is {source!r}, but there is no pipeline. Set `pipeline`, or use index.")
        return wanted

    def _remember(self, tenant: str, found: TenantSettings) -> None:
        if len(self._known) >= self._options.max_cached:
            del self._known[next(iter(self._known))]  # the oldest
        self._known[tenant] = found

    async def _read(self, tenant: str) -> Row[Any] | None:
        async with self._database.read(tenant, snapshot=False) as connection:
            return await _row(connection, tenant)

    def _checked_keys(self, keys: Mapping[str, str | None], pipeline: Pipeline | None) -> dict[str, str | None]:
        checked = {name: checked_key(name, text) for name, text in keys.items()}
        if self._options.check_token and (token := checked.get("pipeline")):
            try:
                self._options.check_token(token, pipeline)
            except ConfigurationError as error:  # the tenant's mistake, not the operator's
                raise InvalidInput(error.message) from None
        return checked

    def _sealed(self, tenant: str, name: str, text: str, now: datetime) -> Mapping[str, str]:
        return {"sealed": self._sealing.seal(tenant, name, text), "at": now.isoformat()}

    def _keys(self, row: Row[Any]) -> dict[str, str]:
        stored = _mapping(row.keys)
        sealed = {name: _mapping(stored[name]).get("sealed") for name in KEYS if name in stored}
        return {name: self._sealing.open(row.tenant, name, each) for name, each in sealed.items()}

    async def _record(
        self, connection: AsyncConnection, tenant: str, actor: str, verb: str, details: Mapping[str, Detail]
    ) -> None:
        await self._audit.record(
            connection, tenant, actor=actor, action=f"interceptor.{verb}", target=tenant, details=details
        )


async def _row(connection: AsyncConnection, tenant: str) -> Row[Any] | None:
    row: Row[Any] | None = (await connection.execute(scoped(interceptors, tenant))).first()
    return row


def _read_settings(row: Row[Any]) -> TenantSettings:
    """Parse the stored settings. Names of a newer version are ignored; missing names have their default."""
    try:
        return from_flat(_object(row.settings), lenient=True)
    except InvalidInput as error:
        raise ConfigurationError(
            f"The stored interceptor settings of the tenant {row.tenant!r} cannot be used: {error.message} "
            f"Set them again, or run `ragstone interceptor reset --tenant {row.tenant}`."
        ) from error


def _object(value: object) -> Mapping[str, Any]:
    if not isinstance(value, Mapping):
        raise InvalidInput("They are not a JSON object.")
    return value


def _times(keys: object, otherwise: datetime) -> dict[str, datetime]:
    stored = _mapping(keys)
    return {name: _time(_mapping(stored[name]).get("at"), otherwise) for name in KEYS if name in stored}


def _time(text: object, otherwise: datetime) -> datetime:
    try:
        return datetime.fromisoformat(str(text))
    except ValueError:
        return otherwise


def _mapping(value: object) -> Mapping[str, Any]:
    return value if isinstance(value, Mapping) else {}


def _details(stored: Mapping[str, Any], keys: Mapping[str, str | None]) -> dict[str, Detail]:
    """Details for the audit log: names of keys, never keys; hosts, never whole URLs, which may hold secrets."""
    hosts = {name: urlsplit(origin).netloc for name, origin in key_destinations(stored).items() if origin}
    return {
        **{name: stored[name] for name in _RECORDED},
        **hosts,
        "keys_set": ",".join(sorted(name for name, text in keys.items() if text is not None)),
        "keys_removed": ",".join(sorted(name for name, text in keys.items() if text is None)),
    }
