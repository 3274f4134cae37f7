"""Words that mean the same in most of their uses."""

from __future__ import annotations

import pytest

from ragstone.generation.facts import OPPOSITES
from ragstone.generation.synonyms import are_synonyms


@pytest.mark.parametrize("pair", ["began started", "errors mistakes", "built constructed", "children kids"])
def test_common_synonyms_in_the_same_form(pair):
    assert are_synonyms(*pair.split())


@pytest.mark.parametrize(
    "pair", ["built construct", "error mistakes", "bought sold", "nurse patient", "won lost", "a a"]
)
def test_other_forms_and_other_words_are_none(pair):
    assert not are_synonyms(*pair.split())


def test_no_opposite_is_listed():
    assert not [pair for pair in OPPOSITES if len(pair) == 2 and are_synonyms(*sorted(pair))]
