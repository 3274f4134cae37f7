"""Where the knowledge of a tenant lies: in the index of this installation, in a pipeline of its own, or in both."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Literal

import structlog

from ragstone.errors import IndexUnavailable, InvalidInput, NotFound, Unavailable
from ragstone.retrieval.base import Retrieval, Retriever, within_budget
from ragstone.retrieval.vectorize.client import RemotePipeline, VectorizeClient
from ragstone.retrieval.vectorize.retriever import FLOOR, NOT_ASKED, PipelineOptions, VectorizeRetriever, may_hold
from ragstone.telemetry.metrics import Metrics
from ragstone.vocabulary import Hit, Passage, Query, Scope, StageScore

log = structlog.get_logger()

RRF_K = 60  # Cormack, Clarke, Büttcher, SIGIR 2009; as in `fusion`
LOCAL_S = 5.0  # the index answers in milliseconds; what takes longer than this hangs
PIPELINE_GONE = "pipeline_unavailable"
INDEX_GONE = "index_unavailable"


@dataclass(frozen=True, slots=True)
class Knowledge:
    """A pipeline that a tenant's questions are looked up in: alone, or fused with the index.

    `floor` is the least score of a passage of it, in [0, 1].
    """

    mode: Literal["alone", "fused"]
    pipeline: RemotePipeline
    floor: float = FLOOR


class FusedRetriever:
    """See `Retriever`. Asks the index and a pipeline at once, and puts both lists together.

    Their scores are of different units, so only ranks count: reciprocal rank fusion. If one
    does not answer, the other's list is the result, which says so in `degraded`.
    """

    def __init__(
        self,
        local: Retriever,
        pipeline: Retriever,
        *,
        metrics: Metrics,
        local_s: float = LOCAL_S,
        context_tokens: int = 3000,
    ) -> None:
        self._local = local
        self._pipeline = pipeline
        self._metrics = metrics
        self._local_s = local_s
        self._context_tokens = context_tokens

    async def retrieve(self, scope: Scope, query: Query) -> Retrieval:
        """See `Retriever.retrieve`."""
        found = await self.search(scope, query)
        return Retrieval(within_budget(found.passages, self._context_tokens), found.degraded)

    async def search(self, scope: Scope, query: Query) -> Retrieval:
        """See `Retriever.search`; `stages` holds the standings in the index, in the pipeline and fused."""
        await self._pipeline.check(scope, query)
        here, there = await self._both(scope, query)
        if here is None and there is None:
            raise IndexUnavailable(
                "Neither the search index nor the pipeline answers. Try again; if that does not help, "
                "run `ragstone operate circuits` and `ragstone doctor`."
            )
        gone = tuple(policy for policy, found in ((INDEX_GONE, here), (PIPELINE_GONE, there)) if found is None)
        for policy in gone:
            self._metrics.degraded.labels(policy).inc()
        answered = [found for found in (here, there) if found is not None]
        passages = fused([found.passages for found in answered])[: query.limit]
        return Retrieval(passages, (*(policy for found in answered for policy in found.degraded), *gone))

    async def check(self, scope: Scope, query: Query) -> None:
        """See `Retriever.check`; a collection that only the pipeline has need not exist here."""
        await self._pipeline.check(scope, query)

    async def _both(self, scope: Scope, query: Query) -> tuple[Retrieval | None, Retrieval | None]:
        """What each finds, at the same time; `None` for one that does not answer."""
        try:
            async with asyncio.TaskGroup() as group:
                here = group.create_task(self._here(scope, query))
                there = group.create_task(self._there(scope, query))
        except ExceptionGroup as several:
            raise several.exceptions[0] from None  # the first cancelled the other
        return here.result(), there.result()

    async def _here(self, scope: Scope, query: Query) -> Retrieval | None:
        """What the index finds; nothing in a collection that there is not."""
        try:
            async with asyncio.timeout(self._local_s):
                return await self._local.search(scope, query)
        except NotFound:
            return Retrieval(())
        except (Unavailable, TimeoutError) as error:
            log.warning("retrieve.index_unavailable", error=type(error).__name__)
            return None

    async def _there(self, scope: Scope, query: Query) -> Retrieval | None:
        try:
            return await self._pipeline.search(scope, query)
        except Unavailable as error:
            log.warning("retrieve.pipeline_unavailable", error=error.message)
            return None
        except InvalidInput:  # filters that it cannot apply; the index can
            self._metrics.degraded.labels(NOT_ASKED).inc()
            return Retrieval((), (NOT_ASKED,))


class RetrieverRouter:
    """See `Retriever`. Asks where the knowledge of the scope lies, each time."""

    def __init__(
        self,
        local: Retriever,
        *,
        knowledge_of: Callable[[Scope], Awaitable[Knowledge | None]],
        client: VectorizeClient,
        metrics: Metrics,
        options: PipelineOptions,
    ) -> None:
        """`knowledge_of` says which pipeline holds the knowledge of a collection; `None`, the index does."""
        self._local = local
        self._knowledge_of = knowledge_of
        self._client = client
        self._metrics = metrics
        self._options = options

    async def retrieve(self, scope: Scope, query: Query) -> Retrieval:
        """See `Retriever.retrieve`."""
        return await (await self._finder(scope, query)).retrieve(scope, query)

    async def search(self, scope: Scope, query: Query) -> Retrieval:
        """See `Retriever.search`."""
        return await (await self._finder(scope, query)).search(scope, query)

    async def check(self, scope: Scope, query: Query) -> None:
        """See `Retriever.check`."""
        await (await self._finder(scope, query)).check(scope, query)

    async def _finder(self, scope: Scope, query: Query) -> Retriever:
        """Made for this question: nothing of one tenant's pipeline outlives it."""
        knowledge = await self._knowledge_of(scope)
        if knowledge is None or not may_hold(query.filters):
            return self._local
        options = replace(self._options, floor=knowledge.floor)
        pipeline = VectorizeRetriever(self._client, knowledge.pipeline, metrics=self._metrics, options=options)
        if knowledge.mode == "alone":
            return pipeline
        return FusedRetriever(self._local, pipeline, metrics=self._metrics, context_tokens=self._options.context_tokens)


