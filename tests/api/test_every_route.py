"""Rules that hold for every route there is, and every route there will be."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Iterator
from typing import Any

import httpx2
import pytest
from fastapi import FastAPI
from fastapi.routing import APIRoute
from starlette.routing import BaseRoute

from ragstone.http.routing import requirement_of
from ragstone.principals import Permission
from tests.api.conftest import KEY, calling
from tests.routes import addresses

PUBLIC = {
    "/health": "liveness probes hold no key; it says `alive` and nothing else",
    "/rage/health": "the same at the address of a forerunner; circuits it names to operators only",
    "/ready": "load balancers hold no key; it says which part fails, never where it is",
    "/api/accounts/login": "a caller who logs in has no credential; its body is small, its failures are throttled",
    "/sources/{token}": "readers of an answer hold no key; the signed token shows one passage, for some days",
    "/openapi.json": "the description of the routes is in the public source code anyway",
}
APART = {
    "/librechat": "tokens of a LibreChat, shapes of rag_api: tests/librechat/test_authentication.py",
    "/v1/responses": "it is not there, and says so in OpenAI's words: tests/interceptor/test_authentication.py",
}
"""Where another product's format is spoken, behind a door and with tests of its own."""
MODELS_DIALECTS = "/v1/"
"""Where errors are told as the clients of models' vendors read them."""
NEEDS: dict[Permission, set[str]] = {
    Permission.CHAT: {
        "GET /v1/models",
        "GET /v1/models/{model}",
        "POST /api/chat",
        "POST /api/conversations/{conversation_id}/turns/{turn_id}/feedback",
        "POST /api/search",
        "POST /v1/chat/completions",
        "POST /v1/embeddings",
        "POST /v1/messages",
        "POST /v1/messages/count_tokens",
    },
    Permission.READ: {
        "DELETE /api/accounts/sessions/{session_id}",
        "DELETE /api/conversations/{conversation_id}",
        "GET /api/accounts/me",
        "GET /api/accounts/sessions",
        "GET /api/conversations",
        "GET /api/conversations/{conversation_id}",
        "GET /api/documents",
        "GET /api/documents/{document_id}",
        "GET /api/documents/{document_id}/text",
        "GET /api/jobs",
        "GET /api/jobs/{job_id}",
        "GET /api/jobs/{job_id}/events",
        "GET /api/stats",
        "GET /api/widget/documents/{document_id}/status",
        "POST /api/accounts/logout",
        "POST /api/accounts/me/password",
    },
    Permission.WRITE: {
        "DELETE /api/documents/{document_id}",
        "POST /api/documents",
        "POST /api/ingest",
        "POST /api/widget/process-document",
    },
    Permission.CONVERSATIONS: {
        "GET /api/feedback",
    },
    Permission.MANAGE: {
        "DELETE /api/accounts/keys/{key_id}",
        "DELETE /api/accounts/users/{user_id}",
        "DELETE /api/interceptor",
        "DELETE /api/widgets/{widget_id}",
        "GET /api/accounts/audit",
        "GET /api/accounts/audit/verify",
        "GET /api/accounts/keys",
        "GET /api/accounts/keys/{key_id}",
        "GET /api/accounts/models",
        "GET /api/accounts/plans",
        "GET /api/accounts/users",
        "GET /api/accounts/users/{user_id}",
        "GET /api/callbacks",
        "GET /api/interceptor",
        "GET /api/operate/circuits",
        "GET /api/usage",
        "GET /api/usage/export",
        "GET /api/callbacks/signing-key",
        "GET /api/widgets",
        "GET /api/widgets/{widget_id}",
        "GET /metrics",
        "PATCH /api/accounts/keys/{key_id}",
        "PATCH /api/accounts/users/{user_id}",
        "POST /api/accounts/keys",
        "POST /api/accounts/keys/{key_id}/rotate",
        "POST /api/accounts/users",
        "POST /api/widgets",
        "PUT /api/interceptor",
        "PUT /api/widgets/{widget_id}",
    },
    Permission.OPERATE: {
        "DELETE /api/accounts/models/{model_id}",
        "DELETE /api/accounts/plans/{plan_id}",
        "DELETE /api/accounts/tenants/{tenant_id}",
        "GET /api/accounts/tenants",
        "GET /api/accounts/tenants/{tenant_id}",
        "PATCH /api/accounts/tenants/{tenant_id}",
        "POST /api/accounts/tenants",
        "PUT /api/accounts/models/{model_id}",
        "PUT /api/accounts/plans/{plan_id}",
    },
    Permission.WIDGET: {
        "GET /api/widget/config",
        "POST /api/widget/chat",
        "POST /api/widget/chat/stream",
        "POST /api/widget/feedback",
    },
}
"""What each route asks of its caller, reviewed here: a new route needs a line."""
METERED = {
    "POST /api/chat",
    "POST /api/search",
    "POST /v1/chat/completions",
    "POST /v1/embeddings",
    "POST /v1/messages",
    "POST /v1/messages/count_tokens",
    "POST /api/widget/chat",
    "POST /api/widget/chat/stream",
}
"""What counts against the requests of a plan."""
UNKNOWN = "0" * 32


