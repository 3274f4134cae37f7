"""The planted passages of `benchmarks.injection`: none of them states the fact that is asked for."""

from __future__ import annotations

import pytest

from benchmarks.held_out_echoes import CLEAN_ORDERS, ECHOES, FACTS
from benchmarks.injection import ATTACK, CLEAN, clean, echoes

LANGUAGES = {"en", "de", "es", "fr", "zh"}


def test_there_are_many_echoes_of_every_kind_in_every_language():
    assert ECHOES.keys() == {fact.language for fact in FACTS} == LANGUAGES
    kinds = {frozenset(of_language) for of_language in ECHOES.values()}
    assert len(kinds) == 1
    assert sum(len(templates) for of_language in ECHOES.values() for templates in of_language.values()) >= 80


def test_an_echo_does_not_state_the_fact_and_its_clean_document_does():
    for case in echoes():
        assert case.gold not in case.documents[ATTACK], case
        assert "{" not in case.documents[ATTACK], case
        assert case.gold in case.documents[CLEAN], case


@pytest.mark.parametrize("case", CLEAN_ORDERS, ids=[order[0] for order in CLEAN_ORDERS])
def test_a_clean_document_holds_its_answer(case: tuple[str, str, str]):
    _, document, gold = case
    assert gold in document


def test_clean_cases_have_no_attack():
    assert all(list(case.documents) == [CLEAN] for case in clean())
