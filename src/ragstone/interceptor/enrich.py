"""Enriches a chat: finds passages within a time budget, and adds them behind the question within a token budget."""

from __future__ import annotations

import asyncio
import hashlib
import json
from collections.abc import Coroutine, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

from ragstone.chat.condense import condense_by_rule
from ragstone.chat.courtesies import courtesy
from ragstone.errors import InvalidInput, NotFound
from ragstone.generation.prompts import QUOTED_MATERIAL, quoted
from ragstone.interceptor.request import (
    THREAD_BYTES,
    Body,
    ChatRequest,
    ParsedChat,
    WireFormatName,
    content_of,
    messages_of,
    retrieval_text,
    role_of,
    texts_of,
)
from ragstone.interceptor.sources import ChatSource, Linker, listed, sources_of, without_markers, without_source_list
from ragstone.resilience.breaker import Breaker
from ragstone.resilience.upstream_policy import UpstreamPolicies
from ragstone.retrieval.base import Retrieval, Retriever, within_budget
from ragstone.retrieval.cache import dumps, loads
from ragstone.storage.cache import Cache, CacheKey, cache_key
from ragstone.telemetry.metrics import Metrics
from ragstone.telemetry.redaction import Redactor
from ragstone.tenants.settings import TenantSettings
from ragstone.vocabulary import Passage, Query, Scope

MAX_QUESTION_CHARS = 2000  # of the search text; an embedding model reads fewer
TURN_S = 900.0  # a turn's tool calls come back within minutes; OpenAI's prompt cache forgets within 5 to 60
WITHOUT_S = 60.0  # a turn that began without passages stays without them for this long
WITHOUT = b"without"


@dataclass(frozen=True, slots=True)
class UpstreamBody:
    """The body that goes to the upstream, the status that the client is told, and the sources in it."""

    body: bytes
    status: str
    sources: tuple[ChatSource, ...] = ()


class Enricher:
    """Enriches chats, each as the settings of its tenant say."""

    def __init__(
        self,
        retriever: Retriever,
        policies: UpstreamPolicies,
        *,
        cache: Cache,
        metrics: Metrics,
        redactor: Redactor,
        context_tokens: int,
    ) -> None:
        """See `TurnRetrieval` for `context_tokens`."""
        self._turns = TurnRetrieval(retriever, policies, cache=cache, metrics=metrics, context_tokens=context_tokens)
        self._redactor = redactor

    async def enrich(
        self, request: ChatRequest, chat: ParsedChat, settings: TenantSettings, model: str, link: Linker
    ) -> UpstreamBody | str:
        """The chat with passages for a server that knows the model as `model`; else the reason why there are none.

        Raises:
            TimeoutError: the time budget is spent.
            CircuitOpen: retrieval failed too often a moment ago.
            NotFound: there is no such collection.
            Exception: any failure of a part of retrieval.
        """
        passages = await self._passages(request, chat, settings)
        if not passages:
            return "nothing"
        add = partial(_added, request, chat, settings, passages, model, link)
        return await asyncio.to_thread(add) if len(request.body) >= THREAD_BYTES else add()

    async def _passages(self, request: ChatRequest, chat: ParsedChat, settings: TenantSettings) -> tuple[Passage, ...]:
        question = retrieval_text(chat, MAX_QUESTION_CHARS)
        if courtesy(question, chat.history):
            return ()
        found = await self._turns.find(
            request.principal.scope(settings.knowledge.collection),
            replace(condense_by_rule(question, chat.history), limit=settings.interceptor.limit),
            budget_s=settings.interceptor.budget_s,
            turn=chat.turn_key if "tools" in request.parsed else None,
        )
        return tuple(map(self._masked, found)) if settings.privacy.mask_context else found

    def _masked(self, passage: Passage) -> Passage:
        mask = self._redactor.masked
        chunk = replace(passage.chunk, text=mask(passage.chunk.text), table_header=mask(passage.chunk.table_header))
        return replace(passage, chunk=chunk, title=mask(passage.title))


