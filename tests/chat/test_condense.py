"""Follow-up questions are made whole; questions that stand alone are left alone."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Sequence

import pytest

from ragstone.chat.condense import ModelCondenser, RuleCondenser, condense_by_rule, content_words, leans_on_history
from ragstone.errors import ModelUnavailable
from ragstone.llm.base import Message
from ragstone.vocabulary import Turn, Usage

HISTORY = (Turn("What is ownership in Rust?", "A set of rules."),)


@pytest.mark.parametrize(
    "question",
    [
        "Why?",
        "And how does it work?",
        "What about borrowing?",
        "How does it prevent data races?",
        "Who invented them?",
        "Why is this?",
        "But when does that matter?",
        "How long?",
    ],
)
def test_a_question_that_points_back_leans_on_history(question: str):
    assert leans_on_history(question)


@pytest.mark.parametrize(
    "question",
    [
        "How many days of paid leave do employees have?",
        "Why is Rust fast at runtime?",
        "How does the borrow checker ensure that references stay valid?",
        "Which company paid its largest dividend in March 1974?",
        "Is there a notice period for contractors?",
    ],
)
def test_a_question_that_stands_alone_does_not(question: str):
    assert not leans_on_history(question)


def test_a_follow_up_carries_the_content_of_the_question_before():
    assert condense_by_rule("Why does it matter?", HISTORY) == "Why does it matter? (ownership Rust)"


def test_what_was_carried_once_is_carried_on():
    first = condense_by_rule("Why does it matter?", HISTORY)
    second = condense_by_rule("And who checks it?", [*HISTORY, Turn(first, "…")])
    assert "ownership" in second
    assert "Rust" in second


def test_words_already_asked_are_not_repeated():
    assert condense_by_rule("And Rust?", HISTORY) == "And Rust? (ownership)"


def test_without_history_nothing_changes():
    assert condense_by_rule("Why?", ()) == "Why?"


def test_content_words_keep_their_order_and_drop_function_words():
    assert content_words("What is the notice period of the Notice?") == ["Notice", "period"]


class ScriptedModel:
    """A language model that says what it was told to, or fails."""

    name = "scripted"

    def __init__(self, reply: str | Exception | None) -> None:
        self.reply = reply
        self.seen: list[Message] = []

    async def stream(self, messages: Sequence[Message], *, max_tokens: int) -> AsyncGenerator[str | Usage, None]:
        self.seen = list(messages)
        if isinstance(self.reply, Exception):
            raise self.reply
        if self.reply is None:
            await asyncio.Event().wait()
        yield str(self.reply)
        yield Usage(self.name)

    async def close(self) -> None:
        """Nothing is open."""


async def test_a_model_rewrites_the_question():
    model = ScriptedModel("Why does ownership in Rust matter?\n")
    assert await ModelCondenser(model).condense("Why does it matter?", HISTORY) == "Why does ownership in Rust matter?"
    assert "What is ownership in Rust?" in model.seen[-1].text


async def test_the_model_is_not_asked_about_a_first_question():
    model = ScriptedModel("nonsense")
    assert await ModelCondenser(model).condense("Why?", ()) == "Why?"
    assert not model.seen


@pytest.mark.parametrize("reply", [ModelUnavailable("down"), "", "x" * 5000])
async def test_the_rule_acts_where_the_model_is_of_no_use(reply: str | Exception):
    condensed = await ModelCondenser(ScriptedModel(reply)).condense("Why does it matter?", HISTORY)
    assert condensed == await RuleCondenser().condense("Why does it matter?", HISTORY)
