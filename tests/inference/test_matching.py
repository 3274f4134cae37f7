"""Token matches: words in another form match, words that are not there do not, in any order and batch."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import pytest

from ragstone.inference.matching import TokenMatcher

QUESTION = "How long is the notice period?"
WORDS = [(16, 22), (23, 29)]
SAME = "Contract\nThe notice period is six weeks."
ALIKE = "Contract\nTermination needs six weeks of advance warning."
OTHER = "Menu\nThe soup is made of green peas."


@pytest.fixture(scope="module")
def matcher() -> TokenMatcher:
    return TokenMatcher.load(threads=1)


def test_the_same_words_match_most_and_strange_ones_least(matcher):
    same, alike, other = matcher.matches(QUESTION, WORDS, [SAME, ALIKE, OTHER])
    assert same.mean > alike.mean > other.mean
    assert same.whole > other.whole


def test_a_word_that_is_nowhere_lowers_the_match(matcher):
    with_strange = matcher.matches("notice period crocodile", [(0, 6), (7, 13), (14, 23)], [SAME])[0]
    without = matcher.matches("notice period crocodile", [(0, 6), (7, 13)], [SAME])[0]
    assert with_strange.mean < without.mean


def test_the_context_counts(matcher):
    with_context, alone = matcher.matches(QUESTION, WORDS, ["Notice period\nIt is six weeks.", "It is six weeks."])
    assert with_context.mean > alone.mean


def test_results_come_in_the_order_of_the_texts_whatever_their_length(matcher):
    texts = [f"{'A long preface. ' * (place % 5)}\nIt was {place}." for place in range(40)]
    together = [found.mean for found in matcher.matches(QUESTION, WORDS, texts)]
    alone = [matcher.matches(QUESTION, WORDS, [text])[0].mean for text in texts]
    assert together == pytest.approx(alone, abs=1e-3)


def test_threads_share_it(matcher):
    with ThreadPoolExecutor(4) as pool:
        found = list(pool.map(lambda _: matcher.matches(QUESTION, WORDS, [SAME])[0].mean, range(8)))
    assert found == [pytest.approx(found[0], abs=1e-4)] * 8


@pytest.mark.parametrize("text", ["", " ", "\n", "\ud800", "\u0e01" * 50_000, "a" * 200_000, "\U0001f600"])
def test_any_text_is_matched(matcher, text):
    assert len(matcher.matches(text, [(0, len(text))], [text, SAME])) == 2
    assert matcher.matches(QUESTION, [], [text])[0].mean == pytest.approx(
        matcher.matches(QUESTION, [], [text])[0].whole
    )


def test_nothing_to_match_gives_nothing(matcher):
    assert matcher.matches(QUESTION, WORDS, []) == []