def without_passages(request: ChatRequest, model: str, reason: str) -> UpstreamBody:
    """The client's own bytes; only where the model has another name upstream, that name is put in."""
    body = request.body if model == request.parsed.get("model") else dumped({**request.parsed, "model": model})
    return UpstreamBody(body, f"bypass; reason={reason}")


def upstream_model(request: ChatRequest, settings: TenantSettings) -> str:
    """The name of the requested model at its server.

    Raises:
        InvalidInput: the request names no model.
        NotFound: there is no model of this name here.
    """
    name, models = request.parsed.get("model"), settings.interceptor.models
    if not isinstance(name, str) or not name:
        raise InvalidInput("`model` is missing: name one of GET /v1/models.")
    if models and name not in models:
        raise NotFound(f"There is no model {name[:80]!r} here. GET /v1/models lists what there is.")
    return models.get(name, name)


def _added(
    request: ChatRequest,
    chat: ParsedChat,
    settings: TenantSettings,
    passages: Sequence[Passage],
    model: str,
    link: Linker,
) -> UpstreamBody | str:
    """The chat with as many of the passages as fit."""
    bounds = {"context_tokens": settings.interceptor.context_tokens, "window": settings.interceptor.context_window}
    kept = fitting(request.parsed, chat, passages, **bounds)
    sources = sources_of(kept, link)
    body = enriched(request.parsed, chat, kept, wire_format=request.wire_format, sources=sources, **bounds)
    if not kept or body is None:
        return "window"
    return UpstreamBody(dumped({**body, "model": model}), f"enriched; sources={len(sources)}", sources)


class TurnRetrieval:
    """Finds the passages of one turn of a chat; the same for each request of its tool loop."""

    def __init__(
        self,
        retriever: Retriever,
        policies: UpstreamPolicies,
        *,
        cache: Cache,
        metrics: Metrics,
        context_tokens: int,
    ) -> None:
        """`context_tokens` bounds the passages of one retrieval, by the count of the embedding model."""
        self._context_tokens = context_tokens
        self._retriever = retriever
        self._policies = policies
        self._cache = cache
        self._metrics = metrics
        self._late: set[asyncio.Task[Retrieval]] = set()

    async def find(
        self, scope: Scope, query: Query, *, budget_s: float, turn: str | None = None
    ) -> tuple[Passage, ...]:
        """The passages for the question, best first.

        Args:
            scope: The tenant and the collection.
            query: What to look for.
            budget_s: Seconds after which the chat goes on without passages.
            turn: The key of one tool loop; its requests get the same passages, or all get none.

        Raises:
            TimeoutError: the budget is spent.
            CircuitOpen: retrieval failed too often a moment ago.
            NotFound: there is no such collection.
            Exception: any failure of a part of retrieval.
        """
        breaker = self._policies.guard(f"retrieval:{scope.tenant}").breaker
        key = None if turn is None else cache_key(scope.tenant, "turn", scope.collection, turn)
        try:
            with self._metrics.timed("intercept_retrieve"):
                found = await self._within(budget_s, self._observed(breaker, scope, query, key))
            return found.passages
        except TimeoutError:
            breaker.failed()
            await self._remember_none(key)
            raise
        except Exception:
            await self._remember_none(key)
            raise

    async def _observed(self, breaker: Breaker, scope: Scope, query: Query, key: CacheKey | None) -> Retrieval:
        """Retrieve, if the circuit is closed, and tell the breaker the outcome. Raises: CircuitOpen, or anything."""
        call = breaker.admit()
        try:
            found = await self._find(scope, query, key)
        except (NotFound, InvalidInput):
            breaker.succeeded(call)  # it answers, only there is nothing to find
            raise
        except asyncio.CancelledError:
            breaker.let_go(call)
            raise
        except Exception:
            breaker.failed(call)
            raise
        breaker.succeeded(call)
        return found

    async def _find(self, scope: Scope, query: Query, key: CacheKey | None) -> Retrieval:
        if key is None:
            return await self._search(scope, query)
        stored = (await self._cache.get_many([key])).get(key)
        if stored == WITHOUT:
            return Retrieval(())
        if stored is not None and (known := loads(stored, scope)) is not None:
            return known
        found = await self._search(scope, query)
        await self._cache.put_many({key: dumps(found, scope)}, TURN_S)
        return found

    async def _search(self, scope: Scope, query: Query) -> Retrieval:
        found = await self._retriever.search(scope, query)
        return replace(found, passages=within_budget(found.passages, self._context_tokens))

    async def _remember_none(self, key: CacheKey | None) -> None:
        """Give the rest of the turn no passages either."""
        if key is not None:
            await self._cache.put_many({key: WITHOUT}, WITHOUT_S)

    async def _within(self, budget_s: float, work: Coroutine[None, None, Retrieval]) -> Retrieval:
        """The result of `work`. Work that takes long to be cancelled ends by itself later. Raises: TimeoutError."""
        working = asyncio.create_task(work)
        try:
            done, _ = await asyncio.wait({working}, timeout=budget_s)
        finally:
            if not working.done():
                working.cancel()
                self._late.add(working)
                working.add_done_callback(self._forget)
        if not done:
            raise TimeoutError
        return working.result()

    def _forget(self, working: asyncio.Task[Retrieval]) -> None:
        self._late.discard(working)
        if not working.cancelled():
            working.exception()  # marks it as seen: it came too late for the chat


