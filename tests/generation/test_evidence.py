"""Evidence for a statement: the few sentences that hold its words."""

from __future__ import annotations

from ragstone.generation.evidence import MAX_SENTENCES, cover, support_pair

SENTENCES = [
    "The mill stands at the river.",
    "It was built in 1850.",
    "The owner sold the mill and the two barns in 1901.",
    "Bees live in the garden.",
]


def test_the_sentence_that_holds_the_words_is_found():
    assert cover("Bees live there.", SENTENCES) == [3]


def test_two_sentences_that_a_statement_joins_are_both_found():
    assert cover("The owner sold the barns; bees live in the garden.", SENTENCES) == [2, 3]


def test_a_sentence_that_begins_with_a_pronoun_brings_the_one_before_it():
    assert cover("built 1850", SENTENCES) == [0, 1]


def test_no_more_than_some_sentences_are_taken():
    sentences = [f"word{place} stands alone here" for place in range(10)]
    assert len(cover(" ".join(sentences), sentences)) <= MAX_SENTENCES


def test_without_a_common_word_the_first_sentence_is_taken():
    assert cover("Quantum physics", SENTENCES) == [0]
    assert cover("Quantum physics", []) == []


def test_scripts_without_spaces_are_covered_too():
    sentences = ["猫坐在垫子上。", "会议在星期五举行。"]
    assert cover("会议在星期五", sentences) == [1]


def test_the_pair_is_canonical_and_names_the_title():
    claim, evidence = support_pair("Two barns\nwere sold.", SENTENCES, "The Mill")
    assert claim == "2 barns were sold."
    assert evidence == "The Mill : The owner sold the mill and the 2 barns in 1901."
