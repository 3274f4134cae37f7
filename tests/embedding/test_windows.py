"""Embedding windows: a long chunk is embedded completely, with its title and headings."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ragstone.embedding.hashing import HashingEmbedder
from ragstone.embedding.windows import embed_chunks, window_texts, windows
from ragstone.vocabulary import Chunk, Heading


class Embedder(HashingEmbedder):
    """A hashing embedder that remembers what it was asked."""

    def __init__(self):
        super().__init__()
        self.calls: list[list[str]] = []

    async def embed(self, texts, *, purpose):
        self.calls.append(list(texts))
        return await super().embed(texts, purpose=purpose)


@pytest.fixture
def embedder():
    return Embedder()


def made(words, *, path=(), table_header=""):
    text = " ".join(f"w{number}" for number in range(words))
    return Chunk("c", "d", 1, 0, 0, len(text), text, words, headings=(Heading(0, path),), table_header=table_header)


async def test_a_chunk_that_fits_is_one_row_and_a_longer_one_several(embedder):
    rows = await embed_chunks(embedder, [made(10), made(500), made(20)], title="T")
    assert [len(one) for one in rows] == [1, 3, 1]


async def test_all_windows_of_all_chunks_are_one_call(embedder):
    await embed_chunks(embedder, [made(300), made(10), made(700)], title="T")
    assert len(embedder.calls) == 1


async def test_rows_belong_to_their_chunks_in_order(embedder):
    chunks = [made(300), made(10), made(500)]
    rows = await embed_chunks(embedder, chunks, title="T")
    for chunk, matrix in zip(chunks, rows, strict=True):
        expected = await embedder.embed(window_texts(embedder, chunk, title="T"), purpose="document")
        np.testing.assert_array_equal(matrix, expected)


async def test_no_chunks_give_no_rows(embedder):
    assert await embed_chunks(embedder, [], title="T") == []


async def test_every_word_of_a_long_chunk_reaches_the_model(embedder):
    chunk = made(900, path=("One", "Two"))
    texts = window_texts(embedder, chunk, title="T")
    assert all(len(embedder.token_offsets(text)) <= embedder.window_tokens for text in texts)
    assert set(chunk.text.split()) <= {word for text in texts for word in text.split()}


def test_each_window_stands_below_title_headings_and_table_header(embedder):
    texts = window_texts(embedder, made(600, path=("A", "B"), table_header="| n |\n|---|"), title="Book")
    assert len(texts) > 2
    assert all(text.startswith("Book > A > B\n| n |\n|---|\nw") for text in texts)


def test_a_title_without_a_word_is_left_out(embedder):
    assert window_texts(embedder, made(2, path=("A",)), title="123.md") == ["A\nw0 w1"]
    assert window_texts(embedder, made(2), title="目录") == ["目录\nw0 w1"]


def test_a_title_that_is_also_the_first_heading_is_said_once(embedder):
    assert window_texts(embedder, made(2, path=("Book", "A")), title="Book") == ["Book > A\nw0 w1"]


def test_an_untitled_chunk_is_its_text(embedder):
    assert window_texts(embedder, made(2), title="") == ["w0 w1"]


def test_an_overlong_title_leaves_half_of_the_window_to_the_text(embedder):
    (text,) = window_texts(embedder, made(100), title="title " * 1000)
    assert text.endswith(made(100).text)
    assert len(embedder.token_offsets(text)) <= embedder.window_tokens


@given(count=st.integers(1, 3000), room=st.integers(2, 300), share=st.floats(0, 0.5))
def test_windows_cover_all_tokens_overlap_and_are_of_like_length(count, room, share):
    overlap = int((room - 1) * share)
    found = windows(count, room, overlap=overlap)
    assert found[0][0] == 0
    assert found[-1][1] == count
    assert all(0 < last - first <= room for first, last in found)
    assert all(last - first == overlap for (first, _), (_, last) in zip(found[1:], found[:-1], strict=True))
