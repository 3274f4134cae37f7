"""Questions that cannot be asked: a problem with a sentence, also where a stream was asked for."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator

import httpx2
import pytest
import pytest_asyncio

from tests.api.calls import NOTES, upload
from tests.api.conftest import calling, running
from tests.platforms import small_platform

pytestmark = pytest.mark.asyncio(loop_scope="module")
UNKNOWN = "0" * 32


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def shared(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[httpx2.AsyncClient]:
    """A client of one server for all these tests: none of them changes anything."""
    folder = tmp_path_factory.mktemp("data")
    async with small_platform(folder) as platform, running(platform) as app, calling(app) as client:
        await upload(client, {"notes.md": NOTES})
        yield client


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize(
    ("body", "status", "code"),
    [
        ({"question": " \n"}, 400, "invalid_question"),
        ({"question": "why " * 25_000}, 400, "invalid_question"),
        ({"question": "a\0b"}, 422, "invalid_request"),
        ({"question": "\ud800"}, 422, "invalid_request"),
        ({"question": 7}, 422, "invalid_request"),
        ({"question": "why?", "limit": 0}, 422, "invalid_request"),
        ({"question": "why?", "limit": 101}, 422, "invalid_request"),
        ({"question": "why?", "collection": "unknown"}, 404, "not_found"),
        ({"question": "why?", "collection": "../x"}, 422, "invalid_request"),
        ({"question": "why?", "conversation_id": UNKNOWN}, 404, "not_found"),
        ({"question": "why?", "conversation_id": "a'b"}, 422, "invalid_request"),
        ({"question": "why?", "temperature": 1}, 422, "invalid_request"),
        ({"question": "why?", "filters": {"owner": ["me"]}}, 422, "invalid_request"),
        ({"question": "why?", "filters": {"metadata": {"a": [{"b": 1}]}}}, 422, "invalid_request"),
        ({}, 422, "invalid_request"),
    ],
)
async def test_a_question_that_cannot_be_asked_is_a_problem_also_for_a_stream(
    shared: httpx2.AsyncClient, body: dict[str, object], status: int, code: str, stream: bool
):
    content = json.dumps({**body, "stream": stream})  # httpx2 would refuse to send a lone surrogate
    response = await shared.post("/api/chat", content=content, headers={"content-type": "application/json"})
    assert (response.status_code, response.json()["code"]) == (status, code)
    assert response.headers["content-type"] == "application/problem+json"


@pytest.mark.parametrize(
    ("body", "status"),
    [
        ({"query": ""}, 400),
        ({"query": "x" * 100_000}, 400),
        ({"query": "x", "collection": "unknown"}, 404),
        ({"query": "x", "limit": 1000}, 422),
        ({"query": "x", "limit": "NaN"}, 422),
        ({"question": "x"}, 422),
        ({"query": "x", "filters": {"documents": ["' OR 1=1"]}}, 422),
        ({"query": "x", "filters": {"documents": ["a"] * 1001}}, 422),
    ],
)
async def test_a_search_that_cannot_be_made_is_a_problem(
    shared: httpx2.AsyncClient, body: dict[str, object], status: int
):
    response = await shared.post("/api/search", json=body)
    assert response.status_code == status
    assert response.json()["detail"]
