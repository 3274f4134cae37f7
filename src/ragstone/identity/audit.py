"""The audit log: one chain of keyed hashes per tenant, written in the transaction of the change it records.

Each record's hash covers the hash of the record before it, and a sealed head stores where the
chain ends. So `verify` finds records that were changed, removed, or added from outside.
"""

from __future__ import annotations

import hmac
import json
from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from sqlalchemy import Row
from sqlalchemy.ext.asyncio import AsyncConnection

from ragstone.errors import ConfigurationError
from ragstone.identity.secrets import Secret
from ragstone.storage.database import (
    EVERY_TENANT,
    Database,
    lock_tenant,
    scoped,
    scoped_insert,
    scoped_update,
    unscoped,
)
from ragstone.storage.schema import audit_heads, audit_log, tenants
from ragstone.vocabulary import Scope

Detail = str | int | bool | None
_START = ""  # the hash before the first record
_PAGE_SIZE = 1000


@dataclass(frozen=True, slots=True)
class AuditEntry:
    """One record; `number` counts from 1 within the tenant."""

    tenant: str
    number: int
    at: datetime
    actor: str
    action: str
    target: str
    details: Mapping[str, Detail]


@dataclass(frozen=True, slots=True)
class Broken:
    """The first record of a chain that fails verification."""

    tenant: str
    number: int
    reason: str


@dataclass(frozen=True, slots=True)
class _Head:
    number: int
    hash: str
    seal: str


class Audit:
    """Writes, reads and verifies the audit logs."""

    def __init__(self, database: Database, secret: Secret) -> None:
        self._database = database
        self._secret = secret

    async def record(
        self,
        connection: AsyncConnection,
        tenant: str,
        *,
        actor: str,
        action: str,
        target: str = "",
        details: Mapping[str, Detail] | None = None,
    ) -> None:
        """Append a record in the caller's write transaction: if the record fails, so does the change.

        Raises:
            ConfigurationError: the chain's head was changed from outside, so nothing can be appended.
        """
        head = await self._locked_head(connection, tenant)
        entry = AuditEntry(tenant, head.number + 1, datetime.now(UTC), actor, action, target, dict(details or {}))
        sealed = self._hash(entry, head.hash)
        values = {"number": entry.number, "at": entry.at, "actor": actor, "action": action, "target": target}
        await connection.execute(
            scoped_insert(audit_log, Scope(tenant)), {**values, "details": entry.details, "hash": sealed}
        )
        await connection.execute(
            scoped_update(audit_heads, tenant).values(
                number=entry.number, hash=sealed, seal=self._seal(tenant, entry.number, sealed)
            )
        )

    async def note(
        self,
        tenant: str,
        *,
        actor: str,
        action: str,
        target: str = "",
        details: Mapping[str, Detail] | None = None,
    ) -> None:
        """Append a record in a transaction of its own, for events that change no other table."""
        async with self._database.write(tenant) as connection:
            await self.record(connection, tenant, actor=actor, action=action, target=target, details=details)

    async def entries(self, tenant: str, *, limit: int = 100, before: int | None = None) -> list[AuditEntry]:
        """Up to `limit` records, newest first; `before` is the smallest number of the previous page."""
        wanted = scoped(audit_log, tenant).order_by(audit_log.c.number.desc()).limit(limit)
        if before is not None:
            wanted = wanted.where(audit_log.c.number < before)
        async with self._database.read(tenant) as connection:
            return [_entry(row) for row in await connection.execute(wanted)]

    async def verify(self, tenant: str | None = None) -> Sequence[Broken]:
        """The first broken record of each chain, for one tenant or all; empty if every chain is intact."""
        async with self._database.read(EVERY_TENANT) as connection:
            tenants = [tenant] if tenant else await _chains(connection)
            found = [await self._first_broken(connection, each) for each in tenants]
        return [broken for broken in found if broken]

    async def _locked_head(self, connection: AsyncConnection, tenant: str) -> _Head:
        """The chain's head, locked until the transaction ends; creates it for the tenant's first record."""
        await lock_tenant(connection, tenant)
        wanted = scoped(audit_heads, tenant)
        row = (await connection.execute(wanted)).first()
        if row is None:
            await self._start(connection, tenant)
            row = (await connection.execute(wanted)).one()
        head = _Head(row.number, row.hash, row.seal)
        if not self._is_sealed(tenant, head):
            raise _cannot_append(tenant)
        return head

    async def _start(self, connection: AsyncConnection, tenant: str) -> None:
        if (await connection.execute(scoped(audit_log, tenant, audit_log.c.number).limit(1))).first():
            raise _cannot_append(tenant)
        first = {"tenant": tenant, "number": 0, "hash": _START, "seal": self._seal(tenant, 0, _START)}
        await connection.execute(self._database.insert_missing(audit_heads), first)

    async def _first_broken(self, connection: AsyncConnection, tenant: str) -> Broken | None:
        row = (await connection.execute(scoped(audit_heads, tenant))).first()
        head = _Head(row.number, row.hash, row.seal) if row else _Head(0, _START, "")
        number, before = 0, _START
        async for entry, sealed in _records(connection, tenant):
            number += 1
            if entry.number != number:
                return Broken(tenant, number, "It is missing, or its number was changed.")
            if not hmac.compare_digest(sealed, self._hash(entry, before)):
                return Broken(tenant, number, "It was changed.")
            before = sealed
        if row is None:
            return Broken(tenant, number, "The record of the chain's end is missing.") if number else None
        if not self._is_sealed(tenant, head):
            return Broken(tenant, number, "The record of the chain's end was changed.")
        if head.number > number:
            return Broken(tenant, number + 1, f"It is missing, and so are all up to {head.number}.")
        if head.number < number or head.hash != before:
            return Broken(tenant, head.number + 1, "It was added after the chain's end.")
        return None

    def _hash(self, entry: AuditEntry, before: str) -> str:
        at = entry.at.astimezone(UTC).isoformat()
        written = (entry.tenant, entry.number, at, entry.actor, entry.action, entry.target, entry.details, before)
        return self._secret.digest("audit", _canonical(written))

    def _seal(self, tenant: str, number: int, sealed: str) -> str:
        return self._secret.digest("audit-head", _canonical((tenant, number, sealed)))

    def _is_sealed(self, tenant: str, head: _Head) -> bool:
        return hmac.compare_digest(head.seal, self._seal(tenant, head.number, head.hash))


