"""Each request has an id, a log line, a count and safe headers."""

from __future__ import annotations

import httpx2
import pytest
import structlog
from fastapi import FastAPI
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

from ragstone.http.context import install_server, server_of
from ragstone.http.error_handlers import install_error_handlers
from ragstone.http.middleware import RequestMiddleware
from ragstone.telemetry.tracing import configure_tracing
from tests.http.without_accounts import server_without_accounts


@pytest.fixture
def app() -> FastAPI:
    app = FastAPI()
    app.add_middleware(RequestMiddleware)
    install_error_handlers(app)
    install_server(app, server_without_accounts())

    @app.get("/things/{name}")
    async def thing(name: str) -> str:
        return name

    return app


async def get(app: FastAPI, path: str, **headers: str) -> httpx2.Response:
    transport = httpx2.ASGITransport(app)
    async with httpx2.AsyncClient(transport=transport, base_url="http://127.0.0.1") as client:
        return await client.get(path, headers={name.replace("_", "-"): value for name, value in headers.items()})


async def test_a_sane_request_id_is_kept(app: FastAPI):
    assert (await get(app, "/things/a", x_request_id="order-4711_a")).headers["x-request-id"] == "order-4711_a"


@pytest.mark.parametrize("given", ["", "short", "a" * 65, "with space 123", "line\tbreak-123", "{json:12345678}"])
async def test_any_other_request_id_is_replaced(app: FastAPI, given: str):
    replaced = (await get(app, "/things/a", x_request_id=given)).headers["x-request-id"]
    assert replaced != given
    assert len(replaced) == 32


async def test_every_response_forbids_sniffing_storing_framing_and_scripts(app: FastAPI):
    for path in ("/things/a", "/nowhere"):
        headers = (await get(app, path)).headers
        assert headers["x-content-type-options"] == "nosniff"
        assert headers["cache-control"] == "no-store"
        assert headers["content-security-policy"] == "default-src 'none'; frame-ancestors 'none'"
        assert "access-control-allow-origin" not in headers


async def test_a_request_is_logged_once_by_its_route_with_its_id(app: FastAPI):
    with structlog.testing.capture_logs([structlog.contextvars.merge_contextvars]) as events:
        await get(app, "/things/secret?token=secret", x_request_id="order-4711")
    (event,) = [event for event in events if event["event"] == "http.request"]
    assert event["route"] == "/things/{name}"
    assert event["status"] == 200
    assert event["request_id"] == "order-4711"
    assert "secret" not in str(event)


async def test_requests_are_counted_by_route_template(app: FastAPI):
    for path in ("/things/a", "/things/b", "/nowhere", "/elsewhere"):
        await get(app, path)
    numbers = server_of({"app": app}).metrics.render().decode()
    assert 'ragstone_http_requests_total{route="/things/{name}",status="200"} 2.0' in numbers
    assert 'ragstone_http_requests_total{route="unmatched",status="404"} 2.0' in numbers


async def test_requests_are_timed_by_route_template_and_class_of_status(app: FastAPI):
    for path in ("/things/a", "/nowhere"):
        await get(app, path)
    numbers = server_of({"app": app}).metrics.render().decode()
    assert 'ragstone_http_seconds_count{route="/things/{name}",status_class="2xx"} 1.0' in numbers
    assert 'ragstone_http_seconds_count{route="unmatched",status_class="4xx"} 1.0' in numbers


async def test_a_request_is_a_span_of_its_callers_trace_named_by_its_route(app: FastAPI):
    exporter = InMemorySpanExporter()
    close = configure_tracing("http://127.0.0.1:1", "test", exporter=exporter)
    theirs = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
    await get(app, "/things/a-name?of=somebody", x_request_id="order-4711", traceparent=theirs)
    close()
    [span] = exporter.get_finished_spans()
    assert span.name == "GET /things/{name}"
    assert span.parent is not None
    assert f"{span.parent.span_id:016x}" == "b7ad6b7169203331"
    assert dict(span.attributes or {}) == {
        "request_id": "order-4711",
        "http.route": "/things/{name}",
        "http.response.status_code": 200,
    }


async def test_without_a_receiver_a_callers_trace_changes_nothing(app: FastAPI):
    response = await get(app, "/things/a", traceparent="00-" + "z" * 32)
    assert response.status_code == 200
