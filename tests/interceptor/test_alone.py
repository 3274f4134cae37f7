"""The interceptor alone: the same chats, authentication and refusals, and nothing else."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import httpx2
import pytest
from starlette.applications import Starlette

from ragstone.interceptor.alone import create_app
from ragstone.settings import Settings
from ragstone.wiring.interceptor_alone import open_interceptor_alone
from tests.interceptor.setup import KEY, UPSTREAM_KEY, asking
from tests.interceptor.upstreams import upstream
from tests.llm.mock_upstreams import Upstream
from tests.platforms import small_settings
from tests.retrieval.vectorize_server import TOWER, a_pipeline, url_of
from tests.servers import serving

QUESTION = "How tall is the tower?"


@asynccontextmanager
async def opened(
    folder: Path, model_url: str | None = None, pipeline: Upstream | None = None
) -> AsyncIterator[Starlette]:
    """The application, open."""
    groups: dict[str, Any] = {"interceptor": {"budget_s": 5}, "server": {"api_keys": [KEY], "max_body_bytes": 64 << 10}}
    if model_url:
        groups["interceptor"] |= {"upstream_url": f"{model_url}/v1", "upstream_key": UPSTREAM_KEY}
    if pipeline:
        groups["vectorize"] = {"url": url_of(pipeline), "token": "t" * 40}
    settings: Settings = small_settings(folder / "data", **groups)
    async with open_interceptor_alone(settings) as parts:
        yield create_app(parts)
    assert not (folder / "data").exists(), "it keeps nothing, and needs no data directory"


@asynccontextmanager
async def calling(app: Starlette, key: str | None = KEY) -> AsyncIterator[httpx2.AsyncClient]:
    """A client of the application, served."""
    headers = {"authorization": f"Bearer {key}"} if key else {}
    async with (
        serving(app) as url,
        httpx2.AsyncClient(base_url=url, headers=headers, timeout=30, trust_env=False) as client,
    ):
        yield client


async def test_a_chat_is_enriched_from_the_pipeline_and_its_sources_come_back(tmp_path: Path):
    async with (
        a_pipeline(TOWER) as pipeline,
        upstream() as model,
        opened(tmp_path, model.url, pipeline) as app,
        calling(app) as client,
    ):
        answer = await client.post("/v1/chat/completions", json=asking(QUESTION))
    assert answer.headers["x-ragstone-status"] == "enriched; sources=1"
    assert "330 metres" in model.seen[0].body.decode()
    assert "**Sources**" in answer.json()["choices"][0]["message"]["content"]
    assert model.seen[0].header("authorization") == f"Bearer {UPSTREAM_KEY}"


async def test_knowledge_in_an_index_is_out_of_reach_and_the_chat_goes_on_as_it_came(tmp_path: Path):
    async with upstream() as model, opened(tmp_path, model.url) as app, calling(app) as client:
        answer = await client.post("/v1/chat/completions", json=asking(QUESTION))
    assert answer.status_code == 200
    assert answer.headers["x-ragstone-status"] == "bypass; reason=no_index"
    assert model.seen[0].body == answer.request.content


async def test_an_index_that_is_not_here_opens_no_circuit_and_counts_as_no_fault(tmp_path: Path):
    async with upstream() as model, opened(tmp_path, model.url) as app, calling(app) as client:
        for _ in range(25):
            answer = await client.post("/v1/chat/completions", json=asking(QUESTION))
        numbers = (await client.get("/metrics")).text
    assert answer.headers["x-ragstone-status"] == "bypass; reason=no_index"
    assert "ragstone_fail_open_total{" not in numbers


@pytest.mark.parametrize("path", ["/v1/chat/completions", "/v1/models", "/v1/models/x", "/v1/embeddings"])
async def test_without_a_server_there_is_no_model(tmp_path: Path, path: str):
    method = "GET" if "models" in path else "POST"
    async with opened(tmp_path) as app, calling(app) as client:
        answer = await client.request(method, path, json=asking() if method == "POST" else None)
    assert answer.status_code == 404
    assert "Set RAGSTONE_INTERCEPTOR__UPSTREAM_URL" in answer.json()["error"]["message"]


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("POST", "/v1/chat/completions"),
        ("POST", "/v1/messages"),
        ("POST", "/v1/messages/count_tokens"),
        ("POST", "/v1/embeddings"),
        ("POST", "/v1/responses"),
        ("GET", "/v1/models"),
        ("GET", "/v1/models/mock-1"),
        ("GET", "/metrics"),
    ],
)
@pytest.mark.parametrize("key", [None, "wrong-" + "w" * 40])
async def test_a_request_without_a_valid_key_is_refused(tmp_path: Path, method: str, path: str, key: str | None):
    async with upstream() as model, opened(tmp_path, model.url) as app, calling(app, key) as client:
        answer = await client.request(method, path, json=asking() if method == "POST" else None)
    assert answer.status_code == 401
    assert model.seen == []


async def test_refusals_are_in_the_clients_wire_format(tmp_path: Path):
    async with opened(tmp_path) as app, calling(app, None) as client:
        openai = (await client.post("/v1/chat/completions", json=asking())).json()
        anthropic = (await client.post("/v1/messages", json=asking())).json()
        ours = (await client.get("/metrics")).json()
    assert openai["error"]["type"] == "authentication_error"
    assert anthropic["type"] == "error"
    assert ours["code"] == "unauthenticated"


@pytest.mark.parametrize("announced", [True, False])
async def test_a_body_may_be_as_large_as_the_settings_say(tmp_path: Path, announced: bool):
    async def pieces() -> AsyncIterator[bytes]:
        for _ in range(70):
            yield b" " * 1024

    body = pieces() if not announced else b" " * (70 << 10)
    async with upstream() as model, opened(tmp_path, model.url) as app, calling(app) as client:
        answer = await client.post("/v1/chat/completions", content=body)
    assert answer.status_code == 413
    assert model.seen == []


async def test_the_server_lists_its_models_and_counts_and_embeds(tmp_path: Path):
    async with upstream() as model, opened(tmp_path, model.url) as app, calling(app) as client:
        listed = (await client.get("/v1/models")).json()["data"]
        one = await client.get(f"/v1/models/{listed[0]['id']}")
        counted = await client.post("/v1/messages/count_tokens", json={**asking(), "max_tokens": 5})
    assert [each["id"] for each in listed] == ["mock-1", "mock-2"]
    assert one.json() == listed[0]
    assert counted.json()["input_tokens"] > 0


async def test_what_is_not_here_is_said_to_be_elsewhere(tmp_path: Path):
    async with opened(tmp_path) as app, calling(app) as client:
        nothing = await client.get("/api/documents")
        wrong = await client.get("/v1/chat/completions")
    assert nothing.status_code == 404
    assert "under /v1 only" in nothing.json()["detail"]
    assert wrong.status_code == 405


async def test_health_names_circuits_to_operators_only(tmp_path: Path):
    async with (
        upstream() as model,
        opened(tmp_path, model.url) as app,
        calling(app) as operator,
        calling(app, None) as stranger,
    ):
        await operator.post("/v1/chat/completions", json=asking())
        told, shown = (await stranger.get("/rage/health")).json(), (await operator.get("/rage/health")).json()
        ready = await stranger.get("/ready")
    assert told["status"] == shown["status"] == "ok"
    assert "circuits" not in told
    assert shown["circuits"][model.url.removeprefix("http://")] == "closed"
    assert ready.json() == {"ready": True, "parts": {}}
