"""Follow-up questions are made whole; questions that stand alone are left alone."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Sequence

import pytest

from ragstone.chat.condense import ModelCondenser, RuleCondenser, condense_by_rule, content_words, leans_on_history
from ragstone.errors import ModelUnavailable
from ragstone.llm.base import Message
from ragstone.vocabulary import Query, Turn, Usage

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
        "Und für Kinder?",
        "Wann wurde sie geboren?",
        "Was ist mit der Kette?",
        "¿Y el de esmalte?",
        "¿Cuándo nació ella?",
        "Et le petit déjeuner ?",
        "Quand est-elle née ?",
        "会议室呢？",
        "它多少钱？",
        "那会议室的费用是多少？",
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
        "What is FastAPI?",
        "What is a crate?",
        "Wie lange können Bücher ausgeliehen werden?",
        "Was ist FastAPI?",
        "¿Cuánto cuesta el curso de torno?",
        "En qué año se fundó la biblioteca",
        "¿Qué es FastAPI?",
        "Combien coûte la chambre double ?",
        "Où est la clé de la cave ?",
        "Combien de temps faut-il pour la visite du musée ?",
        "借书证的费用是多少？",
        "什么是借书证？",
    ],
)
def test_a_question_that_stands_alone_does_not(question: str):
    assert not leans_on_history(question)


def test_a_follow_up_carries_the_content_of_the_question_before():
    assert condense_by_rule("Why does it matter?", HISTORY).whole == "Why does it matter? (ownership Rust)"


def test_what_was_carried_once_is_carried_on():
    first = condense_by_rule("Why does it matter?", HISTORY)
    second = condense_by_rule("And who checks it?", [*HISTORY, Turn(first.whole, "…")])
    assert {"ownership", "Rust"} <= set(second.carried.split())


def test_words_already_asked_are_not_repeated():
    assert condense_by_rule("And Rust?", HISTORY).whole == "And Rust? (ownership)"


@pytest.mark.parametrize(
    ("before", "question", "text", "carried"),
    [
        ("How much is a tyre for the Falcon?", "What about a chain?", "What about a chain, how much?", "tyre Falcon"),
        ("Wann öffnet das Freibad?", "Und die Sauna?", "Und die Sauna, wann?", "öffnet Freibad"),
        ("¿Cuánto cuesta el curso?", "¿Y el otro taller?", "¿Y el otro taller, cuánto?", "cuesta curso"),
        ("Combien coûte la chambre ?", "Et le déjeuner ?", "Et le déjeuner, combien?", "coûte chambre"),
        ("借书证的费用是多少？", "会议室呢？", "会议室呢，多少?", "借书证 费用"),
    ],
)
def test_a_follow_up_that_asks_for_nothing_itself_asks_what_the_last_one_did(
    before: str, question: str, text: str, carried: str
):
    assert condense_by_rule(question, [Turn(before, "…")]) == Query(text, carried=carried)


def test_a_follow_up_with_a_question_word_of_its_own_keeps_it():
    condensed = condense_by_rule("And where is it?", [Turn("When does the workshop open?", "At 9.")])
    assert condensed.text == "And where is it?"


def test_a_pronoun_carries_the_name_that_the_answer_gave():
    turn = Turn("Who is the keeper of the lighthouse?", "The keeper is Greta Holm [1].")
    assert condense_by_rule("When was she born?", [turn]).carried.split()[:2] == ["Greta", "Holm"]


def test_thanks_in_between_do_not_cut_the_thread():
    turns = [Turn("How much is a tyre for the Falcon?", "14 euros."), Turn("thanks!", "You are welcome.")]
    assert condense_by_rule("And a chain?", turns).carried == "tyre Falcon"


def test_a_long_line_is_read_in_no_time_worth_naming():
    for piece in (" ", "?", "(", "and ", "A b", "呢", "das "):
        condense_by_rule(piece * 50_000, HISTORY)


def test_without_history_nothing_changes():
    assert condense_by_rule("Why?", ()) == Query("Why?")


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
    assert await ModelCondenser(model).condense("Why does it matter?", HISTORY) == Query(
        "Why does ownership in Rust matter?"
    )
    assert "What is ownership in Rust?" in model.seen[-1].text


async def test_the_model_is_not_asked_about_a_first_question():
    model = ScriptedModel("nonsense")
    assert await ModelCondenser(model).condense("Why?", ()) == Query("Why?")
    assert not model.seen


@pytest.mark.parametrize("reply", [ModelUnavailable("down"), "", "x" * 5000])
async def test_the_rule_acts_where_the_model_is_of_no_use(reply: str | Exception):
    condensed = await ModelCondenser(ScriptedModel(reply)).condense("Why does it matter?", HISTORY)
    assert condensed == await RuleCondenser().condense("Why does it matter?", HISTORY)
