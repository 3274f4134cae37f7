"""What goes on to the model: a chat with passages, or as it came and why."""

from __future__ import annotations

from dataclasses import dataclass

import structlog

from ragstone.accounts.interceptors import Interceptor
from ragstone.accounts.source_links import SourceLinks
from ragstone.chat.condense import condense_by_rule
from ragstone.errors import InvalidInput, NotFound
from ragstone.integrations.interceptor.asking import Asked
from ragstone.integrations.interceptor.deciding import decide
from ragstone.integrations.interceptor.enriching import dumped, enriched
from ragstone.integrations.interceptor.reading import Chat, read, retrieval_text
from ragstone.integrations.interceptor.retrieving import Found, TurnRetrieval
from ragstone.integrations.interceptor.sources import Linker, Source, sources_of
from ragstone.telemetry.metrics import Metrics
from ragstone.vocabulary import Passage, Query, Scope

MAX_QUESTION_CHARS = 2000  # of what is looked up: an embedding model reads fewer, and names repeat
FAIL_OPEN = frozenset({"timeout", "open", "error", "window", "refused"})
"""The reasons to go on without passages that are somebody's fault."""

log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class Prepared:
    """What goes to the model, what the client is told of it, and the sources in it, if it was enriched."""

    body: bytes
    status: str
    sources: tuple[Source, ...] = ()


class Preparation:
    """Prepares chats, each as the interceptor of its tenant is set up."""

    def __init__(self, turns: TurnRetrieval, links: SourceLinks, metrics: Metrics) -> None:
        self._turns = turns
        self._links = links
        self._metrics = metrics

    async def prepare(self, asked: Asked, known: Interceptor, model: str) -> Prepared:
        """The chat for a server that knows the model as `model`."""
        settings = known.settings
        chat = read(asked.parsed, asked.dialect)
        if chat is None:
            return self.without("no_question", asked, model)
        decision = decide(chat, asked.parsed, asked.headers, settings, asked.principal.tenant)
        if not decision.enrich:
            return self.without(decision.reason, asked, model)
        found = await self._found(asked, known, chat)
        if not found.passages:
            return self.without(found.outcome, asked, model)
        sources = sources_of(found.passages, self.linker(asked, known))
        body = enriched(
            asked.parsed,
            chat,
            found.passages,
            dialect=asked.dialect,
            context_tokens=settings.context_tokens,
            window=settings.context_window,
            sources=sources,
        )
        if body is None:
            return self.without("window", asked, model)
        self._metrics.interceptions.labels("enriched").inc()
        return Prepared(dumped({**body, "model": model}), f"enriched; sources={len(sources)}", tuple(sources))

    def without(self, reason: str, asked: Asked, model: str) -> Prepared:
        """The client's bytes; only where the model has another name upstream, that name is put in."""
        self._metrics.interceptions.labels(reason).inc()
        if reason in FAIL_OPEN:
            self._metrics.fail_open.labels(reason).inc()
            log.warning("intercept.failed_open", reason=reason)
        body = asked.body if model == asked.parsed.get("model") else dumped({**asked.parsed, "model": model})
        return Prepared(body, f"bypass; reason={reason}")

    def linker(self, asked: Asked, known: Interceptor) -> Linker:
        """Makes the addresses of sources: a page of ours, or for a pipeline's document its own."""

        def link(passage: Passage) -> str | None:
            chunk = passage.chunk
            if chunk.document_id.startswith("vectorize-"):
                return passage.source if passage.source.startswith(("https://", "http://")) else None
            place = chunk.document_id, chunk.version, chunk.start, chunk.end
            return self._links.link(asked.principal.tenant, known.settings.collection, *place)

        return link

    async def _found(self, asked: Asked, known: Interceptor, chat: Chat) -> Found:
        settings = known.settings
        scope = _scope(asked, settings.collection)
        if scope is None:
            return Found((), "no_collection")
        question = condense_by_rule(retrieval_text(chat, MAX_QUESTION_CHARS), chat.history)
        return await self._turns.find(
            scope,
            Query(question, limit=settings.limit),
            budget_s=settings.budget_s,
            turn=chat.turn_key if "tools" in asked.parsed else None,
            masked=settings.mask_context,
        )


def _scope(asked: Asked, collection: str) -> Scope | None:
    """The scope that is searched; None where the key was made for other collections."""
    try:
        return asked.principal.scope(collection)
    except NotFound:
        return None


def model_upstream(asked: Asked, known: Interceptor) -> str:
    """What the server calls the model that was asked for.

    Raises:
        InvalidInput: none was named.
        NotFound: there is none of this name here.
    """
    name = asked.parsed.get("model")
    if not isinstance(name, str) or not name:
        raise InvalidInput("`model` is missing: name one of GET /v1/models.")
    if known.settings.models and name not in known.settings.models:
        raise NotFound(f"There is no model {name[:80]!r} here. GET /v1/models lists what there is.")
    return known.settings.models.get(name, name)
