"""A cache before a retriever: results are reused until the collection changes."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict
from typing import Any, Protocol

import structlog

from ragstone.retrieval.base import Retrieval, RetrievalOptions, Retriever, checked_query
from ragstone.storage.cache import Cache, CacheKey, cache_key
from ragstone.telemetry.metrics import Metrics
from ragstone.vocabulary import Chunk, Heading, Hit, PageSpan, Passage, Query, Scope, SpellingCorrection, StageScore

log = structlog.get_logger()

TTL_S = 300.0
FORMAT = "2"  # of the stored values; a new one leaves the old ones unread


class Generations(Protocol):
    """Knows how often the documents of a collection have changed; see `storage.library.Library`."""

    async def generation(self, scope: Scope) -> str:
        """A text that changes with each change of the collection."""
        ...


class CachedRetriever:
    """A `Retriever` that looks into a cache before it calls `inner`.

    The generation of a collection grows in every transaction that changes what searches
    may find, and it is part of the key: the next question sees a change. It is read before
    the search, so a result of a later state is stored under the key of an earlier one, which
    no later question uses.
    """

    def __init__(
        self,
        inner: Retriever,
        cache: Cache,
        *,
        library: Generations,
        embedder_name: str,
        metrics: Metrics,
        options: RetrievalOptions = RetrievalOptions(),
    ) -> None:
        self._inner = inner
        self._cache = cache
        self._library = library
        self._metrics = metrics
        self._options = options
        self._made_by = f"{FORMAT} {embedder_name} {json.dumps(asdict(options), sort_keys=True)}"

    async def search(self, scope: Scope, query: Query) -> Retrieval:
        """See `Retriever.search`. The result of a degraded search is not stored."""
        checked_query(query, max_chars=self._options.max_question_chars)
        key = self._key(scope, await self._library.generation(scope), query)
        stored = (await self._cache.get_many([key])).get(key)
        if stored is not None and (found := loads(stored, scope)) is not None:
            self._metrics.query_cache.labels("hit").inc()
            log.info("retrieve.remembered", passages=len(found.passages))
            return found
        self._metrics.query_cache.labels("miss").inc()
        found = await self._inner.search(scope, query)
        if not found.degraded:
            await self._cache.put_many({key: dumps(found, scope)}, TTL_S)
        return found

    async def check(self, scope: Scope, query: Query) -> None:
        """See `Retriever.check`."""
        await self._inner.check(scope, query)

    def _key(self, scope: Scope, generation: str, query: Query) -> CacheKey:
        asked = json.dumps(asdict(query), sort_keys=True, ensure_ascii=False)
        return cache_key(scope.tenant, "search", self._made_by, scope.collection, generation, asked)


def dumps(found: Retrieval, scope: Scope) -> bytes:
    """Serialise a complete retrieval as JSON, with the scope it was found in."""
    passages = [_written(passage) for passage in found.passages]
    corrections = [[one.typed, one.searched] for one in found.corrections]
    value = {"scope": [scope.tenant, scope.collection], "passages": passages, "corrections": corrections}
    return json.dumps(value, ensure_ascii=False, separators=(",", ":")).encode(errors="surrogatepass")


def loads(value: bytes, scope: Scope) -> Retrieval | None:
    """Read what `dumps` wrote; `None` for anything else and for a result of another scope."""
    try:
        stored = json.loads(value.decode(errors="surrogatepass"))
        if stored["scope"] != [scope.tenant, scope.collection]:
            return None
        corrections = tuple(SpellingCorrection(typed, searched) for typed, searched in stored["corrections"])
        return Retrieval(tuple(_read(passage) for passage in stored["passages"]), corrections=corrections)
    except (ValueError, KeyError, TypeError):
        return None


def _written(passage: Passage) -> dict[str, Any]:
    chunk, hit = passage.chunk, passage.hit
    return {
        "chunk": {
            "id": chunk.id,
            "document_id": chunk.document_id,
            "version": chunk.version,
            "ordinal": chunk.ordinal,
            "start": chunk.start,
            "end": chunk.end,
            "text": chunk.text,
            "token_count": chunk.token_count,
            "table_header": chunk.table_header,
        },
        "headings": [[heading.start, heading.path] for heading in chunk.headings],
        "pages": [[page.number, page.start, page.end] for page in chunk.pages],
        "title": passage.title,
        "source": passage.source,
        "media_type": passage.media_type,
        "score": float(hit.score),  # an index may give numbers of NumPy, which JSON does not know
        "stages": {name: [int(at.rank), float(at.score)] for name, at in hit.stages.items()},
    }


def _read(stored: Mapping[str, Any]) -> Passage:
    chunk = Chunk(
        **stored["chunk"],
        headings=tuple(Heading(start, tuple(path)) for start, path in stored["headings"]),
        pages=tuple(PageSpan(*span) for span in stored["pages"]),
    )
    stages = {name: StageScore(rank, score) for name, (rank, score) in stored["stages"].items()}
    return Passage(
        chunk=chunk,
        title=stored["title"],
        source=stored["source"],
        media_type=stored["media_type"],
        hit=Hit(chunk.id, stored["score"], stages),
    )
