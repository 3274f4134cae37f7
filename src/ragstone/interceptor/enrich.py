"""What goes on to the model: a chat with passages, or as it came and why.

This is the place that fails open, and so one with a broad `except`: whatever looking for
documents, or adding them, fails with, the client's own bytes go on. What fails closed lies
outside: who may ask, and whose documents are searched.
"""

from __future__ import annotations

import asyncio
import hashlib
import json
from collections.abc import Coroutine, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import structlog

from ragstone.chat.condense import condense_by_rule
from ragstone.errors import CircuitOpen, InvalidInput, NoIndex, NotFound
from ragstone.generation.prompts import QUOTED_MATERIAL, quoted
from ragstone.identity.source_links import SourceLinks
from ragstone.interceptor.policy import decide
from ragstone.interceptor.request import (
    THREAD_BYTES,
    Body,
    ChatBody,
    ChatRequest,
    Dialect,
    content_of,
    messages_of,
    read,
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
from ragstone.telemetry.failure_buffer import FailureBuffer
from ragstone.telemetry.metrics import Metrics
from ragstone.telemetry.redaction import Redactor
from ragstone.tenants.settings import TenantSettings
from ragstone.vocabulary import Passage, Query, Scope

TURN_S = 900.0  # a turn's tool calls come back within minutes; OpenAI's prompt cache forgets within 5 to 60
WITHOUT_S = 60.0  # a turn that began without passages goes on without for so long
WITHOUT = b"without"


class TurnRetrieval:
    """Finds the passages of one turn of a chat; the same for each request of its tool loop."""

    def __init__(
        self,
        finder: Retriever,
        *,
        guards: UpstreamPolicies,
        cache: Cache,
        metrics: Metrics,
        redactor: Redactor,
        context_tokens: int = 3000,
    ) -> None:
        """`context_tokens` bounds the passages of one retrieval, by the count of the embedding model."""
        self._finder = finder
        self._guards = guards
        self._cache = cache
        self._metrics = metrics
        self._redactor = redactor
        self._context_tokens = context_tokens
        self._deadline = Deadline()

    async def find(
        self, scope: Scope, query: Query, *, budget_s: float, turn: str | None = None, masked: bool = False
    ) -> tuple[Passage, ...]:
        """The passages that bear on the question, best first.

        Args:
            scope: Whose documents, and which collection.
            query: What to look for.
            budget_s: Seconds after which the chat goes on without.
            turn: What the requests of one tool loop share; they get the same passages, or none alike.
            masked: Hide personal data in the passages.

        Raises:
            TimeoutError: the budget is spent.
            CircuitOpen: retrieval failed too often a moment ago.
            NotFound: there is no such collection.
            Exception: whatever else a part of retrieval fails with.
        """
        breaker = self._guards.guard(f"retrieval:{scope.tenant}").breaker
        key = None if turn is None else cache_key(scope.tenant, "turn", scope.collection, turn)
        try:
            with self._metrics.timed("intercept_retrieve"):
                found = await self._deadline.keep(self._observed(breaker, scope, query, key), budget_s)
            return tuple(self._hidden(passage) if masked else passage for passage in found.passages)
        except TimeoutError:
            breaker.failed()
            await self._forgo(key)
            raise
        except Exception:
            await self._forgo(key)
            raise

    async def _observed(self, breaker: Breaker, scope: Scope, query: Query, key: CacheKey | None) -> Retrieval:
        """Look up, if the circuit is closed, and tell the breaker how that went. Raises: CircuitOpen, or anything."""
        call = breaker.admit()
        try:
            found = await self._find(scope, query, key)
        except (NotFound, InvalidInput):
            breaker.succeeded(call)  # it answers; there is just nothing to be found
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
        found = await self._finder.search(scope, query)
        return replace(found, passages=within_budget(found.passages, self._context_tokens))

    def _hidden(self, passage: Passage) -> Passage:
        mask = self._redactor.masked
        chunk = replace(passage.chunk, text=mask(passage.chunk.text), table_header=mask(passage.chunk.table_header))
        return replace(passage, chunk=chunk, title=mask(passage.title))

    async def _forgo(self, key: CacheKey | None) -> None:
        """Let the rest of the turn go without passages as well."""
        if key is not None:
            await self._cache.put_many({key: WITHOUT}, WITHOUT_S)


class Deadline:
    """Keeps work within its time, even work that takes long to be cancelled: that ends by itself later."""

    def __init__(self) -> None:
        self._late: set[asyncio.Task[Retrieval]] = set()

    async def keep(self, work: Coroutine[None, None, Retrieval], seconds: float) -> Retrieval:
        """The result of `work`. Raises: TimeoutError, or as `work` does."""
        working = asyncio.create_task(work)
        try:
            done, _ = await asyncio.wait({working}, timeout=seconds)
        finally:
            if not working.done():
                working.cancel()
                self._late.add(working)
                working.add_done_callback(self._over)
        if not done:
            raise TimeoutError
        return working.result()

    def _over(self, working: asyncio.Task[Retrieval]) -> None:
        self._late.discard(working)
        if not working.cancelled():
            working.exception()  # it came too late for anybody to hear of it


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
    chat: ChatBody,
    passages: Sequence[Passage],
    *,
    dialect: Dialect,
    context_tokens: int,
    window: int,
    sources: Sequence[ChatSource],
) -> dict[str, Any] | None:
    """The request with as many of the passages as `fitting` leaves; None where that is none.

    Args:
        body: The client's request; it is not changed.
        chat: What was read in it.
        passages: Best first.
        dialect: Which API it is written for.
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
    messages[chat.place] = _followed_by(messages[chat.place], context, dialect)
    return {**body, "messages": messages}


def fitting(
    body: Body, chat: ChatBody, passages: Sequence[Passage], *, context_tokens: int, window: int
) -> tuple[Passage, ...]:
    """The passages that there is room for, by estimate; the last ones go first."""
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


def _boundary(chat: ChatBody, passages: Sequence[Passage]) -> str:
    """The same for the same turn and passages; nobody who writes a document knows the turn."""
    turn = "\n".join((chat.turn_key, *(passage.chunk.id for passage in passages)))
    return hashlib.sha256(turn.encode("utf-8", "surrogatepass")).hexdigest()[:BOUNDARY_CHARS]


def _answer_tokens(body: Body) -> int:
    asked = [body.get("max_tokens"), body.get("max_completion_tokens")]
    return max((one for one in asked if type(one) is int and one > 0), default=ANSWER_TOKENS)


def _tokens(text: str) -> int:
    return -(-_bytes(text) // BYTES_PER_TOKEN)


def _bytes(text: str) -> int:
    return len(text) if text.isascii() else len(text.encode("utf-8", "surrogatepass"))


def _followed_by(message: Mapping[str, Any], context: str, dialect: Dialect) -> dict[str, Any]:
    """The message with the context at its end, and what was there as it was."""
    content = message["content"]
    if isinstance(content, str) and dialect == "openai":
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


MAX_QUESTION_CHARS = 2000  # of what is looked up: an embedding model reads fewer, and names repeat
FAIL_OPEN = frozenset({"timeout", "open", "error", "window", "refused"})
"""The reasons to go on without passages that are somebody's fault."""

