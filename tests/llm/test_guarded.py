"""A guarded model is tried again before its first word only, and left alone when it fails too often."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Callable, Sequence
from contextlib import aclosing

import httpx2
import pytest
import stamina
from stamina.instrumentation import set_on_retry_hooks

from ragstone.errors import CircuitOpen, ModelUnavailable, Overloaded
from ragstone.llm.anthropic import AnthropicModel
from ragstone.llm.base import LanguageModel, Message
from ragstone.llm.errors import ModelFault, unavailable
from ragstone.llm.guarded import GuardedModel
from ragstone.llm.openai import OpenAIModel
from ragstone.llm.token_usage import counted
from ragstone.resilience.breaker import State
from ragstone.resilience.bulkhead import ConcurrencyOptions
from ragstone.resilience.upstream_policy import UpstreamOptions, UpstreamPolicies
from ragstone.telemetry.metrics import Metrics
from ragstone.vocabulary import Usage
from tests.clocks import Clock
from tests.llm.mock_upstreams import (
    Exchange,
    Script,
    Upstream,
    anthropic_events,
    hanging,
    openai_events,
    refusing,
    serving,
    silent,
    telling,
    then_hanging,
    then_resetting,
)

MESSAGES = (Message("user", "Why?"),)
EVENTS: dict[str, Callable[..., list[str]]] = {"openai": openai_events, "anthropic": anthropic_events}
MODELS: dict[str, Callable[..., LanguageModel]] = {"openai": OpenAIModel, "anthropic": AnthropicModel}
OPTIONS = UpstreamOptions(retry_budget=1.0, places=ConcurrencyOptions(max_calls=2, max_calls_per_tenant=1, queue_s=0.0))


@pytest.fixture(autouse=True)
def no_waits():
    set_on_retry_hooks(())
    with stamina.set_testing(True, attempts=100, cap=True):
        yield
    set_on_retry_hooks(None)


@pytest.fixture(params=["openai", "anthropic"])
def vendor(request):
    return request.param


@pytest.fixture
def guard():
    return UpstreamPolicies(OPTIONS, metrics=Metrics(), clock=Clock()).guard("models.example")


def first(script: Script, then: Script, *, times: int = 1) -> Script:
    """Answers with one script, so many times, and then with another."""
    calls = 0

    async def turns(exchange: Exchange) -> None:
        nonlocal calls
        calls += 1
        await (script if calls <= times else then)(exchange)

    return turns


def asked_to_wait(status: int, header: str) -> Script:
    async def script(exchange: Exchange) -> None:
        await exchange.json(status, {"error": {"message": "no"}}, more=f"{header}\r\n")

    return script


async def text_of(model: LanguageModel) -> str:
    return "".join([piece async for piece in model.stream(MESSAGES, max_tokens=50) if isinstance(piece, str)])


class Asked:
    """A guarded model at a mock server."""

    def __init__(self, vendor: str, upstream: Upstream, guard, *, timeout_s: float = 5.0) -> None:
        self.inner = MODELS[vendor]("m", api_key="k", base_url=upstream.url, timeout_s=timeout_s)
        self.model = GuardedModel(self.inner, guard)

    async def __aenter__(self) -> LanguageModel:
        return self.model

    async def __aexit__(self, *_: object) -> None:
        await self.model.close()


class Says:
    """A model that yields these pieces; an exception is raised, an event waited for."""

    name = "m"

    def __init__(self, *pieces: str | Usage | Exception | asyncio.Event) -> None:
        self.pieces = pieces
        self.calls = 0
        self.closed = 0

    async def stream(self, messages: Sequence[Message], *, max_tokens: int) -> AsyncGenerator[str | Usage, None]:
        self.calls += 1
        try:
            for piece in self.pieces:
                if isinstance(piece, Exception):
                    raise piece
                if isinstance(piece, asyncio.Event):
                    await piece.wait()
                else:
                    yield piece
        finally:
            self.closed += 1

    async def close(self) -> None:
        pass


async def test_what_the_model_says_passes_unchanged(guard):
    pieces: list[str | Usage] = ["Be", Usage("m", 3, 1), "cause", Usage("m", 3, 2)]
    model = GuardedModel(Says(*pieces), guard)
    assert [piece async for piece in model.stream(MESSAGES, max_tokens=9)] == pieces
    assert model.name == "m"


@pytest.mark.parametrize("status", [408, 409, 429, 500, 502, 503, 529])
async def test_a_server_that_fails_once_is_asked_again(vendor, guard, status):
    script = first(refusing(status), telling(EVENTS[vendor](["Be", "cause"])))
    async with serving(script) as upstream, Asked(vendor, upstream, guard) as model:
        assert await text_of(model) == "Because"
        assert len(upstream.paths) == 2


@pytest.mark.parametrize("status", [400, 401, 402, 403, 404, 413, 422])
async def test_what_is_refused_is_not_asked_again_and_is_no_failure(vendor, guard, status):
    async with serving(refusing(status)) as upstream, Asked(vendor, upstream, guard) as model:
        for _ in range(12):
            with pytest.raises(ModelUnavailable, match=f"HTTP {status}"):
                await text_of(model)
        assert len(upstream.paths) == 12
    assert guard.breaker.state is State.CLOSED


async def test_one_key_that_is_limited_does_not_close_the_server_to_other_keys(vendor, guard):
    async with serving(refusing(429)) as upstream, Asked(vendor, upstream, guard) as model:
        for _ in range(12):
            with pytest.raises(ModelUnavailable):
                await text_of(model)
    assert guard.breaker.state is State.CLOSED


async def test_an_account_without_money_is_not_asked_again(guard):
    async def script(exchange: Exchange) -> None:
        await exchange.json(429, {"error": {"message": "no", "code": "insufficient_quota"}})

    async with serving(script) as upstream, Asked("openai", upstream, guard) as model:
        with pytest.raises(ModelUnavailable):
            await text_of(model)
        assert len(upstream.paths) == 1


@pytest.mark.parametrize(
    ("header", "again"),
    [
        ("retry-after: 1", True),
        ("retry-after-ms: 900", True),
        ("retry-after: 3600", False),
        ("retry-after-ms: 99000", False),
        ("retry-after: Wed, 21 Oct 2065 07:28:00 GMT", True),
        ("retry-after: 1e9", True),
    ],
)
async def test_a_server_that_asks_for_a_long_wait_is_not_asked_again(vendor, guard, header, again):
    script = first(asked_to_wait(503, header), telling(EVENTS[vendor](["Be"])))
    async with serving(script) as upstream, Asked(vendor, upstream, guard) as model:
        if again:
            assert await text_of(model) == "Be"
        else:
            with pytest.raises(ModelUnavailable):
                await text_of(model)
        assert len(upstream.paths) == 1 + again


async def test_a_connection_cut_before_the_answer_is_made_again(vendor, guard):
    async def cut(exchange: Exchange) -> None:
        exchange.reset()

    async with (
        serving(first(cut, telling(EVENTS[vendor](["Be"])))) as upstream,
        Asked(vendor, upstream, guard) as model,
    ):
        assert await text_of(model) == "Be"


async def test_a_closed_port_opens_the_circuit(vendor, guard):
    async with serving(hanging) as upstream:
        pass
    async with Asked(vendor, upstream, guard) as model:
        while guard.breaker.state is State.CLOSED:
            with pytest.raises(ModelUnavailable, match="server runs"):
                await text_of(model)
        with pytest.raises(ModelUnavailable, match="too often") as caught:
            await text_of(model)
    assert isinstance(caught.value.__cause__, CircuitOpen)


@pytest.mark.parametrize("script", [hanging, silent], ids=["no-headers", "no-token"])
async def test_a_server_that_has_the_request_and_is_silent_is_not_asked_twice(vendor, guard, script):
    async with serving(script) as upstream, Asked(vendor, upstream, guard, timeout_s=0.1) as model:
        with pytest.raises(ModelUnavailable, match="silent"):
            await text_of(model)
        assert len(upstream.paths) == 1
    assert guard.breaker.recent == (1, 1)


@pytest.mark.parametrize("cut", [0, 4], ids=["before-a-word", "after-a-word"])
async def test_an_answer_that_began_and_broke_off_is_not_asked_for_twice(vendor, guard, cut):
    script = then_resetting(EVENTS[vendor](["Be", "cause"])[:cut])
    async with serving(script) as upstream, Asked(vendor, upstream, guard) as model:
        with pytest.raises(ModelUnavailable):
            await text_of(model)
        assert len(upstream.paths) == 1
    assert guard.breaker.recent == (1, 1)


def test_a_connection_lost_in_an_answers_body_is_not_made_again_whatever_lost_it():
    error = httpx2.ReadError("cut")
    error.__cause__ = ConnectionResetError()
    assert not unavailable("m", error).again


async def test_a_withheld_answer_is_no_failure_of_the_server(guard):
    events = openai_events(["Be"], finish="content_filter")
    async with serving(telling(events)) as upstream, Asked("openai", upstream, guard) as model:
        with pytest.raises(ModelUnavailable, match="withheld"):
            await text_of(model)
    assert guard.breaker.recent == (1, 0)


async def test_who_stops_reading_closes_the_connection_and_frees_the_place(vendor, guard):
    script = then_hanging(EVENTS[vendor](["Be", "cause"])[:4])
    async with serving(script) as upstream, Asked(vendor, upstream, guard) as model:
        async with aclosing(model.stream(MESSAGES, max_tokens=50)) as pieces:
            await anext(pieces)
            assert guard.state.running == 1
        await asyncio.wait_for(upstream.hung_up.wait(), 5)
        assert guard.state.running == 0


async def test_each_attempt_that_said_nothing_is_free_and_the_one_that_spoke_is_paid_once(vendor, guard):
    script = first(refusing(503), telling(EVENTS[vendor](["Be", "cause"])))
    async with serving(script) as upstream, Asked(vendor, upstream, guard) as model:
        pieces = [piece async for piece in counted(model, MESSAGES, max_tokens=50)]
    last = [piece for piece in pieces if isinstance(piece, Usage)][-1]
    expected = Usage("m", 1, 2, estimated=True) if vendor == "openai" else Usage("m", 2105, 42, 2000)
    assert last == expected


async def test_who_was_refused_to_the_end_has_paid_nothing(guard):
    model = GuardedModel(Says(ModelFault("Down.", again=True)), guard)
    async with aclosing(counted(model, MESSAGES, max_tokens=50)) as pieces:
        await anext(pieces)  # the prompt, as an estimate
        assert await anext(pieces) == Usage("m")
        with pytest.raises(ModelUnavailable, match="Down"):
            await anext(pieces)


async def test_the_place_is_held_to_the_end_of_the_answer(guard):
    more = asyncio.Event()
    model = GuardedModel(Says("Be", more, "cause"), guard)
    async with aclosing(model.stream(MESSAGES, max_tokens=9)) as pieces:
        await anext(pieces)
        with pytest.raises(ModelUnavailable, match="as many answers as it may") as caught:
            await text_of(model)
        assert isinstance(caught.value.__cause__, Overloaded)
        more.set()
        assert [piece async for piece in pieces] == ["cause"]
    assert await text_of(model) == "Because"


async def test_tenants_have_places_of_their_own(guard):
    inner = Says("Be", asyncio.Event())
    async with (
        aclosing(GuardedModel(inner, guard, tenant=lambda: "a").stream(MESSAGES, max_tokens=9)) as one,
        aclosing(GuardedModel(inner, guard, tenant=lambda: "b").stream(MESSAGES, max_tokens=9)) as other,
    ):
        assert [await anext(one), await anext(other)] == ["Be", "Be"]
    assert inner.closed == inner.calls == 2


async def test_callers_out_of_patience_find_out_a_model_that_hangs():
    clock = Clock()
    guard = UpstreamPolicies(UpstreamOptions(), metrics=Metrics(), clock=clock).guard("models.example")
    model = GuardedModel(Says(asyncio.Event()), guard, patience_s=9)
    while guard.breaker.state is State.CLOSED:
        asking = asyncio.create_task(text_of(model))
        await asyncio.sleep(0)
        clock.now += 10
        asking.cancel()
        with pytest.raises(asyncio.CancelledError):
            await asking
    with pytest.raises(ModelUnavailable, match="too often"):
        await text_of(model)


async def test_a_model_that_says_nothing_at_all_broke_off(guard):
    with pytest.raises(ModelUnavailable, match="broke off"):
        await text_of(GuardedModel(Says(), guard))
