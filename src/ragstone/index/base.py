"""The port of the index: points in, candidates out."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from ragstone.vocabulary import Filters, MetadataValue, Scope, SparseVector, Standing


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
    standing: Standing


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
