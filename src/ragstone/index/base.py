"""The search index port: points in, candidates out; and the checks that every adapter makes.

The checks are needed: Qdrant Edge accepts NaN silently, and aborts on rows of unequal length.
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
    """A chunk in the index; its text is in SQL only.

    `dense` is float32 of shape (windows, dimensions), unit rows, at least one: a chunk
    longer than the embedder's window has several windows, and its score is that of the best.
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
    """A chunk that one leg of the search (dense or sparse) found."""

    chunk_id: str
    document_id: str
    version: int
    standing: StageScore


@dataclass(frozen=True, slots=True)
class Candidates:
    """Results of each leg, best first; ties by chunk id. A leg that was not queried is empty."""

    dense: tuple[Candidate, ...] = ()
    sparse: tuple[Candidate, ...] = ()


class Index(Protocol):
    """Search index for the points of all tenants; a search finds points of its own scope only."""

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
        """Best `limit` chunks of each queried leg, within scope and filters.

        Dense scores are cosines in [-1, 1]. Sparse scores are BM25 with
        idf = ln(1 + (N - n + 0.5) / (n + 0.5)), N and n counted over the tenant's chunks;
        only chunks that share a term appear.

        Raises:
            InvalidVector: wrong size, NaN or infinity.
            IndexUnavailable: the index does not answer.
        """
        ...

    async def delete_document(self, scope: Scope, document_id: str, *, keep_version: int | None = None) -> None:
        """Remove all points of a document, or all except those of `keep_version`."""
        ...

    async def delete_tenant(self, tenant: str) -> None:
        """Remove all points of a tenant in all its collections; there may be none."""
        ...

    async def count(self, scope: Scope | str) -> int:
        """Number of chunks (not windows) of a scope, or of a tenant."""
        ...

    async def clear(self) -> None:
        """Remove all points of all tenants; `rebuild` restores them from SQL."""
        ...

    async def close(self) -> None:
        """Close the index; later calls raise `IndexUnavailable`."""
        ...


UNIT_TOLERANCE = 1e-3
"""Largest deviation of a unit vector's length from 1; float16 models stay below it."""


def check_point(point: Point, dimensions: int) -> None:
    """Check that the index can score the vectors of a point.

    Raises:
        InvalidVector: a vector is invalid; the message names the chunk and the fault.
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
    """Check that the index can score a query; returns the dense vector normalised to length 1.

    Raises:
        InvalidVector: a vector is invalid; the message names the fault.
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
        raise InvalidVector("The query's dense vector is zero. Search with the sparse vector only.")
    return dense / length


def _check_dense_values(dense: NDArray[np.float32], owner: str) -> None:
    if dense.dtype != np.float32:
        raise InvalidVector(f"The dense vector of {owner} has the type {dense.dtype}, not float32. Convert it first.")
    if not np.isfinite(dense).all():
        raise InvalidVector(f"The dense vector of {owner} contains NaN or infinity. Embed the text again.")


def _check_sparse(sparse: SparseVector, owner: str) -> None:
    indices, values = sparse.indices, sparse.values
    if indices.dtype != np.uint32 or values.dtype != np.float32 or indices.shape != values.shape or indices.ndim != 1:
        raise InvalidVector(f"The sparse vector of {owner} is not two rows of uint32 and float32 of one length.")
    if (indices[1:] <= indices[:-1]).any():
        raise InvalidVector(f"The sparse vector of {owner} has unsorted or duplicate indices. Sort and merge them.")
    if not np.isfinite(values).all():
        raise InvalidVector(f"The sparse vector of {owner} contains NaN or infinity. Compute it again from the text.")
