"""One key for the spellings of a word in different countries."""

from __future__ import annotations

import pytest

from ragstone.generation.spelling import spelling_key

ALIKE = """
    color/colour neighboring/neighbouring honorable/honourable organize/organise organizations/organisations
    analyze/analyse catalyzing/catalysing center/centre theaters/theatres centered/centred fiber/fibre
    traveled/travelled fueled/fuelled counselor/counsellor catalog/catalogue defense/defence licensed/licenced
    practise/practice program/programme gray/grey aluminum/aluminium artifacts/artefacts anemia/anaemia
    estrogen/oestrogen archaeology/archeology jewelry/jewellery toward/towards among/amongst while/whilst
    learned/learnt spelled/spelt judgment/judgement aging/ageing skillful/skilful fulfill/fulfil maneuver/manoeuvre
    skeptical/sceptical sulfur/sulphur plow/plough tire/tyre cooperate/co-operate stories/storeys worshiped/worshipped
"""
UNLIKE = """
    filled/filed tour/tor four/for hour/hor advice/advise prise/prize later/latter desert/dessert moral/morale
    causal/casual device/devise raise/raze re-sign/resign planed/planned hoping/hopping principal/principle
"""


@pytest.mark.parametrize("pair", ALIKE.split())
def test_spellings_of_one_word_have_one_key(pair):
    left, right = pair.split("/")
    assert spelling_key(left) == spelling_key(right)


@pytest.mark.parametrize("pair", UNLIKE.split())
def test_words_that_only_look_alike_have_two(pair):
    left, right = pair.split("/")
    assert spelling_key(left) != spelling_key(right)


def test_other_scripts_stay():
    assert spelling_key("größer") == "größer"
