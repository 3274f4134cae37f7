"""ASK: turns a question in a conversation into a cited answer.

check → load the history → choose the models → reserve in the ledger (`begin`)
→ condense a follow-up → retrieve → answer → save → settle (`answer`)
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Callable, Mapping, Sequence
from contextlib import aclosing
from dataclasses import dataclass, replace

import structlog

from ragstone.billing.ledger import Ledger
from ragstone.billing.plans import ModelEntry, Plan, Plans
from ragstone.chat.condense import Condenser, ModelCondenser, RuleCondenser
from ragstone.chat.conversations import Conversations
from ragstone.chat.courtesies import courtesy
from ragstone.chat.usage_meter import UsageMeter
from ragstone.errors import ConfigurationError, NotFound, RagstoneError
from ragstone.generation.answer import Generator
from ragstone.generation.base import Answerer, Delta
from ragstone.generation.notices import notice
from ragstone.generation.prompted import PromptedAnswerer
from ragstone.llm.base import LanguageModel, Message
from ragstone.llm.token_usage import counted
from ragstone.principals import LOCAL, Principal
from ragstone.retrieval.base import Retriever, corrected, within_budget
from ragstone.telemetry.metrics import Metrics
from ragstone.telemetry.tracing import span
from ragstone.vocabulary import Answer, Citation, Filters, Passage, Query, Scope, SpellingCorrection, Turn, Usage

UNCONFIGURED = "model_unconfigured"
"""The policy where a model of the plan is passed over: its key is not set, or it cannot be opened."""

log = structlog.get_logger()

ModelFactory = Callable[[ModelEntry, str | None], LanguageModel | None]
"""Opens the model of an entry with its key; None where the entry is the extractive answerer."""


@dataclass(frozen=True, slots=True)
class Retrieved:
    """The passages that the answer is written from, best first.

    `question` is the text that was searched for: the user's question, or a condensed follow-up.
    """

    question: str
    passages: tuple[Passage, ...]
    degraded: tuple[str, ...]
    corrections: tuple[SpellingCorrection, ...] = ()


@dataclass(frozen=True, slots=True)
class Finished:
    """The complete answer; its text is authoritative. The exchange has been saved."""

    answer: Answer
    conversation_id: str
    turn_id: str = ""


Event = Retrieved | Delta | Citation | Finished


@dataclass(frozen=True, slots=True)
class AnsweringModel:
    """The answerers of a principal in order, with the condenser, and the policies that acted in choosing them.

    `models` are the language models behind the answerers.
    """

    answerers: tuple[Answerer, ...]
    condenser: Condenser
    degraded: tuple[str, ...] = ()
    models: tuple[LanguageModel, ...] = ()


@dataclass(frozen=True, slots=True)
class Exchange:
    """A checked question with what its answer needs; `history` is oldest first.

    Its row in the ledger is reserved; `Chat.answer` or `Chat.release` settles it.
    """

    scope: Scope
    question: str
    query: Query
    conversation_id: str | None
    history: tuple[Turn, ...]
    principal: Principal
    answering: AnsweringModel
    meter: UsageMeter


@dataclass(frozen=True, slots=True, kw_only=True)
class ChatParts:
    """The parts that `Chat` works with. `count_tokens` counts what the embedding model reads, for the ledger."""

    retriever: Retriever
    generator: Generator
    conversations: Conversations
    models: ModelChain
    ledger: Ledger
    count_tokens: Callable[[str], int]
    metrics: Metrics


@dataclass(frozen=True, slots=True, kw_only=True)
class ChatOptions:
    """`limit` is the number of passages where a question names none; `context_tokens` bounds those for the answerer."""

    limit: int = 8
    context_tokens: int = 3000


class Chat:
    """Answers questions within conversations.

    `answer` runs all steps. An integration that runs the steps itself calls `retrieve`,
    `generate` and `save`, and in the end, also after a failure, `release`.
    """

    def __init__(self, parts: ChatParts, options: ChatOptions = ChatOptions()) -> None:
        self._parts = parts
        self._options = options

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
        """Check a question, and reserve its row in the ledger. Nothing is retrieved yet.

        Args:
            scope: The collection that the question is answered from.
            question: As the user wrote it.
            principal: Who asks.
            overage: The request exceeds the limit of the principal's plan.
            conversation_id: A conversation that is stored here, and whose history is read.
            history: The turns of a conversation that the caller stores.
            filters: Restrict the documents.
            limit: Passages, at most.

        Raises:
            InvalidQuestion: blank or too long.
            NotFound: no such collection or conversation.
            Unavailable: the ledger cannot be written.
        """
        query = Query(question, filters=filters, limit=limit or self._options.limit)
        await self._parts.retriever.check(scope, query)
        if conversation_id is not None:
            history = await self._history(scope, conversation_id, principal)
        answering = await self._parts.models.of(principal)
        payer = replace(principal, tenant=scope.tenant)
        # Last, so that a question that is refused has no row.
        meter = await UsageMeter.open(self._parts.ledger, payer, "chat", overage=overage)
        return Exchange(scope, question, query, conversation_id, history, principal, answering, meter)

    async def answer(self, exchange: Exchange) -> AsyncGenerator[Event, None]:
        """Answer an exchange: yields `Retrieved`, then `Delta` and `Citation`, then `Finished`.

        Closing the iterator closes the connection to the model, saves nothing, and settles
        what was used until then.

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
                            yield await self.save(exchange, found, event)
                        else:
                            yield event
            finally:
                await self.release(exchange)

    async def retrieve(self, exchange: Exchange) -> Retrieved:
        """Step 1: condense a follow-up, and retrieve as many passages as the context holds. Raises: as `answer`.

        For a courtesy such as "thanks" nothing is retrieved.
        """
        if courtesy(exchange.question, exchange.history):
            return Retrieved(exchange.question, (), ())
        whole = await self._condense(exchange)
        exchange.meter.embedded(self._parts.count_tokens(whole.whole))
        found = await self._parts.retriever.search(exchange.scope, whole)
        passages = within_budget(found.passages, self._options.context_tokens)
        searched = corrected(whole.whole, found.corrections)
        return Retrieved(searched, passages, found.degraded, found.corrections)

    async def generate(self, exchange: Exchange, found: Retrieved) -> AsyncGenerator[Delta | Citation | Answer, None]:
        """Step 2: yields text as it comes, then citations, then one `Answer`. A courtesy gets a reply without facts."""
        if polite := courtesy(exchange.question, exchange.history):
            for reply in self._parts.generator.reply(notice(polite.kind, polite.language)):
                yield reply
            return
        chosen = exchange.answering
        for policy in chosen.degraded:
            self._parts.metrics.degraded.labels(policy).inc()
        events = self._parts.generator.answer(
            found.question, found.passages, exchange.history, answerers=chosen.answerers, spent=exchange.meter.spent
        )
        async with aclosing(events):
            async for event in events:
                if isinstance(event, Answer):
                    degraded = (*found.degraded, *chosen.degraded, *event.degraded)
                    yield replace(event, degraded=degraded, corrections=found.corrections)
                else:
                    yield event

    async def complete(
        self, exchange: Exchange, messages: Sequence[Message], *, max_tokens: int
    ) -> AsyncGenerator[str]:
        """Completion of `messages` by the plan's first model, without retrieval. Yields nothing if the plan has none.

        Raises:
            ModelUnavailable: the model does not answer.
        """
        for model in exchange.answering.models[:1]:
            exchange.meter.spent.begin()
            async with aclosing(counted(model, messages, max_tokens=max_tokens)) as pieces:
                async for piece in pieces:
                    if isinstance(piece, Usage):
                        exchange.meter.spent.update(piece)
                    else:
                        yield piece

    async def save(self, exchange: Exchange, found: Retrieved, answer: Answer) -> Finished:
        """Step 3: save the exchange in its conversation, and name the conversation in the ledger.

        Raises:
            NotFound: the conversation has been deleted.
        """
        saved = await self._parts.conversations.save(
            exchange.scope,
            exchange.conversation_id,
            question=exchange.question,
            condensed=found.question,
            answer=answer,
            owner=exchange.principal.id,
            visible_to=exchange.principal.conversations_of,
        )
        exchange.meter.belongs_to(saved.conversation_id)
        return Finished(answer, saved.conversation_id, saved.turn_id)

    async def release(self, exchange: Exchange) -> None:
        """Settle what the exchange used. Further calls change nothing."""
        await exchange.meter.settle()

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
        """Call `begin` and `answer`."""
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
        return tuple(await self._parts.conversations.history(scope, conversation_id, visible_to=visible_to))

    async def _condense(self, exchange: Exchange) -> Query:
        with self._parts.metrics.timed("condense"):
            condenser = exchange.answering.condenser
            condensed = await condenser.condense(exchange.question, exchange.history, exchange.meter.spent)
        query = replace(exchange.query, text=condensed.text, carried=condensed.carried)
        if query == exchange.query:
            return query
        try:
            await self._parts.retriever.check(exchange.scope, query)
        except RagstoneError:
            return exchange.query  # the words that were added made it too long
        return query


