"""What goes on to the model: a chat with passages, or as it came and why.

This is the place that fails open, and so one with a broad `except`: whatever looking for
documents, or adding them, fails with, the client's own bytes go on. What fails closed lies
outside: who may ask, and whose documents are searched.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial

import structlog

from ragstone.accounts.interceptors import Interceptor
from ragstone.accounts.source_links import SourceLinks
from ragstone.chat.condense import condense_by_rule
from ragstone.errors import CircuitOpen, InvalidInput, NoIndex, NotFound
from ragstone.integrations.interceptor.asking import Asked
from ragstone.integrations.interceptor.bodies import THREAD_BYTES
from ragstone.integrations.interceptor.deciding import decide
from ragstone.integrations.interceptor.enriching import dumped, enriched, fitting
from ragstone.integrations.interceptor.reading import Chat, read, retrieval_text
from ragstone.integrations.interceptor.retrieving import TurnRetrieval
from ragstone.integrations.interceptor.sources import Linker, Source, sources_of
from ragstone.telemetry.failures import Failures
from ragstone.telemetry.metrics import Metrics
from ragstone.vocabulary import Passage, Query

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

    def __init__(self, turns: TurnRetrieval, links: SourceLinks, *, metrics: Metrics, failures: Failures) -> None:
        self._turns = turns
        self._links = links
        self._metrics = metrics
        self._failures = failures

    async def prepare(self, asked: Asked, known: Interceptor, model: str) -> Prepared:
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

    async def _enriched(self, asked: Asked, known: Interceptor, model: str) -> Prepared | str:
        """The chat with passages, or why there are none."""
        settings = known.settings
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
        self, asked: Asked, known: Interceptor, chat: Chat, passages: Sequence[Passage], model: str
    ) -> Prepared | str:
        """The chat with as many of the passages as fit."""
        bounds = {"context_tokens": known.settings.context_tokens, "window": known.settings.context_window}
        kept = fitting(asked.parsed, chat, passages, **bounds)
        sources = sources_of(kept, self.linker(asked, known))
        body = enriched(asked.parsed, chat, kept, dialect=asked.dialect, sources=sources, **bounds)
        if not kept or body is None:
            return "window"
        return Prepared(dumped({**body, "model": model}), f"enriched; sources={len(sources)}", sources)

    def _failed(self, asked: Asked, error: Exception, reason: str) -> str:
        log.warning("intercept.retrieval_failed", reason=reason, error=type(error).__name__)
        self._failures.note("retrieve", error, tenant=asked.principal.tenant)
        return reason

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

    async def _found(self, asked: Asked, known: Interceptor, chat: Chat) -> tuple[Passage, ...]:
        settings = known.settings
        question = condense_by_rule(retrieval_text(chat, MAX_QUESTION_CHARS), chat.history)
        return await self._turns.find(
            asked.principal.scope(settings.collection),
            Query(question, limit=settings.limit),
            budget_s=settings.budget_s,
            turn=chat.turn_key if "tools" in asked.parsed else None,
            masked=settings.mask_context,
        )


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
