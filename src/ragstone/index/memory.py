"""The exact index in memory: the reference for the tests of all other indexes."""

from __future__ import annotations

import heapq
import math
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from ragstone.errors import IndexUnavailable
from ragstone.index.base import Candidate, Candidates, Index, Point, check_point, check_query
from ragstone.vocabulary import Filters, MetadataValue, Scope, SparseVector, StageScore

Key = tuple[str, str]
"""Collection and chunk id; unique within a tenant."""


@dataclass(frozen=True, slots=True)
class _Stack:
    """Matrix of the windows of all chunks of a collection; chunk i starts at row `starts[i]`."""

    keys: tuple[Key, ...]
    starts: NDArray[np.intp]
    windows: NDArray[np.float32]


@dataclass(slots=True)
class _Tenant:
    """Points of one tenant, with an inverted index: the chunks and weights of each term."""

    points: dict[Key, Point] = field(default_factory=dict)
    postings: defaultdict[int, dict[Key, float]] = field(default_factory=lambda: defaultdict(dict))
    stacks: dict[str, _Stack] = field(default_factory=dict)


class MemoryIndex(Index):
    """Index in the memory of this process with exact scores; it is lost when the process ends."""

    def __init__(self, dimensions: int) -> None:
        self._dimensions = dimensions
        self._tenants: defaultdict[str, _Tenant] = defaultdict(_Tenant)
        self._closed = False

    async def upsert(self, scope: Scope, points: Sequence[Point]) -> None:
        """See `Index.upsert`."""
        self._require_open()
        for point in points:
            check_point(point, self._dimensions)
        tenant = self._tenants[scope.tenant]
        for point in points:
            key = (scope.collection, point.chunk_id)
            _remove(tenant, key)
            tenant.points[key] = point
            for index, value in zip(point.sparse.indices.tolist(), point.sparse.values.tolist(), strict=True):
                tenant.postings[index][key] = value
        tenant.stacks.pop(scope.collection, None)

    async def search(
        self,
        scope: Scope,
        *,
        dense: NDArray[np.float32] | None,
        sparse: SparseVector | None,
        filters: Filters,
        limit: int,
    ) -> Candidates:
        """See `Index.search`."""
        self._require_open()
        dense = check_query(dense, sparse, self._dimensions)
        tenant = self._tenants[scope.tenant]

        def best(scores: Iterable[tuple[Key, float]]) -> tuple[Candidate, ...]:
            allowed = (
                (-score, chunk_id)
                for (collection, chunk_id), score in scores
                if collection == scope.collection and _passes(tenant.points[collection, chunk_id], filters)
            )
            return tuple(
                _candidate(tenant.points[scope.collection, chunk_id], rank, -negative)
                for rank, (negative, chunk_id) in enumerate(heapq.nsmallest(limit, allowed), start=1)
            )

        return Candidates(
            dense=() if dense is None else best(_cosines(tenant, scope.collection, dense)),
            sparse=() if sparse is None else best(_bm25(tenant, sparse)),
        )

    async def delete_document(self, scope: Scope, document_id: str, *, keep_version: int | None = None) -> None:
        """See `Index.delete_document`."""
        self._require_open()
        tenant = self._tenants[scope.tenant]
        for key, point in list(tenant.points.items()):
            ours = key[0] == scope.collection and point.document_id == document_id
            if ours and (keep_version is None or point.version != keep_version):
                _remove(tenant, key)
        tenant.stacks.pop(scope.collection, None)

    async def delete_tenant(self, tenant: str) -> None:
        """See `Index.delete_tenant`."""
        self._require_open()
        self._tenants.pop(tenant, None)

    async def count(self, scope: Scope | str) -> int:
        """See `Index.count`."""
        self._require_open()
        if isinstance(scope, str):
            return len(self._tenants[scope].points) if scope in self._tenants else 0
        return sum(collection == scope.collection for collection, _ in self._tenants[scope.tenant].points)

    async def clear(self) -> None:
        """See `Index.clear`."""
        self._require_open()
        self._tenants.clear()

    async def close(self) -> None:
        """See `Index.close`."""
        self._closed = True

    def _require_open(self) -> None:
        if self._closed:
            raise IndexUnavailable("This index was closed. Open the platform again.")


def _remove(tenant: _Tenant, key: Key) -> None:
    point = tenant.points.pop(key, None)
    if point is None:
        return
    for index in point.sparse.indices.tolist():
        del tenant.postings[index][key]


def _cosines(tenant: _Tenant, collection: str, query: NDArray[np.float32]) -> Iterable[tuple[Key, float]]:
    """Yield each chunk of the collection with the cosine of its best window."""
    if collection not in tenant.stacks:
        tenant.stacks[collection] = _stack(tenant, collection)
    stack = tenant.stacks[collection]
    if not stack.keys:
        return ()
    scores = np.maximum.reduceat(stack.windows @ query, stack.starts)
    return zip(stack.keys, scores.tolist(), strict=True)


def _stack(tenant: _Tenant, collection: str) -> _Stack:
    chosen = {key: point.dense for key, point in tenant.points.items() if key[0] == collection}
    sizes = [len(dense) for dense in chosen.values()]
    starts = np.concatenate([[0], np.cumsum(sizes)[:-1]]).astype(np.intp) if sizes else np.empty(0, np.intp)
    windows = np.concatenate(list(chosen.values())) if chosen else np.empty((0, 0), np.float32)
    return _Stack(tuple(chosen), starts, windows)


def _bm25(tenant: _Tenant, query: SparseVector) -> Iterable[tuple[Key, float]]:
    """BM25 scores of the tenant's chunks that share a term with the query; see `Index.search` for the formula."""
    scores: defaultdict[Key, float] = defaultdict(float)
    for index, weight in zip(query.indices.tolist(), query.values.tolist(), strict=True):
        holders = tenant.postings.get(index, {})
        idf = math.log(1 + (len(tenant.points) - len(holders) + 0.5) / (len(holders) + 0.5))
        for key, value in holders.items():
            scores[key] += weight * idf * value
    return scores.items()


def _passes(point: Point, filters: Filters) -> bool:
    return (
        (not filters.documents or point.document_id in filters.documents)
        and (not filters.media_types or point.media_type in filters.media_types)
        and all(_holds(point, name, values) for name, values in filters.metadata.items() if values)
    )


def _holds(point: Point, name: str, values: Sequence[MetadataValue]) -> bool:
    """Whether the field has one of the values; 1 equals 1.0, but not True."""
    if name not in point.metadata:
        return False
    held = point.metadata[name]
    return any(held == value and isinstance(held, bool) == isinstance(value, bool) for value in values)


def _candidate(point: Point, rank: int, score: float) -> Candidate:
    return Candidate(point.chunk_id, point.document_id, point.version, StageScore(rank, score))
