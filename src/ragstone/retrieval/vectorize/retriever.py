"""The retriever of a Vectorize.io pipeline: its documents become passages.

The offsets of a passage count in the retrieved text, since the document itself is not stored
here. A citation is exact within its passage, and links to no page of this installation.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import structlog

from ragstone.documents.canonical import canonical_text
from ragstone.errors import InvalidInput
from ragstone.retrieval.base import PIPELINE_NOT_ASKED, Retrieval, checked_query
from ragstone.retrieval.vectorize.client import MAX_DOCUMENTS, PipelineDocument, RemotePipeline, VectorizeClient
from ragstone.telemetry.metrics import Metrics
from ragstone.vocabulary import Chunk, Filters, Hit, PageSpan, Passage, Query, Scope, StageScore

log = structlog.get_logger()

STAGE = "pipeline"
DOCUMENT_PREFIX = "vectorize-"
FLOOR = 0.3
"""Least score of a passage. By hand, not fitted: relevancies below it say "no" for the reranker, and unrelated
texts have similarities of 0.1 to 0.3 with the embedding models in use since 2024; older ones need more."""
CHARS_PER_TOKEN = 4  # of English prose in the vocabularies of current models; there is no model here to count
MAX_TITLE_CHARS = 300


@dataclass(frozen=True, slots=True, kw_only=True)
class PipelineOptions:
    """`floor` is the least score of a passage, in [0, 1]."""

    floor: float = FLOOR
    max_question_chars: int = 4000


class VectorizeRetriever:
    """The `Retriever` of one pipeline. It uses neither the library nor the index."""

    def __init__(
        self,
        client: VectorizeClient,
        pipeline: RemotePipeline,
        *,
        metrics: Metrics,
        options: PipelineOptions = PipelineOptions(),
    ) -> None:
        self._client = client
        self._pipeline = pipeline
        self._metrics = metrics
        self._options = options

    async def search(self, scope: Scope, query: Query) -> Retrieval:
        """See `Retriever.search`. The score is the reranker's if the pipeline reranks, else the vectors'."""
        checked_query(query, max_chars=self._options.max_question_chars)
        if query.filters.media_types:
            self._metrics.degraded.labels(PIPELINE_NOT_ASKED).inc()
            return Retrieval((), (PIPELINE_NOT_ASKED,))
        if not may_hold(query.filters):
            return Retrieval(())
        asked = asked_filters(self._pipeline.filters, query.filters)
        with self._metrics.timed(STAGE):
            documents = await self._client.retrieve(
                scope, replace(self._pipeline, filters=asked), query.whole, limit=min(query.limit, MAX_DOCUMENTS)
            )
        passages = tuple(self._passages(documents, query.filters, asked))[: query.limit]
        log.info("pipeline.done", found=len(documents), passages=len(passages))
        return Retrieval(passages)

    async def check(self, scope: Scope, query: Query) -> None:
        """See `Retriever.check`. The collection need not exist locally."""
        checked_query(query, max_chars=self._options.max_question_chars)

    def _passages(
        self, documents: Sequence[PipelineDocument], filters: Filters, asked: Sequence[Mapping[str, Any]]
    ) -> Iterator[Passage]:
        """The passages that reach the floor and match the filters, best first, each chunk once."""
        scores = {place: _score(document, self._pipeline.rerank) for place, document in enumerate(documents)}
        seen: set[str] = set()
        for place in sorted(scores, key=lambda place: -scores[place]):
            passage = passage_of(documents[place], score=scores[place], rank=len(seen) + 1)
            if passage is None or passage.chunk.id in seen or scores[place] < self._options.floor:
                continue
            if _lets_through(filters, passage, documents[place], asked):
                seen.add(passage.chunk.id)
                yield passage


def passage_of(document: PipelineDocument, *, score: float, rank: int) -> Passage | None:
    """Turn a document into a passage; `None` if it has no visible text.

    The same chunk of the same pipeline always has the same id.
    """
    text = canonical_text(document.text)
    if not text:
        return None
    origin = document.unique_source or document.source or document.id or text
    chunk_id = _digest(origin, document.chunk_id or document.id or text)
    chunk = Chunk(
        id=f"{DOCUMENT_PREFIX}{chunk_id}",
        document_id=f"{DOCUMENT_PREFIX}{_digest(origin)}",
        version=1,
        ordinal=int(document.chunk_id) if _is_ordinal(document.chunk_id) else rank - 1,
        start=0,
        end=len(text),
        text=text,
        token_count=-(-len(text) // CHARS_PER_TOKEN),
        pages=(PageSpan(document.page, 0, len(text)),) if document.page else (),
    )
    return Passage(
        chunk=chunk,
        title=_line(document.name) or _line(document.source).rsplit("/", 1)[-1] or "Untitled",
        source=_line(document.source or document.origin),
        media_type="text/plain",
        hit=Hit(chunk.id, score, {STAGE: StageScore(rank, score)}),
    )


def asked_filters(own: Sequence[Mapping[str, Any]], filters: Filters) -> tuple[Mapping[str, Any], ...]:
    """The pipeline's own metadata filters and those of the question, in the form the service takes.

    Raises:
        InvalidInput: the question has filters, and those of the pipeline have a form that cannot be
            checked here, so that it would be unknown whether both hold.
    """
    if not filters.metadata:
        return tuple(own)
    if not all(_is_checkable(entry) for entry in own):
        raise InvalidInput(
            "This pipeline has filters of its own that cannot be combined with those of a question. "
            "Ask without a metadata filter."
        )
    return (*own, *({name: list(values)} for name, values in filters.metadata.items()))


def may_hold(filters: Filters) -> bool:
    """Whether the filters leave room for a document of a pipeline, which its id shows."""
    return not filters.documents or any(one.startswith(DOCUMENT_PREFIX) for one in filters.documents)


def _lets_through(
    filters: Filters, passage: Passage, document: PipelineDocument, asked: Sequence[Mapping[str, Any]]
) -> bool:
    """Whether a passage matches the filters of a question.

    The service does not document whether all entries of `metadata-filters` must hold or one of
    them. A filter must never let more through than it says, so each is checked again.
    """
    if filters.documents and passage.chunk.document_id not in filters.documents:
        return False
    if not filters.metadata:
        return True
    return all(_holds(document, name, wanted) for entry in asked for name, wanted in entry.items())


def _holds(document: PipelineDocument, name: str, wanted: object) -> bool:
    return not _words(_several(wanted)).isdisjoint(_words(document.metadata.get(name, ())))


def _several(wanted: object) -> Sequence[object]:
    return wanted if isinstance(wanted, list) else [wanted]


def _words(values: Iterable[object]) -> set[str]:
    """The values as text: the service writes numbers both as numbers and as text."""
    return {str(value).lower() if isinstance(value, bool) else str(value) for value in values}


def _is_checkable(entry: Mapping[str, Any]) -> bool:
    return all(isinstance(one, str | int | float) for wanted in entry.values() for one in _several(wanted))


def _score(document: PipelineDocument, reranked: bool) -> float:
    """The score in [0, 1]; 0 where the service gives none, against its documentation."""
    scores = (document.relevancy, document.similarity) if reranked else (document.similarity, document.relevancy)
    return next((score for score in scores if score is not None), 0.0)


def _is_ordinal(chunk_id: str) -> bool:
    return chunk_id.isascii() and chunk_id.isdigit() and len(chunk_id) < len("10000000")


def _line(text: str) -> str:
    return " ".join(canonical_text(text).split())[:MAX_TITLE_CHARS]


def _digest(*parts: str) -> str:
    """A digest of these parts in this order: 40 hexadecimal digits."""
    digest = hashlib.sha256()
    for part in parts:
        digest.update(f"{len(part)}:{part}".encode(errors="surrogatepass"))
    return digest.hexdigest()[:40]
