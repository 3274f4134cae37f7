"""Below the routes: indexes, spelling, the caches and SQL itself keep two tenants of equal names apart."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
import pytest_asyncio

from ragstone.embedding.sparse import document_vector, query_vector
from ragstone.index.base import Index, Point
from ragstone.index.memory import MemoryIndex
from ragstone.index.qdrant_edge.index import EdgeIndex
from ragstone.ingestion.submit import Upload
from ragstone.retrieval.spelling import Speller
from ragstone.storage.cache import MemoryCache, cache_key
from ragstone.storage.database import Database, scoped, scoped_delete, scoped_update
from ragstone.storage.schema import collections
from ragstone.storage.shared_cache import CachedVectors, SqlVectorStore
from ragstone.vocabulary import Filters, Query, Scope
from tests.platforms import OpenedPlatform, small_platform
from tests.storage.rows import url_of

pytestmark = pytest.mark.asyncio(loop_scope="module")
TEXT = "The harbour crane lifts forty tonnes."
QUERY = query_vector("harbour crane")
DENSE = np.array([1, 0, 0, 0], np.float32)


@dataclass(frozen=True)
class Two:
    """An index in which both tenants have a chunk of the same words and the same vector, b a second document too."""

    index: Index
    a: Scope
    b: Scope


@pytest_asyncio.fixture(scope="module", loop_scope="module", params=["memory", "edge"])
async def index(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Index]:
    made: Index = MemoryIndex(4)
    if request.param == "edge":
        folder = tmp_path_factory.mktemp("edge") / "index"
        made = await EdgeIndex.connect(folder, dimensions=4, embedder="test", linger_s=0)
    yield made
    await made.close()


@pytest_asyncio.fixture(loop_scope="module")
async def two(index: Index) -> Two:
    await index.clear()
    both = Two(index, Scope("a"), Scope("b"))
    await index.upsert(both.a, [point("doc-a")])
    await index.upsert(both.b, [point("doc-b"), point("doc-b2")])
    return both


def point(document: str, chunk: str = "") -> Point:
    sparse = document_vector(TEXT)
    return Point(chunk or f"{document}:1:0", document, 1, "text/markdown", DENSE[None], sparse, {"of": document})


HOSTILE = [
    Filters(),
    Filters(documents=("doc-b",)),
    Filters(documents=("doc-a", "doc-b", "doc-b2")),
    Filters(metadata={"of": ("doc-b", "doc-b2")}),
    Filters(media_types=("text/markdown",), metadata={"of": ("doc-a", "doc-b")}),
]


@pytest.mark.parametrize("filters", HOSTILE, ids=str)
async def test_no_leg_finds_a_strangers_chunk(two: Two, filters: Filters):
    found = await two.index.search(two.a, dense=DENSE, sparse=QUERY, filters=filters, limit=1000)
    assert {each.document_id for each in found.dense} <= {"doc-a"}
    assert {each.document_id for each in found.sparse} <= {"doc-a"}


async def test_the_legs_find_ones_own(two: Two):
    found = await two.index.search(two.a, dense=DENSE, sparse=QUERY, filters=Filters(), limit=1000)
    assert [each.document_id for each in (*found.dense, *found.sparse)] == ["doc-a", "doc-a"]


async def test_scores_tell_nothing_of_what_others_have(two: Two):
    before = await two.index.search(two.a, dense=None, sparse=QUERY, filters=Filters(), limit=8)
    await two.index.upsert(two.b, [point(f"doc-b{number}") for number in range(3, 9)])
    after = await two.index.search(two.a, dense=None, sparse=QUERY, filters=Filters(), limit=8)
    assert after.sparse == before.sparse


async def test_a_count_is_of_ones_own(two: Two):
    assert (await two.index.count(two.a), await two.index.count(two.b), await two.index.count(Scope("c"))) == (1, 2, 0)


async def test_a_tenant_deletes_no_points_of_a_stranger_by_their_name(two: Two):
    await two.index.delete_document(two.a, "doc-b")
    assert await two.index.count(two.b) == 2


async def test_chunks_of_one_name_do_not_replace_each_other(two: Two):
    await two.index.upsert(two.a, [point("same", "same:1:0")])
    await two.index.upsert(two.b, [point("same", "same:1:0")])
    assert (await two.index.count(two.a), await two.index.count(two.b)) == (2, 3)
    await two.index.delete_document(two.a, "same")
    assert (await two.index.count(two.a), await two.index.count(two.b)) == (1, 3)


@pytest.mark.parametrize("engine", ["memory", "edge"])
async def test_no_word_of_a_strangers_document_is_suggested(tmp_path: Path, engine: str):
    async with small_platform(tmp_path / "data", index={"engine": engine}) as platform:
        await ingest(platform, Scope("b"), "The kubernetes cluster has nine nodes.")
        await ingest(platform, Scope("a"), "The canteen opens at noon.")
        speller = Speller(platform.engines.index, platform.storage.library, list)  # of letters: each word is doubtful
        asked = Query("Where does kuberntes run?")
        assert await speller.corrections(Scope("a"), asked, (), ()) == ()
        assert [one.searched for one in await speller.corrections(Scope("b"), asked, (), ())] == ["kubernetes"]


async def ingest(platform: OpenedPlatform, scope: Scope, text: str) -> None:
    job = await platform.corpus.ingestion.submit(scope, [Upload("text:note", "Note", text.encode())])
    await platform.corpus.ingestion.work(until_job=(scope, job.id))


async def test_an_embedding_kept_for_one_is_not_there_for_another(tmp_path: Path):
    database = await Database.open(url_of(tmp_path / "ragstone.db"))
    await SqlVectorStore(database, "b").put_many({"key": b"vector"})
    assert await SqlVectorStore(database, "a").get_many(["key"]) == {}
    assert await SqlVectorStore(database, "b").get_many(["key"]) == {"key": b"vector"}
    await database.close()


async def test_what_is_kept_of_a_search_is_ones_own():
    kept = MemoryCache()
    await kept.put_many({cache_key("b", "search", "question"): b"found"}, 60)
    assert await kept.get_many([cache_key("a", "search", "question")]) == {}
    assert await kept.get_many([cache_key("b", "search", "question")]) == {
        cache_key("b", "search", "question"): b"found"
    }


async def test_a_vector_kept_in_the_cache_is_ones_own(tmp_path: Path):
    database, kept = await Database.open(url_of(tmp_path / "ragstone.db")), MemoryCache()
    await CachedVectors(kept, SqlVectorStore(database, "b"), "b").put_many({"key": b"vector"})
    assert await CachedVectors(kept, SqlVectorStore(database, "a"), "a").get_many(["key"]) == {}
    await database.close()


@pytest.mark.parametrize("scope", ["a", Scope("a")], ids=["tenant", "scope"])
async def test_every_scoped_statement_names_the_tenant(scope: Scope | str):
    for statement in (scoped(collections, scope), scoped_update(collections, scope), scoped_delete(collections, scope)):
        assert "collections.tenant = " in str(statement)