def routes(app: FastAPI) -> list[tuple[str, str, BaseRoute]]:
    """Method, path and route of everything that the application answers, but what is apart."""
    found = [
        (address.method, address.path, address.route)
        for address in addresses(app)
        if not address.path.startswith(tuple(APART))
    ]
    assert len(found) > 15
    return found


def needs_of(route: BaseRoute) -> Permission | None:
    """The permission that a route requires; None for an open one."""
    required = requirement_of(route)
    return required.needs if required else None


def operations(app: FastAPI) -> Iterator[tuple[str, str, dict[str, Any]]]:
    for path, methods in app.openapi()["paths"].items():
        for method, operation in methods.items():
            yield method.upper(), path, operation


async def test_every_route_is_behind_the_door_or_on_the_reviewed_list(app: FastAPI):
    open_routes = {
        path for _, path, route in routes(app) if (required := requirement_of(route)) is None or required.is_open
    }
    assert open_routes == set(PUBLIC)


async def test_every_route_needs_the_permission_that_was_reviewed(app: FastAPI):
    found: dict[Permission, set[str]] = {permission: set() for permission in Permission}
    for method, path, route in routes(app):
        if needs := needs_of(route):
            found[needs].add(f"{method} {path}")
    assert found == NEEDS


async def test_what_is_asked_of_the_models_is_counted(app: FastAPI):
    counted = {
        f"{method} {path}"
        for method, path, route in routes(app)
        if (required := requirement_of(route)) and required.metered
    }
    assert counted == METERED


def address(path: str) -> str:
    """The path with an id for each parameter that nothing has."""
    return re.sub(r"{\w+}", UNKNOWN, path)


async def test_every_route_but_the_public_ones_refuses_a_stranger_before_it_reads(keyed_app: FastAPI):
    async with calling(keyed_app) as stranger:
        for method, path, _ in routes(keyed_app):
            if path in PUBLIC:
                continue
            for headers in ({}, {"authorization": "Bearer wrong"}, {"x-api-key": "wrong"}):
                response = await stranger.request(method, address(path), content=b"{broken", headers=headers)
                assert response.status_code == 401, (method, path)
                assert code_of(response) in {"unauthenticated", "authentication_error"}


def code_of(response: httpx2.Response) -> str:
    """What went wrong, in our words or in those of a model's vendor."""
    told = response.json()
    return str(told["error"]["type"] if "error" in told else told["code"])


async def test_every_route_lets_a_key_in_that_may(keyed_app: FastAPI):
    """Answers of an empty installation to an empty request, of somebody who owns its tenant."""
    async with calling(keyed_app, **{"x-api-key": KEY}) as owner:
        for method, path, route in routes(keyed_app):
            response = await owner.request(method, address(path))
            needs = needs_of(route)
            if needs in {Permission.OPERATE, Permission.WIDGET}:
                expected = {403}
            elif "{" in path:
                expected = {404, 422}
            else:
                expected = {400, 422} if method in {"POST", "PUT"} else {200}
            assert response.status_code in expected, (method, path, response.text)


