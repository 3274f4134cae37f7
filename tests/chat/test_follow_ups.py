"""Recorded conversations over small documents: what a follow-up, a thank-you and a greeting are answered with.

`recorded_conversations.json` has two halves with documents of their own. The rules were written with the first half in
view; the second was measured only.
"""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import aclosing
from pathlib import Path
from typing import Any

import pytest

from ragstone.chat.ask import Finished
from ragstone.generation.notices import notice
from ragstone.vocabulary import Answer, Outcome, Scope
from tests.platforms import OpenedPlatform, default_settings, opened

RECORDED = json.loads((Path(__file__).parent / "recorded_conversations.json").read_text(encoding="utf-8"))
GARAGE = {
    "cars.md": "# Model A\n\n## Tyre change\n\nA tyre change for the Model A costs 40 euros.\n\n## Service\n\n"
    "A service for the Model A costs 210 euros.\n\n## Windscreen\n\nA windscreen for the Model A costs 330 euros.\n",
    "people.md": "# Harbour master\n\nTove Lund is the harbour master of Kiel. She was born in 1971.\n\n"
    "# Pilot\n\nOle Brandt is the pilot. He was born in 1980.\n",
}


async def with_documents(folder: Path, documents: Mapping[str, str]) -> AsyncIterator[OpenedPlatform]:
    async with opened(default_settings(folder / "data", index={"engine": "memory"})) as platform:
        for name, text in documents.items():
            (folder / name).write_text(text, encoding="utf-8")
            await platform.ingest(folder / name)
        yield platform


@pytest.fixture
async def garage(tmp_path: Path) -> AsyncIterator[OpenedPlatform]:
    async for platform in with_documents(tmp_path, GARAGE):
        yield platform


@pytest.fixture(params=["dev", "held_out"])
async def half(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[tuple[str, OpenedPlatform]]:
    async for platform in with_documents(tmp_path, RECORDED[request.param]["documents"]):
        yield request.param, platform


async def conversation(platform: OpenedPlatform, *questions: str) -> list[Answer]:
    answers, conversation_id = [], None
    for question in questions:
        async with aclosing(platform.answers.chat.ask(Scope(), question, conversation_id=conversation_id)) as events:
            *_, last = [event async for event in events]
        assert isinstance(last, Finished)
        answers.append(last.answer)
        conversation_id = last.conversation_id
    return answers


async def test_the_new_words_are_answered_not_the_last_answer_again(garage):
    _, service, windscreen = await conversation(
        garage, "How much is a tyre change for the Model A?", "What about a service?", "And a windscreen?"
    )
    assert "210 euros" in service.text
    assert "40 euros" not in service.text
    assert "330 euros" in windscreen.text


async def test_who_is_asked_for_again_is_another_person(garage):
    _, pilot = await conversation(garage, "Who is the harbour master of Kiel?", "And the pilot?")
    assert "Ole Brandt" in pilot.text
    assert "Tove Lund" not in pilot.text


async def test_a_question_that_is_repeated_is_answered_again(garage):
    question = "Who is the harbour master of Kiel?"
    first, second = await conversation(garage, question, question)
    assert first.text == second.text


@pytest.mark.parametrize(
    ("message", "kind", "language"),
    [("thanks", "thanks", "en"), ("danke", "thanks", "de"), ("gracias", "thanks", "es"), ("merci", "thanks", "fr"),
     ("谢谢", "thanks", "zh"), ("ok", "thanks", "en"), ("Hello!", "greeting", "en")],
)  # fmt: skip
async def test_a_courtesy_gets_a_reply_and_no_facts(garage, message: str, kind, language: str):
    _, reply = await conversation(garage, "How much is a tyre change for the Model A?", message)
    assert (reply.text, reply.outcome, reply.abstained) == (notice(kind, language), Outcome.NOTHING, True)
    assert (reply.citations, reply.passages) == ((), ())


async def test_most_recorded_conversations_go_well_to_their_end(half):
    name, platform = half
    conversations = RECORDED[name]["conversations"]
    well = [one["id"] for one in conversations if await goes_well(platform, one["turns"])]
    # Before follow-ups were weighed: 5 of 17 and 6 of 18.
    assert len(well) >= {"dev": 13, "held_out": 14}[name], sorted({one["id"] for one in conversations} - set(well))


async def goes_well(platform: OpenedPlatform, turns: Sequence[Mapping[str, Any]]) -> bool:
    """Whether every turn is answered with the right words, or abstains where it asks nothing."""
    answers = await conversation(platform, *(turn["question"] for turn in turns))
    return all(
        answer.abstained if turn.get("abstains") else not answer.abstained and turn["must"] in answer.text
        for turn, answer in zip(turns, answers, strict=True)
    )
