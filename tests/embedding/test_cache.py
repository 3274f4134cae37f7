"""The embedding cache: it saves computation and storage operations, and never changes a vector."""

from __future__ import annotations

import numpy as np
import pytest

from ragstone.embedding.cache import CachedEmbedder
from ragstone.embedding.hashing import HashingEmbedder
from ragstone.telemetry.metrics import Metrics

TEXTS = ["one fish", "two fish", "one fish", "red fish"]


class CountingEmbedder(HashingEmbedder):
    """Remembers what it was asked."""

    def __init__(self, name: str | None = None):
        super().__init__(32)
        self.name = name or self.name
        self.asked: list[list[str]] = []

    async def embed(self, texts, *, purpose):
        self.asked.append(list(texts))
        return await super().embed(texts, purpose=purpose)


class CountingStore:
    """Remembers its calls."""

    def __init__(self):
        self.kept: dict[str, bytes] = {}
        self.calls: list[str] = []

    async def get_many(self, keys):
        self.calls.append("get")
        return {key: self.kept[key] for key in keys if key in self.kept}

    async def put_many(self, values):
        self.calls.append("put")
        self.kept |= values


@pytest.fixture
def store():
    return CountingStore()


async def test_a_batch_takes_one_read_and_one_write(store):
    cached = CachedEmbedder(CountingEmbedder(), store)
    await cached.embed(TEXTS, purpose="document")
    assert store.calls == ["get", "put"]
    await cached.embed(TEXTS, purpose="document")
    assert store.calls == ["get", "put", "get"]


async def test_a_text_is_embedded_once_also_within_a_batch(store):
    inner = CountingEmbedder()
    cached = CachedEmbedder(inner, store)
    await cached.embed(TEXTS, purpose="document")
    await cached.embed([*TEXTS, "blue fish"], purpose="document")
    assert inner.asked == [["one fish", "two fish", "red fish"], ["blue fish"]]


async def test_cached_vectors_are_exactly_the_embedders(store):
    cached = CachedEmbedder(CountingEmbedder(), store)
    direct = await HashingEmbedder(32).embed(TEXTS, purpose="document")
    np.testing.assert_array_equal(await cached.embed(TEXTS, purpose="document"), direct)
    np.testing.assert_array_equal(await cached.embed(TEXTS, purpose="document"), direct)


async def test_queries_leave_no_trace(store):
    await CachedEmbedder(CountingEmbedder(), store).embed(["who am I?"], purpose="query")
    assert store.calls == []


async def test_vectors_of_two_models_never_mix(store):
    await CachedEmbedder(CountingEmbedder("a"), store).embed(TEXTS, purpose="document")
    other = CountingEmbedder("b")
    await CachedEmbedder(other, store).embed(TEXTS, purpose="document")
    assert len(other.asked[0]) == 3


@pytest.mark.parametrize("damaged", [b"", b"short", bytes(128), b"\xff" * 128])
async def test_a_damaged_entry_is_made_again(store, damaged):
    cached = CachedEmbedder(CountingEmbedder(), store)
    good = await cached.embed(TEXTS, purpose="document")
    store.kept = dict.fromkeys(store.kept, damaged)
    np.testing.assert_array_equal(await cached.embed(TEXTS, purpose="document"), good)
    assert damaged not in store.kept.values()


async def test_hits_and_misses_are_counted(store):
    metrics = Metrics()
    cached = CachedEmbedder(CountingEmbedder(), store, metrics=metrics)
    await cached.embed(TEXTS, purpose="document")
    await cached.embed(TEXTS, purpose="document")
    counted = {
        label: metrics.registry.get_sample_value("ragstone_embedding_cache_total", {"outcome": label})
        for label in ("hit", "miss")
    }
    assert counted == {"hit": 5, "miss": 3}