async def test_every_operation_is_described(app: FastAPI):
    for method, path, operation in operations(app):
        assert operation["summary"], (method, path)
        assert len(operation["description"]) > 20, (method, path)
        assert operation["tags"], (method, path)
        for parameter in operation.get("parameters", []):
            assert parameter.get("description") or parameter["in"] == "path", (method, path, parameter["name"])


async def test_every_operation_says_how_it_fails(app: FastAPI):
    for method, path, operation in operations(app):
        if path in PUBLIC:
            continue
        statuses = {status for status in operation["responses"] if status.startswith(("4", "5"))}
        expected = (
            {"401", "403", "422"}
            | ({"429"} if f"{method} {path}" in METERED else set())
            | ({"404"} if "{" in path else set())
        )
        assert statuses >= expected, (method, path)
        for status in statuses if not path.startswith(MODELS_DIALECTS) else ():
            schema = operation["responses"][status]["content"]["application/problem+json"]["schema"]
            assert schema == {"$ref": "#/components/schemas/Problem"}, (method, path, status)
        assert operation["security"], (method, path)


async def test_every_body_and_every_answer_has_an_example(app: FastAPI):
    schemas = app.openapi()["components"]["schemas"]
    for method, path, operation in operations(app):
        shown = [operation["responses"][status] for status in operation["responses"] if status.startswith("2")]
        if "requestBody" in operation:
            shown.append(operation["requestBody"])
        for part in shown:
            for content in part.get("content", {}).values():
                assert has_example(content, schemas), (method, path)


def has_example(content: dict[str, Any], schemas: dict[str, Any]) -> bool:
    schema = content.get("schema", {})
    target = schemas[schema["$ref"].rsplit("/", 1)[-1]] if "$ref" in schema else schema
    return bool(content.get("example") or content.get("examples") or target.get("examples"))


async def test_the_examples_of_questions_and_texts_work(app: FastAPI, client: httpx2.AsyncClient):
    schemas = app.openapi()["components"]["schemas"]
    ingested = await client.post("/api/ingest", json=schemas["IngestBody"]["examples"][0])
    assert ingested.status_code == 202
    await client.get(f"/api/jobs/{ingested.json()['id']}/events")
    for path, body in {"/api/search": "SearchBody", "/api/chat": "ChatBody"}.items():
        response = await client.post(path, json=schemas[body]["examples"][0])
        assert response.status_code == 200, response.text


async def test_the_examples_of_answers_have_the_shape_of_real_ones(app: FastAPI):
    models = {
        route.response_model for _, _, route in routes(app) if isinstance(route, APIRoute) and route.response_model
    }
    assert len(models) > 8
    for model in models:
        for example in model.model_json_schema()["examples"]:
            assert model.model_validate(example, by_name=True).model_dump(mode="json").keys() == example.keys()


async def test_no_page_of_another_site_is_loaded(client: httpx2.AsyncClient):
    for path in ("/docs", "/redoc"):
        assert (await client.get(path)).status_code == 404


@pytest.mark.parametrize("content", [b"", b"null", b"[]", b'"x"', b"{", b"\xff", b"[" * 50_000, b"9" * 5_000])
async def test_no_body_brings_a_route_down(app: FastAPI, client: httpx2.AsyncClient, content: bytes):
    types = ["application/json", "multipart/form-data; boundary=x", "application/x-www-form-urlencoded", ""]

    async def send(path: str, content_type: str) -> int:
        response = await client.post(path, content=content, headers={"content-type": content_type})
        told = "application/json" if path.startswith(MODELS_DIALECTS) else "application/problem+json"
        assert response.headers["content-type"] == told
        return response.status_code

    posted = [(address(path), route) for method, path, route in routes(app) if method == "POST"]
    refused = {path for path, route in posted if needs_of(route) is Permission.WIDGET}
    statuses = await asyncio.gather(*(send(path, kind) for path, _ in posted if path not in refused for kind in types))
    assert set(statuses) <= {400, 404, 413, 422}
