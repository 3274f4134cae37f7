"""What a language model wrote of something else than the question is taken back."""

from __future__ import annotations

import pytest

from ragstone.errors import ModelUnavailable
from ragstone.generation.answer import OFF_TARGET, Generator
from ragstone.generation.base import Delta
from ragstone.generation.extractive import ExtractiveAnswerer
from ragstone.generation.prompted import PromptedAnswerer
from ragstone.inference.matching import TokenMatcher
from ragstone.telemetry.metrics import Metrics
from ragstone.vocabulary import Answer, Outcome
from tests.generation.answerers import Scripted, ScriptedModel
from tests.generation.passages import BRIDGE, passage

SOUP = passage("The soup of the day is made of green peas and fresh mint.", title="Menu", document="menu")
QUESTION = "How long is the main span of the bridge?"
OTHER = "The soup of the day is made of green peas and fresh mint [2]."


@pytest.fixture(scope="module")
def matcher() -> TokenMatcher:
    return TokenMatcher.load(threads=1)


async def answered(text: str, matcher, question: str = QUESTION, answerer=None) -> tuple[Answer, list[Delta]]:
    writer = answerer or PromptedAnswerer(ScriptedModel(text))
    generator = Generator(answerer=writer, fallback=ExtractiveAnswerer(), metrics=Metrics(), matcher=matcher)
    events = [event async for event in generator.answer(question, [BRIDGE, SOUP])]
    assert isinstance(events[-1], Answer)
    return events[-1], [event for event in events if isinstance(event, Delta)]


async def test_an_answer_about_something_else_gives_way_to_the_closest_sections(matcher):
    answer, deltas = await answered(OTHER, matcher)
    assert answer.outcome is Outcome.CLOSEST
    assert OFF_TARGET in answer.warnings
    assert "peas" not in answer.text.partition("\n\n")[0]
    assert answer.closest[0].marker == 1
    assert deltas[-1].restart


@pytest.mark.parametrize(
    "text",
    [
        "Its main span is 1,280 m long [1].",
        "The bridge spans 1,280 metres between its towers [1].",
        "1,280 m [1].",  # what it cites is about the question
        "Here is what I found.\n\nIts main span is 1,280 m long [1].",
    ],
)
async def test_an_answer_to_the_question_stays(matcher, text):
    answer, _ = await answered(text, matcher)
    assert (answer.outcome, answer.warnings) == (Outcome.ANSWERED, ())
    assert answer.text == text


@pytest.mark.parametrize("question", ["Why?", "Wie? Der?", "Какова длина главного пролёта моста?"])
async def test_a_question_without_words_to_compare_is_not_held_against_the_answer(matcher, question):
    answer, _ = await answered(OTHER, matcher, question)
    assert answer.warnings == ()


async def test_without_a_matcher_or_a_language_model_nothing_is_compared(matcher):
    assert (await answered(OTHER, None))[0].warnings == ()
    assert (await answered(OTHER, matcher, answerer=Scripted(OTHER)))[0].warnings == ()


class Broken:
    """A matcher that fails."""

    def matches(self, question, words, texts):
        raise ModelUnavailable("It is down.")


async def test_where_the_matcher_fails_the_answer_stays():
    answer, _ = await answered(OTHER, Broken())
    assert (answer.outcome, answer.warnings) == (Outcome.ANSWERED, ())
