"""RETRIEVE: turns a question into passages.

check → embed → dense and sparse search → fuse → load → return nothing if no passage reaches the minimum score
a word that no document holds: search again with a near word of the collection, and say so in `corrections`
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import assert_never

import numpy as np
import structlog
from numpy.typing import NDArray

from ragstone.embedding.base import Embedder
from ragstone.embedding.sparse import STOPWORDS, query_vector, terms
from ragstone.errors import IndexUnavailable, InvalidVector, ModelUnavailable, RagstoneError
from ragstone.index.base import Candidates, Index
from ragstone.retrieval import fusion
from ragstone.retrieval.base import Retrieval, RetrievalOptions, checked_query, corrected
from ragstone.retrieval.spelling import Speller
from ragstone.storage.library import Library
from ragstone.telemetry.metrics import Metrics
from ragstone.telemetry.tracing import span
from ragstone.vocabulary import Hit, Passage, Query, Scope, SparseVector, SpellingCorrection

log = structlog.get_logger()

Vector = NDArray[np.float32]


class HybridRetriever:
    """The `Retriever` of the local index: dense and sparse search, fused."""

    def __init__(
        self,
        *,
        embedder: Embedder,
        index: Index,
        library: Library,
        metrics: Metrics,
        options: RetrievalOptions = RetrievalOptions(),
    ) -> None:
        self._embedder = embedder
        self._index = index
        self._library = library
        self._metrics = metrics
        self._options = options
        self._speller = Speller(index, library, embedder.token_offsets)

    async def search(self, scope: Scope, query: Query) -> Retrieval:
        """See `Retriever.search`."""
        checked_query(query, max_chars=self._options.max_question_chars)
        with span("retrieve", tenant=scope.tenant, limit=query.limit):
            return await self._search(scope, query)

    async def _search(self, scope: Scope, query: Query) -> Retrieval:
        found, hits = await self._find(scope, query)
        if corrections := await self._corrections(scope, query, hits, found):
            query = replace(query, text=corrected(query.text, corrections))
            again, _ = await self._find(scope, query)
            found = replace(again, corrections=corrections)
        for policy in found.degraded:
            self._metrics.degraded.labels(policy).inc()
        log.info("retrieve.done", passages=len(found.passages), degraded=found.degraded, corrected=len(corrections))
        return found

    async def _find(self, scope: Scope, query: Query) -> tuple[Retrieval, tuple[Hit, ...]]:
        """What one search finds, with all its hits."""
        vector = await self._embed(query.whole)
        candidates, degraded = await self._candidates(scope, query, vector, query_vector(query.text, query.carried))
        with self._metrics.timed("fuse"):
            hits = self._fuse(query.whole, candidates)
        if not hits:
            await self._library.generation(scope)  # raises if the collection does not exist
        with self._metrics.timed("load"):
            passages = await self._load(scope, hits, query.limit)
        if candidates.dense and not bears_on(query.whole, passages, candidates, floor=self._options.floor):
            passages = ()
        return Retrieval(passages, degraded), hits

    async def _corrections(
        self, scope: Scope, query: Query, hits: Sequence[Hit], found: Retrieval
    ) -> tuple[SpellingCorrection, ...]:
        """Near words for those of the question that the collection does not hold; none where a leg is down."""
        if found.degraded:
            return ()
        try:
            with self._metrics.timed("spell"):
                return await self._speller.corrections(scope, query, hits, found.passages)
        except IndexUnavailable as error:
            log.warning("retrieve.not_spelled", error=error.message)
            return ()

    async def check(self, scope: Scope, query: Query) -> None:
        """See `Retriever.check`."""
        checked_query(query, max_chars=self._options.max_question_chars)
        await self._library.generation(scope)

    async def _embed(self, text: str) -> Vector | None:
        """The vector of the question; `None` if the model does not answer."""
        with span("embed"), self._metrics.timed("embed"):
            try:
                vectors = await self._embedder.embed([text], purpose="query")
            except ModelUnavailable as error:
                log.warning("retrieve.dense_unavailable", error=error.message)
                return None
        vector: Vector = vectors[0]
        return vector

    async def _candidates(
        self, scope: Scope, query: Query, vector: Vector | None, words: SparseVector
    ) -> tuple[Candidates, tuple[str, ...]]:
        """Candidates of both legs, or of the one that answers, with the policy that names the missing one."""
        failure: RagstoneError | None = None
        limit = max(self._options.candidates, query.limit)
        for dense, sparse, degraded in _plans(vector, words):
            try:
                with span("search"), self._metrics.timed("search"):
                    found = await self._index.search(
                        scope, dense=dense, sparse=sparse, filters=query.filters, limit=limit
                    )
            except (IndexUnavailable, InvalidVector) as error:
                log.warning("retrieve.search_failed", error=error.message, instead_of=degraded)
                failure = error
            else:
                return found, degraded
        raise IndexUnavailable(
            "The search index does not answer. Try again; if that does not help, run `ragstone doctor`."
        ) from failure

    def _fuse(self, question: str, candidates: Candidates) -> tuple[Hit, ...]:
        match self._options.fusion:
            case "convex":
                return fusion.convex(candidates, dense_weight=fusion.dense_weight(question, candidates))
            case "rrf":
                return fusion.rrf(candidates)
            case unknown:
                assert_never(unknown)

    async def _load(self, scope: Scope, hits: Sequence[Hit], limit: int) -> tuple[Passage, ...]:
        """The first `limit` passages whose version is active, a batch at a time."""
        passages: list[Passage] = []
        for start in range(0, len(hits), limit):
            passages += await self._library.passages(scope, hits[start : start + limit])
            if len(passages) >= limit:
                break
        return tuple(passages[:limit])


def bears_on(question: str, passages: Sequence[Passage], candidates: Candidates, *, floor: float) -> bool:
    """Whether at least one passage has evidence of `floor` or more: cosine + coverage.

    Coverage is the share of the question's terms that the passage holds, in [0, 1]; for
    a passage outside the dense candidates, the cosine of the last of them is an upper
    bound. The list is kept or dropped as a whole: where one passage bears on the question,
    the ranking judges the others better. A question without any term, such as one of nothing
    but emojis, is unknown to the embedding model: its cosine says nothing.
    """
    asked = content_terms(question)
    if not asked:
        return False
    bound = min((c.standing.score for c in candidates.dense), default=1.0)
    return any(evidence(asked, passage, bound) >= floor for passage in passages)


def content_terms(text: str) -> set[str]:
    """The terms of a text without stopwords; all terms, if there are only stopwords."""
    found = set(terms(text))
    return found - STOPWORDS or found


def evidence(asked: set[str], passage: Passage, bound: float) -> float:
    """Evidence that a passage bears on a question of the terms `asked`, in [-1, 2]; see `bears_on`.

    Unlike the scores of a ranking it is comparable between searches. `bound` replaces the
    cosine of a passage that dense search did not find.
    """
    chunk, dense = passage.chunk, passage.hit.stages.get("dense")
    held = set(terms("\n".join((passage.title, *chunk.heading_path, chunk.table_header, chunk.text))))
    coverage = len(asked & held) / len(asked) if asked else 0.0
    return (dense.score if dense else bound) + coverage


def _plans(
    vector: Vector | None, words: SparseVector
) -> list[tuple[Vector | None, SparseVector | None, tuple[str, ...]]]:
    """The searches to try, best first: both legs, then each alone."""
    sparse = words if len(words.indices) else None
    lexical_only = (None, sparse, ("dense_unavailable",))
    if vector is None:
        return [lexical_only]
    return [(vector, sparse, ()), lexical_only, (vector, None, ("sparse_unavailable",))]