log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class Prepared:
    """What goes to the model, what the client is told of it, and the sources in it, if it was enriched."""

    body: bytes
    status: str
    sources: tuple[ChatSource, ...] = ()


class Preparation:
    """Prepares chats, each as the interceptor of its tenant is set up."""

    def __init__(self, turns: TurnRetrieval, links: SourceLinks, *, metrics: Metrics, failures: FailureBuffer) -> None:
        self._turns = turns
        self._links = links
        self._metrics = metrics
        self._failures = failures

    async def prepare(self, asked: ChatRequest, known: TenantSettings, model: str) -> Prepared:
        """The chat for a server that knows the model as `model`."""
        try:
            done = await self._enriched(asked, known, model)
        except TimeoutError as error:
            done = self._failed(asked, error, "timeout")
        except CircuitOpen:
            done = "open"
        except NoIndex:
            done = "no_index"
        except (NotFound, InvalidInput):
            done = "no_collection"
        except Exception as error:  # noqa: BLE001 — see the module
            done = self._failed(asked, error, "error")
        if isinstance(done, str):
            return self.without(done, asked, model)
        self._metrics.interceptions.labels("enriched").inc()
        return done

    async def _enriched(self, asked: ChatRequest, known: TenantSettings, model: str) -> Prepared | str:
        """The chat with passages, or why there are none."""
        settings = known.interceptor
        chat = read(asked.parsed, asked.dialect)
        decision = decide(chat, asked.parsed, asked.headers, settings, asked.principal.tenant)
        if chat is None or not decision.enrich:
            return decision.reason
        passages = await self._found(asked, known, chat)
        if not passages:
            return "nothing"
        adding = partial(self._added, asked, known, chat, passages, model)
        large = len(asked.body) >= THREAD_BYTES
        return await asyncio.to_thread(adding) if large else adding()

    def _added(
        self, asked: ChatRequest, known: TenantSettings, chat: ChatBody, passages: Sequence[Passage], model: str
    ) -> Prepared | str:
        """The chat with as many of the passages as fit."""
        bounds = {"context_tokens": known.interceptor.context_tokens, "window": known.interceptor.context_window}
        kept = fitting(asked.parsed, chat, passages, **bounds)
        sources = sources_of(kept, self.linker(asked, known))
        body = enriched(asked.parsed, chat, kept, dialect=asked.dialect, sources=sources, **bounds)
        if not kept or body is None:
            return "window"
        return Prepared(dumped({**body, "model": model}), f"enriched; sources={len(sources)}", sources)

    def _failed(self, asked: ChatRequest, error: Exception, reason: str) -> str:
        log.warning("intercept.retrieval_failed", reason=reason, error=type(error).__name__)
        self._failures.note("retrieve", error, tenant=asked.principal.tenant)
        return reason

    def without(self, reason: str, asked: ChatRequest, model: str) -> Prepared:
        """The client's bytes; only where the model has another name upstream, that name is put in."""
        self._metrics.interceptions.labels(reason).inc()
        if reason in FAIL_OPEN:
            self._metrics.fail_open.labels(reason).inc()
            log.warning("intercept.failed_open", reason=reason)
        body = asked.body if model == asked.parsed.get("model") else dumped({**asked.parsed, "model": model})
        return Prepared(body, f"bypass; reason={reason}")

    def linker(self, asked: ChatRequest, known: TenantSettings) -> Linker:
        """Makes the addresses of sources: a page of ours, or for a pipeline's document its own."""

        def link(passage: Passage) -> str | None:
            chunk = passage.chunk
            if chunk.document_id.startswith("vectorize-"):
                return passage.source if passage.source.startswith(("https://", "http://")) else None
            place = chunk.document_id, chunk.version, chunk.start, chunk.end
            return self._links.link(asked.principal.tenant, known.knowledge.collection, *place)

        return link

    async def _found(self, asked: ChatRequest, known: TenantSettings, chat: ChatBody) -> tuple[Passage, ...]:
        settings = known.interceptor
        question = condense_by_rule(retrieval_text(chat, MAX_QUESTION_CHARS), chat.history)
        return await self._turns.find(
            asked.principal.scope(known.knowledge.collection),
            Query(question, limit=settings.limit),
            budget_s=settings.budget_s,
            turn=chat.turn_key if "tools" in asked.parsed else None,
            masked=known.privacy.mask_context,
        )


def model_upstream(asked: ChatRequest, known: TenantSettings) -> str:
    """What the server calls the model that was asked for.

    Raises:
        InvalidInput: none was named.
        NotFound: there is none of this name here.
    """
    name = asked.parsed.get("model")
    if not isinstance(name, str) or not name:
        raise InvalidInput("`model` is missing: name one of GET /v1/models.")
    if known.interceptor.models and name not in known.interceptor.models:
        raise NotFound(f"There is no model {name[:80]!r} here. GET /v1/models lists what there is.")
    return known.interceptor.models.get(name, name)
