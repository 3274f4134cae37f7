"""Rows for training: questions become statements, wrong answers are of the same kind, echoes and aims are negatives."""

from __future__ import annotations

import random

import pytest

from benchmarks.training.rows import NO, YES, answering, candidate, is_kept_back, same_kind, statement


@pytest.mark.parametrize(
    ("question", "answer", "stated"),
    [
        ("Who led the march?", "King", "King led the march."),
        ("which river flows through Lund", "the Aa", "The Aa flows through Lund."),
        ("When was the harbour closed?", "1987", "The harbour was closed in 1987."),
        ("Where did the ship sink?", "in the bay", "The ship sink in the bay."),
        ("Why is it blue?", "because", None),
    ],
)
def test_a_question_and_its_answer_become_a_statement(question, answer, stated):
    assert statement(question, answer) == stated


def test_a_wrong_answer_has_the_shape_of_the_right_one():
    passage = "In 1987 Anna Berg closed the harbour; Paul Kent opened it in 1990."
    chance = random.Random(1)
    assert same_kind("1987", passage, chance) == "1990"
    assert same_kind("Anna Berg", passage, chance) in {"Paul Kent", "In"}
    assert same_kind("quickly", passage, chance) is None


def test_the_sentence_with_the_answer_is_the_positive():
    passage = "The harbour is old. It was closed in 1987. Ships are large. Trains are green."
    for seed in range(20):
        made = list(answering("When was the harbour closed?", passage, ["1987"], "Lund", random.Random(seed)))
        labels = {text.rpartition("\n")[2]: label for text, label, _ in made}
        assert labels.pop("It was closed in 1987.") == YES
        assert set(labels.values()) == {NO}


def test_a_candidate_has_its_context_above_it():
    sentences = ["The harbour is old.", "It was closed in 1987."]
    made = {candidate(sentences, 1, "Lund", random.Random(seed)) for seed in range(40)}
    assert "Lund: The harbour is old.\nIt was closed in 1987." in made
    assert "It was closed in 1987." in made


def test_a_small_share_of_the_held_out_texts_is_kept_back():
    kept = sum(is_kept_back(f"text {number}") for number in range(4000)) / 4000
    assert 0.09 < kept < 0.16
