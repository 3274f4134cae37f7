"""What contradicts, by rule."""

from __future__ import annotations

import pytest

from ragstone.generation.facts import facts
from ragstone.generation.objections import Objection, has_subject_of_another, objections

SOURCE = (
    "In March 1989 the council of Kiel may close at least three of the northern bridges, which were built by Bo Lund."
)


def found(claim, source=SOURCE):
    span = facts(source)
    return set(objections(facts(claim), span, span, facts("")))


@pytest.mark.parametrize(
    ("claim", "source", "rule"),
    [
        ("It needs Python 3.1.", "It needs Python 3.10.", Objection.FIGURE),
        ("It has fourteen rooms.", "It has thirteen rooms.", Objection.FIGURE),
        ("It opened in the 1970s.", "It opened in the 1980s.", Objection.FIGURE),
        ("It came third.", "It came second.", Objection.FIGURE),
        ("One engine failed.", "Two engines failed.", Objection.FIGURE),
        ("It sank at 5 kilometres.", "It sank at 5 miles.", Objection.UNIT),
        ("It runs at 5 GHz.", "It runs at 5 MHz.", Objection.UNIT),
        ("The father of the miller came.", "The miller of the father came.", Objection.ORDER),
        ("The crane's harbour was sold.", "The crane of the harbour was sold.", Objection.ORDER),
        ("It opened in May 1989.", "It opened in March 1989.", Objection.MONTH),
        ("In Kiel Zoe built it.", "In Kiel Bo Lund built it.", Objection.NAME),
        ("The council failed to pay.", "The council managed to pay.", Objection.NEGATION),
        ("La bomba no funciona de noche.", "La bomba funciona de noche.", Objection.NEGATION),
        ("Насос не работает ночью.", "Насос работает ночью.", Objection.NEGATION),
        ("变量默认是可变的。", "变量默认是不可变的。", Objection.NEGATION),
        ("ポンプは夜に動きません。", "ポンプは夜に動きます。", Objection.NEGATION),
        ("增加内存。", "减少内存。", Objection.OPPOSITE),
        ("Vinieron más personas.", "Vinieron menos personas.", Objection.OPPOSITE),
        ("The ferry leaves at noon.", "If it storms, the ferry leaves at noon.", Objection.CONDITION),
        ("The bridge is old.", "Engineers suggested that the bridge is old.", Objection.CONDITION),
        ("The council refused to pay the firm.", "The council will pay the firm.", Objection.NEGATION),
        ("The motor is unsafe.", "The motor is safe.", Objection.OPPOSITE),
        ("The price rises.", "The price falls.", Objection.OPPOSITE),
        ("All members agreed.", "Some members agreed.", Objection.QUANTIFIER),
        ("He rarely sings.", "He often sings.", Objection.QUANTIFIER),
        ("Members must pay.", "Members may pay.", Objection.CERTAINTY),
        ("The study proves it.", "The study suggests it.", Objection.CERTAINTY),
        ("It takes at most 5 minutes.", "It takes at least 5 minutes.", Objection.BOUND),
        ("Only members pay.", "Members pay.", Objection.ONLY),
        ("It is closed on Monday.", "It is closed on Sunday.", Objection.CLASS),
        ("They come in winter.", "They come in summer.", Objection.CLASS),
        ("Man bites dog.", "Dog bites man.", Objection.ORDER),
        ("The line runs from Kiel to Lund.", "The line runs from Lund to Kiel.", Objection.ORDER),
        ("Bo was seen by Al.", "Al was seen by Bo.", Objection.ORDER),
        ("It rose from 14 months to 6 months.", "It rose from 6 months to 14 months.", Objection.ORDER),
        ("Fires set for the guests.", "Fires set by the guests.", Objection.OPPOSITE),
        ("Tens of thousands of thousands came.", "Hundreds of thousands of thousands came.", Objection.CLASS),
        ("Euler takes a list.", "It takes a list.", Objection.NAME),
    ],
)
def test_a_rule_objects(claim, source, rule):
    assert rule in found(claim, source)
    assert not found(source, source)


@pytest.mark.parametrize(
    ("claim", "source"),
    [
        pytest.param("It weighs 10100 tonnes.", "It weighs 10,100\ntonnes.", id="a break between figure and unit"),
        pytest.param("It costs 1.50 m.", "It costs 1.5 m.", id="decimals of a measure"),
        pytest.param("In 1937 it opened.", "It opened in 1937.", id="a part moved"),
        pytest.param("Lund built the bridge.", "The bridge was built by Lund.", id="active"),
        pytest.param("It has 13 rooms.", "It has thirteen rooms.", id="number word"),
        pytest.param("Rust uses it if there is no key.", "If there is no key, Rust uses it.", id="negation moved"),
        pytest.param("A treaty between Lund and Kiel.", "A treaty between Kiel and Lund.", id="two of equal standing"),
        pytest.param("It isn't free.", "It is not free.", id="contraction"),
        pytest.param("Several members agreed.", "Some members agreed.", id="neighbouring quantifier"),
        pytest.param(
            "The 5 rooms are new.", "The five rooms are 5 m high and new.", id="a figure with and without unit"
        ),
    ],
)
def test_another_wording_of_the_same_is_left_alone(claim, source):
    assert not found(claim, source)


def test_a_figure_of_the_sentence_before_is_no_contradiction_and_no_support():
    span, near = facts("He won the race in Kiel."), facts("He came in 1950. He won the race in Kiel.")
    assert set(objections(facts("In 1950 he won the race in Kiel."), span, near, facts(""))) == {Objection.ELSEWHERE}


def test_a_name_of_the_neighbourhood_in_the_place_of_another_is_an_objection():
    span, near = facts("the bridge was built by Bo Lund"), facts("the bridge was built by Bo Lund, says Eva Holm")
    assert Objection.NAME in set(objections(facts("the bridge of Kiel was built by Eva Lund"), span, near, facts("")))


SENTENCE = "The council of Kiel sold the northern bridge in May."


@pytest.mark.parametrize(
    ("claim", "sentence"),
    [("The old rail company sold the northern bridge in May.", SENTENCE)],
)
def test_a_subject_of_another_sentence_is_seen(claim, sentence):
    assert has_subject_of_another(claim, facts(sentence), facts("The town"))


@pytest.mark.parametrize(
    ("claim", "sentence", "title"),
    [
        pytest.param(SENTENCE, SENTENCE, "", id="its own"),
        pytest.param("The rail company sold the northern bridge in May.", SENTENCE, "A rail company", id="the title's"),
        pytest.param("The rail company sold the bridge in May.", "It sold the bridge in May.", "", id="a pronoun's"),
        pytest.param("The old dam fell, and the council sold the bridge in May.", SENTENCE, "", id="two statements"),
    ],
)
def test_the_subject_of_the_sentence_is_left_alone(claim, sentence, title):
    assert not has_subject_of_another(claim, facts(sentence), facts(title))
