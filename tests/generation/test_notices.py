"""Notices exist in each language of the interface, and are in the language of the question."""

from __future__ import annotations

from contextlib import aclosing
from typing import get_args

import pytest

from ragstone.generation.answer import AnswerOptions, Generator
from ragstone.generation.base import Abstained
from ragstone.generation.notices import LANGUAGES, NoticeKind, language_of, notice
from ragstone.telemetry.metrics import Metrics
from ragstone.vocabulary import Answer, Usage
from tests.generation.answerers import Scripted
from tests.generation.passages import BRIDGE, passage

GERMAN = passage("Die Brücke wurde 1937 eröffnet und ist für Fahrräder gesperrt.", document="bruecke")


@pytest.mark.parametrize("kind", get_args(NoticeKind))
def test_every_notice_exists_in_every_language_and_differs(kind: NoticeKind):
    assert {"en", "de", "es", "fr", "zh"} <= set(LANGUAGES)
    assert len({notice(kind, language, words="cookie", count=3) for language in LANGUAGES}) == len(LANGUAGES)


def test_a_notice_names_what_it_is_about_whatever_it_holds():
    for language in LANGUAGES:
        assert "{cookie}" in notice("searched_for", language, words="{cookie}")
        assert "1200" in notice("left_out", language, count=1200)


def test_a_language_without_notices_gets_the_english_ones():
    assert notice("thanks", "sw") == notice("thanks", "en")


@pytest.mark.parametrize(
    ("question", "language"),
    [
        ("When did the bridge open?", "en"),
        ("Wann wurde die Brücke eröffnet?", "de"),
        ("¿Cuándo se abrió el puente?", "es"),
        ("Quand le pont a-t-il ouvert ?", "fr"),
        ("大桥什么时候通车？", "zh"),
    ],
)
async def test_what_finds_nothing_says_so_in_the_language_of_the_question(question: str, language: str):
    said = (await answered(question)).text.split("\n\n")[0]
    assert said in (notice("nothing_found", language), notice("closest", language))


async def test_a_text_that_the_installation_has_set_is_said_in_every_language():
    answer = await answered("Wann wurde die Brücke eröffnet?", AnswerOptions(nothing_found="Ask the desk."))
    assert answer.text.split("\n\n")[0] == "Ask the desk."


def test_a_question_of_one_word_takes_the_language_of_the_passages():
    assert language_of("1937", [GERMAN, BRIDGE]) == "de"
    assert language_of("1937", [BRIDGE, BRIDGE, GERMAN]) == "en"
    assert language_of("1937") == "en"


async def answered(question: str, options: AnswerOptions = AnswerOptions()) -> Answer:
    silent = Scripted(Abstained(), Usage("m"))
    generator = Generator(answerer=silent, fallback=silent, metrics=Metrics(), options=options)
    async with aclosing(generator.answer(question, [GERMAN])) as events:
        *_, answer = [event async for event in events]
    assert isinstance(answer, Answer)
    return answer
