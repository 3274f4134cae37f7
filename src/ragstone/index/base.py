"""The port of the search index: points in, candidates out; and the checks that every adapter makes.

Qdrant Edge takes NaN without a word and aborts on rows of unequal length.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from ragstone.errors import InvalidVector
from ragstone.vocabulary import Filters, MetadataValue, Scope, SparseVector, StageScore


@dataclass(frozen=True, slots=True)
class Point:
    """One chunk as the index knows it; the text stays in SQL.

    `dense` is float32 of shape (windows, dimensions), unit rows, at least one: a chunk
    longer than the embedder's window has several, and scores by its best.
    """

    chunk_id: str
    document_id: str
    version: int
    media_type: str
    dense: NDArray[np.float32]
    sparse: SparseVector
    metadata: Mapping[str, MetadataValue] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Candidate:
    """A chunk that one leg of the search found."""

    chunk_id: str
    document_id: str
    version: int
    standing: StageScore


@dataclass(frozen=True, slots=True)
class Candidates:
    """What each leg found, best first; ties by chunk id. A leg not asked for is empty."""

    dense: tuple[Candidate, ...] = ()
    sparse: tuple[Candidate, ...] = ()


class Index(Protocol):
    """Stores points of all tenants and never shows one tenant's to another."""

    async def upsert(self, scope: Scope, points: Sequence[Point]) -> None:
        """Add or replace points by chunk id; durable against kill -9 on return.

        Raises:
            InvalidVector: wrong size, NaN, infinity or not of unit length; nothing is written.
            IndexUnavailable: the index does not answer.
        """
        ...

    async def search(
        self,
        scope: Scope,
        *,
        dense: NDArray[np.float32] | None,
        sparse: SparseVector | None,
        filters: Filters,
        limit: int,
    ) -> Candidates:
        """Best `limit` chunks of each leg asked for, within scope and filters.

        Dense scores are cosines in [-1, 1]. Sparse scores are BM25 with
        idf = ln(1 + (N - n + 0.5) / (n + 0.5)), N and n counted over the tenant's chunks;
        only chunks that share a term appear.

        Raises:
            InvalidVector: wrong size, NaN or infinity.
            IndexUnavailable: the index does not answer.
        """
        ...

    async def delete_document(self, scope: Scope, document_id: str, *, keep_version: int | None = None) -> None:
        """Remove all points of a document, or all but those of `keep_version`."""
        ...

    async def delete_tenant(self, tenant: str) -> None:
        """Remove all points of a tenant, of every collection; there may be none."""
        ...

    async def count(self, scope: Scope | str) -> int:
        """Number of chunks (not windows) in the scope, or of the tenant of that name."""
        ...

    async def clear(self) -> None:
        """Remove everything of every tenant; `rebuild` fills it again from SQL."""
        ...

    async def close(self) -> None:
        """Let go of the index; calls after it raise `IndexUnavailable`."""
        ...


UNIT_TOLERANCE = 1e-3
"""How far from 1 the length of a unit vector may be; float16 models stay below it."""


def check_point(point: Point, dimensions: int) -> None:
    """Refuse a point whose vectors the index could not score.

    Raises:
        InvalidVector: names the chunk and what is wrong with its vectors.
    """
    owner = f"chunk {point.chunk_id}"
    dense = point.dense
    if dense.ndim != 2 or dense.shape[0] == 0 or dense.shape[1] != dimensions:
        raise InvalidVector(
            f"The dense vectors of {owner} have the shape {dense.shape}, not (windows, {dimensions}). "
            "Embed it again with the embedder that this index was made for."
        )
    _check_dense_values(dense, owner)
    lengths = np.linalg.norm(dense, axis=1)
    if (abs(lengths - 1) > UNIT_TOLERANCE).any():
        raise InvalidVector(f"A dense vector of {owner} is not of length 1. Normalise the vectors first.")
    _check_sparse(point.sparse, owner)


def check_query(
    dense: NDArray[np.float32] | None, sparse: SparseVector | None, dimensions: int
) -> NDArray[np.float32] | None:
    """Refuse a query that the index could not score; return the dense vector at length 1.

    Raises:
        InvalidVector: says what is wrong with it.
    """
    if sparse is not None:
        _check_sparse(sparse, "the query")
    if dense is None:
        return None
    if dense.shape != (dimensions,):
        raise InvalidVector(
            f"The query's dense vector has the shape {dense.shape}, not ({dimensions},). "
            "Embed the question with the embedder that this index was made for."
        )
    _check_dense_values(dense, "the query")
    length = np.linalg.norm(dense)
    if length == 0:
        raise InvalidVector("The query's dense vector is zero, and points nowhere. Ask by its terms alone.")
    return dense / length


def _check_dense_values(dense: NDArray[np.float32], owner: str) -> None:
    if dense.dtype != np.float32:
        raise InvalidVector(f"The dense vector of {owner} holds {dense.dtype}, not float32. Convert it first.")
    if not np.isfinite(dense).all():
        raise InvalidVector(f"The dense vector of {owner} holds NaN or infinity. Embed the text again.")


def _check_sparse(sparse: SparseVector, owner: str) -> None:
    indices, values = sparse.indices, sparse.values
    if indices.dtype != np.uint32 or values.dtype != np.float32 or indices.shape != values.shape or indices.ndim != 1:
        raise InvalidVector(f"The sparse vector of {owner} is not two rows of uint32 and float32 of one length.")
    if (indices[1:] <= indices[:-1]).any():
        raise InvalidVector(f"The sparse vector of {owner} has indices out of order or twice. Sort and merge them.")
    if not np.isfinite(values).all():
        raise InvalidVector(f"The sparse vector of {owner} holds NaN or infinity. Make it again from the text.")
