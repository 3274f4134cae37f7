"""Secrets and personal data go in through every route, and come out in no log, metric, span or table of jobs.

A new route needs a line in `CALLS` if the generic calls do not reach what is behind it.
"""

from __future__ import annotations

import base64
import contextlib
import io
import json
import logging
from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import quote

import httpx2
import pytest
from fastapi import FastAPI
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

from ragstone.storage.database import EVERY_TENANT, Database, unscoped
from ragstone.storage.failure_log import FailureLog, run_flush
from ragstone.storage.schema import failures, job_files, jobs
from ragstone.telemetry.failure_buffer import FailureBuffer
from ragstone.telemetry.logs import configure_logs
from ragstone.telemetry.tracing import configure_tracing
from tests.api.people import Installation, installation
from tests.librechat.setup import LIBRECHAT, minted

SHAPED = {
    "vendor key": "sk-ant-canary1-AbCdEf0123456789_x",
    "foreign token": "eyJjYW5hcnkiOiJjYW5hcnkifQ.eyJzdWIiOiJjYW5hcnkifQ.c2lnbmF0dXJlY2FuYXJ5",
    "login": "https://canaryuser:canarypass@canary.example/x",
    "e-mail": "canary.person@canary-mail.example",
    "telephone": "+49 30 90182736",
    "iban": "DE89 3704 0044 0532 0130 00",
    "card": "4929 1234 5678 9015",
    "ip": "203.0.113.177",
}
PLAIN = "xylocanaryphone"  # a word of a document or a question: nothing about it can be recognised
EVERYTHING = ", ".join([*SHAPED.values(), PLAIN])
PARTS = {"login": ("canaryuser", "canarypass"), "telephone": ("90182736",), "iban": ("DE89370400440532013000",)}


@dataclass(frozen=True)
class Call:
    """One request; every text in it may be a canary."""

    method: str
    path: str
    json: Any = None
    files: Mapping[str, tuple[str, bytes]] = field(default_factory=dict)
    data: Mapping[str, str] = field(default_factory=dict)


CHAT = {"model": "ragstone", "messages": [{"role": "user", "content": f"Who is {EVERYTHING}?"}]}
CALLS = [
    Call("POST", "/api/documents", files={"files": ("notes.md", f"# Notes\n\nWho: {EVERYTHING}".encode())}),
    Call("POST", "/api/documents", files={"files": ("broken.pdf", f"%PDF-1.7 {EVERYTHING}".encode())}),
    Call("POST", "/api/documents", files={"files": ("a.md", b"x")}, data={"metadata": f"{{{EVERYTHING}"}),
    Call(
        "POST",
        "/api/documents",
        files={"files": ("b.md", b"y")},
        data={"callback_url": "https://canary.example.invalid/"},
    ),
    Call("POST", "/api/chat", json={"question": f"Who is {EVERYTHING}?", "stream": False}),
    Call("POST", "/api/chat", json={"question": f"Who is {EVERYTHING}?", "stream": True}),
    Call("POST", "/api/search", json={"question": f"Who is {EVERYTHING}?"}),
    Call("POST", "/api/search", json={"question": [EVERYTHING]}),
    Call("POST", "/api/accounts/login", json={"email": SHAPED["e-mail"], "password": EVERYTHING}),
    Call("POST", "/api/ingest", json={"path": f"/{EVERYTHING}"}),
    Call("POST", "/v1/chat/completions", json=CHAT),
    Call("POST", "/v1/chat/completions", json={**CHAT, "stream": True}),
    Call("POST", "/v1/chat/completions", json={"model": EVERYTHING, "messages": EVERYTHING}),
    Call("POST", "/v1/messages", json={**CHAT, "max_tokens": 10}),  # a server that is not there, with a canary as key
    Call("POST", "/v1/embeddings", json={"model": "hashing", "input": EVERYTHING}),
    Call("POST", "/librechat/embed", files={"file": ("n.md", EVERYTHING.encode())}, data={"file_id": "canary-file"}),
    Call("POST", "/librechat/query", json={"query": f"Who is {EVERYTHING}?", "file_id": "canary-file"}),
    Call("POST", "/librechat/query", json={"query": [EVERYTHING], "file_id": EVERYTHING}),
    Call("POST", "/librechat/text", files={"file": ("b.pdf", f"%PDF-1.7 {EVERYTHING}".encode())}),
    Call("POST", "/raises", json={"text": ", ".join(SHAPED.values())}),
    Call("GET", "/streams-and-raises"),
]


@pytest.fixture
def logged() -> Iterator[io.StringIO]:
    """The JSON lines of everything that is logged, at DEBUG."""
    root = logging.getLogger()
    handlers, level, buffer = list(root.handlers), root.level, io.StringIO()
    with contextlib.redirect_stderr(buffer):
        configure_logs("debug", json=True)
    yield buffer
    root.handlers, root.level = handlers, level


@contextlib.contextmanager
def recording() -> Iterator[InMemorySpanExporter]:
    """All spans, to be read when it has ended."""
    exporter = InMemorySpanExporter()
    close = configure_tracing("http://127.0.0.1:1", "canaries", exporter=exporter)
    try:
        yield exporter
    finally:
        close()


