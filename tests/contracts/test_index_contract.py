"""One suite for every index; the exact one in memory is also the reference for the scores."""

from __future__ import annotations

import math
from collections.abc import AsyncIterator, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import pytest_asyncio

from ragstone.errors import IndexUnavailable, InvalidVector
from ragstone.index.base import Candidate, Candidates, Index, Point
from ragstone.index.memory import MemoryIndex
from ragstone.index.qdrant_edge.index import EdgeIndex
from ragstone.vocabulary import Filters, MetadataValue, Scope, SparseVector

DIMENSIONS = 16
HERE = Scope("acme", "handbook")
NO_FILTERS = Filters()


@pytest_asyncio.fixture(params=["memory", "edge"])
async def index(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Index]:
    if request.param == "memory":
        yield MemoryIndex(DIMENSIONS)
        return
    edge = await EdgeIndex.connect(tmp_path / "index", dimensions=DIMENSIONS, embedder="test", linger_s=0)
    yield edge
    await edge.close()


def axis(number: int, *, towards: int | None = None, share: float = 0.0) -> np.ndarray:
    """The unit vector of an axis, turned `share` of the way towards another one."""
    vector = np.zeros(DIMENSIONS, np.float32)
    vector[number] = math.sqrt(1 - share**2)
    if towards is not None:
        vector[towards] = share
    return vector


def bag(weights: dict[int, float]) -> SparseVector:
    ordered = sorted(weights.items())
    return SparseVector(
        np.array([index for index, _ in ordered], np.uint32), np.array([value for _, value in ordered], np.float32)
    )


def point(
    chunk_id: str,
    *windows: np.ndarray,
    terms: dict[int, float] | None = None,
    document: str = "d",
    version: int = 1,
    media_type: str = "text/plain",
    metadata: dict[str, MetadataValue] | None = None,
) -> Point:
    dense = np.stack(windows or (axis(0),))
    return Point(chunk_id, document, version, media_type, dense, bag(terms or {1: 1.0}), metadata or {})


def ids(found: Sequence[Candidate]) -> list[str]:
    return [candidate.chunk_id for candidate in found]


async def look(
    index: Index,
    *,
    scope: Scope = HERE,
    dense: np.ndarray | None = None,
    terms: dict[int, float] | None = None,
    filters: Filters = NO_FILTERS,
    limit: int = 10,
) -> Candidates:
    sparse = None if terms is None else bag(terms)
    return await index.search(scope, dense=dense, sparse=sparse, filters=filters, limit=limit)


async def test_dense_scores_are_cosines_of_the_best_window(index: Index) -> None:
    await index.upsert(HERE, [point("near", axis(5), axis(0, towards=1, share=0.6)), point("far", axis(1))])
    found = (await look(index, dense=axis(0))).dense
    assert ids(found) == ["near", "far"]
    assert [c.standing.score for c in found] == pytest.approx([0.8, 0.0], abs=1e-6)
    assert [c.standing.rank for c in found] == [1, 2]


async def test_a_query_of_any_length_gets_cosines(index: Index) -> None:
    await index.upsert(HERE, [point("a", axis(0))])
    found = await look(index, dense=axis(0) * np.float32(7))
    assert found.dense[0].standing.score == pytest.approx(1.0, abs=1e-6)


async def test_sparse_scores_are_bm25_by_hand(index: Index) -> None:
    chunks = [point("a", terms={1: 0.5, 2: 0.25}), point("b", terms={1: 0.4}), point("c", terms={3: 1.0})]
    await index.upsert(HERE, chunks)
    found = (await look(index, terms={1: 2.0, 2: 1.0})).sparse
    often, seldom = math.log(1 + (3 - 2 + 0.5) / 2.5), math.log(1 + (3 - 1 + 0.5) / 1.5)
    assert ids(found) == ["a", "b"]
    assert [c.standing.score for c in found] == pytest.approx(
        [2 * often * 0.5 + seldom * 0.25, 2 * often * 0.4], abs=1e-5
    )


async def test_only_chunks_that_share_a_term_appear(index: Index) -> None:
    await index.upsert(HERE, [point("a", terms={1: 1.0}), point("b", terms={2: 1.0})])
    assert ids((await look(index, terms={1: 1.0, 9: 1.0})).sparse) == ["a"]
    assert (await look(index, terms={9: 1.0})).sparse == ()
    assert (await look(index, terms={})).sparse == ()


async def test_a_leg_not_asked_for_is_empty(index: Index) -> None:
    await index.upsert(HERE, [point("a")])
    assert (await look(index, dense=axis(0))).sparse == ()
    assert (await look(index, terms={1: 1.0})).dense == ()
    assert await look(index) == Candidates()


