"""Measures: values by hand, and trec_eval as the oracle."""

from __future__ import annotations

import random
from math import log2

import ir_measures
import pytest
from ir_measures import RR, R, nDCG

from ragstone.evaluation.metrics import ndcg_at_k, recall_at_k, reciprocal_rank


def test_ndcg_by_hand():
    relevance = {"a": 2, "b": 1, "c": 1}
    ideal = 2 + 1 / log2(3) + 1 / 2
    assert ndcg_at_k(["x", "a", "b"], relevance, 3) == pytest.approx((2 / log2(3) + 1 / 2) / ideal)
    assert ndcg_at_k(["a", "b", "c"], relevance, 3) == pytest.approx(1)


def test_recall_counts_relevant_documents_only():
    assert recall_at_k(["a", "x", "b"], {"a": 1, "b": 2, "c": 0, "d": 1}, 2) == pytest.approx(1 / 3)


def test_reciprocal_rank_is_of_the_first_relevant_document():
    assert reciprocal_rank(["x", "y", "b", "a"], {"a": 1, "b": 1}) == pytest.approx(1 / 3)
    assert reciprocal_rank(["x"], {"a": 1}) == 0


def test_nothing_relevant_measures_zero():
    assert ndcg_at_k(["a"], {"a": 0}, 10) == recall_at_k(["a"], {}, 10) == reciprocal_rank(["a"], {}) == 0


def test_the_measures_agree_with_trec_eval():
    chance = random.Random(7)
    documents = [f"d{n}" for n in range(40)]
    for _ in range(50):
        relevance = {d: chance.choice([0, 0, 1, 1, 2, 3]) for d in chance.sample(documents, 12)}
        relevance[documents[0]] = 1
        ranked = chance.sample(documents, 25)
        run = [ir_measures.ScoredDoc("q", d, -float(rank)) for rank, d in enumerate(ranked)]
        judged = [ir_measures.Qrel("q", d, grade) for d, grade in relevance.items()]
        expected = ir_measures.calc_aggregate([nDCG @ 10, R @ 10, RR], judged, run)
        assert ndcg_at_k(ranked, relevance, 10) == pytest.approx(expected[nDCG @ 10])
        assert recall_at_k(ranked, relevance, 10) == pytest.approx(expected[R @ 10])
        assert reciprocal_rank(ranked, relevance) == pytest.approx(expected[RR])
