"""Built kinds of sentences: a false kind changes what is stated, a true kind only how; the same seed gives the same."""

from __future__ import annotations

import random

import pytest

from benchmarks.verification import wordings
from benchmarks.verification.built import FALSE_KINDS, TRUE_KINDS, Spot, edited, pairs, plain_sentences, pool_of
from benchmarks.verification.cases import Source
from ragstone.generation.canonical import canonical

TEXT = (
    "In 1987, the old harbour of Lund was closed by the city because the United States Navy (a guest) had left. "
    "It was rebuilt from 1990 to 1994, and the Baltic Company paid 1,250,000 crowns in March. "
    "Many ships from Norway and Denmark, which carry timber, can now reach the first of the three docks. "
    "The mayor Anna Berg did not open the museum before May, although more than 400 people asked for it. "
    "Engineers from Oslo and Bergen may also increase the depth to 12 metres, which is allowed by the council."
)
FOREIGN = (
    "The famous writer Paul Kent lived in Madrid and Lisbon, where he wrote twenty novels about the sea. "
    "Some birds of the island, such as the great auk, were hunted by sailors until they died out in 1844. "
    "Modern telephones are made from several metals, and their batteries contain lithium from Chile."
)


def spots(seed: int) -> list[Spot]:
    """Every sentence of the text, as the kinds get it."""
    around, chance = plain_sentences(TEXT), random.Random(seed)
    pool = pool_of([*around, *plain_sentences(FOREIGN)])
    return [Spot(text, place, around, "The Harbour", pool, chance) for place, text in enumerate(around)]


@pytest.mark.parametrize("name", [*FALSE_KINDS, *TRUE_KINDS])
def test_each_kind_finds_a_sentence_to_edit(name):
    kind = (FALSE_KINDS | TRUE_KINDS)[name]
    rare = {"scale", "roles_reversed", "active", "part", "contractions", "implicit_negation"}
    made = [kind(spot) for seed in range(20) for spot in spots(seed)]
    assert any(made) or name in rare


@pytest.mark.parametrize("name", FALSE_KINDS)
def test_a_false_kind_changes_the_sentence(name):
    for spot in spots(7):
        made = edited(FALSE_KINDS[name], spot)
        assert made is None or made not in spot.around


@pytest.mark.parametrize("name", ["verbatim", "number_format", "country", "line_breaks", "contractions"])
def test_these_rewrites_vanish_in_canonical_text(name):
    for spot in spots(3):
        made = TRUE_KINDS[name](spot)
        assert made is None or canonical(made) == canonical(spot.text)


def test_cases_are_the_same_for_the_same_seed():
    sources = [Source(TEXT, "The Harbour", "en", "a"), Source(FOREIGN, "", "en", "b")]
    first, again, other = (list(pairs(sources, random.Random(seed))) for seed in (1, 1, 2))
    assert first == again != other
    assert {case.kind for case in first if case.true}.isdisjoint(case.kind for case in first if not case.true)


WORDED = (
    "The dam is 5 km long and cost $3 million in the end. The colour of the harbour was approximately grey. "
    "The World Health Organization (WHO) met in Kiel. The WHO helped the harbour's workers. The harbour is 900 m deep."
)


def test_each_kind_of_wording_gives_true_cases_and_each_of_its_kin_false_ones():
    sources = [Source(WORDED, "The Dam", "en", "a"), Source(FOREIGN, "", "en", "b")]
    made = [case for seed in range(20) for case in wordings.pairs(sources, random.Random(seed))]
    kinds = {case.kind: case.true for case in made}
    assert {name for name, true in kinds.items() if true} >= set(wordings.TRUE_KINDS) | {"abbreviation_declared"}
    assert {name for name, true in kinds.items() if not true} >= {"unit_other", "currency_other", "possessive_reversed"}
    assert all(case.claim not in plain_sentences(case.text) for case in made)