async def test_ties_come_in_the_order_of_chunk_ids_also_at_the_cut(index: Index) -> None:
    names = [f"c{number:03}" for number in range(300)]
    shuffled = np.random.default_rng(5).permutation(names).tolist()
    await index.upsert(HERE, [point(name) for name in shuffled])
    found = await look(index, dense=axis(0), terms={1: 1.0}, limit=7)
    assert ids(found.dense) == names[:7]
    assert ids(found.sparse) == names[:7]


async def test_limit_counts_chunks_however_many_windows_they_have(index: Index) -> None:
    many = [axis(0, towards=2, share=number / 100) for number in range(50)]
    await index.upsert(HERE, [point("long", *many), *(point(f"short{n}", axis(1)) for n in range(5))])
    found = (await look(index, dense=axis(0), limit=4)).dense
    assert ids(found) == ["long", "short0", "short1", "short2"]
    assert await index.count(HERE) == 6


async def test_windows_do_not_weigh_in_the_term_statistics(index: Index) -> None:
    await index.upsert(HERE, [point("a", *[axis(n) for n in range(9)], terms={1: 1.0}), point("b", terms={2: 1.0})])
    found = (await look(index, terms={1: 1.0})).sparse
    assert found[0].standing.score == pytest.approx(math.log(1 + (2 - 1 + 0.5) / 1.5), abs=1e-5)


async def test_tenants_and_collections_never_see_each_other(index: Index) -> None:
    elsewhere = [Scope("other", "handbook"), Scope("acme", "blog"), Scope("acmehandbook", "")]
    for scope in (HERE, *elsewhere):
        await index.upsert(scope, [point("same-id", document=f"{scope.tenant}/{scope.collection}")])
    for scope in (HERE, *elsewhere):
        found = await look(index, scope=scope, dense=axis(0), terms={1: 1.0})
        seen = {candidate.document_id for candidate in found.dense + found.sparse}
        assert seen == {f"{scope.tenant}/{scope.collection}"}
        assert await index.count(scope) == 1
    await index.delete_document(HERE, "other/handbook")
    assert await index.count(elsewhere[0]) == 1


async def test_term_statistics_are_the_tenants_own_over_all_its_collections(index: Index) -> None:
    await index.upsert(HERE, [point("a", terms={1: 1.0})])
    before = (await look(index, terms={1: 1.0})).sparse[0].standing.score
    await index.upsert(Scope("other", "handbook"), [point(f"x{n}", terms={1: 1.0}) for n in range(20)])
    assert (await look(index, terms={1: 1.0})).sparse[0].standing.score == pytest.approx(before, abs=1e-6)
    await index.upsert(Scope("acme", "blog"), [point(f"y{n}", terms={2: 1.0}) for n in range(20)])
    after = (await look(index, terms={1: 1.0})).sparse[0].standing.score
    assert after == pytest.approx(math.log(1 + (21 - 1 + 0.5) / 1.5), abs=1e-5)


async def test_deleted_and_replaced_chunks_leave_the_term_statistics(index: Index) -> None:
    await index.upsert(HERE, [point(f"c{n}", document=f"d{n}", terms={1: 1.0}) for n in range(10)])
    for number in range(1, 10):
        await index.delete_document(HERE, f"d{number}")
    await index.upsert(HERE, [point("c0", terms={2: 1.0})])
    assert (await look(index, terms={1: 1.0})).sparse == ()
    assert (await look(index, terms={2: 1.0})).sparse[0].standing.score == pytest.approx(
        math.log(1 + 0.5 / 1.5), abs=1e-5
    )


FILTERED: list[tuple[Filters, list[str]]] = [
    (Filters(), ["a", "b", "c", "d"]),
    (Filters(documents=("d1",)), ["a"]),
    (Filters(documents=("d1", "d3", "none")), ["a", "c"]),
    (Filters(media_types=("text/html",)), ["b"]),
    (Filters(metadata={"lang": ("de",)}), ["a", "c"]),
    (Filters(metadata={"lang": ("de", "en")}), ["a", "b", "c"]),
    (Filters(metadata={"lang": ("de",), "year": (2024,)}), ["c"]),
    (Filters(metadata={"year": (2024.0,)}), ["b", "c"]),
    (Filters(metadata={"draft": (True,)}), ["a"]),
    (Filters(metadata={"draft": (1,)}), ["d"]),
    (Filters(metadata={"lang": ()}), ["a", "b", "c", "d"]),
    (Filters(metadata={"no.such[]key": ("de",)}), []),
    (Filters(metadata={'odd "key".a[0]': ("ü\n",)}), ["d"]),
    (Filters(documents=("d2",), media_types=("text/plain",)), []),
]


