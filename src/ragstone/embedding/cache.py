"""The embedding cache: stores vectors of documents by a hash of model and text."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from hashlib import blake2b
from typing import Protocol

import numpy as np

from ragstone.embedding.base import Embedder, Matrix, Offsets, Purpose
from ragstone.telemetry.metrics import Metrics

KEY_BYTES = 32


def cache_key(embedder_name: str, purpose: Purpose, text: str) -> str:
    """Cache key of a text's vector: a hash of everything that determines the vector."""
    hashed = blake2b(digest_size=KEY_BYTES)
    for part in (embedder_name, purpose, text):
        content = part.encode(errors="surrogatepass")
        hashed.update(len(content).to_bytes(8) + content)
    return hashed.hexdigest()


class VectorStore(Protocol):
    """Key-value store of the cache; each call is one statement, for any number of keys."""

    async def get_many(self, keys: Sequence[str]) -> dict[str, bytes]:
        """Values of the keys that are stored."""
        ...

    async def put_many(self, values: Mapping[str, bytes]) -> None:
        """Store values; a key always has the same value."""
        ...


class CachedEmbedder:
    """Embedder with a cache: looks in `store` before it calls `inner`, for documents only.

    Queries are not cached: the same question is rare, takes a few milliseconds to embed,
    and questions of users should not be stored.
    """

    def __init__(self, inner: Embedder, store: VectorStore, *, metrics: Metrics | None = None) -> None:
        self._inner = inner
        self._store = store
        self._metrics = metrics
        self.name = inner.name
        self.dimensions = inner.dimensions
        self.window_tokens = inner.window_tokens

    async def embed(self, texts: Sequence[str], *, purpose: Purpose) -> Matrix:
        """See `Embedder.embed`; one read for all texts, one write for the new ones, each text embedded once."""
        if purpose == "query" or not texts:
            return await self._inner.embed(texts, purpose=purpose)
        keys = [cache_key(self.name, purpose, text) for text in texts]
        wanted = dict(zip(keys, texts, strict=True))
        found = await self._store.get_many(list(wanted))
        known = {key: vector for key, value in found.items() if (vector := self._vector(value)) is not None}
        missing = {key: text for key, text in wanted.items() if key not in known}
        if missing:
            made = await self._inner.embed(list(missing.values()), purpose=purpose)
            new = dict(zip(missing, made, strict=True))
            await self._store.put_many({key: vector.astype("<f4").tobytes() for key, vector in new.items()})
            known |= new
        self._count(hits=len(texts) - len(missing), misses=len(missing))
        return np.stack([known[key] for key in keys])

    def token_offsets(self, text: str) -> Offsets:
        """See `Embedder.token_offsets`."""
        return self._inner.token_offsets(text)

    def close(self) -> None:
        """See `Embedder.close`."""
        self._inner.close()

    def _vector(self, value: bytes) -> Matrix | None:
        """The stored vector; None if it is damaged, so that it is computed again."""
        if len(value) != 4 * self.dimensions:
            return None
        vector = np.frombuffer(value, "<f4").astype(np.float32)
        return vector if abs(float(vector @ vector) - 1) < 1e-3 else None

    def _count(self, *, hits: int, misses: int) -> None:
        if self._metrics is not None:
            self._metrics.cache.labels("hit").inc(hits)
            self._metrics.cache.labels("miss").inc(misses)
