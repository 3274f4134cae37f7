"""Each reader has one word on each answer, on answers of the conversation it names only."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from datetime import UTC, datetime

import pytest

from ragstone.chat.conversations import Conversations, Saved
from ragstone.chat.feedback import BAD, GOOD, MAX_COMMENT_CHARS, FeedbackStore
from ragstone.errors import InvalidInput, NotFound
from ragstone.storage.database import EVERY_TENANT, Database, unscoped
from ragstone.storage.schema import feedback
from ragstone.vocabulary import Answer, Scope, Usage

HERE = Scope("acme", "handbook")
ANSWER = Answer("28 days.", (), (), Usage("extractive"))


@pytest.fixture
async def database(database_url: str) -> AsyncIterator[Database]:
    opened = await Database.open(database_url)
    yield opened
    await opened.close()


@pytest.fixture
def conversations(database: Database) -> Conversations:
    return Conversations(database, count_tokens=len)


@pytest.fixture
def book(database: Database) -> FeedbackStore:
    return FeedbackStore(database)


async def asked(conversations: Conversations, scope: Scope = HERE, owner: str = "user:her") -> Saved:
    return await conversations.save(
        scope, None, question="How many?", condensed="How many?", answer=ANSWER, owner=owner
    )


async def test_what_is_said_comes_back_with_the_exchange(book: FeedbackStore, conversations: Conversations):
    saved = await asked(conversations)
    await book.give(HERE, saved.conversation_id, saved.turn_id, author="user:her", rating=BAD, comment="Wrong year")
    (said,) = await book.all(HERE)
    assert (said.rating, said.comment, said.author) == (BAD, "Wrong year", "user:her")
    assert (said.question, said.answer, said.scope) == ("How many?", "28 days.", HERE)
    assert (said.conversation_id, said.turn_id) == (saved.conversation_id, saved.turn_id)


async def test_a_later_word_of_the_same_reader_replaces_the_first(book: FeedbackStore, conversations: Conversations):
    saved = await asked(conversations)
    for author, rating in (("user:her", BAD), ("user:him", BAD), ("user:her", GOOD)):
        await book.give(HERE, saved.conversation_id, saved.turn_id, author=author, rating=rating)
    assert {(each.author, each.rating) for each in await book.all(HERE)} == {("user:her", GOOD), ("user:him", BAD)}


@pytest.mark.parametrize("stranger", [Scope("other", "handbook"), Scope("acme", "other")])
async def test_a_rating_of_another_scope_is_refused(book: FeedbackStore, conversations: Conversations, stranger: Scope):
    saved = await asked(conversations)
    with pytest.raises(NotFound):
        await book.give(stranger, saved.conversation_id, saved.turn_id, author="user:him", rating=GOOD)
    assert await book.all(stranger) == await book.all("other") == []


async def test_a_turn_of_another_conversation_is_not_found(book: FeedbackStore, conversations: Conversations):
    mine, other, foreign = [await asked(conversations, scope) for scope in (HERE, HERE, Scope("other", "handbook"))]
    for turn_id in (other.turn_id, foreign.turn_id, "0" * 32):
        with pytest.raises(NotFound):
            await book.give(HERE, mine.conversation_id, turn_id, author="user:her", rating=GOOD)
    assert await book.all(HERE) == []


async def test_who_sees_only_their_own_conversations_rates_only_these(
    book: FeedbackStore, conversations: Conversations
):
    saved = await asked(conversations, owner="user:her")
    words = {"author": "user:him", "rating": GOOD}
    with pytest.raises(NotFound):
        await book.give(HERE, saved.conversation_id, saved.turn_id, visible_to="user:him", **words)  # type: ignore[arg-type]
    await book.give(HERE, saved.conversation_id, saved.turn_id, visible_to="user:her", **words)  # type: ignore[arg-type]


@pytest.mark.parametrize(("rating", "comment"), [(0, ""), (2, ""), (GOOD, "x" * (MAX_COMMENT_CHARS + 1))])
async def test_nothing_but_good_and_bad_is_kept(
    book: FeedbackStore, conversations: Conversations, rating: int, comment: str
):
    saved = await asked(conversations)
    with pytest.raises(InvalidInput):
        await book.give(HERE, saved.conversation_id, saved.turn_id, author="a", rating=rating, comment=comment)


async def test_pages_and_filters_cover_everything_once(book: FeedbackStore, conversations: Conversations):
    ids = []
    for number in range(7):
        scope = Scope("acme", "handbook" if number % 2 else "other")
        saved = await asked(conversations, scope)
        rating = GOOD if number < 3 else BAD
        ids.append((await book.give(scope, saved.conversation_id, saved.turn_id, author="a", rating=rating)).id)
    first = await book.all("acme", limit=4)
    rest = await book.all("acme", limit=4, after=first[-1].id)
    assert [each.id for each in [*first, *rest]] == ids[::-1]
    assert [each.id for each in await book.all("acme", rating=GOOD)] == ids[2::-1]
    assert {each.scope.collection for each in await book.all("acme", collections=frozenset({"other"}))} == {"other"}
    assert await book.all("acme", collections=frozenset()) == []
    assert [each.id for each in await book.all(Scope("acme", "handbook"))] == ids[5::-2]
    noon = first[-1].created_at
    assert len(await book.all("acme", since=noon)) == 4
    assert len(await book.all("acme", until=noon)) == 3
    with pytest.raises(NotFound):
        await book.all("other", after=first[-1].id)


async def test_it_goes_with_its_conversation(book: FeedbackStore, conversations: Conversations, database: Database):
    deleted, expired, kept = [await asked(conversations, Scope("acme", name)) for name in ("a", "b", "c")]
    for saved, name in ((deleted, "a"), (expired, "b"), (kept, "c")):
        await book.give(Scope("acme", name), saved.conversation_id, saved.turn_id, author="a", rating=GOOD)
    moment = datetime.now(UTC)
    await conversations.save(Scope("acme", "c"), kept.conversation_id, question="And?", condensed="And?", answer=ANSWER)
    await conversations.delete(Scope("acme", "a"), deleted.conversation_id)
    assert await conversations.expire("acme", moment) == 1
    async with database.read(EVERY_TENANT) as connection:
        assert list(await connection.scalars(unscoped(feedback, feedback.c.turn_id))) == [kept.turn_id]


async def test_words_of_one_reader_at_the_same_moment_become_one(book: FeedbackStore, conversations: Conversations):
    saved = await asked(conversations)
    give = [
        book.give(HERE, saved.conversation_id, saved.turn_id, author="user:her", rating=rating)
        for rating in (GOOD, BAD) * 4
    ]
    await asyncio.gather(*give)
    assert len(await book.all(HERE)) == 1
