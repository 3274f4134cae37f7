"""The settings that each tenant stored, and its keys, sealed."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from typing import Any

from sqlalchemy import Row
from sqlalchemy.ext.asyncio import AsyncConnection

from ragstone.errors import ConfigurationError, InvalidInput
from ragstone.identity.audit import Audit, Detail
from ragstone.identity.cache_revision import CacheRevision
from ragstone.identity.secrets import Sealing, Secret
from ragstone.storage.database import Database, scoped, scoped_delete, scoped_insert, scoped_update
from ragstone.storage.schema import interceptors
from ragstone.tenants.settings import (
    FIELDS,
    KEY_NAMES,
    Interceptor,
    InterceptorKeys,
    InterceptorSettings,
    Pipeline,
    checked,
    checked_fields,
    checked_key,
    host,
    inherited,
    places,
    refuse_moved,
    settings_of,
    without_servers,
)
from ragstone.vocabulary import Scope

MAX_REMEMBERED = 2000  # tenants; about 1 KiB each, and 130 KiB for a tenant that uses every bound


@dataclass(frozen=True, slots=True)
class Stored:
    """What a tenant has set up itself: `keys_set` says when each of its keys was set, by name."""

    settings: InterceptorSettings
    keys_set: Mapping[str, datetime]
    updated_at: datetime


class Interceptors:
    """Reads and changes how each tenant's chats are treated. What was read is remembered until something changes."""

    def __init__(
        self,
        database: Database,
        secret: Secret,
        audit: Audit,
        changes: CacheRevision,
        *,
        defaults: Callable[[str], Interceptor] = lambda _: Interceptor(),
        allowed: frozenset[str] = frozenset(),
        check_token: Callable[[str, Pipeline | None], None] | None = None,
        remember_most: int = MAX_REMEMBERED,
    ) -> None:
        """Make it on an open database.

        Args:
            database: Where the rows are.
            secret: Seals the keys.
            audit: Where changes are recorded.
            changes: Makes changes, and tells when to forget.
            defaults: What holds for a tenant that has set up nothing; it is trusted, and not checked.
            allowed: See `checked`.
            check_token: Raises ConfigurationError where the key of a pipeline cannot be good, as one that has expired.
            remember_most: Tenants kept in memory.
        """
        self._database = database
        self._sealing = Sealing(secret)
        self._audit = audit
        self._changes = changes
        self._defaults = defaults
        self._allowed = allowed
        self._check_token = check_token
        self._remember_most = remember_most
        self._known: dict[str, Interceptor] = {}
        self._times_forgotten = 0
        changes.listen(self.forget)

    async def get(self, tenant: str) -> Interceptor:
        """What holds for the tenant: what it has set up itself, else the defaults. Warm, it costs no statement.

        Servers that it does not name are those of the defaults; see `inherited`.

        Raises:
            ConfigurationError: what is stored cannot be read; the sentence names the field or key.
        """
        if known := self._known.get(tenant):
            return known
        before = self._times_forgotten
        row = await self._read(tenant)
        found = self._defaults(tenant)
        if row:
            found = inherited(Interceptor(_read_settings(row), self._keys(row)), found)
        if before == self._times_forgotten:  # else it was changed while it was read
            self._remember(tenant, found)
        return found

    async def stored(self, tenant: str) -> Stored | None:
        """What the tenant has set up itself, if anything; keys that cannot be opened are still named.

        Raises:
            ConfigurationError: the settings cannot be read.
        """
        row = await self._read(tenant)
        return Stored(_read_settings(row), _times(row.keys, row.updated_at), row.updated_at) if row else None

    async def to_change(self, tenant: str) -> InterceptorSettings:
        """The settings that a change begins with: what the tenant has set up, else the defaults without servers."""
        stored = await self.stored(tenant)
        return stored.settings if stored else without_servers(self._defaults(tenant).settings)

    async def change(
        self, actor: str, tenant: str, settings: InterceptorSettings, keys: Mapping[str, str | None] | None = None
    ) -> Stored:
        """Give the tenant these settings, whole; of `keys`, None removes one, and those not named stay.

        Raises:
            InvalidInput: a value or key cannot be used; or a key that stays was set for another server.
        """
        wanted = checked(settings, allowed=self._allowed)
        if wanted.knowledge != "index" and not (wanted.pipeline or self._defaults(tenant).settings.pipeline):
            raise InvalidInput(f"knowledge is {wanted.knowledge!r}, but there is no pipeline. Name one, or use index.")
        given = self._checked_keys(keys or {}, wanted.pipeline)
        async with self._changes.change(tenant) as connection:
            row = await _row(connection, tenant)
            before = dict(_mapping(row.keys)) if row else {}
            staying = {name: each for name, each in before.items() if name not in given}
            refuse_moved(places(_mapping(row.settings)) if row else {}, places(asdict(wanted)), frozenset(staying))
            now = datetime.now(UTC)
            kept = staying | {name: self._sealed(tenant, name, text, now) for name, text in given.items() if text}
            values = {"settings": asdict(wanted), "keys": kept, "updated_at": now}
            if row:
                await connection.execute(scoped_update(interceptors, tenant).values(values))
            else:
                await connection.execute(scoped_insert(interceptors, Scope(tenant)), values)
            details = _details(wanted, given)
            await self._record(connection, tenant, actor, "changed", details)
        return Stored(wanted, _times(kept, now), now)

    async def remove(self, actor: str, tenant: str) -> None:
        """Go back to the defaults, and forget the tenant's keys; no change where it has set up nothing."""
        async with self._changes.change(tenant) as connection:
            gone = await connection.execute(scoped_delete(interceptors, tenant))
            if gone.rowcount:
                await self._record(connection, tenant, actor, "removed", {})

    def forget(self) -> None:
        """Read everything anew from now on."""
        self._known.clear()
        self._times_forgotten += 1

    def _remember(self, tenant: str, found: Interceptor) -> None:
        if len(self._known) >= self._remember_most:
            del self._known[next(iter(self._known))]  # the oldest
        self._known[tenant] = found

    async def _read(self, tenant: str) -> Row[Any] | None:
        async with self._database.read(tenant, snapshot=False) as connection:
            return await _row(connection, tenant)

    def _checked_keys(self, keys: Mapping[str, str | None], pipeline: Pipeline | None) -> dict[str, str | None]:
        if unknown := sorted(keys.keys() - set(KEY_NAMES)):
            raise InvalidInput(f"There is no key {unknown[0][:80]!r}. Use {', '.join(KEY_NAMES)}.")
        checked = {name: None if text is None else checked_key(name, text) for name, text in keys.items()}
        if self._check_token and (token := checked.get("pipeline")):
            try:
                self._check_token(token, pipeline)
            except ConfigurationError as error:  # of the tenant's own making, not the operator's
                raise InvalidInput(error.message) from None
        return checked

    def _sealed(self, tenant: str, name: str, text: str, now: datetime) -> Mapping[str, str]:
        return {"sealed": self._sealing.seal(tenant, name, text), "at": now.isoformat()}

    def _keys(self, row: Row[Any]) -> InterceptorKeys:
        kept = _mapping(row.keys)
        sealed = {name: _mapping(kept[name]).get("sealed") for name in KEY_NAMES if name in kept}
        return InterceptorKeys(**{name: self._sealing.open(row.tenant, name, each) for name, each in sealed.items()})

    async def _record(
        self, connection: AsyncConnection, tenant: str, actor: str, verb: str, details: Mapping[str, Detail]
    ) -> None:
        await self._audit.record(
            connection, tenant, actor=actor, action=f"interceptor.{verb}", target=tenant, details=details
        )


