"""The story ASK: a question in a conversation becomes a cited answer.

load what fits of the conversation → make a follow-up whole → retrieve → answer → save
"""

from __future__ import annotations

from collections.abc import AsyncGenerator
from contextlib import aclosing
from dataclasses import dataclass, replace

from ragstone.chat.condense import Condenser
from ragstone.chat.events import Event, Finished, Retrieved
from ragstone.chat.memory import Conversations
from ragstone.errors import RagstoneError
from ragstone.generation.answer import Generator
from ragstone.retrieval.retrieve import Retriever
from ragstone.telemetry.metrics import Metrics
from ragstone.vocabulary import Answer, Filters, Query, Scope, Turn


@dataclass(frozen=True, slots=True)
class Exchange:
    """A question that was checked and may be answered; `history` is oldest first."""

    scope: Scope
    question: str
    query: Query
    conversation_id: str | None
    history: tuple[Turn, ...]


class Chat:
    """Answers questions, one conversation at a time."""

    def __init__(
        self,
        *,
        retriever: Retriever,
        generator: Generator,
        conversations: Conversations,
        condenser: Condenser,
        metrics: Metrics,
        default_limit: int = 8,
    ) -> None:
        self._retriever = retriever
        self._generator = generator
        self._conversations = conversations
        self._condenser = condenser
        self._metrics = metrics
        self._default_limit = default_limit

    async def begin(
        self,
        scope: Scope,
        question: str,
        *,
        conversation_id: str | None = None,
        filters: Filters = Filters(),
        limit: int | None = None,
    ) -> Exchange:
        """Check a question, without looking anything up.

        Raises:
            InvalidQuestion: blank or too long.
            NotFound: no such collection or conversation.
        """
        query = Query(question, filters=filters, limit=limit or self._default_limit)
        await self._retriever.check(scope, query)
        history = await self._conversations.history(scope, conversation_id) if conversation_id else ()
        return Exchange(scope, question, query, conversation_id, tuple(history))

    async def answer(self, exchange: Exchange) -> AsyncGenerator[Event, None]:
        """Answer it: `Retrieved`, then `Delta` and `Citation`, then `Finished`.

        Closing the iterator closes what is open upstream and saves nothing.

        Raises:
            IndexUnavailable: neither leg of the search answered.
        """
        whole = await self._condense(exchange)
        found = await self._retriever.retrieve(exchange.scope, replace(exchange.query, text=whole))
        yield Retrieved(whole, found.passages, found.degraded)
        async with aclosing(self._generator.answer(whole, found.passages, exchange.history)) as events:
            async for event in events:
                if not isinstance(event, Answer):
                    yield event
                    continue
                answer = replace(event, degraded=(*found.degraded, *event.degraded))
                saved = await self._conversations.save(
                    exchange.scope, exchange.conversation_id, question=exchange.question, condensed=whole, answer=answer
                )
                yield Finished(answer, saved.conversation_id, saved.turn_id)

    async def ask(
        self,
        scope: Scope,
        question: str,
        *,
        conversation_id: str | None = None,
        filters: Filters = Filters(),
        limit: int | None = None,
    ) -> AsyncGenerator[Event, None]:
        """`begin` and `answer` in one."""
        exchange = await self.begin(scope, question, conversation_id=conversation_id, filters=filters, limit=limit)
        async with aclosing(self.answer(exchange)) as events:
            async for event in events:
                yield event

    async def _condense(self, exchange: Exchange) -> str:
        with self._metrics.timed("condense"):
            whole = await self._condenser.condense(exchange.question, exchange.history)
        if whole == exchange.question:
            return whole
        query = replace(exchange.query, text=whole)
        try:
            await self._retriever.check(exchange.scope, query)
        except RagstoneError:
            return exchange.question  # what was added made it too long
        return whole