class ModelChain:
    """Finds the models of a principal's plan. A model is opened at its first use, and stays open."""

    def __init__(
        self,
        *,
        plans: Plans,
        open_model: ModelFactory,
        keys: Mapping[str, str],
        extractive: Answerer,
        settings_model: LanguageModel | None = None,
        max_tokens: int = 800,
    ) -> None:
        """`settings_model` answers where a plan names no model; `keys` maps names of variables to keys."""
        self._plans = plans
        self._open_model = open_model
        self._keys = keys
        self._extractive = extractive
        self._max_tokens = max_tokens
        self._default = self._answering([settings_model] if settings_model else [])
        self._opened: dict[ModelEntry, LanguageModel | None] = {}
        self._opening = asyncio.Lock()

    async def of(self, principal: Principal) -> AnsweringModel:
        """The answering model of a principal: those its plan names, then the extractive answerer.

        Raises:
            NotFound: the plan does not exist.
        """
        plan = await self._plans.get(principal.plan)
        return await self._of_plan(plan) if plan.models else self._default

    async def close(self) -> None:
        """Close every model that was opened."""
        opened = [model for model in self._opened.values() if model]
        self._opened.clear()
        for model in opened:
            await model.close()

    async def _of_plan(self, plan: Plan) -> AnsweringModel:
        models, missing = [], False
        for name in plan.models:
            try:
                model = await self._model(await self._plans.model(name))
            except (ConfigurationError, NotFound) as error:
                log.warning("chat.model_unconfigured", model=name, plan=plan.id, reason=error.message)
                missing = True
                continue
            if model is None:
                break  # the extractive answerer, which is the last anyway
            models.append(model)
        return self._answering(models, (UNCONFIGURED,) if missing else ())

    async def _model(self, entry: ModelEntry) -> LanguageModel | None:
        if entry in self._opened:
            return self._opened[entry]
        key = self._keys.get(entry.key_variable) if entry.key_variable else None
        if entry.key_variable and not key:
            raise ConfigurationError(f"The model {entry.id!r} needs a key: set {entry.key_variable}.")
        async with self._opening:
            if entry not in self._opened:  # in a thread: importing an SDK takes a second
                self._opened[entry] = await asyncio.to_thread(self._open_model, entry, key)
        return self._opened[entry]

    def _answering(self, models: Sequence[LanguageModel], degraded: tuple[str, ...] = ()) -> AnsweringModel:
        prompted = [PromptedAnswerer(model, max_tokens=self._max_tokens) for model in models]
        condenser = ModelCondenser(models[0]) if models else RuleCondenser()
        return AnsweringModel((*prompted, self._extractive), condenser, degraded, tuple(models))
