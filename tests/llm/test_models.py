"""What is particular to each vendor's adapter; tests/contracts has the suite that all models share."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from importlib import import_module
from types import ModuleType

import pytest
import structlog

from ragstone.errors import ConfigurationError, ModelUnavailable
from ragstone.llm.anthropic import AnthropicModel
from ragstone.llm.base import LanguageModel, Message
from ragstone.llm.errors import unavailable
from ragstone.llm.openai import OpenAIModel
from ragstone.vocabulary import Usage
from tests.llm.mock_upstreams import (
    anthropic_events,
    openai_events,
    refusing,
    serving,
    telling,
)

KEY = "sk-very-secret-canary"
MESSAGES = (Message("system", "Rules.", cacheable=True), Message("user", "Why?"))
EVENTS: dict[str, Callable[..., list[str]]] = {"openai": openai_events, "anthropic": anthropic_events}
MODELS: dict[str, Callable[..., LanguageModel]] = {"openai": OpenAIModel, "anthropic": AnthropicModel}


@pytest.fixture(params=["openai", "anthropic"])
def vendor(request):
    return request.param


async def told(vendor, url, *, timeout_s=5.0, messages=MESSAGES, key=KEY):
    """Everything a model of `vendor` at `url` yields."""
    model = MODELS[vendor]("m", api_key=key, base_url=url, timeout_s=timeout_s)
    try:
        return [piece async for piece in model.stream(messages, max_tokens=50)]
    finally:
        await model.close()


async def test_nothing_is_tried_twice(vendor):
    async with serving(refusing(503)) as upstream:
        with pytest.raises(ModelUnavailable):
            await told(vendor, upstream.url)
        assert len(upstream.paths) == 1


async def test_sampling_is_left_to_the_vendor(vendor):
    async with serving(telling(EVENTS[vendor](["Be"]))) as upstream:
        await told(vendor, upstream.url)
    assert not {"temperature", "top_p", "top_k"} & upstream.bodies[0].keys()


def test_a_missing_key_names_the_way_without_one(vendor):
    with pytest.raises(ConfigurationError, match="PROVIDER=extractive"):
        MODELS[vendor]("m", api_key=None)


async def test_a_server_of_ones_own_needs_no_key():
    async with serving(telling(openai_events(["Be"]))) as upstream:
        assert (await told("openai", upstream.url, key=None))[0] == "Be"


async def test_openai_usage_counts_cached_tokens():
    usage = {
        "prompt_tokens": 2105,
        "completion_tokens": 42,
        "total_tokens": 2147,
        "prompt_tokens_details": {"cached_tokens": 2000},
    }
    async with serving(telling(openai_events(["Be"], usage=usage))) as upstream:
        assert (await told("openai", upstream.url))[-1] == Usage("m", 2105, 42, 2000)
    assert upstream.bodies[0]["stream_options"] == {"include_usage": True}
    assert upstream.bodies[0]["max_tokens"] == 50
    assert upstream.paths == ["/chat/completions"]


async def test_openai_may_leave_out_the_done_line():
    async with serving(telling(openai_events(["Be"], done=False))) as upstream:
        assert (await told("openai", upstream.url))[0] == "Be"


@pytest.mark.parametrize(
    "update",
    [
        {"output_tokens": 42},
        {"output_tokens": 42, "input_tokens": 5},
        {"output_tokens": 42, "input_tokens": 5, "cache_creation_input_tokens": 100, "cache_read_input_tokens": 2000},
    ],
)
async def test_anthropic_input_is_the_sum_of_fresh_written_and_cached_tokens(update):
    async with serving(telling(anthropic_events(["Be"], delta_usage=update))) as upstream:
        assert (await told("anthropic", upstream.url))[-1] == Usage("m", 2105, 42, 2000)


async def test_anthropic_marks_the_stable_prefix_for_its_cache():
    async with serving(telling(anthropic_events(["Be"]))) as upstream:
        await told("anthropic", upstream.url)
    assert upstream.bodies[0]["system"] == [{"type": "text", "text": "Rules.", "cache_control": {"type": "ephemeral"}}]
    assert upstream.bodies[0]["messages"] == [{"role": "user", "content": [{"type": "text", "text": "Why?"}]}]


async def test_anthropic_gets_at_most_four_cache_marks():
    many = [Message("user", str(number), cacheable=True) for number in range(6)]
    async with serving(telling(anthropic_events(["Be"]))) as upstream:
        await told("anthropic", upstream.url, messages=many)
    blocks = [message["content"][0] for message in upstream.bodies[0]["messages"]]
    assert ["cache_control" in block for block in blocks] == [False, False, True, True, True, True]


@pytest.fixture
def package(vendor: str) -> ModuleType:
    """The vendor's SDK, imported only where it is needed: that takes about a second."""
    return import_module(vendor)


def exceptions_of(package: ModuleType) -> Iterator[Exception]:
    """One of every exception class that a vendor's package shows, with a key in its words."""
    for kind in tuple(vars(package).values()):
        if isinstance(kind, type) and issubclass(kind, Exception):
            error = kind.__new__(kind)
            error.args = (KEY,)
            if issubclass(kind, package.APIStatusError):
                vars(error)["status_code"] = 418
            yield error


def test_every_vendor_exception_becomes_one_sentence_without_its_own_words(package: ModuleType):
    said = {type(error).__name__: unavailable("m", error) for error in exceptions_of(package)}
    assert len(said) > 10
    assert not [name for name, sentence in said.items() if not isinstance(sentence, ModelUnavailable)]
    assert not [name for name, sentence in said.items() if KEY in str(sentence)]


def test_the_root_that_is_caught_is_the_root_of_all(vendor: str, package: ModuleType):
    root = package.OpenAIError if vendor == "openai" else package.AnthropicError
    strays = {type(error).__name__ for error in exceptions_of(package) if not isinstance(error, root)}
    assert strays <= {"InvalidWebhookSignatureError"}, "an exception no request raises"


async def test_the_server_is_told_which_request_it_works_for(vendor):
    async with serving(telling(EVENTS[vendor](["Yes."]))) as upstream:
        with structlog.contextvars.bound_contextvars(request_id="request-4711"):
            await told(vendor, upstream.url)
    assert upstream.headers[-1]["x-request-id"] == "request-4711"