def fused(rankings: Sequence[Sequence[Passage]]) -> tuple[Passage, ...]:
    """One list of several, by the sum of 1 / (k + rank), ranks from 1; equal sums by chunk id.

    Passages of the same text are one: the first ranking's, with the standings in all of them.
    Cormack, Clarke, Büttcher, "Reciprocal Rank Fusion …", SIGIR 2009.
    """
    merged: dict[str, Passage] = {}
    for ranking in rankings:
        for text, (rank, passage) in _ranks(ranking).items():
            known = merged.get(text)
            score = 1 / (RRF_K + rank) + (known.hit.score if known else 0.0)
            kept, stages = known or passage, {**passage.hit.stages, **(known.hit.stages if known else {})}
            merged[text] = replace(kept, hit=Hit(kept.chunk.id, score, stages))
    order = sorted(merged.values(), key=lambda passage: (-passage.hit.score, passage.chunk.id))
    return tuple(_standing(passage, rank) for rank, passage in enumerate(order, start=1))


def _ranks(ranking: Sequence[Passage]) -> Mapping[str, tuple[int, Passage]]:
    """The passages by what they say, blanks apart, each with the rank of the first that says it."""
    ranks: dict[str, tuple[int, Passage]] = {}
    for rank, passage in enumerate(ranking, start=1):
        ranks.setdefault(" ".join(passage.chunk.text.split()), (rank, passage))
    return ranks


def _standing(passage: Passage, rank: int) -> Passage:
    hit = passage.hit
    return replace(passage, hit=Hit(hit.chunk_id, hit.score, {**hit.stages, "routed": StageScore(rank, hit.score)}))
