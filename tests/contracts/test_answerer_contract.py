"""What every answerer does, extractive or with a model."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import aclosing, asynccontextmanager

import pytest

from ragstone.errors import ModelUnavailable
from ragstone.generation.base import Abstained
from ragstone.generation.extractive import ExtractiveAnswerer
from ragstone.generation.prompted import PromptedAnswerer
from ragstone.generation.prompts import ABSTENTION
from ragstone.llm.anthropic import AnthropicModel
from ragstone.llm.base import LanguageModel
from ragstone.llm.openai import OpenAIModel
from ragstone.vocabulary import Turn, Usage
from tests.generation.passages import BRIDGE, TOWER
from tests.llm.mock_upstreams import anthropic_events, openai_events, refusing, serving, telling

PASSAGES = (TOWER, BRIDGE)
KNOWN = "When did the bridge open?"
UNKNOWN = "Who invented the telephone?"
REPLIES = {KNOWN: ["The bridge ", "opened in 1937", " [2]."], UNKNOWN: [ABSTENTION[:5], ABSTENTION[5:]]}
VENDORS: dict[str, tuple[Callable[..., LanguageModel], Callable[..., list[str]]]] = {
    "openai": (OpenAIModel, openai_events),
    "anthropic": (AnthropicModel, anthropic_events),
}


@asynccontextmanager
async def answering(kind, question):
    """An answerer of this kind that knows what to say to `question`."""
    if kind == "extractive":
        yield ExtractiveAnswerer()
        return
    model_of, events_of = VENDORS[kind]
    async with serving(telling(events_of(REPLIES[question]))) as upstream:
        model = model_of("m", api_key="k", base_url=upstream.url)
        yield PromptedAnswerer(model)
        await model.close()


@pytest.fixture(params=["extractive", *VENDORS])
def kind(request):
    return request.param


async def pieces_of(kind, question, history=()):
    async with answering(kind, question) as answerer:
        pieces = [piece async for piece in answerer.stream(question, PASSAGES, history)]
        return answerer, pieces


async def test_an_answer_cites_the_passage_it_comes_from(kind):
    _, pieces = await pieces_of(kind, KNOWN)
    text = "".join(piece for piece in pieces if isinstance(piece, str))
    assert "1937 [2]" in text


async def test_it_abstains_instead_of_writing_where_nothing_bears_on_the_question(kind):
    _, pieces = await pieces_of(kind, UNKNOWN)
    assert [piece for piece in pieces if not isinstance(piece, Usage)] == [Abstained()]


@pytest.mark.parametrize("question", [KNOWN, UNKNOWN])
async def test_it_ends_with_a_usage_and_all_are_under_its_name(kind, question):
    answerer, pieces = await pieces_of(kind, question)
    assert isinstance(pieces[-1], Usage)
    assert {piece.model for piece in pieces if isinstance(piece, Usage)} == {answerer.name}


async def test_a_conversation_may_come_with_the_question(kind):
    _, pieces = await pieces_of(kind, KNOWN, [Turn("How tall is the tower?", "330 metres [1].")])
    assert len(pieces) > 1


async def test_it_can_be_closed_after_its_first_piece(kind):
    async with answering(kind, KNOWN) as answerer, aclosing(answerer.stream(KNOWN, PASSAGES, ())) as pieces:
        assert isinstance(await anext(pieces), str | Usage)


@pytest.mark.parametrize("vendor", VENDORS)
async def test_a_model_that_fails_is_unavailable(vendor):
    async with serving(refusing(500)) as upstream:
        model = VENDORS[vendor][0]("m", api_key="k", base_url=upstream.url)
        with pytest.raises(ModelUnavailable):
            [piece async for piece in PromptedAnswerer(model).stream(KNOWN, PASSAGES, ())]
        await model.close()


@pytest.mark.parametrize("vendor", VENDORS)
async def test_an_empty_answer_of_a_model_is_none(vendor):
    async with serving(telling(VENDORS[vendor][1]([" ", "\n"]))) as upstream:
        model = VENDORS[vendor][0]("m", api_key="k", base_url=upstream.url)
        with pytest.raises(ModelUnavailable, match="empty"):
            [piece async for piece in PromptedAnswerer(model).stream(KNOWN, PASSAGES, ())]
        await model.close()
