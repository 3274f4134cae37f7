"""The story ASK and its bill: one row a question, settled however it ends."""

from __future__ import annotations

import asyncio
import gc
from collections.abc import AsyncIterator
from contextlib import aclosing
from datetime import UTC, datetime
from pathlib import Path

import pytest

from ragstone.billing.ledger import UsageRecord
from ragstone.chat.ask import Finished
from ragstone.errors import InvalidQuestion, NotFound
from ragstone.principals import PERMISSIONS, CredentialType, Principal, Role
from ragstone.vocabulary import Answer, Scope
from tests.api.calls import NOTES
from tests.platforms import OpenedPlatform, small_platform

EVER = {"since": datetime(2020, 1, 1, tzinfo=UTC), "until": datetime(2100, 1, 1, tzinfo=UTC)}
QUESTION = "At what temperature does water boil?"
ACME = Scope("acme")
VIEWER = Principal("user:v", CredentialType.SESSION, tenant="acme", permissions=PERMISSIONS[Role.VIEWER])
EDITOR = Principal("user:e", CredentialType.SESSION, tenant="acme", permissions=PERMISSIONS[Role.EDITOR])


@pytest.fixture
async def platform(tmp_path: Path) -> AsyncIterator[OpenedPlatform]:
    async with small_platform(tmp_path / "data") as opened:
        (tmp_path / "notes.md").write_text(NOTES)
        await opened.ingest(tmp_path / "notes.md", scope=ACME)
        yield opened


async def rows(platform: OpenedPlatform, tenant: str = "acme") -> list[UsageRecord]:
    return [row async for row in platform.billing.ledger.records(tenant, **EVER) if row.kind == "chat"]


async def finished(events) -> Finished:
    async with aclosing(events):
        *_, last = [event async for event in events]
    assert isinstance(last, Finished)
    return last


async def test_an_answer_is_billed_to_who_asked_in_its_conversation(platform):
    last = await finished(platform.answers.chat.ask(ACME, QUESTION, principal=VIEWER, overage=True))
    [row] = await rows(platform)
    assert (row.state, row.principal, row.conversation_id) == ("settled", "user:v", last.conversation_id)
    assert (row.overage, row.model, row.embedding_tokens > 3) == (True, "extractive", True)


async def test_what_is_refused_has_no_row(platform):
    for scope, question, conversation in ((ACME, " ", None), (Scope("acme", "no"), "a", None), (ACME, "a", "x")):
        with pytest.raises((InvalidQuestion, NotFound)):
            await platform.answers.chat.begin(scope, question, conversation_id=conversation)
    assert await rows(platform) == []


async def test_who_leaves_in_the_middle_is_billed_for_what_was_used(platform):
    async with aclosing(platform.answers.chat.ask(ACME, QUESTION, principal=VIEWER)) as events:
        await anext(events)
    [row] = await rows(platform)
    assert (row.state, row.conversation_id, row.embedding_tokens > 3) == ("settled", None, True)


async def test_an_exchange_that_is_never_answered_is_let_go(platform):
    exchange = await platform.answers.chat.begin(ACME, QUESTION, principal=VIEWER)
    assert [row.state for row in await rows(platform)] == ["reserved"]
    del exchange
    gc.collect()
    await asyncio.sleep(0)
    await platform.billing.ledger.close()
    assert [(row.state, row.input_tokens) for row in await rows(platform)] == [("settled", 0)]


async def test_an_exchange_may_be_released_again_and_again(platform):
    exchange = await platform.answers.chat.begin(ACME, QUESTION, principal=VIEWER)
    for _ in range(3):
        await platform.answers.chat.release(exchange)
    assert [row.state for row in await rows(platform)] == ["settled"]


async def test_the_steps_one_by_one_give_the_same_answer(platform):
    whole = await finished(platform.answers.chat.ask(ACME, QUESTION, principal=VIEWER))
    exchange = await platform.answers.chat.begin(ACME, QUESTION, principal=VIEWER)
    found = await platform.answers.chat.retrieve(exchange)
    [answer] = [event async for event in platform.answers.chat.generate(exchange, found) if isinstance(event, Answer)]
    last = await platform.answers.chat.save(exchange, found, answer)
    await platform.answers.chat.release(exchange)
    assert last.answer == whole.answer
    assert [row.conversation_id for row in await rows(platform)] == [whole.conversation_id, last.conversation_id]


async def test_only_who_began_a_conversation_goes_on_with_it_or_who_may_see_all(platform):
    last = await finished(platform.answers.chat.ask(ACME, QUESTION, principal=VIEWER))
    stranger = Principal("user:s", CredentialType.SESSION, tenant="acme", permissions=PERMISSIONS[Role.VIEWER])
    with pytest.raises(NotFound):
        await platform.answers.chat.begin(ACME, "And iron?", principal=stranger, conversation_id=last.conversation_id)
    for who in (VIEWER, EDITOR):
        again = platform.answers.chat.ask(ACME, "And iron?", principal=who, conversation_id=last.conversation_id)
        assert (await finished(again)).conversation_id == last.conversation_id


async def test_the_platform_asks_on_behalf_of_this_machine(platform):
    await platform.ask(QUESTION, scope=ACME)
    assert [(row.tenant, row.principal) for row in await rows(platform)] == [("acme", "local")]