async def test_filters_narrow_both_legs(index: Index) -> None:
    await index.upsert(
        HERE,
        [
            point("a", document="d1", metadata={"lang": "de", "year": 2023, "draft": True}),
            point("b", document="d2", media_type="text/html", metadata={"lang": "en", "year": 2024}),
            point("c", document="d3", metadata={"lang": "de", "year": 2024}),
            point("d", document="d4", metadata={'odd "key".a[0]': "ü\n", "draft": 1, "year": 20.24}),
        ],
    )
    for filters, expected in FILTERED:
        found = await look(index, dense=axis(0), terms={1: 1.0}, filters=filters)
        assert ids(found.dense) == expected, filters
        assert ids(found.sparse) == expected, filters


async def test_upsert_replaces_the_whole_chunk(index: Index) -> None:
    old = point("a", axis(0), axis(1), axis(2), terms={1: 1.0}, metadata={"lang": "de"})
    await index.upsert(HERE, [old])
    await index.upsert(HERE, [replace(old, dense=axis(3)[None], sparse=bag({2: 1.0}), version=2, metadata={})])
    assert await index.count(HERE) == 1
    found = (await look(index, dense=axis(1))).dense
    assert [c.version for c in found] == [2]
    assert found[0].standing.score == pytest.approx(0.0, abs=1e-6)
    assert (await look(index, terms={1: 1.0})).sparse == ()
    assert (await look(index, dense=axis(1), filters=Filters(metadata={"lang": ("de",)}))).dense == ()


async def test_the_last_of_two_points_of_one_id_stays(index: Index) -> None:
    await index.upsert(HERE, [point("a", version=1), point("a", version=2)])
    assert [c.version for c in (await look(index, dense=axis(0))).dense] == [2]


async def test_delete_document_keeps_the_version_it_is_told_to(index: Index) -> None:
    versions = [point(f"d:{version}:0", version=version) for version in (1, 2, 3)]
    await index.upsert(HERE, [*versions, point("other", document="e")])
    await index.delete_document(HERE, "d", keep_version=2)
    assert ids((await look(index, dense=axis(0))).dense) == ["d:2:0", "other"]
    await index.delete_document(HERE, "d")
    await index.delete_document(HERE, "never seen")
    assert ids((await look(index, dense=axis(0))).dense) == ["other"]


async def test_clear_removes_everything_of_every_tenant(index: Index) -> None:
    for scope in (HERE, Scope("other", "x")):
        await index.upsert(scope, [point("a")])
    await index.clear()
    assert await index.count(HERE) == await index.count(Scope("other", "x")) == 0
    await index.upsert(HERE, [point("b")])
    assert ids((await look(index, dense=axis(0))).dense) == ["b"]


async def test_delete_tenant_removes_its_points_of_every_collection_and_of_no_other_tenant(index: Index) -> None:
    scopes = [HERE, Scope("acme", "blog"), Scope("acmehandbook", ""), Scope("other", "handbook")]
    for scope in scopes:
        await index.upsert(scope, [point("a"), point("b", terms={2: 1.0})])
    assert await index.count("acme") == 4
    await index.delete_tenant("acme")
    await index.delete_tenant("never seen")
    assert [await index.count(scope) for scope in scopes] == [0, 0, 2, 2]
    assert [await index.count(tenant) for tenant in ("acme", "acmehandbook", "never seen")] == [0, 2, 0]
    assert await look(index, dense=axis(0), terms={1: 1.0}) == Candidates()
    await index.upsert(HERE, [point("c")])
    assert ids((await look(index, dense=axis(0), terms={1: 1.0})).dense) == ["c"]


NAN, INFINITY = float("nan"), float("inf")


BAD_POINTS = [
    replace(point("bad"), dense=np.full((1, DIMENSIONS - 1), 0.25, np.float32)),
    replace(point("bad"), dense=axis(0)),
    replace(point("bad"), dense=np.empty((0, DIMENSIONS), np.float32)),
    replace(point("bad"), dense=np.eye(1, DIMENSIONS)),  # type: ignore[arg-type] # wrong on purpose
    point("bad", axis(0), axis(0) + np.float32(NAN)),
    point("bad", axis(0) + np.float32(INFINITY)),
    point("bad", axis(0) * np.float32(1.01)),
    point("bad", np.zeros(DIMENSIONS, np.float32)),
    point("bad", terms={1: NAN}),
    replace(point("bad"), sparse=SparseVector(np.array([2, 1], np.uint32), np.ones(2, np.float32))),
    replace(point("bad"), sparse=SparseVector(np.array([1, 1], np.uint32), np.ones(2, np.float32))),
    replace(point("bad"), sparse=SparseVector(np.array([1], np.uint32), np.ones(2, np.float32))),
    replace(point("bad"), sparse=SparseVector(np.array([1], np.int64), np.ones(1, np.float32))),
]


