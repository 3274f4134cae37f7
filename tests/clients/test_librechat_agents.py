"""LibreChat's own `@librechat/agents`, set up as LibreChat does for a custom endpoint, against the interceptor."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from tests.clients.outside import librechat
from tests.interceptor.setup import KEY, QUESTION, Stand, stand
from tests.interceptor.upstreams import Fault, ModelServer, Seen, upstream

ANSWER = "The harbour crane lifts forty tonnes [1]."
SOURCES = "\n\n**Sources**\n[1] [The harbour](https://rag.example.org/sources/"
PROVIDERS = ["openAI", "anthropic"]
BREAKS = 12  # failures in a row that open any circuit


@dataclass(frozen=True, slots=True)
class Between:
    """The interceptor, the server behind it, and LibreChat before it."""

    here: Stand
    model: ModelServer

    async def turn(self, provider: str = "openAI", **more: Any) -> dict[str, Any]:
        """One turn of a chat."""
        said = [{"role": "user", "content": QUESTION}]
        task = {"provider": provider, "model": "mock", "key": KEY, "url": self.here.url, "messages": said, **more}
        return await librechat("agents.mjs", task)


@pytest.fixture
async def between(tmp_path: Path) -> AsyncIterator[Between]:
    async with upstream() as model, stand(tmp_path, model.url) as here:
        yield Between(here, model)


def texts_of(seen: Seen) -> list[str]:
    """The texts of the user's messages, as the model's server got them."""
    contents = [message["content"] for message in seen.json["messages"] if message["role"] == "user"]
    parts = [content if isinstance(content, list) else [{"type": "text", "text": content}] for content in contents]
    return ["".join(part.get("text", "") for part in each) for each in parts]


def statuses_of(requests: Sequence[Any]) -> list[str | None]:
    return [request["answer"].get("x-ragstone-status") for request in requests]


@pytest.mark.parametrize("provider", PROVIDERS)
async def test_the_reader_gets_the_answer_and_its_sources(between: Between, provider: str):
    turn = await between.turn(provider)
    assert turn["error"] is None
    assert turn["text"].startswith(ANSWER + SOURCES)
    assert statuses_of(turn["requests"]) == ["enriched; sources=1"]
    assert "forty tonnes" in texts_of(between.model.seen[0])[-1]


async def test_usage_is_counted_though_librechat_does_not_ask_for_it(between: Between):
    turn = await between.turn()
    [request] = turn["requests"]
    assert "stream_options" not in json.loads(request["body"])
    [usage] = turn["usage"]
    assert (usage["input_tokens"], usage["output_tokens"]) == (100, 7)
    assert usage["input_token_details"]["cache_read"] == 60


async def test_usage_of_anthropic_counts_what_was_cached(between: Between):
    [usage] = (await between.turn("anthropic"))["usage"]
    assert (usage["input_tokens"], usage["output_tokens"]) == (2105, 42)


@pytest.mark.parametrize("provider", PROVIDERS)
async def test_within_a_tool_loop_the_model_reads_the_same_question_again(between: Between, provider: str):
    between.model.tools = True
    turn = await between.turn(provider, tools=True)
    assert turn["error"] is None
    called = [part["tool_call"] for part in turn["content"] if part["type"] == "tool_call"]
    assert [(call["name"], call["output"]) for call in called] == [("weather", "Rain over the harbour.")]
    assert turn["text"].startswith(ANSWER + SOURCES)
    first, second = between.model.seen
    asked = texts_of(first)
    assert "forty tonnes" in asked[-1]
    assert texts_of(second)[: len(asked)] == asked
    if provider == "openAI":
        assert second.json["messages"][: len(first.json["messages"])] == first.json["messages"]


async def test_our_lists_of_sources_do_not_come_back_to_the_model(between: Between):
    answered = (await between.turn())["text"]
    said = [
        {"role": "user", "content": QUESTION},
        {"role": "assistant", "content": answered},
        {"role": "user", "content": "And who is its operator?"},
    ]
    turn = await between.turn(messages=said)
    assert turn["error"] is None
    assert "**Sources**" in answered
    assert "**Sources**" in turn["requests"][0]["body"]
    assert b"**Sources**" not in between.model.seen[-1].body


@pytest.mark.parametrize("method", ["completion", "structured"])
async def test_requests_for_titles_reach_the_model_byte_for_byte(between: Between, method: str):
    between.model.pieces = ('{"language": "English", "title": "Harbour Crane"}',)
    made = await between.turn(method=method)
    assert made["error"] is None
    assert "Harbour Crane" in made["title"]["title"]
    [request] = made["requests"]
    assert statuses_of([request]) == ["bypass; reason=title"]
    assert [seen.body.decode() for seen in between.model.seen] == [request["body"]]


@pytest.mark.parametrize("provider", PROVIDERS)
async def test_the_stop_button_stops_the_model(between: Between, provider: str):
    between.model.fault = Fault.HANG_MIDWAY
    turn = await between.turn(provider, stop_after=5)
    assert turn["error"]["name"] == "AbortError"
    assert turn["text"].startswith("The harbour")
    await asyncio.wait_for(between.model.hung_up.wait(), 10)


@pytest.mark.parametrize("provider", PROVIDERS)
@pytest.mark.parametrize("fault", [Fault.RESET, Fault.ERROR_EVENT])
async def test_an_answer_that_breaks_off_fails_the_turn_and_keeps_what_came(
    between: Between, provider: str, fault: Fault
):
    between.model.fault = fault
    turn = await between.turn(provider)
    expected = "ended the answer before it was complete" if fault is Fault.RESET else "No: [redacted]"
    assert expected in turn["error"]["message"]
    came = "" if (provider, fault) == ("anthropic", Fault.ERROR_EVENT) else "The harbour "  # Anthropic pings first
    assert turn["text"].startswith(came)
    assert len(turn["requests"]) == len(between.model.seen) == 1


async def test_a_silent_end_is_no_whole_answer(between: Between):
    between.model.fault = Fault.NO_END
    turn = await between.turn()
    assert "ended the answer before it was complete" in turn["error"]["message"]


@pytest.mark.parametrize("provider", PROVIDERS)
async def test_a_wrong_key_is_told_at_once(between: Between, provider: str):
    turn = await between.turn(provider, key="nobody")
    assert turn["error"]["status"] == 401
    assert "is not valid" in turn["error"]["message"]
    assert len(turn["requests"]) == 1


async def test_a_refusal_of_the_models_server_is_told_at_once_without_its_key(between: Between):
    between.model.fault = Fault.KEY
    turn = await between.turn()
    assert turn["error"]["status"] == 401
    assert "[redacted]" in turn["error"]["message"]
    assert len(turn["requests"]) == len(between.model.seen) == 1


async def test_an_unknown_model_is_told_at_once(tmp_path: Path):
    async with upstream() as model, stand(tmp_path, model.url, interceptor={"models": {"house": "mock"}}) as here:
        turn = await Between(here, model).turn(model="nobody")
    assert turn["error"]["status"] == 404
    assert len(turn["requests"]) == 1


@pytest.mark.parametrize("provider", PROVIDERS)
async def test_where_there_is_no_room_librechat_asks_once(tmp_path: Path, provider: str):
    narrow = {"max_calls": 1, "max_calls_per_tenant": 1, "queue_s": 0}
    async with upstream(Fault.HANG) as model, stand(tmp_path, model.url, upstream=narrow) as here:
        fills = asyncio.create_task(_ask(here, provider))
        await asyncio.wait_for(model.asked.wait(), 10)
        turn = await Between(here, model).turn(provider)
        fills.cancel()
        with suppress(asyncio.CancelledError):
            await fills
    assert_told_once(turn)
    assert "at its concurrency limit" in turn["error"]["message"]
    assert len(model.seen) == 1


@pytest.mark.parametrize("provider", PROVIDERS)
async def test_where_the_circuit_is_open_librechat_asks_once(tmp_path: Path, provider: str):
    async with upstream(Fault.DOWN) as model, stand(tmp_path, model.url, upstream={"open_s": 60}) as here:
        for _ in range(BREAKS):
            await _ask(here, provider)
        asked = len(model.seen)
        turn = await Between(here, model).turn(provider)
    assert_told_once(turn)
    assert len(model.seen) == asked


@pytest.mark.parametrize("provider", PROVIDERS)
async def test_where_the_server_is_gone_librechat_asks_once(tmp_path: Path, provider: str):
    async with upstream(Fault.REFUSE) as model, stand(tmp_path, model.url) as here:
        assert_told_once(await Between(here, model).turn(provider))


def assert_told_once(turn: Any) -> None:
    """LangChain would repeat a 503 for a minute and a half."""
    [request] = turn["requests"]
    assert turn["error"]["status"] == request["status"] == 503
    assert int(request["answer"]["retry-after"]) >= 1
    assert request["answer"]["x-should-retry"] == "false"


async def _ask(here: Stand, provider: str) -> None:
    body = {"model": "mock", "max_tokens": 9, "messages": [{"role": "user", "content": QUESTION}], "stream": True}
    async with here.client() as client:
        await client.post("/v1/messages" if provider == "anthropic" else "/v1/chat/completions", json=body)


async def test_our_own_answers_are_read_as_any_models(tmp_path: Path):
    async with stand(tmp_path) as here:
        alone = Between(here, ModelServer())
        for provider in PROVIDERS:
            turn = await alone.turn(provider, model="ragstone")
            assert turn["error"] is None
            assert turn["text"].startswith(ANSWER + SOURCES)


@pytest.mark.parametrize("method", ["completion", "structured"])
async def test_our_own_titles_are_what_librechat_asks_for(tmp_path: Path, method: str):
    async with stand(tmp_path) as here:
        made = await Between(here, ModelServer()).turn(model="ragstone", method=method)
    assert made["error"] is None
    assert made["title"]["title"] == "Tonnes harbour crane lift"
    assert len(made["requests"]) == 1