@asynccontextmanager
async def an_installation(folder: Path) -> AsyncIterator[Installation]:
    interceptor = {"anthropic_url": "http://127.0.0.1:9", "anthropic_key": SHAPED["vendor key"]}
    groups: dict[str, Any] = {"interceptor": interceptor, "upstream": {"attempts": 1}, "librechat": LIBRECHAT}
    async with installation(folder, **groups) as made:

        async def raises(body: dict[str, str]) -> None:
            raise RuntimeError(body["text"])

        async def streams() -> None:
            try:
                int(SHAPED["vendor key"])
            except ValueError as error:
                raise RuntimeError(", ".join(SHAPED.values())) from error

        made.app.add_api_route("/raises", raises, methods=["POST"], include_in_schema=False)
        made.app.add_api_route("/streams-and-raises", streams, methods=["GET"], include_in_schema=False)
        yield made


def every_route(app: FastAPI) -> list[Call]:
    """A call of each documented operation, with canaries in its path, its query and its body."""
    found = []
    for path, operations in app.openapi()["paths"].items():
        named = path.replace("{", "").replace("}", "") if "{" not in path else _with_canaries(path)
        for method, operation in operations.items():
            query = "&".join(f"{each['name']}={quote(EVERYTHING)}" for each in operation.get("parameters", ()))
            body = _body(app, operation) if "requestBody" in operation else None
            found.append(Call(method.upper(), f"{named}?{query}&token={quote(SHAPED['vendor key'])}", json=body))
    return found


def _with_canaries(path: str) -> str:
    shown = ", ".join([PLAIN, *(SHAPED[name] for name in SHAPED if name != "login")])  # an encoded slash parts a path
    return "/".join(quote(shown) if part.startswith("{") else part for part in path.split("/"))


def _body(app: FastAPI, operation: dict[str, Any]) -> dict[str, str]:
    [content] = list(operation["requestBody"]["content"].values())[:1]
    name = content["schema"].get("$ref", "").rsplit("/", 1)[-1]
    properties = app.openapi()["components"]["schemas"].get(name, {}).get("properties", {})
    return dict.fromkeys([*properties, SHAPED["e-mail"]], EVERYTHING)


async def send(client: httpx2.AsyncClient, call: Call) -> None:
    headers = {
        "x-request-id": SHAPED["vendor key"].replace(".", "-") + "!",
        "user-agent": EVERYTHING,
        "cookie": f"a={PLAIN}",
    }
    body = {"files": call.files, "data": call.data} if call.files else {"json": call.json}
    await client.request(call.method, call.path, headers={**headers, "referer": SHAPED["login"]}, **body)


def forms(canary: str) -> set[str]:
    """What a canary may look like: itself, its beginning, URL-encoded, and in base64 at each offset."""
    raw = canary.encode()
    shifted = {base64.b64encode(b"\0" * offset + raw).decode()[4:-4] for offset in range(3)}
    urlsafe = {base64.urlsafe_b64encode(b"\0" * offset + raw).decode()[4:-4] for offset in range(3)}
    return {
        canary,
        canary[:12],
        quote(canary),
        quote(canary, safe=""),
        json.dumps(canary)[1:-1],
        raw.hex(),
        *shifted,
        *urlsafe,
    }


def found_in(sink: str, more: Mapping[str, str]) -> list[str]:
    sought = {**SHAPED, "plain": PLAIN, **more} | {f"{name} {part}": part for name in PARTS for part in PARTS[name]}
    return [name for name, canary in sought.items() if any(form in sink for form in forms(canary))]


async def tables(database: Database) -> str:
    async with database.read(EVERY_TENANT) as connection:
        rows = [(await connection.execute(unscoped(table))).all() for table in (jobs, job_files, failures)]
    return repr(rows)


async def test_no_canary_comes_out_of_logs_metrics_spans_or_the_tables_of_jobs_and_failures(
    tmp_path: Path, logged: io.StringIO
):
    collected = FailureBuffer()
    with recording() as spans:
        async with an_installation(tmp_path) as made:
            key, token = (await made.key())[1], await made.token("owner@acme.example")
            calls = [*every_route(made.app), *CALLS]
            for shown in (key, minted(email=SHAPED["e-mail"]), SHAPED["vendor key"], None):
                async with made.calling(shown) as client:
                    for call in calls:
                        await send(client, call)
            async with made.calling(token) as client:
                await client.get("/api/accounts/me")
            for error in (RuntimeError(EVERYTHING), EVERYTHING):
                collected.note("http", error)
            await run_flush(collected, FailureLog(made.platform.storage.database))
            logging.getLogger("a.library").debug("sent %s", {"headers": [SHAPED["vendor key"], key, token]})
            exposition = made.platform.operations.metrics.render().decode()
            stored = await tables(made.platform.storage.database)
    ours = {"our key": key[10:], "our session": token}
    sinks = {
        "logs": logged.getvalue(),
        "metrics": exposition,
        "spans": "".join(span.to_json() for span in spans.get_finished_spans()),
        "tables": stored,
    }
    assert {name: found_in(sink, ours) for name, sink in sinks.items()} == {name: [] for name in sinks}
    events = [json.loads(line) for line in sinks["logs"].splitlines()]
    assert sum(event["event"] == "http.failed" for event in events) == 2 * 4, "the failing routes were reached"
    assert len({event["route"] for event in events if event["event"] == "http.request"}) > 40
    assert sinks["spans"].count("http.route") == len([event for event in events if event["event"] == "http.request"])


@pytest.mark.parametrize("canary", [*SHAPED.values(), PLAIN])
def test_a_canary_would_be_found_in_each_of_its_forms(canary: str):
    for form in (
        canary,
        f"x{canary[:12]}…",
        base64.b64encode(f"ab{canary}".encode()).decode(),
        quote(canary),
        canary.encode().hex(),
    ):
        assert found_in(form, {})