async def test_one_bad_vector_and_nothing_is_written(index: Index) -> None:
    for bad in BAD_POINTS:
        with pytest.raises(InvalidVector, match="chunk bad"):
            await index.upsert(HERE, [*(point(f"good{n}") for n in range(100)), bad])
    assert await index.count(HERE) == 0


BAD_QUERIES: list[tuple[np.ndarray | None, dict[int, float] | None]] = [
    (np.ones(DIMENSIONS + 1, np.float32), None),
    (np.ones((1, DIMENSIONS), np.float32), None),
    (axis(0) + np.float32(NAN), None),
    (np.zeros(DIMENSIONS, np.float32), None),
    (None, {1: INFINITY}),
]


async def test_a_bad_query_is_refused(index: Index) -> None:
    for dense, terms in BAD_QUERIES:
        with pytest.raises(InvalidVector, match="query"):
            await look(index, dense=dense, terms=terms)


async def test_an_empty_index_finds_nothing(index: Index) -> None:
    assert await look(index, dense=axis(0), terms={1: 1.0}) == Candidates()
    assert await index.count(HERE) == 0
    await index.upsert(HERE, [])


async def test_a_chunk_without_terms_is_found_by_meaning_and_counts(index: Index) -> None:
    empty = replace(point("empty"), sparse=bag({}))
    await index.upsert(HERE, [empty, point("a", axis(1), terms={1: 1.0})])
    found = await look(index, dense=axis(0), terms={1: 1.0}, limit=1)
    assert ids(found.dense) == ["empty"]
    assert found.sparse[0].standing.score == pytest.approx(math.log(1 + 1.5 / 1.5), abs=1e-5)


async def test_a_closed_index_says_so(index: Index) -> None:
    await index.close()
    await index.close()
    for call in (index.upsert(HERE, [point("a")]), look(index, dense=axis(0)), index.count(HERE), index.clear()):
        with pytest.raises(IndexUnavailable, match="closed"):
            await call


async def test_it_agrees_with_the_exact_reference_on_random_data(index: Index) -> None:
    random = np.random.default_rng(11)
    reference = MemoryIndex(DIMENSIONS)
    scopes = [HERE, Scope("acme", "blog"), Scope("other", "handbook")]
    for number in range(600):
        made = _random_point(random, number)
        for each in (index, reference):
            await each.upsert(scopes[number % 3], [made])
    for scope in scopes:
        for each in (index, reference):
            await each.delete_document(scope, "d7")
            await each.delete_document(scope, "d3", keep_version=1)
    for number in range(30):
        scope = scopes[number % 3]
        query = {int(term): float(random.integers(1, 3)) for term in random.zipf(1.4, 4)}
        dense = random.normal(size=DIMENSIONS).astype(np.float32)
        filters = Filters(metadata={"lang": ("de",)}) if number % 2 else NO_FILTERS
        ours = await look(index, scope=scope, dense=dense, terms=query, filters=filters, limit=25)
        exact = await look(reference, scope=scope, dense=dense, terms=query, filters=filters, limit=25)
        _assert_alike(ours.dense, exact.dense, tolerance=1e-4)
        _assert_alike(ours.sparse, exact.sparse, tolerance=1e-3)


def _random_point(random: np.random.Generator, number: int) -> Point:
    windows = random.normal(size=(random.integers(1, 5), DIMENSIONS)).astype(np.float32)
    windows /= np.linalg.norm(windows, axis=1, keepdims=True)
    terms = {int(term): float(random.uniform(0.1, 1)) for term in random.zipf(1.4, 20) if term < 2**32}
    language = str(random.choice(["de", "en"]))
    document, version = f"d{number % 10}", int(random.integers(1, 3))
    return point(
        f"c{number % 500}", *windows, terms=terms, document=document, version=version, metadata={"lang": language}
    )


def _assert_alike(ours: Sequence[Candidate], exact: Sequence[Candidate], *, tolerance: float) -> None:
    """The same chunks with the same scores; neighbours closer than the tolerance may swap."""
    assert [c.standing.rank for c in ours] == list(range(1, len(exact) + 1))
    scores = [c.standing.score for c in exact]
    assert [c.standing.score for c in ours] == pytest.approx(scores, abs=tolerance)
    known = {c.chunk_id: c for c in exact}
    for candidate in ours:
        twin = known.get(candidate.chunk_id)
        if twin is None:
            assert candidate.standing.score == pytest.approx(scores[-1], abs=tolerance)
        else:
            assert (candidate.document_id, candidate.version) == (twin.document_id, twin.version)
            assert candidate.standing.score == pytest.approx(twin.standing.score, abs=tolerance)
