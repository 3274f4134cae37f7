"""Every failure is a problem, from one place."""

from __future__ import annotations

from typing import Annotated

import httpx2
import pytest
from fastapi import FastAPI, Query
from pydantic import BaseModel, ConfigDict, Field

from ragstone.errors import IndexUnavailable, InvalidQuestion, NotFound, RagstoneError
from ragstone.http.context import install_server
from ragstone.http.error_handlers import install_error_handlers
from ragstone.http.middleware import RequestMiddleware
from tests.http.without_accounts import server_without_accounts

ERRORS: dict[str, RagstoneError] = {
    "missing": NotFound("There is no such thing. List them."),
    "down": IndexUnavailable("The index does not answer. Try again."),
    "question": InvalidQuestion("The question is blank. Ask something."),
}


class Item(BaseModel):
    model_config = ConfigDict(extra="forbid")

    name: str = Field(max_length=5)
    count: int = 0


@pytest.fixture
def app() -> FastAPI:
    app = FastAPI()
    install_server(app, server_without_accounts())
    app.add_middleware(RequestMiddleware)
    install_error_handlers(app)

    @app.get("/fail/{kind}")
    async def fail(kind: str) -> None:
        raise ERRORS.get(kind) or ZeroDivisionError("/srv/secret")

    @app.post("/items")
    async def items(item: Item, limit: Annotated[int, Query(ge=1)] = 1) -> Item:
        return item

    return app


async def ask(app: FastAPI, method: str, path: str, **options: object) -> httpx2.Response:
    transport = httpx2.ASGITransport(app)
    async with httpx2.AsyncClient(transport=transport, base_url="http://127.0.0.1") as client:
        return await client.request(method, path, **options)  # type: ignore[arg-type]


@pytest.mark.parametrize("kind", sorted(ERRORS))
async def test_an_error_raised_on_purpose_keeps_code_status_and_sentence(app: FastAPI, kind: str):
    error = ERRORS[kind]
    response = await ask(app, "GET", f"/fail/{kind}")
    assert response.headers["content-type"] == "application/problem+json"
    assert response.status_code == error.status
    assert response.json() == {
        "type": f"urn:ragstone:problem:{error.code}",
        "title": error.code.replace("_", " ").capitalize(),
        "status": error.status,
        "detail": error.message,
        "code": error.code,
        "instance": f"/fail/{kind}",
        "request_id": response.headers["x-request-id"],
        "retryable": error.retryable,
    }


async def test_an_unforeseen_error_tells_nothing_of_the_inside(app: FastAPI):
    response = await ask(app, "GET", "/fail/unforeseen")
    assert (response.status_code, response.json()["code"]) == (500, "internal")
    assert "secret" not in response.text
    assert "ZeroDivision" not in response.text
    assert response.json()["request_id"] == response.headers["x-request-id"]
    assert response.headers["x-content-type-options"] == "nosniff"


@pytest.mark.parametrize(
    ("method", "path", "status", "code"),
    [
        ("GET", "/nowhere", 404, "not_found"),
        ("DELETE", "/items", 405, "method_not_allowed"),
        ("FOO", "/items", 405, "method_not_allowed"),
    ],
)
async def test_what_is_not_there_is_a_problem_too(app: FastAPI, method: str, path: str, status: int, code: str):
    response = await ask(app, method, path)
    assert (response.status_code, response.json()["code"]) == (status, code)
    if status == 405:
        assert response.headers["allow"] == "POST"
        assert "POST" in response.json()["detail"]


@pytest.mark.parametrize(
    ("body", "field", "message"),
    [
        ({}, "name", "is missing"),
        ({"name": "a", "size": 1}, "size", "is not a field of this request"),
        ({"name": "abcdef"}, "name", "String should have at most 5 characters"),
        ([], "body", "has to be a JSON object, sent with Content-Type: application/json"),
    ],
)
async def test_a_body_that_does_not_fit_is_told_field_by_field(app: FastAPI, body: object, field: str, message: str):
    response = await ask(app, "POST", "/items", json=body)
    assert response.status_code == 422
    assert response.json()["code"] == "invalid_request"
    assert response.json()["errors"] == [{"field": field, "message": message}]
    assert f"{field}: {message}" in response.json()["detail"]


@pytest.mark.parametrize(
    ("content", "content_type"),
    [
        (b'{"name"', "application/json"),
        (b'{"name": "a"}', "text/plain"),
        (b"\xff\xfe", "application/json"),
        (b"[" * 100_000, "application/json"),
        (b'{"name": ' + b"9" * 10_000 + b"}", "application/json"),
        (b"", "application/json"),
    ],
)
async def test_a_body_that_is_no_json_is_refused(app: FastAPI, content: bytes, content_type: str):
    response = await ask(app, "POST", "/items", content=content, headers={"content-type": content_type})
    assert response.status_code in {400, 422}
    assert response.headers["content-type"] == "application/problem+json"


async def test_values_are_not_echoed_and_a_million_mistakes_get_a_short_answer(app: FastAPI):
    response = await ask(app, "POST", "/items", json={"name": "secret", **{f"x{n}": n for n in range(10_000)}})
    assert "secret" not in response.text
    assert len(response.content) < 10_000


async def test_a_path_comes_back_as_a_short_uri(app: FastAPI):
    response = await ask(app, "GET", "/%3Cscript%3E%0d%0a" + "x" * 1000)
    assert response.json()["instance"].startswith("/%3Cscript%3E%0D%0Ax")
    assert len(response.json()["instance"]) == 200
