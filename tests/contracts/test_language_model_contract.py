"""One suite for every language model, against servers that speak, and break off, as the vendors do.

The guarded model is one of them: around each vendor's model it has to keep the same promises.
"""

from __future__ import annotations

import asyncio
import logging
import traceback
from collections.abc import Callable
from contextlib import aclosing

import pytest

from ragstone.errors import ModelUnavailable
from ragstone.llm.anthropic import AnthropicModel
from ragstone.llm.base import LanguageModel, Message
from ragstone.llm.guarded import GuardedModel
from ragstone.llm.openai import OpenAIModel
from ragstone.resilience.upstream_policy import UpstreamOptions, UpstreamPolicies
from ragstone.telemetry.metrics import Metrics
from ragstone.vocabulary import Usage
from tests.llm.mock_upstreams import (
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

KEY = "sk-very-secret-canary"
MESSAGES = (Message("system", "Rules.", cacheable=True), Message("user", "Why?"))
EVENTS: dict[str, Callable[..., list[str]]] = {"openai": openai_events, "anthropic": anthropic_events}
MODELS: dict[str, Callable[..., LanguageModel]] = {"openai": OpenAIModel, "anthropic": AnthropicModel}
ERROR_EVENT = 'event: error\ndata: {"type": "error", "error": {"type": "overloaded_error", "message": "busy"}}\n\n'


@pytest.fixture(params=["openai", "anthropic", "guarded openai", "guarded anthropic"])
def kind(request):
    return request.param


def vendor_of(kind):
    return kind.removeprefix("guarded ")


def model_of(kind, url, *, timeout_s=5.0) -> LanguageModel:
    model = MODELS[vendor_of(kind)]("m", api_key=KEY, base_url=url, timeout_s=timeout_s)
    if kind == vendor_of(kind):
        return model
    policies = UpstreamPolicies(UpstreamOptions(attempts=1), metrics=Metrics())
    return GuardedModel(model, policies.guard("model.test"))


async def told(kind, url, *, timeout_s=5.0):
    """Everything a model of this kind at `url` yields."""
    model = model_of(kind, url, timeout_s=timeout_s)
    try:
        return [piece async for piece in model.stream(MESSAGES, max_tokens=50)]
    finally:
        await model.close()


async def fails(kind, script, **options):
    async with serving(script) as upstream:
        with pytest.raises(ModelUnavailable) as caught:
            await told(kind, upstream.url, **options)
    return caught.value


def test_a_model_has_the_name_that_usage_reports(kind):
    assert model_of(kind, "http://model.test").name == "m"


async def test_text_comes_in_pieces_and_usage_last(kind):
    async with serving(telling(EVENTS[vendor_of(kind)](["Be", "cause — ", "日本"]))) as upstream:
        *pieces, usage = await told(kind, upstream.url)
    assert [piece for piece in pieces if isinstance(piece, str)] == ["Be", "cause — ", "日本"]
    assert isinstance(usage, Usage)


@pytest.mark.parametrize("status", [400, 401, 402, 403, 404, 408, 413, 422, 429, 500, 502, 503, 504, 529])
async def test_an_error_status_is_named_in_a_sentence(kind, status):
    assert f"HTTP {status}" in str(await fails(kind, refusing(status)))


async def test_a_closed_port_is_unavailable(kind):
    async with serving(hanging) as upstream:
        url = upstream.url
    with pytest.raises(ModelUnavailable, match="server runs"):
        await told(kind, url)


@pytest.mark.parametrize("script", [hanging, silent], ids=["no-headers", "no-token"])
async def test_silence_ends_with_the_time_limit(kind, script):
    assert "silent" in str(await fails(kind, script, timeout_s=0.1))


async def test_silence_in_the_middle_ends_with_the_time_limit(kind):
    script = then_hanging(EVENTS[vendor_of(kind)](["Be", "cause"])[:4])
    await fails(kind, script, timeout_s=0.1)


async def test_a_cut_connection_is_unavailable(kind):
    await fails(kind, then_resetting(EVENTS[vendor_of(kind)](["Be", "cause"])[:4]))


async def test_an_end_without_an_end_marker_is_no_answer(kind):
    events = (
        openai_events(["Be"], finish=None, done=False)
        if vendor_of(kind) == "openai"
        else anthropic_events(["Be"], ended=False)
    )
    assert "broke off" in str(await fails(kind, telling(events)))


@pytest.mark.parametrize(
    "garbage",
    [
        'event: message_start\ndata: {"id": "c1", "cho\n\n',
        "event: message_start\ndata: 5\n\n",
        'event: message_start\ndata: {"type": "message_start", "choices": 5}\n\n',
        'event: content_block_delta\ndata: {"type": "content_block_delta", "choices": [7]}\n\n',
        "<html>not a stream</html>",
        "",
    ],
    ids=["half-json", "number", "shape", "inner-shape", "html", "nothing"],
)
async def test_garbage_is_unavailable(kind, garbage):
    await fails(kind, telling([garbage]))


async def test_an_error_event_after_200_is_unavailable(kind):
    await fails(kind, telling([*EVENTS[vendor_of(kind)](["Be"])[:3], ERROR_EVENT]))


async def test_a_withheld_answer_is_unavailable(kind):
    events = (
        openai_events(["Be"], finish="content_filter")
        if vendor_of(kind) == "openai"
        else anthropic_events(["Be"], stop="refusal")
    )
    assert "withheld" in str(await fails(kind, telling(events)))


async def test_closing_the_iterator_closes_the_connection(kind):
    async with serving(then_hanging(EVENTS[vendor_of(kind)](["Be", "cause"])[:4])) as upstream:
        model = model_of(kind, upstream.url)
        async with aclosing(model.stream(MESSAGES, max_tokens=50)) as pieces:
            assert "Be" in [await anext(pieces), await anext(pieces)]
        await asyncio.wait_for(upstream.hung_up.wait(), 5)
        await model.close()


async def test_the_key_shows_in_no_error_and_no_log(kind, caplog):
    caplog.set_level(logging.DEBUG)
    error = await fails(kind, refusing(401, f"Incorrect API key provided: {KEY}"))
    assert KEY not in "".join(traceback.format_exception(error))
    assert KEY not in caplog.text
