"""A claim in the wording of its evidence."""

from __future__ import annotations

import pytest

from ragstone.generation.wording import Wording

ENGLISH = " This is the text and these are the words that count."


def restated(claim: str, evidence: str, passage: str = "") -> str:
    return Wording(f"{evidence} {passage}{ENGLISH}").restated(claim, evidence)


@pytest.mark.parametrize(
    ("claim", "evidence", "expected"),
    [
        ("It is 5 kilometres long.", "The dam is 5 km long.", "It is 5 km long."),
        ("It is 5km long.", "The dam is 5 kilometres long.", "It is 5 kilometres long."),
        ("It covers 9 square miles.", "It covers 9 sq mi of land.", "It covers 9 sq mi."),
        ("About 40 percent stayed.", "Some 40% stayed.", "About 40% stayed."),
        ("It cost 5 million dollars.", "They paid $5 million for it.", "It cost $5 million."),
        ("It cost $7.5 million.", "They paid 7,500,000 US dollars.", "It cost 7,500,000 US dollars."),
        ("Litres: the ship took 900 litres.", "Ship: Bo; Litres: 900", "Litres: the ship took 900 Litres."),
    ],
)
def test_units_and_sums_take_the_form_of_the_evidence(claim, evidence, expected):
    assert restated(claim, evidence).casefold() == expected.casefold()


@pytest.mark.parametrize(
    ("claim", "evidence"),
    [
        ("It is 5 miles long.", "The dam is 5 km long."),
        ("It cost 6 million dollars.", "They paid $5 million for it."),
        ("It cost 5 million euros.", "They paid $5 million for it."),
        ("It took 5 seconds.", "It took 5 minutes."),
    ],
)
def test_another_unit_or_sum_stays(claim, evidence):
    assert restated(claim, evidence) == claim


@pytest.mark.parametrize(
    ("claim", "evidence", "expected"),
    [
        ("Organise the colours.", "We organize the colors.", "Organize the colors."),
        ("The Labour office closed.", "The Labor office closed.", "The Labor office closed."),
        ("The crane of the harbour fell.", "Then the harbour's crane fell.", "the harbour's crane fell."),
        ("The harbour's old crane fell.", "The old crane of the harbour fell.", "The old crane of the harbour fell."),
        ("It weighs approx. 5 t.", "It weighs approximately 5 t.", "It weighs approximately 5 t."),
        ("Dr. Reed came.", "Doctor Reed came.", "Doctor Reed came."),
        ("It fell owing to rain.", "It fell due to rain.", "It fell due to rain."),
    ],
)
def test_spellings_possessives_and_abbreviations_too(claim, evidence, expected):
    assert restated(claim, evidence).casefold() == expected.casefold()


@pytest.mark.parametrize(
    ("claim", "evidence", "expected"),
    [
        ("The firm purchased the mill.", "In May the firm bought the mill.", "The firm bought the mill."),
        ("It made an error there.", "Then it made a mistake there.", "It made a mistake there."),
        ("Most kids stayed.", "Most children stayed.", "Most children stayed."),
    ],
)
def test_a_common_synonym_beside_the_same_word_is_the_word_of_the_evidence(claim, evidence, expected):
    assert restated(claim, evidence) == expected


@pytest.mark.parametrize(
    ("claim", "evidence"),
    [
        ("The firm sold the mill.", "In May the firm bought the mill."),
        ("The firm will purchase the mill.", "In May the firm bought the mill."),
        ("They purchased bread.", "The firm bought the mill."),
        ("The uncle came.", "The father came."),
    ],
)
def test_another_word_form_or_place_stays(claim, evidence):
    assert restated(claim, evidence) == claim


def test_a_name_keeps_its_capital():
    assert restated("It breaks the rules of Rust.", "It breaks Rust's rules.") == "It breaks Rust's rules."


def test_an_owner_keeps_its_pronoun():
    claim = "The house of her father burned."
    assert restated(claim, "Then his father's house burned.") == claim


def test_a_declared_abbreviation_is_the_form_of_the_sentence():
    declared = "The central bank deposit (CBD) is old."
    assert restated("Each central bank deposit grew.", "Each CBD grew.", declared) == "Each CBD grew."
    assert restated("Each CBD grew.", "Each central bank deposit grew.", declared) == "Each central bank deposit grew."


def test_initials_need_no_declaration():
    assert restated("The World Health Organization met.", "The WHO met.") == "The WHO met."
    assert restated("The WHO met.", "The World Health Organization met.") == "The World Health Organization met."


def test_initials_of_other_words_are_no_abbreviation():
    claim = "The World Heritage Committee met."
    assert restated(claim, "The WHO met.") == claim


def test_two_letters_count_between_the_same_words_alone():
    assert restated("Some rheumatoid arthritis patients slept.", "Some RA patients slept.") == "Some RA patients slept."
    claim = "Many red apples were sold."
    assert restated(claim, "Some RA patients slept.") == claim


def test_code_and_paths_stay():
    claim = "Open /docs/config.db now."
    assert restated(claim, "Open the documentation, the configuration and the database.") == claim


@pytest.mark.parametrize(
    ("claim", "passage"),
    [("Eine lange Kreise.", "Eine lange Kreize."), ("La fibre brille.", "La fiber brille.")],
)
def test_another_language_keeps_its_words(claim, passage):
    assert Wording(passage).restated(claim, passage) == claim
