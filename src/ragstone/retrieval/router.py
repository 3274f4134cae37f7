"""The retrievers that choose and combine sources: the local index, a remote pipeline, or both fused by rank."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Literal

import structlog

from ragstone.errors import IndexUnavailable, InvalidInput, NotFound, Unavailable
from ragstone.retrieval.base import PIPELINE_NOT_ASKED, Retrieval, Retriever
from ragstone.retrieval.fusion import reciprocal_ranks
from ragstone.telemetry.metrics import Metrics
from ragstone.vocabulary import Filters, Hit, Passage, Query, Scope, StageScore

log = structlog.get_logger()

LOCAL_TIMEOUT_S = 5.0  # the index answers in milliseconds; after this long it hangs
PIPELINE_UNAVAILABLE = "pipeline_unavailable"
INDEX_UNAVAILABLE = "index_unavailable"


@dataclass(frozen=True, slots=True)
class RemoteSource:
    """A remote pipeline that holds the documents of a scope: alone, or fused with the local index.

    The ids of its documents begin with `document_prefix`.
    """

    mode: Literal["alone", "fused"]
    retriever: Retriever
    document_prefix: str

    def may_hold(self, filters: Filters) -> bool:
        """Whether the filters leave room for a document of this source."""
        return not filters.documents or any(one.startswith(self.document_prefix) for one in filters.documents)


class RetrieverRouter:
    """A `Retriever` that sends each query to the source of its scope."""

    def __init__(
        self, local: Retriever, *, source_of: Callable[[Scope], Awaitable[RemoteSource | None]], metrics: Metrics
    ) -> None:
        """`source_of` gives the remote source of a scope; `None` where the local index holds its documents.

        It is called for every query, so that nothing of one tenant's source outlives the query.
        """
        self._local = local
        self._source_of = source_of
        self._metrics = metrics

    async def search(self, scope: Scope, query: Query) -> Retrieval:
        """See `Retriever.search`."""
        return await (await self._retriever(scope, query)).search(scope, query)

    async def check(self, scope: Scope, query: Query) -> None:
        """See `Retriever.check`."""
        await (await self._retriever(scope, query)).check(scope, query)

    async def _retriever(self, scope: Scope, query: Query) -> Retriever:
        source = await self._source_of(scope)
        if source is None or not source.may_hold(query.filters):
            return self._local
        if source.mode == "alone":
            return source.retriever
        return FusedRetriever(self._local, source.retriever, metrics=self._metrics)


class FusedRetriever:
    """A `Retriever` that searches the local index and a remote pipeline at once, and fuses both lists.

    Their scores have different units, so it fuses by rank. If one of them does not answer,
    the list of the other is the result, and `degraded` says so.
    """

    def __init__(
        self, local: Retriever, remote: Retriever, *, metrics: Metrics, local_timeout_s: float = LOCAL_TIMEOUT_S
    ) -> None:
        self._local = local
        self._remote = remote
        self._metrics = metrics
        self._local_timeout_s = local_timeout_s

    async def search(self, scope: Scope, query: Query) -> Retrieval:
        """See `Retriever.search`; `stages` holds rank and score in the index, in the pipeline and `routed`."""
        await self._remote.check(scope, query)
        local, remote = await self._search_both(scope, query)
        if local is None and remote is None:
            raise IndexUnavailable(
                "Neither the search index nor the pipeline answers. Try again; if that does not help, "
                "run `ragstone operate circuits` and `ragstone doctor`."
            )
        results = ((INDEX_UNAVAILABLE, local), (PIPELINE_UNAVAILABLE, remote))
        missing = tuple(policy for policy, found in results if found is None)
        for policy in missing:
            self._metrics.degraded.labels(policy).inc()
        answered = [found for found in (local, remote) if found is not None]
        passages = fused([found.passages for found in answered])[: query.limit]
        degraded = (*(policy for found in answered for policy in found.degraded), *missing)
        return Retrieval(passages, degraded, local.corrections if local else ())

    async def check(self, scope: Scope, query: Query) -> None:
        """See `Retriever.check`. The collection need not exist locally."""
        await self._remote.check(scope, query)

    async def _search_both(self, scope: Scope, query: Query) -> tuple[Retrieval | None, Retrieval | None]:
        """The results of both, searched at the same time; `None` for one that does not answer."""
        try:
            async with asyncio.TaskGroup() as group:
                local = group.create_task(self._search_local(scope, query))
                remote = group.create_task(self._search_remote(scope, query))
        except ExceptionGroup as several:
            raise several.exceptions[0] from None  # the first cancelled the other
        return local.result(), remote.result()

    async def _search_local(self, scope: Scope, query: Query) -> Retrieval | None:
        """What the index finds; nothing where the collection does not exist locally."""
        try:
            async with asyncio.timeout(self._local_timeout_s):
                return await self._local.search(scope, query)
        except NotFound:
            return Retrieval(())
        except (Unavailable, TimeoutError) as error:
            log.warning("retrieve.index_unavailable", error=type(error).__name__)
            return None

    async def _search_remote(self, scope: Scope, query: Query) -> Retrieval | None:
        try:
            return await self._remote.search(scope, query)
        except Unavailable as error:
            log.warning("retrieve.pipeline_unavailable", error=error.message)
            return None
        except InvalidInput:  # filters that it cannot apply; the index can
            self._metrics.degraded.labels(PIPELINE_NOT_ASKED).inc()
            return Retrieval((), (PIPELINE_NOT_ASKED,))


def fused(rankings: Sequence[Sequence[Passage]]) -> tuple[Passage, ...]:
    """Fuse rankings of passages by reciprocal rank; ties by chunk id.

    Passages of the same text count as one: it is the first ranking's, with the stages of all.
    """
    by_text = [_by_text(ranking) for ranking in rankings]
    scores = reciprocal_ranks({text: rank for text, (rank, _) in ranking.items()} for ranking in by_text)
    merged = {text: _merged([ranking[text][1] for ranking in by_text if text in ranking]) for text in scores}
    order = sorted(scores, key=lambda text: (-scores[text], merged[text].chunk.id))
    return tuple(_ranked(merged[text], scores[text], rank) for rank, text in enumerate(order, start=1))


def _by_text(ranking: Sequence[Passage]) -> Mapping[str, tuple[int, Passage]]:
    """The passages by their text, white space normalised, each with the rank of its first occurrence."""
    ranks: dict[str, tuple[int, Passage]] = {}
    for rank, passage in enumerate(ranking, start=1):
        ranks.setdefault(" ".join(passage.chunk.text.split()), (rank, passage))
    return ranks


def _merged(same: Sequence[Passage]) -> Passage:
    """The first of several passages of the same text, with the stages of all; the first to know a stage wins."""
    stages = {name: at for passage in reversed(same) for name, at in passage.hit.stages.items()}
    return replace(same[0], hit=replace(same[0].hit, stages=stages))


def _ranked(passage: Passage, score: float, rank: int) -> Passage:
    stages = {**passage.hit.stages, "routed": StageScore(rank, score)}
    return replace(passage, hit=Hit(passage.chunk.id, score, stages))