async def _row(connection: AsyncConnection, tenant: str) -> Row[Any] | None:
    row: Row[Any] | None = (await connection.execute(scoped(interceptors, tenant))).first()
    return row


def _read_settings(row: Row[Any]) -> InterceptorSettings:
    """What is stored: fields of a newer version are passed over, and one of an older has defaults for the rest."""
    try:
        return settings_of(checked_fields(_object(row.settings), FIELDS))
    except InvalidInput as error:
        raise ConfigurationError(
            f"The stored interceptor settings of the tenant {row.tenant!r} cannot be used: {error.message} "
            f"Set them anew, or run `ragstone interceptor reset --tenant {row.tenant}`."
        ) from error


def _object(value: object) -> Mapping[str, Any]:
    if not isinstance(value, Mapping):
        raise InvalidInput("They are no JSON object.")
    return value


def _times(keys: object, otherwise: datetime) -> dict[str, datetime]:
    kept = _mapping(keys)
    return {name: _time(_mapping(kept[name]).get("at"), otherwise) for name in KEY_NAMES if name in kept}


def _time(text: object, otherwise: datetime) -> datetime:
    try:
        return datetime.fromisoformat(str(text))
    except ValueError:
        return otherwise


def _mapping(value: object) -> Mapping[str, Any]:
    return value if isinstance(value, Mapping) else {}


def _details(settings: InterceptorSettings, keys: Mapping[str, str | None]) -> dict[str, Detail]:
    """For the record: names of keys, never keys; hosts, never whole URLs, which may carry secrets of their own."""
    where = {name: host(place) for name, place in places(asdict(settings)).items() if place}
    return {
        "enabled": settings.enabled,
        "rollout_percent": settings.rollout_percent,
        "collection": settings.collection,
        "knowledge": settings.knowledge,
        **where,
        "keys_set": ",".join(sorted(name for name, text in keys.items() if text is not None)),
        "keys_removed": ",".join(sorted(name for name, text in keys.items() if text is None)),
    }
