"""Spans: they nest, arrive, carry ids, and say nothing of anybody."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import AsyncGenerator, Iterator, Sequence
from contextlib import aclosing, contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread

import pytest
import structlog
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

from ragstone.errors import ConfigurationError
from ragstone.resilience.upstream_policy import UpstreamOptions, UpstreamPolicies
from ragstone.telemetry.metrics import Metrics
from ragstone.telemetry.tracing import Span, configure_tracing, outgoing_headers, request_id, served, span, traceparent

CANARY = "sk-canary-0123456789abcdef"
THEIRS = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"


class Recorded:
    """Spans by their name, once `with recording()` has ended."""

    def __init__(self, exporter: InMemorySpanExporter) -> None:
        self._exporter = exporter

    def all(self) -> Sequence[ReadableSpan]:
        return self._exporter.get_finished_spans()

    def __getitem__(self, name: str) -> ReadableSpan:
        [found] = [each for each in self.all() if each.name == name]
        return found


@contextmanager
def recording() -> Iterator[Recorded]:
    exporter = InMemorySpanExporter()
    close = configure_tracing("http://127.0.0.1:1", "test", exporter=exporter)
    try:
        yield Recorded(exporter)
    finally:
        close()


def parent_of(child: ReadableSpan) -> int:
    assert child.parent is not None
    return child.parent.span_id


def id_of(of: ReadableSpan) -> int:
    known = of.get_span_context()
    assert known is not None
    return known.span_id


def test_without_a_receiver_a_span_is_one_shared_object_that_does_nothing():
    with span("retrieve", limit=8) as first, span("other") as second:
        first.note(found=CANARY)
        first.rename("x")
        assert first is second
        assert type(first) is Span
        assert traceparent() == ""


def test_spans_nest_and_carry_the_ids_of_the_request_and_the_job():
    ids = structlog.contextvars.bound_contextvars(request_id="order-4711", job="j1", other="x")
    with recording() as recorded, ids, span("ask", limit=8) as ask, span("retrieve"):
        ask.note(passages=3)
    ask_span, retrieve = recorded["ask"], recorded["retrieve"]
    assert parent_of(retrieve) == id_of(ask_span)
    assert dict(ask_span.attributes or {}) == {"request_id": "order-4711", "job": "j1", "limit": 8, "passages": 3}
    assert dict(retrieve.attributes or {}) == {"request_id": "order-4711", "job": "j1"}
    assert ask_span.resource.attributes["service.name"] == "test"


def test_attributes_and_names_are_masked_and_cut_and_an_exception_is_its_class_only():
    def fail() -> None:
        with span("call", url=f"https://a:{CANARY}@h/") as call:
            call.note(who="someone@example.org", long="x" * 1000)
            call.rename(f"GET {CANARY}")
            int(CANARY)

    with recording() as recorded, pytest.raises(ValueError):
        fail()
    made = recorded["GET [secret]"]
    assert "canary" not in made.to_json()
    assert "example.org" not in made.to_json()
    assert (made.status.is_ok, made.status.description) == (False, "ValueError")
    assert made.events == ()
    assert len(str((made.attributes or {})["long"])) == 256


async def test_a_cancelled_span_ends_and_is_no_error():
    with recording() as recorded:
        began = asyncio.Event()

        async def wait() -> None:
            with span("waits"):
                began.set()
                await asyncio.Event().wait()

        task = asyncio.create_task(wait())
        await began.wait()
        task.cancel()
        await asyncio.wait([task])
    assert recorded["waits"].status.is_ok
    assert (recorded["waits"].attributes or {})["ended"] == "CancelledError"


async def test_a_generator_that_another_task_closes_ends_its_span_and_leaves_the_other_tasks_span_alone():
    async def story() -> AsyncGenerator[int]:
        with span("story"):
            yield 1
            yield 2

    with recording() as recorded:
        generator = story()

        async def begin() -> None:
            await anext(generator)

        await asyncio.create_task(begin())
        with span("other"):
            before = traceparent()
            async with aclosing(generator):
                pass
            assert traceparent() == before
        assert traceparent() == ""
    assert {each.name for each in recorded.all()} == {"story", "other"}


def test_a_callers_trace_is_gone_on_with_and_garbage_begins_a_new_one():
    with recording() as recorded:
        with served("GET", THEIRS), span("inner"):
            assert traceparent().startswith("00-0af7651916cd43dd8448eb211c80319c-")
        for number, garbage in enumerate(
            ["", "x", THEIRS[:-1] + "\x00", "ff-" + THEIRS[3:], "00-" + "0" * 32 + THEIRS[35:]]
        ):
            with served(f"garbage {number}", garbage):
                pass
    assert parent_of(recorded["GET"]) == 0xB7AD6B7169203331
    assert all(recorded[f"garbage {number}"].parent is None for number in range(5))


def test_an_outside_call_names_the_request_and_the_trace():
    assert outgoing_headers() == []
    with structlog.contextvars.bound_contextvars(request_id="order-4711"):
        assert request_id() == "order-4711"
        assert outgoing_headers() == [("x-request-id", "order-4711")]
        with recording(), span("call"):
            assert outgoing_headers() == [("x-request-id", "order-4711"), ("traceparent", traceparent())]
            assert len(traceparent()) == 55


@pytest.mark.parametrize("endpoint", ["", "127.0.0.1:4318", "ftp://127.0.0.1", "http://"])
def test_an_endpoint_that_is_no_url_is_refused_by_the_name_of_its_setting(endpoint: str):
    with pytest.raises(ConfigurationError, match="RAGSTONE_TELEMETRY__OTLP_ENDPOINT"):
        configure_tracing(endpoint, "test")


def test_without_the_extra_the_command_that_installs_it_is_named(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setitem(sys.modules, "opentelemetry.sdk.trace", None)
    with pytest.raises(ConfigurationError, match=r"pip install 'ragstone\[otel\]'"):
        configure_tracing("http://127.0.0.1:4318", "test")


@contextmanager
def otlp_receiver() -> Iterator[tuple[str, list[tuple[str, ExportTraceServiceRequest]]]]:
    """A receiver of OTLP/HTTP on loopback; what it got, with the path."""
    received: list[tuple[str, ExportTraceServiceRequest]] = []

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["content-length"]))
            received.append((self.path, ExportTraceServiceRequest.FromString(body)))
            self.send_response(200)
            self.send_header("content-length", "0")
            self.end_headers()

        def log_message(self, *_arguments: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}", received
        server.shutdown()
        thread.join()


def test_spans_arrive_at_a_receiver_nested_with_their_ids_and_without_data_of_tenants():
    with otlp_receiver() as (url, received):
        close = configure_tracing(url, "ragstone-test")
        ids = structlog.contextvars.bound_contextvars(request_id="order-4711")
        with ids, served("GET", THEIRS), span("retrieve", question=CANARY, limit=8):
            pass
        close()
    [(path, request)] = received
    [resource] = request.resource_spans
    inner, outer = resource.scope_spans[0].spans
    assert path == "/v1/traces"
    assert (inner.name, outer.name) == ("retrieve", "GET")
    assert inner.parent_span_id == outer.span_id
    assert outer.trace_id.hex() == "0af7651916cd43dd8448eb211c80319c"
    assert {each.key: each.value.string_value or each.value.int_value for each in inner.attributes} == {
        "request_id": "order-4711",
        "question": "[secret]",
        "limit": 8,
    }
    assert b"canary" not in request.SerializeToString()


async def test_a_call_of_another_server_is_a_span_of_its_request():
    exporter = InMemorySpanExporter()
    close = configure_tracing("http://127.0.0.1:1", "test", exporter=exporter)
    try:
        with span("ask"):
            await UpstreamPolicies(UpstreamOptions(), metrics=Metrics()).guard("models.example").call(_answered)
    finally:
        close()
    called, asked = exporter.get_finished_spans()
    assert (called.name, dict(called.attributes or {})) == ("call", {"upstream": "models.example"})
    assert called.parent is not None
    assert called.parent.span_id == asked.context.span_id


async def _answered() -> str:
    return "Yes."
