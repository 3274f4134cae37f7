"""Rules that hold for every route there is, and every route there will be."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from typing import Any

import httpx2
import pytest
from fastapi import FastAPI
from fastapi.routing import APIRoute, iter_route_contexts
from starlette.routing import BaseRoute

from ragstone.http.auth import AdmittedRoute
from tests.api.conftest import KEY, calling

PUBLIC = {
    "/health": "liveness probes hold no key; it says `alive` and nothing else",
    "/ready": "load balancers hold no key; it says which part fails, never where it is",
    "/openapi.json": "the description of the routes is in the public source code anyway",
}
UNKNOWN = "0" * 32


def routes(app: FastAPI) -> list[tuple[str, str, BaseRoute]]:
    """Method, path and route of everything that the application answers."""
    found = [
        (method, context.path or "", context.original_route)
        for context in iter_route_contexts(app.routes)
        for method in sorted(context.methods or {"ANY"})
    ]
    assert len(found) > 15
    return found


def operations(app: FastAPI) -> Iterator[tuple[str, str, dict[str, Any]]]:
    for path, methods in app.openapi()["paths"].items():
        for method, operation in methods.items():
            yield method.upper(), path, operation


async def test_every_route_is_behind_the_door_or_on_the_reviewed_list(app: FastAPI):
    open_routes = {path for _, path, route in routes(app) if not isinstance(route, AdmittedRoute)}
    assert open_routes == set(PUBLIC)


async def test_every_route_but_the_public_ones_refuses_a_stranger_before_it_reads(keyed_app: FastAPI):
    async with calling(keyed_app) as stranger:
        for method, path, _ in routes(keyed_app):
            if path in PUBLIC:
                continue
            url = path.replace("{document_id}", UNKNOWN).replace("{job_id}", UNKNOWN)
            url = url.replace("{conversation_id}", UNKNOWN)
            for headers in ({}, {"authorization": "Bearer wrong"}, {"x-api-key": "wrong"}):
                response = await stranger.request(method, url, content=b"{broken", headers=headers)
                assert response.status_code == 401, (method, path)
                assert response.json()["code"] == "unauthenticated"


async def test_every_route_lets_a_key_in(keyed_app: FastAPI):
    async with calling(keyed_app, **{"x-api-key": KEY}) as owner:
        for method, path, _ in routes(keyed_app):
            url = path.replace("{document_id}", UNKNOWN).replace("{job_id}", UNKNOWN)
            response = await owner.request(method, url.replace("{conversation_id}", UNKNOWN))
            expected = 404 if "{" in path else 422 if method == "POST" else 200
            assert response.status_code == expected, (method, path, response.text)


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
        expected = {"401", "403", "422"} | ({"404"} if "{" in path else set())
        assert statuses >= expected, (method, path)
        for status in statuses:
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
        assert response.headers["content-type"] == "application/problem+json"
        return response.status_code

    paths = sorted(path for method, path, _ in routes(app) if method == "POST")
    statuses = await asyncio.gather(*(send(path, kind) for path in paths for kind in types))
    assert set(statuses) <= {400, 422}
