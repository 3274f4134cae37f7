"""A sentence that says what was examined is told from one that says what was found, and ranks below it."""

from __future__ import annotations

import pytest

from ragstone.generation.aims import asks_for_aim, only_aims
from ragstone.generation.candidates import candidates
from ragstone.generation.relevance import relevance
from tests.generation.passages import passage

WINCHES = passage(
    "We examined whether salt shortens the life of a winch in harbours. "
    "Salt in the bearing shortened the life of a winch by a third.",
    title="Winches",
)


@pytest.mark.parametrize(
    "text",
    [
        "We examined whether salt shortens the life of a winch.",
        "This paper investigates how salt acts on bearings.",
        "The aim of this study was to assess the effect of salt.",
        "OBJECTIVE To determine whether salt harms bearings.",
        "In this study, we explored the role of salt.",
        "The trial was designed to evaluate the effects of salt.",
        "Wir untersuchen in dieser Arbeit, ob Salz die Lager angreift.",
        "Ziel dieser Studie war es, die Wirkung von Salz zu prüfen.",
        "El objetivo de este estudio es conocer el efecto de la sal.",
        "Investigamos si la sal daña los cojinetes.",
        "Nous avons étudié si le sel abîme les paliers.",
        "L'objectif de cette étude est de mesurer l'effet du sel.",
        "本文研究盐是否损坏轴承。",
        "本研究旨在考察盐对轴承的影响。",
    ],
)
def test_an_aim_is_known(text):
    assert only_aims(text)


@pytest.mark.parametrize(
    "text",
    [
        "We examined whether salt harms bearings and found that it does.",
        "Results showed that salt shortens the life of a winch by a third.",
        "Salt shortens the life of a winch by a third.",
        "The purpose of unit tests is to test each unit in isolation.",
        "To determine how much space a value needs, the compiler goes through the variants.",
        "Test the valve and ask the warden if it is open.",
        "The policy aims to reduce emissions by 40 percent.",
        "We test the pumps every Monday.",
        "Wir prüfen die Pumpen jeden Montag.",
        "研究表明盐会损坏轴承。",
    ],
)
def test_a_finding_or_an_order_is_no_aim(text):
    assert not only_aims(text)


def test_the_finding_ranks_first_unless_the_aim_is_asked_for():
    def best(question):
        return relevance(question, [WINCHES], candidates([WINCHES])).ranked[0][0].text

    assert "a third" in best("Does salt shorten the life of a winch?")
    assert "examined" in best("What was the aim of the work on salt and winches?")
    assert "examined" in best("What was examined about salt and the life of a winch?")


@pytest.mark.parametrize(
    "question", ["What does this study examine?", "What is the paper about?", "Was wird untersucht?"]
)
def test_a_question_for_the_aim_is_known(question):
    assert asks_for_aim(question)


@pytest.mark.parametrize(
    "question", ["What is known about salt?", "But does salt harm a winch?", "How long is a test?"]
)
def test_other_questions_ask_for_no_aim(question):
    assert not asks_for_aim(question)


def test_a_huge_line_is_read_in_part():
    assert not only_aims("we really " * 100_000)
