"""RETRIEVE, with a real library, index and embedder; only what fails is made to fail."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from typing import Any

import numpy as np
import pytest
import pytest_asyncio
from numpy.typing import NDArray

from ragstone.embedding.base import Matrix, Purpose
from ragstone.embedding.hashing import HashingEmbedder
from ragstone.errors import IndexUnavailable, InvalidInput, InvalidQuestion, ModelUnavailable, NotFound
from ragstone.index.base import Candidate, Candidates, Index
from ragstone.ingestion.submit import Upload
from ragstone.retrieval.base import Retrieval, RetrievalOptions
from ragstone.retrieval.retrieve import HybridRetriever
from ragstone.telemetry.metrics import Metrics
from ragstone.vocabulary import Filters, Query, Scope, SparseVector, StageScore
from tests.platforms import OpenedPlatform, small_platform

pytestmark = pytest.mark.asyncio(loop_scope="module")

TEXTS = {
    "danube": "The Danube rises in the Black Forest and flows into the Black Sea after 2,850 kilometres.",
    "elbe": "The Elbe flows through Dresden and Hamburg and reaches the North Sea near Cuxhaven.",
    "bread": "Sourdough bread needs flour, water, salt and a lively starter. Bake it in a hot oven.",
    "printing": "Johannes Gutenberg printed books with movable type in Mainz around 1450.",
}


class SilentEmbedder(HashingEmbedder):
    """A model that does not answer."""

    async def embed(self, texts: Sequence[str], *, purpose: Purpose) -> Matrix:
        raise ModelUnavailable("The model does not answer.")


class BrokenEmbedder(HashingEmbedder):
    """A model that answers with what is no number."""

    async def embed(self, texts: Sequence[str], *, purpose: Purpose) -> Matrix:
        return np.full((len(texts), self.dimensions), np.nan, np.float32)


class LimpingIndex:
    """An index that fails whenever it is asked for one of the legs named."""

    def __init__(self, inner: Index, *fails: str) -> None:
        self._inner = inner
        self._fails = fails

    async def search(
        self,
        scope: Scope,
        *,
        dense: NDArray[np.float32] | None,
        sparse: SparseVector | None,
        filters: Filters,
        limit: int,
    ) -> Candidates:
        if (dense is not None and "dense" in self._fails) or (sparse is not None and "sparse" in self._fails):
            raise IndexUnavailable("The index does not answer.")
        return await self._inner.search(scope, dense=dense, sparse=sparse, filters=filters, limit=limit)


async def fill(platform: OpenedPlatform, scope: Scope, texts: dict[str, str]) -> None:
    uploads = [Upload(f"text:{title}", title, text.encode()) for title, text in texts.items()]
    job = await platform.corpus.ingestion.submit(scope, uploads)
    await platform.corpus.ingestion.work(until_job=(scope, job.id))


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def platform(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[OpenedPlatform]:
    """One for all tests: none changes what it holds of the default tenant."""
    async with small_platform(tmp_path_factory.mktemp("data")) as opened:
        await fill(opened, Scope(), TEXTS)
        yield opened


def retriever(platform: OpenedPlatform, **parts: object) -> HybridRetriever:
    chosen = {"embedder": platform.engines.embedder, "index": platform.engines.index, "metrics": Metrics(), **parts}
    return HybridRetriever(library=platform.storage.library, **chosen)  # type: ignore[arg-type]  # by name


def titles(found: Retrieval) -> list[str]:
    return [passage.title for passage in found.passages]


def counted(metrics: Metrics, policy: str) -> float | None:
    return metrics.registry.get_sample_value("ragstone_degraded_total", {"policy": policy})


async def test_the_passage_that_answers_comes_first_with_its_standing_in_every_stage(platform: OpenedPlatform):
    found = await platform.answers.retriever.search(Scope(), Query("Where does the Danube rise?"))
    assert titles(found)[0] == "danube"
    assert found.degraded == ()
    stages = found.passages[0].hit.stages
    assert [stages[name].rank for name in ("dense", "sparse", "fused")] == [1, 1, 1]


async def test_rrf_can_be_chosen(platform: OpenedPlatform):
    by_rank = retriever(platform, options=RetrievalOptions(fusion="rrf"))
    found = await by_rank.search(Scope(), Query("Where does the Danube rise?"))
    assert found.passages[0].hit.score == pytest.approx(2 / 61)


async def test_the_limit_counts_passages(platform: OpenedPlatform):
    found = await platform.answers.retriever.search(Scope(), Query("Which river flows into a sea?", limit=2))
    assert len(found.passages) == 2


async def test_no_more_passages_than_asked_for_even_beyond_the_candidates(platform: OpenedPlatform):
    few = retriever(platform, options=RetrievalOptions(candidates=1))
    found = await few.search(Scope(), Query("Which river flows into a sea?", limit=4))
    assert len(found.passages) == 4


@pytest.mark.parametrize("nonsense", ["asdfjk qwoeiru", "xyzzy", "???", "zzzzzz 99999"])
async def test_nonsense_finds_nothing(platform: OpenedPlatform, nonsense: str):
    found = await platform.answers.retriever.search(Scope(), Query(nonsense))
    assert found == Retrieval(())


async def test_without_a_floor_nonsense_finds_the_least_bad(platform: OpenedPlatform):
    found = await retriever(platform, options=RetrievalOptions(floor=-2)).search(Scope(), Query("asdfjk qwoeiru"))
    assert found.passages


@pytest.mark.parametrize(
    ("question", "sentence"),
    [
        ("", "empty"),
        (" \n\t", "empty"),
        ("a\x00b", "not text"),
        ("a\ud800b", "not text"),
        ("x" * 100_000, "100000 characters; shorten it to 4000"),
    ],
)
async def test_what_is_no_question_is_refused_with_a_sentence(platform: OpenedPlatform, question: str, sentence: str):
    with pytest.raises(InvalidQuestion, match=sentence):
        await platform.answers.retriever.search(Scope(), Query(question))


@pytest.mark.parametrize("limit", [0, -1, 100_000])
async def test_a_limit_out_of_bounds_is_refused(platform: OpenedPlatform, limit: int):
    with pytest.raises(InvalidInput, match="passages"):
        await platform.answers.retriever.search(Scope(), Query("Danube?", limit=limit))


async def test_an_unknown_collection_is_named_with_the_known_ones_of_the_tenant(platform: OpenedPlatform):
    await fill(platform, Scope("other", "secret"), {"note": "Something of somebody else."})
    with pytest.raises(NotFound, match=r"'nowhere'.*default") as caught:
        await platform.answers.retriever.search(Scope(collection="nowhere"), Query("Danube?"))
    assert "secret" not in str(caught.value)


async def test_before_the_first_document_the_error_says_how_to_begin(platform: OpenedPlatform):
    with pytest.raises(NotFound, match="ragstone ingest"):
        await platform.answers.retriever.search(Scope("newcomer"), Query("Danube?"))


@pytest.mark.parametrize("embedder", [SilentEmbedder(), BrokenEmbedder()])
async def test_without_the_model_the_words_still_find(platform: OpenedPlatform, embedder: HashingEmbedder):
    metrics = Metrics()
    lexical = retriever(platform, embedder=embedder, metrics=metrics)
    found = await lexical.search(Scope(), Query("Where does the Danube rise?"))
    assert titles(found)[0] == "danube"
    assert found.degraded == ("dense_unavailable",)
    assert set(found.passages[0].hit.stages) == {"sparse", "fused"}
    assert counted(metrics, "dense_unavailable") == 1


@pytest.mark.parametrize(("fails", "answers"), [("dense", "sparse"), ("sparse", "dense")])
async def test_a_leg_that_fails_leaves_the_other(platform: OpenedPlatform, fails: str, answers: str):
    metrics = Metrics()
    limping = retriever(platform, index=LimpingIndex(platform.engines.index, fails), metrics=metrics)
    found = await limping.search(Scope(), Query("Where does the Danube rise?"))
    assert titles(found)[0] == "danube"
    assert found.degraded == (f"{fails}_unavailable",)
    assert set(found.passages[0].hit.stages) == {answers, "fused"}
    assert counted(metrics, f"{fails}_unavailable") == 1


async def test_only_both_legs_failing_is_an_error(platform: OpenedPlatform):
    down = retriever(platform, index=LimpingIndex(platform.engines.index, "dense", "sparse"))
    with pytest.raises(IndexUnavailable, match="ragstone doctor"):
        await down.search(Scope(), Query("Where does the Danube rise?"))


async def test_each_stage_is_timed(platform: OpenedPlatform):
    metrics = Metrics()
    await retriever(platform, metrics=metrics).search(Scope(), Query("Danube?"))
    for stage in ("embed", "search", "fuse", "load"):
        seen = metrics.registry.get_sample_value("ragstone_stage_seconds_count", {"stage": stage})
        assert seen == 1, stage


class StaleIndex:
    """An index that still finds chunks of versions that SQL has replaced."""

    def __init__(self, inner: Index, *stale: str) -> None:
        self._inner = inner
        self._stale = stale

    async def search(self, scope: Scope, **arguments: Any) -> Candidates:
        found = await self._inner.search(scope, **arguments)
        ghosts = tuple(Candidate(chunk, "gone", 1, StageScore(1, 9.0)) for chunk in self._stale)
        return Candidates(dense=(*ghosts, *found.dense), sparse=(*ghosts, *found.sparse))


async def test_hits_of_a_version_no_longer_active_make_room_for_the_next(platform: OpenedPlatform):
    query = Query("Which river flows into a sea?", limit=2)
    stale = retriever(platform, index=StaleIndex(platform.engines.index, "gone:1:0", "gone:1:1", "gone:1:2"))
    found = await stale.search(Scope(), query)
    assert set(titles(found)) == {"danube", "elbe"}
