"""One suite for every retriever. The hybrid search over the exact index in memory is the reference."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack

import pytest
import pytest_asyncio

from ragstone.errors import InvalidInput, InvalidQuestion, NotFound
from ragstone.ingestion.submit import Upload
from ragstone.retrieval.base import MAX_PASSAGES, Retriever
from ragstone.retrieval.cache import CachedRetriever
from ragstone.retrieval.retrieve import HybridRetriever
from ragstone.retrieval.router import FusedRetriever, RemoteSource, RetrieverRouter
from ragstone.retrieval.vectorize.retriever import DOCUMENT_PREFIX
from ragstone.storage.cache import MemoryCache
from ragstone.telemetry.metrics import Metrics
from ragstone.vocabulary import Filters, Query, Scope
from tests.platforms import OpenedPlatform, small_platform
from tests.retrieval.sources import finder, vectorize_client
from tests.retrieval.vectorize_server import BRIDGE, TOWER, a_pipeline

pytestmark = pytest.mark.asyncio(loop_scope="module")

HERE, THERE = Scope("acme", "handbook"), Scope("other", "handbook")
QUESTION = Query("How many metres tall is the tower?")
TEXTS = {"tower.pdf": TOWER["text"], "bridge.pdf": BRIDGE["text"]}
LOCAL = ("hybrid", "cached", "router")
KINDS = (*LOCAL, "routed to a pipeline", "fused", "vectorize")


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def platform(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[OpenedPlatform]:
    async with small_platform(tmp_path_factory.mktemp("data")) as opened:
        uploads = [Upload(f"text:{name}", name, text.encode()) for name, text in TEXTS.items()]
        job = await opened.corpus.ingestion.submit(HERE, uploads)
        await opened.corpus.ingestion.work(until_job=(HERE, job.id))
        yield opened


def hybrid(platform: OpenedPlatform) -> HybridRetriever:
    return HybridRetriever(
        embedder=platform.engines.embedder,
        index=platform.engines.index,
        library=platform.storage.library,
        metrics=Metrics(),
    )


def cached(platform: OpenedPlatform) -> CachedRetriever:
    name = platform.engines.embedder.name
    return CachedRetriever(
        hybrid(platform), MemoryCache(), library=platform.storage.library, embedder_name=name, metrics=Metrics()
    )


def router(local: Retriever, remote: Retriever | None) -> RetrieverRouter:
    async def source_of(_scope: Scope) -> RemoteSource | None:
        return RemoteSource("alone", remote, DOCUMENT_PREFIX) if remote else None

    return RetrieverRouter(local, source_of=source_of, metrics=Metrics())


async def pipeline(stack: AsyncExitStack) -> Retriever:
    """The retriever of a pipeline that holds the same documents."""
    client = await stack.enter_async_context(vectorize_client())
    remote: Retriever = finder(client, await stack.enter_async_context(a_pipeline(TOWER, BRIDGE)))
    return remote


async def opened(kind: str, platform: OpenedPlatform, stack: AsyncExitStack) -> Retriever:
    match kind:
        case "hybrid":
            return hybrid(platform)
        case "cached":
            return cached(platform)
        case "router":
            return router(hybrid(platform), None)
        case "routed to a pipeline":
            return router(hybrid(platform), await pipeline(stack))
        case "fused":
            return FusedRetriever(hybrid(platform), await pipeline(stack), metrics=Metrics())
        case _:
            return await pipeline(stack)


@pytest_asyncio.fixture(params=KINDS, loop_scope="module")
async def retriever(request: pytest.FixtureRequest, platform: OpenedPlatform) -> AsyncIterator[Retriever]:
    async with AsyncExitStack() as stack:
        yield await opened(request.param, platform, stack)


async def test_the_passage_that_answers_comes_first(retriever: Retriever):
    found = await retriever.search(HERE, QUESTION)
    assert found.degraded == ()
    assert found.passages[0].chunk.text == TOWER["text"]
    assert found.passages[0].title == "tower.pdf"


async def test_passages_come_best_first_and_each_once(retriever: Retriever):
    passages = (await retriever.search(HERE, QUESTION)).passages
    scores = [passage.hit.score for passage in passages]
    assert scores == sorted(scores, reverse=True)
    assert len({passage.chunk.text for passage in passages}) == len({passage.chunk.id for passage in passages})
    assert len(passages) == len({passage.chunk.text for passage in passages})


async def test_each_passage_has_a_rank_in_its_last_stage(retriever: Retriever):
    passages = (await retriever.search(HERE, QUESTION)).passages
    last = [list(passage.hit.stages.values())[-1].rank for passage in passages]
    assert last == list(range(1, len(passages) + 1))


async def test_a_passage_is_a_span_of_its_document_with_a_size(retriever: Retriever):
    for passage in (await retriever.search(HERE, QUESTION)).passages:
        chunk = passage.chunk
        assert passage.hit.chunk_id == chunk.id
        assert chunk.end - chunk.start == len(chunk.text)
        assert chunk.token_count > 0
        assert chunk.document_id


async def test_the_limit_bounds_the_passages(retriever: Retriever):
    assert len((await retriever.search(HERE, Query(QUESTION.text, limit=1))).passages) == 1


async def test_the_same_query_finds_the_same(retriever: Retriever):
    assert await retriever.search(HERE, QUESTION) == await retriever.search(HERE, QUESTION)


async def test_a_filter_by_document_finds_passages_of_that_document_only(retriever: Retriever):
    second = (await retriever.search(HERE, QUESTION)).passages[-1]
    chosen = Filters(documents=(second.chunk.document_id,))
    narrowed = (await retriever.search(HERE, Query(second.chunk.text, chosen))).passages
    assert {passage.chunk.document_id for passage in narrowed} == {second.chunk.document_id}


@pytest.mark.parametrize("unknown", ["0f" * 16, f"{DOCUMENT_PREFIX}{'0f' * 20}"])
async def test_a_filter_by_an_unknown_document_finds_nothing(retriever: Retriever, unknown: str):
    found = await retriever.search(HERE, Query(QUESTION.text, Filters(documents=(unknown,))))
    assert found.passages == ()


@pytest.mark.parametrize("text", ["", " \n\t", "a\x00b", "a\ud800b", "x" * 100_000])
async def test_what_is_no_question_is_refused(retriever: Retriever, text: str):
    for call in (retriever.search, retriever.check):
        with pytest.raises(InvalidQuestion):
            await call(HERE, Query(text))


@pytest.mark.parametrize("limit", [-1, 0, MAX_PASSAGES + 1])
async def test_a_limit_out_of_bounds_is_refused(retriever: Retriever, limit: int):
    for call in (retriever.search, retriever.check):
        with pytest.raises(InvalidInput):
            await call(HERE, Query("x", limit=limit))


async def test_a_query_that_can_be_searched_passes_the_check(retriever: Retriever):
    await retriever.check(HERE, QUESTION)


@pytest.mark.parametrize("kind", LOCAL)
async def test_a_collection_of_another_tenant_does_not_exist(platform: OpenedPlatform, kind: str):
    async with AsyncExitStack() as stack:
        retriever = await opened(kind, platform, stack)
        await retriever.search(HERE, QUESTION)
        for call in (retriever.search, retriever.check):
            with pytest.raises(NotFound):
                await call(THERE, QUESTION)


@pytest.mark.parametrize("kind", LOCAL)
async def test_every_retriever_of_the_index_finds_what_the_reference_finds(platform: OpenedPlatform, kind: str):
    reference = await hybrid(platform).search(HERE, QUESTION)
    async with AsyncExitStack() as stack:
        assert await (await opened(kind, platform, stack)).search(HERE, QUESTION) == reference
