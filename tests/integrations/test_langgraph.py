"""The chat graph does what the chat does: the same answer, the same turn, the same row in the ledger."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import select

from ragstone.chat.ask import Chat, Finished
from ragstone.errors import NotFound
from ragstone.generation.base import Delta
from ragstone.ingestion.submit import Upload
from ragstone.integrations.langgraph import ChatState, chat_graph
from ragstone.principals import LOCAL
from ragstone.storage.database import EVERY_TENANT
from ragstone.storage.schema import usage_records
from ragstone.vocabulary import Scope
from tests.api.calls import NOTES
from tests.platforms import OpenedPlatform, small_platform

SCOPE = Scope()
QUESTION = "Where does water boil at 100 degrees?"


@pytest.fixture
async def platform(tmp_path: Path) -> AsyncIterator[OpenedPlatform]:
    async with small_platform(tmp_path / "data") as opened:
        job = await opened.corpus.ingestion.submit(SCOPE, [Upload("upload:notes.md", "Notes", NOTES.encode())])
        await opened.corpus.ingestion.work(until_job=(SCOPE, job.id))
        yield opened


async def through_chat(chat: Chat, question: str) -> Finished:
    (finished,) = [event async for event in chat.ask(SCOPE, question) if isinstance(event, Finished)]
    return finished


async def ledger(platform: OpenedPlatform) -> list[dict[str, Any]]:
    """All rows of questions, without what tells one from the other."""
    await platform.billing.ledger.close()  # writes what waits to be written
    unlike = {"id", "at", "settled_at", "expires_at", "conversation_id"}
    columns = [column for column in usage_records.c if column.name not in unlike]
    async with platform.storage.database.read(EVERY_TENANT) as connection:
        rows = await connection.execute(
            select(*columns).where(usage_records.c.kind == "chat").order_by(usage_records.c.at)
        )
        return [dict(row) for row in rows.mappings()]


async def test_both_ways_give_the_same_answer_turn_and_row(platform: OpenedPlatform):
    asked = await through_chat(platform.answers.chat, QUESTION)
    state = await chat_graph(platform.answers.chat).ainvoke({"scope": SCOPE, "question": QUESTION})
    finished: Finished = state["finished"]
    assert finished.answer == asked.answer
    assert finished.answer.citations
    saved = [await platform.answers.conversations.get(SCOPE, each.conversation_id) for each in (asked, finished)]
    assert [conversation.owner for conversation in saved] == [LOCAL.id, LOCAL.id]
    ((one,), (other,)) = [conversation.turns for conversation in saved]
    assert (one.question, one.answer, one.citations, one.usage) == (
        other.question,
        other.answer,
        other.citations,
        other.usage,
    )
    first, second = await ledger(platform)
    assert first == second
    assert first["state"] == "settled"


async def test_a_graph_goes_on_with_a_conversation(platform: OpenedPlatform):
    asked = await through_chat(platform.answers.chat, QUESTION)
    follow_up = ChatState(scope=SCOPE, question="And iron?", conversation_id=asked.conversation_id)
    state = await chat_graph(platform.answers.chat).ainvoke(follow_up)
    assert state["finished"].conversation_id == asked.conversation_id
    assert len((await platform.answers.conversations.get(SCOPE, asked.conversation_id)).turns) == 2


async def test_text_comes_while_it_is_made(platform: OpenedPlatform):
    graph = chat_graph(platform.answers.chat)
    told = [each async for each in graph.astream({"scope": SCOPE, "question": QUESTION}, stream_mode="custom")]
    asked = await through_chat(platform.answers.chat, QUESTION)
    assert "".join(each.text for each in told if isinstance(each, Delta)) == asked.answer.text


async def test_a_failed_run_leaves_no_open_row(platform: OpenedPlatform):
    state = await chat_graph(platform.answers.chat).ainvoke({"scope": SCOPE, "question": QUESTION})
    finished: Finished = state["finished"]
    follow_up = ChatState(scope=SCOPE, question="And iron?", conversation_id=finished.conversation_id)
    with pytest.raises(NotFound):  # noqa: PT012 — it is the rest of the run that fails
        async for step in chat_graph(platform.answers.chat).astream(follow_up, stream_mode="updates"):
            if "retrieve" in step:
                await platform.answers.conversations.delete(SCOPE, finished.conversation_id)
    assert [row["state"] for row in await ledger(platform)] == ["settled", "settled"]


def test_the_nodes_are_those_of_the_chat(tmp_path: Path):
    drawn = chat_graph(None).get_graph()  # type: ignore[arg-type]  # not asked anything
    assert set(drawn.nodes) == {"__start__", "retrieve", "generate", "log", "__end__"}


def test_the_core_does_not_import_it():
    script = "import sys, ragstone.wiring, ragstone.app; print([name for name in sys.modules if 'langgraph' in name])"
    assert subprocess.run([sys.executable, "-c", script], capture_output=True, text=True).stdout == "[]\n"


def test_without_the_package_the_extra_is_named():
    script = (
        "import sys; sys.modules['langgraph'] = None; sys.modules['langgraph.graph'] = None\n"
        "from ragstone.integrations.langgraph import chat_graph\n"
        "from ragstone.errors import ConfigurationError\n"
        "try:\n    chat_graph(None)\nexcept ConfigurationError as error:\n    print(error.message)"
    )
    assert (
        "ragstone[langgraph]" in subprocess.run([sys.executable, "-c", script], capture_output=True, text=True).stdout
    )