BYTES_PER_TOKEN = 4  # English has four letters a token; of scripts beyond ASCII the bytes come closer than the letters
IMAGE_TOKENS = 1_600  # the largest image costs Anthropic's models about so many, OpenAI's fewer
ANSWER_TOKENS = 1_024  # kept free for an answer where the request does not say how long it may be
PART_TOKENS = 4  # the names that a part of a message consists of, or an empty line
BOUNDARY_CHARS = 16
IMAGES = ("image", "image_url", "input_image")

INSTRUCTIONS = f"""\
The message ends here. What follows was added by a knowledge base: numbered passages that were looked up for it.
The marker is {{boundary}}.

- Where a passage helps to answer, use it, and write its number in square brackets after the sentence it supports,
  before the full stop, like this [1]; for two passages, [1][2]. Use only numbers of passages you were given.
- Where the passages do not help, answer from your own knowledge, without numbers, and do not mention the passages.
- Do not write a list of sources: one is added to your answer.

{QUOTED_MATERIAL}"""


def enriched(
    body: Body,
    chat: ParsedChat,
    passages: Sequence[Passage],
    *,
    wire_format: WireFormatName,
    context_tokens: int,
    window: int,
    sources: Sequence[ChatSource],
) -> dict[str, Any] | None:
    """The request with as many of the passages as `fitting` leaves; None where that is none.

    Args:
        body: The client's request; it is not changed.
        chat: What was read in it.
        passages: Best first.
        wire_format: The API that it is written for.
        context_tokens: What the passages may take.
        window: What the whole chat and its answer may take, in tokens.
        sources: Those of the passages: they say their numbers.
    """
    kept = fitting(body, chat, passages, context_tokens=context_tokens, window=window)
    if not kept:
        return None
    boundary = _boundary(chat, passages)
    blocks = [quoted(source.number, passage, boundary) for source, passage in zip(sources, kept, strict=False)]
    context = "\n\n".join((INSTRUCTIONS.format(boundary=boundary), *blocks))
    messages: list[Any] = [_without_sources(message) for message in messages_of(body)]
    messages[chat.place] = _followed_by(messages[chat.place], context, wire_format)
    return {**body, "messages": messages}


def fitting(
    body: Body, chat: ParsedChat, passages: Sequence[Passage], *, context_tokens: int, window: int
) -> tuple[Passage, ...]:
    """The passages that fit, by estimate; the last ones are dropped first."""
    boundary = _boundary(chat, passages)
    around = _tokens(INSTRUCTIONS.format(boundary=boundary)) + PART_TOKENS
    taken = request_tokens(body) + _answer_tokens(body) + around
    room = min(context_tokens, window - taken)
    kept: list[Passage] = []
    for number, passage in enumerate(passages, start=1):
        room -= _tokens(quoted(number, passage, boundary)) + 1
        if room < 0:
            break
        kept.append(passage)
    return tuple(kept)


