"""The bill of one request: a row of the ledger, reserved before it begins and settled however it ends."""

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
    """What is to be written, as far as it is known."""

    reservation: Reservation
    spent: TokenUsage = field(default_factory=TokenUsage)
    conversation_id: str | None = None
    embedding_tokens: int = 0


class UsageMeter:
    """Collects what a request uses. Settled once; one that nobody settles is settled when it is forgotten."""

    def __init__(self, ledger: Ledger, reservation: Reservation) -> None:
        """Use `UsageMeter.open`, or `UsageMeter.begin`."""
        self._ledger = ledger
        self._account = _Account(reservation)
        self._settled: asyncio.Future[None] | None = None
        self._reserving: asyncio.Future[None] | None = None
        # An exchange that is begun and never answered is dropped without a word; garbage may be
        # collected in any thread.
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
        """Reserve the row meanwhile: until `reserved`, nothing of what is spent may be given out.

        Raises:
            Unavailable: the ledger is far behind.
        """
        reservation, writing = ledger.reserve_soon(principal, kind, overage=overage)
        bill = cls(ledger, reservation)
        bill._reserving = writing
        return bill

    async def reserved(self) -> None:
        """Wait until the row is there. Raises: Unavailable."""
        if self._reserving is not None:
            await self._ledger.reserved(self._reserving)

    @property
    def spent(self) -> TokenUsage:
        """What models used, for them to write to."""
        return self._account.spent

    def embedded(self, tokens: int) -> None:
        """So many tokens were embedded."""
        self._account.embedding_tokens += tokens

    def belongs_to(self, conversation_id: str) -> None:
        """Which conversation it was for."""
        self._account.conversation_id = conversation_id

    async def settle(self) -> None:
        """Write what is known by now. Again, it only waits until that is written.

        From the first moment on it is written even if the caller is cancelled.
        """
        with suppress(RagstoneError):  # the answer is there; that its row is lost shows in the ledger, and in the log
            await asyncio.shield(self.settle_soon())

    def settle_soon(self) -> asyncio.Future[None]:
        """`settle`, for whom nobody has to wait."""
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
