"""The story INTERCEPT: a chat on its way to a model is enriched from the tenant's knowledge.

read → hold a stream and a row of the ledger → decide → retrieve, within the budget → enrich
     → pass on → the answer back, with its sources → settle

Whatever keeps retrieval from its work, the client's request goes on byte for byte as it
came, and `x-ragstone-status` says why. Without a server to go on to, our own answerer is
the model.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from ragstone.accounts.interceptors import Interceptor, Interceptors
from ragstone.accounts.rate_limits import RateLimits
from ragstone.accounts.usage import Ledger
from ragstone.chat.bill import Bill
from ragstone.errors import InvalidInput, NotFound
from ragstone.http.relaying import Refusal, Writer
from ragstone.integrations.interceptor.asking import OWN_MODEL, Asked
from ragstone.integrations.interceptor.deciding import decide
from ragstone.integrations.interceptor.delivering import Delivery, Round
from ragstone.integrations.interceptor.headers import outgoing
from ragstone.integrations.interceptor.preparing import Preparation, model_upstream
from ragstone.integrations.interceptor.reading import read
from ragstone.integrations.interceptor.upstreams import Target, Upstreams
from ragstone.telemetry.metrics import Metrics
from ragstone.telemetry.tracing import span

if TYPE_CHECKING:  # it brings generation along, and NumPy; see `opening`
    from ragstone.integrations.interceptor.own_model import OwnModel

REFUSES_ENRICHED = frozenset({400, 413, 422})
"""What a server says to a chat that is too long, or has a shape it does not take: then it gets the client's own."""


class Interception:
    """Answers the chats of all tenants, each as its interceptor is set up."""

    def __init__(
        self,
        *,
        interceptors: Interceptors,
        preparation: Preparation,
        upstreams: Upstreams,
        delivery: Delivery,
        own: OwnModel | None,
        limits: RateLimits,
        ledger: Ledger,
        metrics: Metrics,
    ) -> None:
        """`own` answers where there is no server to go on to; without it, that is refused."""
        self._interceptors = interceptors
        self._preparation = preparation
        self._upstreams = upstreams
        self._delivery = delivery
        self._own = own
        self._limits = limits
        self._ledger = ledger
        self._metrics = metrics

    async def intercept(self, asked: Asked, writer: Writer) -> None:
        """Answer one chat.

        Raises:
            InvalidInput: it is no chat.
            NotFound: there is no such model here.
            RateLimited: all streams of the plan are taken.
            Unavailable: the ledger, or the model's server.
        """
        tenant = asked.principal.tenant
        known = await self._interceptors.get(tenant)
        target = self._upstreams.target(tenant, known, asked.dialect)
        with span("intercept", tenant=tenant, upstream=target.name if target else OWN_MODEL):
            async with self._limits.stream(asked.principal):
                if target is None:
                    await self._answer(asked, known, writer)
                else:
                    await self._pass_on(asked, known, target, writer)

    async def _answer(self, asked: Asked, known: Interceptor, writer: Writer) -> None:
        if self._own is None:
            raise NotFound("No model's server is set up here. Set one with `ragstone interceptor set`.")
        chat = read(asked.parsed, asked.dialect)
        if chat is None:
            raise InvalidInput("There is no question: `messages` needs a message of the user with text.")
        decision = decide(chat, asked.parsed, asked.headers, known.settings, asked.principal.tenant)
        self._metrics.interceptions.labels("answered" if decision.enrich else decision.reason).inc()
        link = self._preparation.linker(asked, known)
        await self._own.answer(asked, chat, decision, known.settings, link, writer)

    async def _pass_on(self, asked: Asked, known: Interceptor, target: Target, writer: Writer) -> None:
        model = model_upstream(asked, known)
        # The row is written while the chat is prepared and the server asked; nothing is delivered before it is there.
        bill = Bill.begin(self._ledger, asked.principal, "chat", overage=asked.overage)
        try:
            prepared = await self._preparation.prepare(asked, known, model)
            turn = Round(asked, known.settings, prepared, target, model, bill)
            refusal = await self._sent(turn, writer)
            if refusal is not None and prepared.sources and refusal.status in REFUSES_ENRICHED:
                turn = replace(turn, prepared=self._preparation.without("refused", asked, model))
                refusal = await self._sent(turn, writer)
            if refusal is not None:
                status = ("x-ragstone-status", turn.prepared.status)
                await writer.respond(replace(refusal, headers=[*refusal.headers, status]))
            await writer.end()
        finally:
            bill.settle_soon()

    async def _sent(self, turn: Round, writer: Writer) -> Refusal | None:
        """Send a chat, and deliver its answer; the server's refusal, with nothing delivered, where it gives none."""
        asked, target = turn.asked, turn.target
        headers = outgoing(asked.headers, key=target.key, dialect=asked.dialect, request_id=asked.request_id)
        turn.sent()
        asking = self._upstreams.asked(target, "POST", asked.path, headers=headers, body=turn.prepared.body)
        answered = False
        try:
            async with asking as answer:
                if isinstance(answer, Refusal):
                    return answer
                answered = True
                await turn.bill.reserved()
                await self._delivery.deliver(turn, answer, writer)
                return None
        finally:
            if not answered:
                turn.refused()
