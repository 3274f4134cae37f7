"""Questions of whoever was admitted: within the streams of their plan, and on their bill.

What a request holds and owes ends with its response, whichever way that ends: an event
stream that its client left before it began never runs, so nothing inside it can let go.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator
from contextlib import AsyncExitStack
from typing import Annotated

from fastapi import Depends, Request

from ragstone.accounts.rate_limits import Standing
from ragstone.accounts.usage import UsageKind
from ragstone.chat.ask import Exchange
from ragstone.chat.bill import Bill
from ragstone.http.dependencies import Admitted, OpenPlatform
from ragstone.principals import Principal
from ragstone.vocabulary import Filters, Scope
from ragstone.wiring import Platform


class Asking:
    """Begins exchanges and bills for one request."""

    def __init__(self, platform: Platform, principal: Principal, stack: AsyncExitStack, *, overage: bool) -> None:
        self._platform = platform
        self._principal = principal
        self._stack = stack
        self._overage = overage

    async def begin(
        self,
        scope: Scope,
        question: str,
        *,
        conversation_id: str | None = None,
        filters: Filters = Filters(),
        limit: int | None = None,
    ) -> Exchange:
        """Check a question, hold one of the tenant's streams, and reserve a row of the ledger.

        Raises:
            InvalidQuestion: blank or too long.
            NotFound: no such collection or conversation.
            RateLimited: all streams of the plan are taken.
            Unavailable: the ledger cannot be written.
        """
        await self._stack.enter_async_context(self._platform.accounts.limits.stream(self._principal))
        chat = self._platform.chat
        exchange = await chat.begin(
            scope,
            question,
            principal=self._principal,
            overage=self._overage,
            conversation_id=conversation_id,
            filters=filters,
            limit=limit,
        )
        self._stack.push_async_callback(chat.release, exchange)
        return exchange

    async def bill(self, kind: UsageKind) -> Bill:
        """Reserve a row of the ledger, settled with what is on the bill when the response ends.

        Raises:
            Unavailable: the ledger cannot be written.
        """
        bill = await Bill.open(self._platform.accounts.ledger, self._principal, kind, overage=self._overage)
        self._stack.push_async_callback(bill.settle)
        return bill


async def _asking(request: Request, principal: Admitted, platform: OpenPlatform) -> AsyncGenerator[Asking]:
    standing: Standing | None = getattr(request.state, "standing", None)  # nobody counts whose plan has no limits
    async with AsyncExitStack() as stack:
        yield Asking(platform, principal, stack, overage=standing is not None and standing.overage)


AdmittedAsking = Annotated[Asking, Depends(_asking)]
"""For routes that answer: begins exchanges on the bill of the caller, which ends with the response."""
