"""What every embedder does, whatever model is behind it."""

from __future__ import annotations

import numpy as np
import pytest

from ragstone.embedding.cache import CachedEmbedder
from ragstone.embedding.hashing import HashingEmbedder
from ragstone.embedding.minilm import MiniLMEmbedder

ALIKE = "How to borrow a value mutably in Rust", "Borrowing values mutably in Rust"
ELSEWHERE = "The monsoon brought heavy rain to the coast"
ODD = ["", " \n\t ", "🚀" * 50, "e\u0301\u200b\u202e", "\ud800", "東京の天気。", "नमस्ते दुनिया।", "x" * 10_000, "\x00"]
LONG = "Nothing is as constant as change. " * 5000


class DictStore:
    """A vector store in memory."""

    def __init__(self):
        self.kept: dict[str, bytes] = {}

    async def get_many(self, keys):
        return {key: self.kept[key] for key in keys if key in self.kept}

    async def put_many(self, values):
        self.kept |= values


@pytest.fixture(scope="session")
def minilm():
    embedder = MiniLMEmbedder.load(threads=1)
    yield embedder
    embedder.close()


@pytest.fixture(params=["minilm", "hashing", "cached"])
def embedder(request):
    match request.param:
        case "minilm":
            return request.getfixturevalue("minilm")
        case "hashing":
            return HashingEmbedder()
        case _:
            return CachedEmbedder(HashingEmbedder(), DictStore())


@pytest.mark.parametrize("purpose", ["document", "query"])
async def test_rows_are_unit_vectors_one_per_text(embedder, purpose):
    vectors = await embedder.embed([*ALIKE, ELSEWHERE], purpose=purpose)
    assert vectors.shape == (3, embedder.dimensions)
    assert vectors.dtype == np.float32
    np.testing.assert_allclose(np.linalg.norm(vectors, axis=1), 1, atol=1e-5)


async def test_no_texts_give_no_rows(embedder):
    vectors = await embedder.embed([], purpose="document")
    assert vectors.shape == (0, embedder.dimensions)
    assert vectors.dtype == np.float32


async def test_rows_keep_the_order_of_the_texts(embedder):
    texts = [f"Fact {number}: {'word ' * (number * 7 % 31)}" for number in range(40)]
    forwards = await embedder.embed(texts, purpose="document")
    backwards = await embedder.embed(texts[::-1], purpose="document")
    np.testing.assert_allclose(forwards, backwards[::-1], atol=1e-5)
    assert len(np.unique(forwards.round(4), axis=0)) == len(texts)


async def test_a_vector_does_not_depend_on_its_neighbours(embedder):
    alone = await embedder.embed([ALIKE[0]], purpose="document")
    among = await embedder.embed([LONG, ALIKE[0], "short", ALIKE[0]], purpose="document")
    np.testing.assert_allclose(among[[1, 3]], alone.repeat(2, axis=0), atol=1e-5)


async def test_alike_texts_are_nearer_than_unlike_ones(embedder):
    one, other, far = await embedder.embed([*ALIKE, ELSEWHERE], purpose="document")
    assert one @ other > 0.3 + one @ far


async def test_odd_texts_give_unit_vectors(embedder):
    vectors = await embedder.embed(ODD, purpose="document")
    np.testing.assert_allclose(np.linalg.norm(vectors, axis=1), 1, atol=1e-5)


async def test_a_text_beyond_the_window_is_cut_to_it(embedder):
    start, end = embedder.token_offsets(LONG)[[0, embedder.window_tokens - 1]].flat[[0, 3]]
    cut, whole, other = await embedder.embed([LONG[start:end], LONG, LONG[: end // 2]], purpose="document")
    np.testing.assert_allclose(cut, whole, atol=1e-5)
    assert np.abs(cut - other).max() > 1e-3


async def test_offsets_are_ascending_spans_that_cover_the_words(embedder):
    text = "Ein Satz,\n\nzwei  Wörter — 東京 don't\tstop. " * 3000
    offsets = embedder.token_offsets(text)
    assert offsets.dtype == np.int64
    assert (offsets[:, 0] < offsets[:, 1]).all()
    assert (offsets[1:, 0] >= offsets[:-1, 1]).all()
    covered = np.zeros(len(text), bool)
    for start, end in offsets:
        covered[start:end] = True
    assert {sign for sign, seen in zip(text, covered, strict=True) if not seen} == set(" \n\t")


@pytest.mark.parametrize("text", ["", " \n "])
def test_a_blank_text_has_no_tokens(embedder, text):
    assert embedder.token_offsets(text).shape == (0, 2)
