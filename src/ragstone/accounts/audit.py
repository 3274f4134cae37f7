"""Who did what: an append-only chain of records a tenant, each sealed over the one before."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy.ext.asyncio import AsyncConnection

from ragstone.accounts.secret import Secret
from ragstone.storage.database import Database

Detail = str | int | bool | None


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
    """The first record of a chain that is not as it was written."""

    tenant: str
    number: int
    reason: str


class Audit:
    """Writes, reads and verifies the chains."""

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
        """Append a record, in the caller's write transaction: what is not recorded does not happen."""
        raise NotImplementedError

    async def note(
        self,
        tenant: str,
        *,
        actor: str,
        action: str,
        target: str = "",
        details: Mapping[str, Detail] | None = None,
    ) -> None:
        """Append a record in a transaction of its own, for what changes nothing else."""
        raise NotImplementedError

    async def entries(self, tenant: str, *, limit: int = 100, before: int | None = None) -> list[AuditEntry]:
        """The newest records, newest first; `before` is the smallest number seen so far."""
        raise NotImplementedError

    async def verify(self, tenant: str | None = None) -> Sequence[Broken]:
        """The first broken record of each chain, of one tenant or of all; none if all are whole."""
        raise NotImplementedError
