"""Fusion: values by hand, and what must hold for any candidates."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ragstone.index.base import Candidate, Candidates
from ragstone.retrieval.fusion import by_maximum, by_range, convex, dense_weight, flatness, foreign_share, rrf
from ragstone.vocabulary import Hit, StageScore


def leg(**scores: float) -> tuple[Candidate, ...]:
    """A leg as an index returns it: best first, ties by chunk id."""
    order = sorted(scores, key=lambda chunk: (-scores[chunk], chunk))
    return tuple(Candidate(chunk, "d", 1, StageScore(rank, scores[chunk])) for rank, chunk in enumerate(order, start=1))


def ids(hits: tuple[Hit, ...]) -> list[str]:
    return [hit.chunk_id for hit in hits]


scores = st.integers(1, 1000).map(lambda thousandths: thousandths / 1000)
legs = st.dictionaries(st.sampled_from("abcdefgh"), scores, max_size=8).map(lambda s: leg(**s))
candidates = st.builds(Candidates, dense=legs, sparse=legs)
weights = st.floats(0, 1)


def test_rrf_adds_reciprocal_ranks_that_begin_at_one():
    hits = rrf(Candidates(dense=leg(a=0.9, b=0.5), sparse=leg(b=7.0, c=2.0)))
    assert ids(hits) == ["b", "a", "c"]
    assert [hit.score for hit in hits] == pytest.approx([1 / 62 + 1 / 61, 1 / 61, 1 / 62])


def test_agreement_beats_a_single_first_place():
    hits = rrf(Candidates(dense=leg(a=0.9, b=0.8), sparse=leg(c=9.0, b=8.0)))
    assert ids(hits)[0] == "b"


def test_convex_mixes_range_and_maximum_by_hand():
    found = Candidates(dense=leg(a=0.8, b=0.5, c=0.3), sparse=leg(c=10.0, b=4.0, d=1.0))
    hits = convex(found, dense_weight=0.6)
    # dense: a 1, b .4, c 0; sparse: c 1, b .4, d .1
    assert {hit.chunk_id: hit.score for hit in hits} == pytest.approx({"a": 0.6, "b": 0.4, "c": 0.4, "d": 0.04})
    assert ids(hits) == ["a", "b", "c", "d"]


def test_a_hit_says_its_standing_in_every_stage_that_saw_it():
    both, lexical = convex(Candidates(dense=leg(a=0.5), sparse=leg(a=3.0, b=1.0)), dense_weight=0.5)
    assert dict(both.stages) == {
        "dense": StageScore(1, 0.5),
        "sparse": StageScore(1, 3.0),
        "fused": StageScore(1, both.score),
    }
    assert set(lexical.stages) == {"sparse", "fused"}
    assert lexical.stages["fused"] == StageScore(2, lexical.score)


def test_equal_scores_go_by_chunk_id():
    assert ids(rrf(Candidates(dense=leg(b=0.5), sparse=leg(a=3.0)))) == ["a", "b"]


def test_scores_that_hardly_differ_are_not_stretched():
    assert by_range(leg(a=0.72, b=0.71)) == pytest.approx({"a": 0.05, "b": 0.0}, abs=1e-6)


def test_empty_legs_give_no_hits_and_no_division_by_zero():
    assert rrf(Candidates()) == convex(Candidates(), dense_weight=0.5) == ()
    assert by_maximum(leg(a=0.0)) == {"a": 0.0}
    assert flatness(()) == flatness(leg(**dict.fromkeys("abcdefghijk", 0.0))) == 0.0


def test_a_flat_sparse_leg_leaves_more_to_the_dense_one():
    peaked = leg(a=20.0, **{f"b{i}": 2.0 for i in range(12)})
    flat = leg(a=20.0, **{f"b{i}": 18.0 for i in range(12)})
    assert flatness(peaked) == pytest.approx(0.1)
    assert dense_weight("a question", Candidates(sparse=peaked)) == pytest.approx(0.35)
    assert dense_weight("a question", Candidates(sparse=flat)) == pytest.approx(0.75)


def test_few_lexical_finds_count_as_telling():
    assert dense_weight("a question", Candidates(sparse=leg(a=2.0, b=2.0))) == pytest.approx(0.3)


@pytest.mark.parametrize(
    ("text", "share"),
    [("Überraschung, naïve café", 0.0), ("गंगा", 1.0), ("ab αβ", 0.5), ("2 + 2 = ?", 0.0), ("長江 river", 2 / 7)],
)
def test_letters_that_are_not_latin_are_foreign(text: str, share: float):
    assert foreign_share(text) == pytest.approx(share)


def test_an_english_embedder_does_not_outvote_the_words_of_another_script():
    found = Candidates(dense=leg(noise=0.9, gold=0.4), sparse=leg(gold=9.0, other=6.0))
    weight = dense_weight("गंगा नदी कहाँ से निकलती है?", found)
    assert weight == pytest.approx(0.03)
    assert ids(convex(found, dense_weight=weight))[0] == "gold"


@given(candidates, weights, st.randoms(use_true_random=False))
def test_the_order_of_the_input_makes_no_difference(found: Candidates, weight: float, random):
    shuffled = Candidates(
        dense=tuple(random.sample(found.dense, len(found.dense))),
        sparse=tuple(random.sample(found.sparse, len(found.sparse))),
    )
    assert rrf(shuffled) == rrf(found)
    assert convex(shuffled, dense_weight=weight) == convex(found, dense_weight=weight)
    assert dense_weight("q", shuffled) == dense_weight("q", found)


@given(candidates, weights)
def test_each_chunk_found_appears_once_ranked_from_one_by_falling_score(found: Candidates, weight: float):
    for hits in (rrf(found), convex(found, dense_weight=weight)):
        assert sorted(ids(hits)) == sorted({c.chunk_id for c in (*found.dense, *found.sparse)})
        assert [hit.stages["fused"].rank for hit in hits] == list(range(1, len(hits) + 1))
        assert [hit.score for hit in hits] == sorted((hit.score for hit in hits), reverse=True)


@given(candidates, weights)
def test_a_chunk_first_in_both_legs_is_first(found: Candidates, weight: float):
    top = {leg[0].chunk_id for leg in (found.dense, found.sparse) if leg}
    if len(top) == 1 and found.dense and found.sparse:
        best = convex(found, dense_weight=weight)
        assert {rrf(found)[0].chunk_id} == top
        assert best[0].score == max(hit.score for hit in best if hit.chunk_id in top)


@given(legs, weights)
def test_one_leg_alone_keeps_its_order(only: tuple[Candidate, ...], weight: float):
    order = [c.chunk_id for c in only]
    assert ids(rrf(Candidates(dense=only))) == order
    alone = convex(Candidates(sparse=only), dense_weight=min(weight, 0.9))
    assert [hit.stages["sparse"].score for hit in alone] == sorted((c.standing.score for c in only), reverse=True)


@given(candidates)
def test_the_weight_is_a_share(found: Candidates):
    assert 0 <= dense_weight("question вопрос", found) <= 1