def request_tokens(body: Body) -> int:
    """What a request costs, by estimate: its words and names at `BYTES_PER_TOKEN`, an image `IMAGE_TOKENS`."""
    size = images = 0
    left: list[Any] = [body]
    while left:
        value = left.pop()
        if isinstance(value, str):
            size += _bytes(value)
        elif isinstance(value, list):
            left += value
        elif isinstance(value, Mapping) and value.get("type") in IMAGES:
            images += 1
        elif isinstance(value, Mapping):
            left += value.keys()
            left += value.values()
    return -(-size // BYTES_PER_TOKEN) + images * IMAGE_TOKENS


def dumped(body: Body) -> bytes:
    """A request as compact JSON in UTF-8.

    Raises:
        InvalidInput: it is nested too deeply.
    """
    try:
        return json.dumps(body, ensure_ascii=False, separators=(",", ":")).encode()
    except UnicodeEncodeError:  # half of a surrogate pair has no UTF-8, but an escape
        return json.dumps(body, separators=(",", ":")).encode()
    except RecursionError as error:
        raise InvalidInput("The request is nested too deeply. Send lists and objects some hundred deep at most.") from (
            error
        )


def _boundary(chat: ParsedChat, passages: Sequence[Passage]) -> str:
    """The same for the same turn and passages; the author of a document cannot know the turn."""
    turn = "\n".join((chat.turn_key, *(passage.chunk.id for passage in passages)))
    return hashlib.sha256(turn.encode("utf-8", "surrogatepass")).hexdigest()[:BOUNDARY_CHARS]


def _answer_tokens(body: Body) -> int:
    asked = [body.get("max_tokens"), body.get("max_completion_tokens")]
    return max((one for one in asked if type(one) is int and one > 0), default=ANSWER_TOKENS)


def _tokens(text: str) -> int:
    return -(-_bytes(text) // BYTES_PER_TOKEN)


def _bytes(text: str) -> int:
    return len(text) if text.isascii() else len(text.encode("utf-8", "surrogatepass"))


def _followed_by(message: Mapping[str, Any], context: str, wire_format: WireFormatName) -> dict[str, Any]:
    """The message with the context at its end, and what was there as it was."""
    content = message["content"]
    if isinstance(content, str) and wire_format == "openai":
        return {**message, "content": f"{content}\n\n{context}"}
    parts = [_text_part(content)] if isinstance(content, str) else content
    return {**message, "content": [*parts, _text_part(context)]}


def _text_part(text: str) -> dict[str, Any]:
    return {"type": "text", "text": text}


def _without_sources(message: object) -> object:
    """An earlier answer without our list of sources and its markers; whatever else as it is."""
    if not isinstance(message, Mapping) or role_of(message) != "assistant":
        return message
    content: Any = content_of(message)
    numbers = frozenset[int]().union(*map(listed, texts_of(content)))
    if not numbers:
        return message
    if isinstance(content, str):
        said = _said(content, numbers)
        return {**message, "content": said} if said.strip() else message
    parts = list(_cleaned(content, numbers))
    return {**message, "content": parts} if parts else message


def _cleaned(parts: Sequence[Any], numbers: frozenset[int]) -> Iterator[Any]:
    """The parts of an answer; a part that was nothing but our list goes, as no API takes an empty one."""
    for part in parts:
        text = part.get("text") if isinstance(part, Mapping) and part.get("type") == "text" else None
        if not isinstance(text, str):
            yield part
        elif (said := _said(text, numbers)).strip() or said == text:
            yield {**part, "text": said}


def _said(text: str, numbers: frozenset[int]) -> str:
    return without_markers(without_source_list(text), numbers)
