"""Conversations are kept, bounded in what is remembered, and bound to their scope."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from datetime import UTC, datetime

import pytest
from sqlalchemy import Table

from ragstone.chat.conversations import Conversations, MemoryOptions
from ragstone.errors import NotFound
from ragstone.storage.database import EVERY_TENANT, Database, unscoped
from ragstone.storage.schema import turns
from ragstone.vocabulary import Answer, Citation, Scope, Usage, Verdict

HERE = Scope("acme", "handbook")
CITATION = Citation(
    1, "d1", 2, "Leave", "upload:leave.md", ("Leave",), 3, 10, 20, "28 days of", 0, 12, Verdict.BORNE_OUT, 0.9
)
ANSWER = Answer("28 days. [1]", (CITATION,), (), Usage("extractive", 5, 7, 1), degraded=("llm_unavailable",))


@pytest.fixture
async def database(database_url: str) -> AsyncIterator[Database]:
    opened = await Database.open(database_url)
    yield opened
    await opened.close()


def conversations(database: Database, **options: int) -> Conversations:
    return Conversations(database, count_tokens=lambda text: len(text.split()), options=MemoryOptions(**options))


async def save(
    store: Conversations,
    conversation_id: str | None,
    question: str,
    scope: Scope = HERE,
    *,
    owner: str = "",
    visible_to: str | None = None,
) -> str:
    saved = await store.save(
        scope,
        conversation_id,
        question=question,
        condensed=question + " whole",
        answer=ANSWER,
        owner=owner,
        visible_to=visible_to,
    )
    return saved.conversation_id


async def test_an_exchange_comes_back_as_it_was_saved(database: Database):
    store = conversations(database)
    saved = await store.get(HERE, await save(store, None, "How many days?"))
    (turn,) = saved.turns
    assert (turn.question, turn.condensed, turn.answer) == ("How many days?", "How many days? whole", ANSWER.text)
    assert turn.citations == (CITATION,)
    assert turn.usage == ANSWER.usage
    assert turn.degraded == ("llm_unavailable",)


async def test_only_the_last_exchanges_are_remembered(database: Database):
    store = conversations(database, max_exchanges=3)
    conversation_id = await save(store, None, "q0")
    for number in range(1, 5):
        await save(store, conversation_id, f"q{number}")
    assert [turn.question for turn in await store.history(HERE, conversation_id)] == [
        "q2 whole",
        "q3 whole",
        "q4 whole",
    ]


async def test_memory_is_bounded_in_tokens_and_drops_the_oldest(database: Database):
    store = conversations(database, max_tokens=12)  # an exchange has 2 + 3 tokens
    conversation_id = await save(store, None, "q0")
    await save(store, conversation_id, "q1")
    await save(store, conversation_id, "q2")
    assert [turn.question for turn in await store.history(HERE, conversation_id)] == ["q1 whole", "q2 whole"]


async def test_no_memory_is_a_setting_too(database: Database):
    store = conversations(database, max_exchanges=0)
    assert await store.history(HERE, await save(store, None, "q0")) == []


@pytest.mark.parametrize("stranger", [Scope("other", "handbook"), Scope("acme", "other")])
async def test_another_scope_neither_sees_nor_continues_nor_deletes_it(database: Database, stranger: Scope):
    store = conversations(database)
    conversation_id = await save(store, None, "secret")
    assert await store.latest(stranger) == []
    for attempt in (
        store.get(stranger, conversation_id),
        store.history(stranger, conversation_id),
        store.delete(stranger, conversation_id),
        save(store, conversation_id, "mine now", stranger),
    ):
        with pytest.raises(NotFound):
            await attempt
    assert len((await store.get(HERE, conversation_id)).turns) == 1


async def test_a_deleted_conversation_is_gone_with_its_turns(database: Database):
    store = conversations(database)
    conversation_id = await save(store, None, "q")
    await store.delete(HERE, conversation_id)
    with pytest.raises(NotFound):
        await store.get(HERE, conversation_id)
    assert await store.latest(HERE) == []


async def test_the_latest_conversation_comes_first_and_is_titled_by_its_question(database: Database):
    store = conversations(database)
    first = await save(store, None, "First\nquestion " + "x" * 200)
    second = await save(store, None, "Second question")
    await save(store, first, "again")
    listed = await store.latest(HERE)
    assert [item.id for item in listed] == [first, second]
    assert len(listed[0].title) == 80
    assert "\n" not in listed[0].title


async def test_a_user_who_sees_only_their_own_neither_sees_nor_continues_nor_deletes_another_ones(database: Database):
    store = conversations(database)
    hers = await save(store, None, "hers", owner="user:her")
    ownerless = await save(store, None, "without an owner")
    for foreign in (hers, ownerless):
        for attempt in (
            store.get(HERE, foreign, visible_to="user:him"),
            store.history(HERE, foreign, visible_to="user:him"),
            store.delete(HERE, foreign, visible_to="user:him"),
            save(store, foreign, "mine now", owner="user:him", visible_to="user:him"),
        ):
            with pytest.raises(NotFound):
                await attempt
    assert await store.latest(HERE, visible_to="user:him") == []
    assert [item.id for item in await store.latest(HERE, visible_to="user:her")] == [hers]
    assert {item.id for item in await store.latest(HERE)} == {hers, ownerless}
    assert len((await store.get(HERE, hers, visible_to="user:her")).turns) == 1


async def test_a_conversation_stays_its_first_owners(database: Database):
    store = conversations(database)
    conversation_id = await save(store, None, "hers", owner="user:her")
    await save(store, conversation_id, "his", owner="user:him")
    assert (await store.get(HERE, conversation_id)).owner == "user:her"


async def test_each_exchange_is_known_by_its_id(database: Database):
    store = conversations(database)
    saved = await store.save(HERE, None, question="q", condensed="q", answer=ANSWER)
    assert [turn.id for turn in (await store.get(HERE, saved.conversation_id)).turns] == [saved.turn_id]


async def test_what_was_last_used_before_a_moment_expires_with_its_turns_and_of_its_tenant_only(database: Database):
    store = conversations(database)
    old = await save(store, None, "old", Scope("acme", "other"))
    foreign = await save(store, None, "foreign", Scope("globex", "handbook"))
    moment = datetime.now(UTC)
    new = await save(store, None, "new")
    assert await store.expire("acme", moment) == 1
    assert await rows_of(database, turns) == {new, foreign}
    assert await store.expire("acme", moment) == 0
    assert old not in {item.id for item in await store.latest(Scope("acme", "other"))}


async def rows_of(database: Database, table: Table) -> set[str]:
    """The conversations that the table has rows of."""
    async with database.read(EVERY_TENANT) as connection:
        return set(await connection.scalars(unscoped(table, table.c.conversation_id)))


async def test_deleting_a_conversation_leaves_no_row_of_its_turns(database: Database):
    store = conversations(database)
    kept, gone = await save(store, None, "kept"), await save(store, None, "gone")
    await store.delete(HERE, gone)
    assert await rows_of(database, turns) == {kept}


async def test_exchanges_saved_at_the_same_moment_are_all_kept_in_some_order(database: Database):
    store = conversations(database)
    conversation_id = await save(store, None, "q0")
    await asyncio.gather(*(save(store, conversation_id, f"q{number}") for number in range(1, 9)))
    asked = [turn.question for turn in (await store.get(HERE, conversation_id)).turns]
    assert sorted(asked) == [f"q{number}" for number in range(9)]
    assert asked[0] == "q0"
