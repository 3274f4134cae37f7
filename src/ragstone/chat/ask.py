"""The story ASK: a question in a conversation becomes a cited answer.

reserve → load what fits of the conversation → make a follow-up whole → retrieve → answer → save → settle
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, Callable, Sequence
from contextlib import aclosing
from dataclasses import dataclass, replace

from ragstone.billing.ledger import Ledger
from ragstone.chat.conversations import Conversations
from ragstone.chat.plan_models import AnsweringModel, ModelChain
from ragstone.chat.usage_meter import UsageMeter
from ragstone.errors import RagstoneError
from ragstone.generation.answer import Generator
from ragstone.generation.base import Delta
from ragstone.llm.base import Message
from ragstone.llm.token_usage import counted
from ragstone.principals import LOCAL, Principal
from ragstone.retrieval.base import Retriever
from ragstone.telemetry.metrics import Metrics
from ragstone.telemetry.tracing import span
from ragstone.vocabulary import Answer, Citation, Filters, Passage, Query, Scope, Turn, Usage


@dataclass(frozen=True, slots=True)
class Retrieved:
    """The passages the answer will be written from, best first.

    `question` is what was looked up: the question itself, or a follow-up made whole.
    """

    question: str
    passages: tuple[Passage, ...]
    degraded: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Finished:
    """The complete answer; its text is authoritative. The exchange has been saved."""

    answer: Answer
    conversation_id: str
    turn_id: str = ""


Event = Retrieved | Delta | Citation | Finished


@dataclass(frozen=True, slots=True)
class Exchange:
    """A question that was checked and may be answered; `history` is oldest first.

    Its row in the ledger is open: `Chat.answer` completes it, or else `Chat.release`.
    """

    scope: Scope
    question: str
    query: Query
    conversation_id: str | None
    history: tuple[Turn, ...]
    principal: Principal
    answering: AnsweringModel
    bill: UsageMeter


class Chat:
    """Answers questions, one conversation at a time.

    `answer` is all of it. An integration that wants to run the steps itself calls
    `retrieve`, `generate` and `log`, and in the end, whatever happened, `release`.
    """

    def __init__(
        self,
        *,
        retriever: Retriever,
        generator: Generator,
        conversations: Conversations,
        chain: ModelChain,
        ledger: Ledger,
        metrics: Metrics,
        count_tokens: Callable[[str], int],
        default_limit: int = 8,
    ) -> None:
        """`count_tokens` counts what the embedding model reads."""
        self._retriever = retriever
        self._generator = generator
        self._conversations = conversations
        self._chain = chain
        self._ledger = ledger
        self._metrics = metrics
        self._count_tokens = count_tokens
        self._default_limit = default_limit

    async def begin(
        self,
        scope: Scope,
        question: str,
        *,
        principal: Principal = LOCAL,
        overage: bool = False,
        conversation_id: str | None = None,
        history: tuple[Turn, ...] = (),
        filters: Filters = Filters(),
        limit: int | None = None,
    ) -> Exchange:
        """Check a question, without looking anything up, and open its row in the ledger.

        `overage`: the request is beyond the limit of the principal's plan. `history` is of a
        conversation that somebody else keeps; with `conversation_id` it is the one kept here.

        Raises:
            InvalidQuestion: blank or too long.
            NotFound: no such collection or conversation.
            Unavailable: the ledger cannot be written.
        """
        query = Query(question, filters=filters, limit=limit or self._default_limit)
        await self._retriever.check(scope, query)
        if conversation_id is not None:
            history = await self._history(scope, conversation_id, principal)
        answering = await self._chain.of(principal)
        # Last, so that nothing which is refused has a row.
        bill = await UsageMeter.open(self._ledger, replace(principal, tenant=scope.tenant), "chat", overage=overage)
        return Exchange(scope, question, query, conversation_id, history, principal, answering, bill)

    async def answer(self, exchange: Exchange) -> AsyncGenerator[Event, None]:
        """Answer it: `Retrieved`, then `Delta` and `Citation`, then `Finished`.

        Closing the iterator closes what is open upstream, saves nothing, and settles
        what was spent until then.

        Raises:
            IndexUnavailable: neither leg of the search answered.
        """
        with span("ask", tenant=exchange.scope.tenant):
            try:
                found = await self.retrieve(exchange)
                yield found
                async with aclosing(self.generate(exchange, found)) as events:
                    async for event in events:
                        if isinstance(event, Answer):
                            yield await self.log(exchange, found, event)
                        else:
                            yield event
            finally:
                await self.release(exchange)

    async def retrieve(self, exchange: Exchange) -> Retrieved:
        """The first step: the question made whole, and the passages that bear on it. Raises: as `answer`."""
        whole = await self._condense(exchange)
        exchange.bill.embedded(self._count_tokens(whole))
        found = await self._retriever.retrieve(exchange.scope, replace(exchange.query, text=whole))
        return Retrieved(whole, found.passages, found.degraded)

    async def generate(self, exchange: Exchange, found: Retrieved) -> AsyncGenerator[Delta | Citation | Answer, None]:
        """The second step: text as it comes, then citations, then one `Answer`."""
        chosen = exchange.answering
        for policy in chosen.degraded:
            self._metrics.degraded.labels(policy).inc()
        events = self._generator.answer(
            found.question, found.passages, exchange.history, answerers=chosen.answerers, spent=exchange.bill.spent
        )
        async with aclosing(events):
            async for event in events:
                if isinstance(event, Answer):
                    yield replace(event, degraded=(*found.degraded, *chosen.degraded, *event.degraded))
                else:
                    yield event

    async def complete(
        self, exchange: Exchange, messages: Sequence[Message], *, max_tokens: int
    ) -> AsyncGenerator[str]:
        """What the exchange's first language model says to `messages`, without documents; nothing where there is none.

        Raises:
            ModelUnavailable: it does not answer.
        """
        for model in exchange.answering.models[:1]:
            exchange.bill.spent.begin()
            async with aclosing(counted(model, messages, max_tokens=max_tokens)) as pieces:
                async for piece in pieces:
                    if isinstance(piece, Usage):
                        exchange.bill.spent.update(piece)
                    else:
                        yield piece

    async def log(self, exchange: Exchange, found: Retrieved, answer: Answer) -> Finished:
        """The last step: the exchange is saved, and belongs to its conversation in the ledger too.

        Raises:
            NotFound: the conversation was deleted meanwhile.
        """
        saved = await self._conversations.save(
            exchange.scope,
            exchange.conversation_id,
            question=exchange.question,
            condensed=found.question,
            answer=answer,
            owner=exchange.principal.id,
            visible_to=exchange.principal.conversations_of,
        )
        exchange.bill.belongs_to(saved.conversation_id)
        return Finished(answer, saved.conversation_id, saved.turn_id)

    async def release(self, exchange: Exchange) -> None:
        """Settle what the exchange has spent; once, however often it is called."""
        await exchange.bill.settle()

    async def ask(
        self,
        scope: Scope,
        question: str,
        *,
        principal: Principal = LOCAL,
        overage: bool = False,
        conversation_id: str | None = None,
        filters: Filters = Filters(),
        limit: int | None = None,
    ) -> AsyncGenerator[Event, None]:
        """`begin` and `answer` in one."""
        exchange = await self.begin(
            scope,
            question,
            principal=principal,
            overage=overage,
            conversation_id=conversation_id,
            filters=filters,
            limit=limit,
        )
        async with aclosing(self.answer(exchange)) as events:
            async for event in events:
                yield event

    async def _history(self, scope: Scope, conversation_id: str, principal: Principal) -> tuple[Turn, ...]:
        visible_to = principal.conversations_of
        return tuple(await self._conversations.history(scope, conversation_id, visible_to=visible_to))

    async def _condense(self, exchange: Exchange) -> str:
        with self._metrics.timed("condense"):
            condenser = exchange.answering.condenser
            whole = await condenser.condense(exchange.question, exchange.history, exchange.bill.spent)
        if whole == exchange.question:
            return whole
        query = replace(exchange.query, text=whole)
        try:
            await self._retriever.check(exchange.scope, query)
        except RagstoneError:
            return exchange.question  # what was added made it too long
        return whole
