"""The context budget: how much of what was found an answerer reads."""

from __future__ import annotations

from ragstone.retrieval.base import within_budget
from ragstone.vocabulary import Chunk, Hit, Passage


def passage(ordinal: int, tokens: int) -> Passage:
    chunk = Chunk(f"d:1:{ordinal}", "d", 1, ordinal, 0, 1, "x", tokens)
    return Passage(chunk, "d", "text:d", "text/plain", Hit(chunk.id, 1.0, {}))


def test_the_budget_cuts_where_the_next_passage_does_not_fit():
    passages = [passage(n, 40) for n in range(4)]
    assert within_budget(passages, 100) == tuple(passages[:2])
    assert within_budget(passages, 160) == tuple(passages)


def test_the_best_passage_is_kept_whatever_its_length():
    assert within_budget([passage(0, 500), passage(1, 1)], 100) == (passage(0, 500),)
    assert within_budget([], 100) == ()
