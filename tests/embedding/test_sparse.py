from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from string import ascii_lowercase

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from snowballstemmer.porter_stemmer import PorterStemmer

from ragstone.embedding.sparse import (
    BM25_AVERAGE_TERMS,
    BM25_B,
    BM25_K1,
    document_vector,
    query_vector,
    terms,
)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("The Runner's running shoes", ["the", "runner", "run", "shoe"]),
        ("call foo_bar()", ["call", "foo_bar", "foo", "bar"]),
        ("C++, C# and C", ["c++", "c#", "and", "c"]),
        ("node.js on 3.11.", ["node.js", "node", "js", "on", "3.11", "3", "11"]),
        ("1,250,000 people in 2,00", ["1250000", "peopl", "in", "2", "00"]),
        ("café CAFÉ cafe\u0301", ["cafe", "cafe", "cafe"]),
        ("Ｗｉｄｅ ﬁne", ["wide", "fine"]),
        ("don't", ["don"]),
        ("東京タワー 駅", ["東京", "京タ", "タワ", "ワー", "駅"]),
        ("한국어", ["한국", "국어"]),
        ("ภาษา", ["ภา", "าษ", "ษา"]),
        ("हिन्दी में", ["हिन्दी", "में"]),
        ("Rust語", ["rust", "語"]),
        ("x #comment x#y", ["x", "comment", "x", "y"]),
        ("…?! —", []),
    ],
)
def test_a_text_is_cut_into_these_terms(text: str, expected: list[str]) -> None:
    assert terms(text) == expected


def test_a_document_vector_is_the_term_frequency_part_of_bm25() -> None:
    vector = document_vector("apple apple banana")
    norm = BM25_K1 * (1 - BM25_B + BM25_B * 3 / BM25_AVERAGE_TERMS)
    assert sorted(vector.values.tolist()) == pytest.approx([1 / (1 + norm), 2 / (2 + norm)])


def test_a_query_vector_counts_terms_and_meets_the_documents_numbers() -> None:
    query = query_vector("banana banana apple")
    document = document_vector("apples and bananas")
    assert sorted(query.values.tolist()) == [1, 2]
    assert set(query.indices.tolist()) <= set(document.indices.tolist())


def test_stopwords_are_asked_for_only_when_there_is_nothing_else() -> None:
    assert len(query_vector("what is the heap").indices) == 1
    assert len(query_vector("to be or not to be").indices) == 4


def test_term_numbers_are_the_same_on_every_machine_and_in_every_version() -> None:
    assert query_vector("heap").indices.tolist() == [3173589729]


def test_text_without_terms_gives_an_empty_vector() -> None:
    vector = document_vector(" … ")
    assert vector.indices.shape == vector.values.shape == (0,)
    assert vector.indices.dtype == np.uint32
    assert vector.values.dtype == np.float32


@settings(max_examples=50)
@given(st.text(max_size=200))
def test_any_text_gives_ascending_indices_and_values_between_zero_and_one(text: str) -> None:
    vector = document_vector(text)
    assert (np.diff(vector.indices.astype(np.int64)) > 0).all()
    assert ((vector.values > 0) & (vector.values < 1)).all()


def test_threads_do_not_disturb_each_others_stems() -> None:
    words = [f"relat{first}{second}ational" for first in ascii_lowercase for second in ascii_lowercase]
    with ThreadPoolExecutor(8) as pool:
        found = list(pool.map(terms, words))
    assert found == [[PorterStemmer().stemWord(word)] for word in words]


@pytest.mark.timeout(10)
@pytest.mark.parametrize("unit", ["a", "a_", "水", "1,000", "'s", "\u0301", "+", "a.", "é"])
def test_no_text_makes_the_cutting_take_quadratic_time(unit: str) -> None:
    assert len(terms(unit * 200_000)) <= 400_002
