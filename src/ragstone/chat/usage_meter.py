"""Meters the usage of one request: reserves its row of the ledger, and settles it at the end."""

from __future__ import annotations

import asyncio
import weakref
from contextlib import suppress
from dataclasses import dataclass, field
from functools import partial

import structlog

from ragstone.billing.ledger import Ledger, Reservation, UsageKind
from ragstone.errors import RagstoneError
from ragstone.llm.token_usage import TokenUsage
from ragstone.principals import Principal

log = structlog.get_logger()


@dataclass(slots=True)
class _Account:
    """The usage so far, which settling writes to the row."""

    reservation: Reservation
    spent: TokenUsage = field(default_factory=TokenUsage)
    conversation_id: str | None = None
    embedding_tokens: int = 0


class UsageMeter:
    """Collects the usage of a request.

    `settle` is idempotent; an unsettled meter settles itself when it is garbage-collected.
    """

    def __init__(self, ledger: Ledger, reservation: Reservation) -> None:
        """Use `UsageMeter.open`, or `UsageMeter.begin`."""
        self._ledger = ledger
        self._account = _Account(reservation)
        self._settled: asyncio.Future[None] | None = None
        self._reserving: asyncio.Future[None] | None = None
        # An exchange that is begun and never answered is only dropped; garbage collection may run
        # in any thread.
        loop = asyncio.get_running_loop()
        self._forgotten = weakref.finalize(self, _settle_soon, loop, ledger, self._account)
        self._forgotten.atexit = False

    @classmethod
    async def open(cls, ledger: Ledger, principal: Principal, kind: UsageKind, *, overage: bool = False) -> UsageMeter:
        """Reserve the row.

        Raises:
            Unavailable: the ledger cannot be written; nothing may be spent.
        """
        return cls(ledger, await ledger.reserve(principal, kind, overage=overage))

    @classmethod
    def begin(cls, ledger: Ledger, principal: Principal, kind: UsageKind, *, overage: bool = False) -> UsageMeter:
        """Reserve the row in the background. Send nothing to the client before `reserved` returns.

        Raises:
            Unavailable: too many writes of the ledger are waiting.
        """
        reservation, writing = ledger.reserve_soon(principal, kind, overage=overage)
        bill = cls(ledger, reservation)
        bill._reserving = writing
        return bill

    async def reserved(self) -> None:
        """Wait until the row is written. Raises: Unavailable."""
        if self._reserving is not None:
            await self._ledger.reserved(self._reserving)

    @property
    def spent(self) -> TokenUsage:
        """The usage of the models, for the callers to update."""
        return self._account.spent

    def embedded(self, tokens: int) -> None:
        """Add embedded tokens."""
        self._account.embedding_tokens += tokens

    def belongs_to(self, conversation_id: str) -> None:
        """Set the conversation that the request belongs to."""
        self._account.conversation_id = conversation_id

    async def settle(self) -> None:
        """Write the usage so far. A further call only waits for that.

        Once begun, the row is written even if the caller is cancelled.
        """
        with suppress(RagstoneError):  # the answer is complete; the ledger and the log show the lost row
            await asyncio.shield(self.settle_soon())

    def settle_soon(self) -> asyncio.Future[None]:
        """Begin to settle; the future ends when the row is written."""
        if self._settled is None:
            self._forgotten.detach()
            self._settled = _written(self._ledger, self._account)
            self._settled.add_done_callback(partial(_report, self._account.reservation.id))
        return self._settled


def _report(row: str, settled: asyncio.Future[None]) -> None:
    error = None if settled.cancelled() else settled.exception()
    if isinstance(error, RagstoneError):
        log.warning("ledger.unsettled", row=row, reason=error.message)


def _written(ledger: Ledger, account: _Account) -> asyncio.Future[None]:
    return ledger.settle_soon(
        account.reservation,
        account.spent.usage,
        conversation_id=account.conversation_id,
        embedding_tokens=account.embedding_tokens,
        estimated=account.spent.estimated,
    )


def _settle_soon(loop: asyncio.AbstractEventLoop, ledger: Ledger, account: _Account) -> None:
    if not loop.is_closed():
        loop.call_soon_threadsafe(_written, ledger, account)
