"""LiteLLM, the client of many gateways, against the interceptor through both APIs."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from tests.clients.outside import litellm
from tests.interceptor.setup import KEY, QUESTION, Stand, stand
from tests.interceptor.upstreams import Fault, ModelServer, upstream

ANSWER = "The harbour crane lifts forty tonnes [1]."
USER = [{"role": "user", "content": QUESTION}]


@dataclass(frozen=True, slots=True)
class Between:
    """The interceptor, the server behind it, and LiteLLM before it."""

    here: Stand
    model: ModelServer

    async def calls(self, *calls: dict[str, Any], key: str = KEY) -> list[dict[str, Any]]:
        """What LiteLLM makes of each of some calls."""
        told = await litellm({"key": key, "calls": calls})
        assert told["strangers"] == []
        reports: list[dict[str, Any]] = told["calls"]
        return reports

    def over_openai(self, make: str, **more: Any) -> dict[str, Any]:
        return {"make": make, "model": "openai/mock", "api_base": f"{self.here.url}/v1", "messages": USER, **more}

    def over_anthropic(self, make: str, **more: Any) -> dict[str, Any]:
        return {"make": make, "model": "anthropic/mock", "api_base": self.here.url, "messages": USER, **more}


@pytest.fixture
async def between(tmp_path: Path) -> AsyncIterator[Between]:
    async with upstream() as model, stand(tmp_path, model.url) as here:
        yield Between(here, model)


async def test_litellm_reads_whole_and_streamed_answers_of_both_apis(between: Between):
    over = (between.over_openai, between.over_anthropic)
    told = await between.calls(*(call(make) for call in over for make in ("whole", "streamed")))
    assert [call["error"] for call in told] == [None] * 4
    for call in told:
        assert call["text"].startswith(ANSWER + "\n\n**Sources**\n[1] [The harbour](https://rag.example.org/sources/")
    assert [told[0]["usage"], told[2]["usage"]] == [107, 107]
    assert [told[1]["reason"], told[3]["reason"]] == ["stop", "stop"]
    assert [seen.path for seen in between.model.seen] == ["/v1/chat/completions"] * 2 + ["/v1/messages"] * 2
    assert all(b"forty tonnes" in seen.body for seen in between.model.seen)


async def test_litellm_embeds_with_our_model(between: Between):
    name = between.here.platform.engines.embedder.name.partition(":")[0]
    base = f"{between.here.url}/v1"
    call = {"make": "embedded", "model": f"openai/{name}", "api_base": base, "input": ["the harbour", "the lamp"]}
    [told] = await between.calls(call)
    assert [len(vector) for vector in told["vectors"]] == [between.here.platform.engines.embedder.dimensions] * 2


async def test_litellm_tells_a_wrong_key_and_an_answer_that_broke_off(between: Between):
    [refused] = await between.calls(between.over_openai("whole"), key="nobody")
    between.model.fault = Fault.RESET
    broken = await between.calls(between.over_openai("streamed"), between.over_anthropic("streamed"))
    assert refused["error"] == "AuthenticationError"
    assert all(call["error"] for call in broken)
    assert "ended the answer before it was complete" in broken[0]["message"]
