"""The ledger: one row a request, reserved before anything is spent and settled when it is known."""

from __future__ import annotations

import time
from collections.abc import AsyncGenerator, Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Literal

from ragstone.accounts.plans import Plans
from ragstone.principals import Principal
from ragstone.storage.database import Database
from ragstone.vocabulary import Usage

Granularity = Literal["day", "month"]
UsageKind = Literal["chat", "search", "ingest"]


@dataclass(frozen=True, slots=True)
class Reservation:
    """A row of the ledger that waits for what its request used."""

    id: str
    tenant: str


@dataclass(frozen=True, slots=True)
class UsageRecord:
    """One row; `cost` in millionths of the currency. `estimated`: counted here, not reported by the model."""

    id: str
    tenant: str
    at: datetime
    kind: str
    state: str
    principal: str
    conversation_id: str | None
    model: str
    input_tokens: int
    output_tokens: int
    cached_tokens: int
    embedding_tokens: int
    cost: int
    overage: bool
    estimated: bool


@dataclass(frozen=True, slots=True)
class UsageSum:
    """Totals of one period (its first day, `2026-11-01`), of one key if sums are by key, else of the tenant."""

    tenant: str
    period: str
    principal: str | None
    requests: int
    overage: int
    input_tokens: int
    output_tokens: int
    cached_tokens: int
    embedding_tokens: int
    cost: int


class Ledger:
    """Writes and sums the ledger. Writes of many requests share one transaction."""

    def __init__(self, database: Database, plans: Plans, *, clock: Callable[[], float] = time.time) -> None:
        self._database = database
        self._plans = plans
        self._clock = clock

    async def reserve(self, principal: Principal, kind: UsageKind, *, overage: bool = False) -> Reservation:
        """Write the row, durably, before anything is spent.

        Raises:
            Unavailable: the ledger cannot be written; nothing may be spent.
        """
        raise NotImplementedError

    async def settle(
        self,
        reservation: Reservation,
        usage: Sequence[Usage],
        *,
        conversation_id: str | None = None,
        embedding_tokens: int = 0,
        estimated: bool = False,
    ) -> None:
        """Complete the row with what was used, by one model or several; a second time changes nothing."""
        raise NotImplementedError

    async def sums(
        self, tenant: str, *, since: datetime, until: datetime, by: Granularity = "day", by_key: bool = False
    ) -> list[UsageSum]:
        """Totals by period, oldest first; `until` is exclusive."""
        raise NotImplementedError

    def records(self, tenant: str, *, since: datetime, until: datetime) -> AsyncGenerator[UsageRecord, None]:
        """The rows themselves, oldest first, read in pages."""
        raise NotImplementedError

    async def expire(self) -> int:
        """Close the rows whose request never came back, as `lost`; how many."""
        raise NotImplementedError

    async def close(self) -> None:
        """Write what waits to be written."""
