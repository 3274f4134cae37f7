"""What was found a moment ago is found again, by the same tenant, as long as nothing has changed."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ragstone.embedding.hashing import HashingEmbedder
from ragstone.errors import InvalidInput, InvalidQuestion, NotFound
from ragstone.ingestion.submit import Upload
from ragstone.retrieval.base import Retrieval, RetrievalOptions
from ragstone.retrieval.cache import CachedRetriever, dumps, loads
from ragstone.retrieval.retrieve import HybridRetriever
from ragstone.storage.cache import Cache, MemoryCache
from ragstone.storage.shared_cache import RedisCache
from ragstone.telemetry.metrics import Metrics
from ragstone.vocabulary import Chunk, Filters, Heading, Hit, PageSpan, Passage, Query, Scope, StageScore
from tests.platforms import OpenedPlatform, small_platform
from tests.redis_server import RedisServer
from tests.retrieval.test_retrieve import SilentEmbedder

OURS, THEIRS = Scope("ours", "docs"), Scope("theirs", "docs")
QUESTION = Query("Where does the Danube rise?")

number = st.integers(0, 2**53)
real = st.floats(allow_nan=False)
word = st.text(max_size=20)
spans = st.lists(st.builds(PageSpan, number, number, number), max_size=3).map(tuple)
headings = st.lists(st.builds(Heading, number, st.lists(word, max_size=3).map(tuple)), max_size=3).map(tuple)


@st.composite
def passages(draw: st.DrawFn) -> Passage:
    chunk = draw(st.builds(Chunk, word, word, *[number] * 4, word, number, headings, spans, word))
    stages = draw(st.dictionaries(word, st.builds(StageScore, number, real), max_size=3))
    return Passage(chunk, draw(word), draw(word), draw(word), Hit(chunk.id, draw(real), stages))


@given(st.lists(passages(), max_size=3).map(tuple))
def test_nothing_is_lost_by_keeping_it(found):
    retrieval = Retrieval(found)
    assert loads(dumps(retrieval, OURS), OURS) == retrieval


@given(passages())
def test_what_was_found_for_others_is_not_read(found):
    stored = dumps(Retrieval((found,)), THEIRS)
    assert loads(stored, OURS) is None
    assert loads(stored, Scope("theirs", "other")) is None


def test_numbers_of_the_index_are_kept_as_they_are():
    score = np.float32(0.1)
    chunk = Chunk("c", "d", 1, 0, 0, 1, "x", 1)
    stages = {"dense": StageScore(1, score)}  # type: ignore[arg-type]  # as an index may give it
    found = Retrieval((Passage(chunk, "t", "s", "m", Hit("c", score, stages)),))  # type: ignore[arg-type]
    kept = loads(dumps(found, OURS), OURS)
    assert kept is not None
    assert kept.passages[0].hit.stages["dense"].score == float(score)


@pytest.mark.parametrize("damaged", [b"", b"{}", b"[]", b"null", b'{"scope":["ours","docs"],"passages":[{}]}', b"\xff"])
def test_what_is_damaged_is_not_read(damaged):
    assert loads(damaged, OURS) is None


@pytest.fixture
async def platform(tmp_path: Path) -> AsyncIterator[OpenedPlatform]:
    async with small_platform(tmp_path) as opened:
        for scope in (OURS, THEIRS):
            await fill(opened, scope, f"The Danube rises where {scope.tenant} say it does, in the Black Forest.")
        yield opened


async def fill(platform: OpenedPlatform, scope: Scope, text: str) -> None:
    job = await platform.corpus.ingestion.submit(scope, [Upload("text:danube", "Danube", text.encode())])
    await platform.corpus.ingestion.work(until_job=(scope, job.id))


class Stand:
    """A retriever that remembers, and counts how often it does."""

    def __init__(self, platform: OpenedPlatform, cache: Cache, **parts: object) -> None:
        self.metrics = Metrics()
        options = parts.pop("options", RetrievalOptions())
        chosen = {"embedder": platform.engines.embedder, "index": platform.engines.index, **parts}
        inner = HybridRetriever(library=platform.storage.library, metrics=Metrics(), options=options, **chosen)  # type: ignore[arg-type]
        self.retriever = CachedRetriever(
            inner,
            cache,
            library=platform.storage.library,
            embedder_name=chosen["embedder"].name,  # type: ignore[attr-defined]
            metrics=self.metrics,
            options=options,  # type: ignore[arg-type]
        )

    async def search(self, scope: Scope, query: Query = QUESTION) -> Retrieval:
        return await self.retriever.search(scope, query)

    @property
    def hits(self) -> float:
        return self.metrics.registry.get_sample_value("ragstone_query_cache_total", {"outcome": "hit"}) or 0.0


@pytest.fixture(params=["memory", "redis"])
async def stand(request: pytest.FixtureRequest, platform: OpenedPlatform) -> AsyncIterator[Stand]:
    if request.param == "memory":
        yield Stand(platform, MemoryCache())
        return
    from ragstone.storage.redis import Redis

    redis = Redis(request.getfixturevalue("redis_url"), timeout_s=2)
    yield Stand(platform, RedisCache(redis))
    await redis.close()


async def test_the_same_question_is_answered_from_memory_with_the_same_passages(stand: Stand):
    first = await stand.search(OURS)
    assert first.passages
    assert await stand.search(OURS) == first
    assert stand.hits == 1
    assert await stand.search(OURS) == first
    assert stand.hits == 2


async def test_the_same_question_of_two_tenants_is_two_questions(stand: Stand):
    ours, theirs = await stand.search(OURS), await stand.search(THEIRS)
    assert stand.hits == 0
    assert "ours say" in ours.passages[0].chunk.text
    assert "theirs say" in theirs.passages[0].chunk.text
    assert (await stand.search(OURS), await stand.search(THEIRS)) == (ours, theirs)
    assert stand.hits == 2


async def test_after_a_change_the_next_question_sees_it(stand: Stand, platform: OpenedPlatform):
    await stand.search(OURS)
    await stand.search(THEIRS)
    await fill(platform, OURS, "The Danube rises in Donaueschingen.")
    assert "Donaueschingen" in (await stand.search(OURS)).passages[0].chunk.text
    assert stand.hits == 0
    await stand.search(THEIRS)
    assert stand.hits == 1


async def test_after_a_removal_the_next_question_finds_nothing(stand: Stand, platform: OpenedPlatform):
    found = await stand.search(OURS)
    await platform.corpus.ingestion.remove(OURS, found.passages[0].chunk.document_id)
    assert (await stand.search(OURS)).passages == ()


@pytest.mark.parametrize(
    "other",
    [
        Query("Where does the Danube end?"),
        Query(QUESTION.text, limit=7),
        Query(QUESTION.text, Filters(documents=("x",))),
        Query(QUESTION.text, Filters(media_types=("text/plain",))),
        Query(QUESTION.text, Filters(metadata={"lang": ("1",)})),
        Query(QUESTION.text, Filters(metadata={"lang": (1,)})),
        Query(QUESTION.text, Filters(metadata={"lang": (True,)})),
    ],
)
async def test_another_question_is_another_one(platform: OpenedPlatform, other: Query):
    stand = Stand(platform, MemoryCache())
    for query in (
        QUESTION,
        Query(QUESTION.text, Filters(metadata={"lang": (1.0,)})),
        other,
    ):
        await stand.search(OURS, query)
    assert stand.hits == 0


async def test_other_options_and_models_have_results_of_their_own(platform: OpenedPlatform):
    cache = MemoryCache()
    await Stand(platform, cache).search(OURS)
    for parts in ({"options": RetrievalOptions(fusion="rrf")}, {"embedder": HashingEmbedder(64)}):
        other = Stand(platform, cache, **parts)
        other.retriever._inner = Stand(platform, cache).retriever._inner
        await other.search(OURS)
        assert other.hits == 0


async def test_what_an_incomplete_search_found_is_not_kept(platform: OpenedPlatform):
    stand = Stand(platform, MemoryCache(), embedder=SilentEmbedder(platform.engines.embedder.dimensions))
    for _ in range(2):
        assert (await stand.search(OURS)).degraded == ("dense_unavailable",)
    assert stand.hits == 0


async def test_what_cannot_be_searched_is_refused_as_without_a_cache(stand: Stand):
    with pytest.raises(InvalidQuestion):
        await stand.search(OURS, Query(" "))
    with pytest.raises(InvalidInput):
        await stand.search(OURS, Query("x", limit=0))
    with pytest.raises(NotFound, match="docs"):
        await stand.search(Scope("ours", "missing"))
    with pytest.raises(NotFound, match="ingest"):
        await stand.search(Scope("nobody", "docs"))


@pytest.mark.parametrize("fault", ["stopped", "hung", "emptied", "full"])
async def test_a_broken_redis_costs_no_answer(tmp_path: Path, redis_server: RedisServer, fault: str):
    async with small_platform(tmp_path, redis={"url": redis_server.url}) as platform:
        await fill(platform, OURS, "The Danube rises in the Black Forest.")
        first = await platform.answers.retriever.search(OURS, QUESTION)
        match fault:
            case "stopped":
                redis_server.stop()
            case "hung":
                redis_server.pause()
            case "emptied":
                redis_server.command("FLUSHALL")
            case "full":
                redis_server.command("CONFIG", "SET", "maxmemory", "1")
        for _ in range(20):
            assert await platform.answers.retriever.search(OURS, QUESTION) == first
        await fill(platform, OURS, "The Danube rises in Donaueschingen.")
        assert "Donaueschingen" in (await platform.answers.retriever.search(OURS, QUESTION)).passages[0].chunk.text
        redis_server.resume() if fault == "hung" else None


async def test_two_installations_on_one_redis_share_nothing(tmp_path: Path, redis_url: str):
    for name in ("one", "two"):
        async with small_platform(tmp_path / name, redis={"url": redis_url}) as platform:
            await fill(platform, OURS, f"The Danube rises in {name}.")
            assert name in (await platform.answers.retriever.search(OURS, QUESTION)).passages[0].chunk.text


async def test_with_a_document_its_words_leave_the_cache(
    tmp_path: Path, redis_of_this_run: RedisServer, redis_url: str
):
    async with small_platform(tmp_path, redis={"url": redis_url, "timeout_s": 2}) as platform:
        await fill(platform, OURS, "The Danube rises in the Black Forest.")
        found = await platform.answers.retriever.search(OURS, QUESTION)
        assert await platform.storage.cache.count(OURS.tenant) >= 2  # vectors, and what was found
        await platform.corpus.ingestion.remove(OURS, found.passages[0].chunk.document_id)
        assert await platform.storage.cache.count(OURS.tenant) == 0
    assert redis_of_this_run.command("DBSIZE") == b":0"


def test_the_tenant_is_in_the_key_whatever_else_is_equal(platform: OpenedPlatform):
    retriever = Stand(platform, MemoryCache()).retriever
    assert retriever._key(OURS, "same", QUESTION) != retriever._key(THEIRS, "same", QUESTION)