def _cannot_append(tenant: str) -> ConfigurationError:
    return ConfigurationError(
        f"The audit log of {tenant!r} was changed from outside, so changes that it must record are refused. "
        f"Run `ragstone accounts audit verify --tenant {tenant}`, then restore a backup."
    )


def _canonical(value: object) -> str:
    return json.dumps(value, sort_keys=True, separators=(",", ":"))


async def _chains(connection: AsyncConnection) -> list[str]:
    """Every tenant that has records or a chain head."""
    heads = await connection.scalars(unscoped(audit_heads, audit_heads.c.tenant))
    records = await connection.scalars(unscoped(audit_log, audit_log.c.tenant).distinct())
    return sorted({*heads, *records})


async def _records(connection: AsyncConnection, tenant: str) -> AsyncIterator[tuple[AuditEntry, str]]:
    """All records by number, with their hashes, read in pages."""
    last: int | None = None
    while True:
        page = scoped(audit_log, tenant).order_by(audit_log.c.number).limit(_PAGE_SIZE)
        rows = (await connection.execute(page if last is None else page.where(audit_log.c.number > last))).all()
        for row in rows:
            yield _entry(row), row.hash
        if len(rows) < _PAGE_SIZE:
            return
        last = rows[-1].number


def _entry(row: Row[Any]) -> AuditEntry:
    return AuditEntry(row.tenant, row.number, row.at, row.actor, row.action, row.target, row.details)


async def record_change(
    audit: Audit | None,
    connection: AsyncConnection,
    scope: Scope,
    *,
    principal: str,
    action: str,
    target: str,
    **counts: int,
) -> None:
    """Append ids and counts of a change of documents to the tenant's audit log.

    Names and text are left out, because the log outlives the documents. A tenant name that has
    no row in `tenants` belongs to a program that embeds the platform; it has no audit log.
    """
    if audit is None:
        return
    listed = scoped(tenants, scope.tenant, tenants.c.tenant)
    if (await connection.execute(listed)).first() is None:
        return
    details: dict[str, Detail] = {"collection": scope.collection, **counts}
    await audit.record(connection, scope.tenant, actor=principal, action=action, target=target, details=details)
