"""The embedded index: a client of the index process, which it starts where none runs."""

from __future__ import annotations

import asyncio
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import asdict
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from ragstone.errors import DataDirectoryError
from ragstone.frames import Header
from ragstone.index.base import Candidate, Candidates, Index, Point, check_point, check_query
from ragstone.index.points import document_points, payload, point_id, scope_points, tenant_points
from ragstone.index.qdrant_edge.connection import EdgeConnections
from ragstone.vocabulary import Filters, Scope, SparseVector, StageScore

SLICE_POINTS = 32  # 5 ms of work for the index process, in which it answers no search
SLICE_BYTES = 8 << 20


class EdgeIndex(Index):
    """Qdrant Edge in its own process, shared by all processes that use the folder.

    `connect` makes one.
    """

    def __init__(self, connections: EdgeConnections, dimensions: int) -> None:
        self._connections = connections
        self._dimensions = dimensions

    @classmethod
    async def connect(
        cls,
        folder: Path,
        *,
        dimensions: int,
        embedder: str,
        recreate: bool = False,
        timeout_s: float = 30.0,
        linger_s: float = 5.0,
    ) -> EdgeIndex:
        """Connect to the index in `folder`; start its process and make the index if need be.

        Args:
            folder: belongs to the index alone.
            dimensions: length of the dense vectors.
            embedder: name of the embedder; an index made for another one is refused.
            recreate: throw away what is there, even if it cannot be read, and start empty.
            timeout_s: after how long a request that got no answer fails.
            linger_s: how long the process, if started here, outlives its last client.

        Raises:
            ConfigurationError: the index was made for another embedder.
            DataDirectoryError: the folder cannot be written, or is of another format.
            IndexUnavailable: the process does not start, or cannot read the index.
        """
        connections = EdgeConnections(
            await asyncio.to_thread(_prepare, folder),
            dimensions=dimensions,
            embedder=embedder,
            timeout_s=timeout_s,
            linger_s=linger_s,
        )
        try:
            await connections.open(recreate=recreate)
        except BaseException:
            await connections.close()
            raise
        return cls(connections, dimensions)

    async def upsert(self, scope: Scope, points: Sequence[Point]) -> None:
        """See `Index.upsert`."""
        for point in points:
            check_point(point, self._dimensions)
        for some in _slices(points):
            headers = [_described(scope, point) for point in some]
            numbers = b"".join(point.dense.tobytes() + _sparse_bytes(point.sparse) for point in some)
            await self._connections.ask({"op": "upsert", "points": headers}, numbers)

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
        dense = check_query(dense, sparse, self._dimensions)
        request = {
            "op": "search",
            "selection": asdict(scope_points(scope, filters)),
            "corpus": asdict(tenant_points(scope.tenant)),
            "limit": limit,
            "dense": dense is not None,
            "terms": 0 if sparse is None else len(sparse.indices),
        }
        numbers = (b"" if dense is None else dense.tobytes()) + (b"" if sparse is None else _sparse_bytes(sparse))
        reply = await self._connections.ask(request, numbers)
        return Candidates(dense=_candidates(reply["dense"]), sparse=_candidates(reply["sparse"]))

    async def delete_document(self, scope: Scope, document_id: str, *, keep_version: int | None = None) -> None:
        """See `Index.delete_document`."""
        chosen = document_points(scope, document_id, keep_version=keep_version)
        await self._connections.ask({"op": "delete", "selection": asdict(chosen)})

    async def delete_tenant(self, tenant: str) -> None:
        """See `Index.delete_tenant`."""
        await self._connections.ask({"op": "delete", "selection": asdict(tenant_points(tenant))})

    async def count(self, scope: Scope | str) -> int:
        """See `Index.count`."""
        chosen = tenant_points(scope) if isinstance(scope, str) else scope_points(scope)
        reply = await self._connections.ask({"op": "count", "selection": asdict(chosen)})
        count: int = reply["count"]
        return count

    async def clear(self) -> None:
        """See `Index.clear`."""
        await self._connections.open(recreate=True)

    async def close(self) -> None:
        """See `Index.close`."""
        await self._connections.close()


def _prepare(folder: Path) -> Path:
    """Make the folder, and name it in the one way that all processes share."""
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder):
            return folder.resolve()
    except OSError as error:
        raise DataDirectoryError(
            f"The index folder {folder} cannot be written: {error.strerror}. "
            "Make it writable, or set another data directory."
        ) from error


def _slices(points: Sequence[Point]) -> Iterator[list[Point]]:
    """Cut into requests that are soon answered."""
    some: list[Point] = []
    size = 0
    for point in points:
        if some and (len(some) == SLICE_POINTS or size + point.dense.nbytes > SLICE_BYTES):
            yield some
            some, size = [], 0
        some.append(point)
        size += point.dense.nbytes
    if some:
        yield some


def _described(scope: Scope, point: Point) -> Header:
    return {
        "id": point_id(scope, point.chunk_id),
        "payload": payload(scope, point),
        "windows": len(point.dense),
        "terms": len(point.sparse.indices),
    }


def _sparse_bytes(sparse: SparseVector) -> bytes:
    return sparse.indices.tobytes() + sparse.values.tobytes()


def _candidates(hits: Sequence[tuple[str, str, int, float]]) -> tuple[Candidate, ...]:
    return tuple(
        Candidate(chunk_id, document_id, version, StageScore(rank, score))
        for rank, (chunk_id, document_id, version, score) in enumerate(hits, start=1)
    )
