"""Whatever retrieval does, a chat is as good as the model's server; whatever that does, the client is told."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, cast

import httpx2
import pytest

from ragstone.billing.ledger import UsageRecord
from ragstone.errors import CircuitOpen, RagstoneError
from ragstone.http.streaming import Writer
from ragstone.interceptor.handle import ChatServices, handle
from ragstone.interceptor.mounted import services_of
from ragstone.interceptor.request import ChatRequest
from ragstone.principals import LOCAL
from ragstone.resilience.upstream_policy import UpstreamOptions, UpstreamPolicies
from ragstone.retrieval.cache import CachedRetriever
from ragstone.retrieval.retrieve import HybridRetriever
from tests.flows.failing_parts import Flaky, Servers
from tests.interceptor.setup import QUESTION, asking, stand
from tests.interceptor.upstreams import Fault, upstream
from tests.platforms import OpenedPlatform, small_platform
from tests.servers import events_of
from tests.waiting import found

STAGES = ("embedder", "index", "library", "cache")
CHATS_A_STAGE = 2500
BUDGET_S = 0.03  # what hangs is given up soon, so that ten thousand chats take less than a minute

pytestmark = pytest.mark.filterwarnings("ignore:coroutine .* was never awaited:RuntimeWarning")


@dataclass
class Clock:
    """Time that passes only from chat to chat, so that circuits open and close many times."""

    now: float = 1000.0

    def __call__(self) -> float:
        return self.now


@dataclass
class Received:
    """What one chat gave its client."""

    status: int = 0
    headers: dict[str, str] = field(default_factory=dict)
    body: bytes = b""

    async def send(self, message: Any) -> None:
        if message["type"] == "http.response.start":
            self.status = message["status"]
            self.headers = {name.decode(): value.decode() for name, value in message["headers"]}
        else:
            self.body += message["body"]


@dataclass
class Line:
    """An interceptor whose parts may fail, without a network."""

    platform: OpenedPlatform
    services: ChatServices
    parts: dict[str, Flaky]
    servers: Servers
    clock: Clock

    async def chat(self, body: dict[str, Any]) -> Received:
        raw = json.dumps(body).encode()
        received = Received()
        asked = ChatRequest("openai", "/chat/completions", raw, body, {}, LOCAL, "request-1")
        await handle(asked, self.services, Writer(received.send))
        self.clock.now += 1.0
        return received


@asynccontextmanager
async def line(folder: Path, servers: Servers, *, clock: Clock | None = None) -> AsyncIterator[Line]:
    settings = {"upstream_url": "http://model.test/v1", "budget_s": BUDGET_S}
    async with small_platform(folder / "data", interceptor=settings) as platform:
        (folder / "harbour.md").write_text("# The harbour\n\nThe harbour crane lifts forty tonnes.\n")
        await platform.ingest(folder / "harbour.md")
        time = clock or Clock()
        honest = (platform.engines.embedder, platform.engines.index, platform.storage.library, platform.storage.cache)
        parts = {name: Flaky(part, seed) for seed, (name, part) in enumerate(zip(STAGES, honest, strict=True))}
        inner = HybridRetriever(
            embedder=cast("Any", parts["embedder"]),
            index=cast("Any", parts["index"]),
            library=cast("Any", parts["library"]),
            metrics=platform.operations.metrics,
        )
        retriever = CachedRetriever(
            inner,
            cast("Any", parts["cache"]),
            library=cast("Any", parts["library"]),
            embedder_name=platform.engines.embedder.name,
            metrics=platform.operations.metrics,
        )
        policies = UpstreamPolicies(UpstreamOptions(), metrics=platform.operations.metrics, clock=time)
        failing = replace(
            platform.services,
            operations=replace(platform.operations, http=cast("Any", servers), policies=policies),
            storage=replace(platform.storage, cache=cast("Any", parts["cache"])),
            answers=replace(platform.answers, retriever=retriever),
        )
        services = services_of(failing).chats
        yield Line(platform, services, parts, servers, time)


@pytest.mark.timeout(600)
async def test_ten_thousand_chats_succeed_exactly_where_the_server_does(tmp_path: Path):
    outcomes: Counter[str] = Counter()
    succeeded = failed = 0
    async with line(tmp_path, Servers(seed=1)) as here:
        for stage in STAGES:
            here.parts[stage].chance = 0.5
            for number in range(CHATS_A_STAGE):
                body = asking(f"{QUESTION} {stage} {number}")  # another each time: none is remembered
                try:
                    received = await here.chat(body)
                except RagstoneError:
                    failed += 1
                    continue
                succeeded += 1
                assert received.status == 200
                assert json.loads(received.body)["choices"][0]["message"]["content"].startswith("Answer ")
                outcomes[received.headers["x-ragstone-status"]] += 1
                if received.headers["x-ragstone-status"].startswith("bypass"):
                    assert here.servers.asked[-1] == json.dumps(body).encode()
            here.parts[stage].chance = 0.0
            assert {"raises", "garbage", "hangs"} <= set(here.parts[stage].failed)
    assert (succeeded, failed) == (here.servers.billed, here.servers.refused)
    assert succeeded + failed == len(STAGES) * CHATS_A_STAGE
    assert outcomes["enriched; sources=1"] > 1000
    for reason in ("error", "timeout", "open"):
        assert outcomes[f"bypass; reason={reason}"] > 50


async def test_retrieval_that_keeps_failing_is_left_alone(tmp_path: Path):
    clock = Clock()
    async with line(tmp_path, Servers(seed=1, fails=0), clock=clock) as here:
        here.parts["library"].chance = 1.0
        for _ in range(20):
            await here.chat(asking())
            clock.now -= 0.99  # a hundredth of a second from chat to chat
        asked_before = sum(here.parts["library"].failed.values())
        for _ in range(5):
            received = await here.chat(asking())
            clock.now -= 0.99
            assert received.headers["x-ragstone-status"] == "bypass; reason=open"
        assert sum(here.parts["library"].failed.values()) == asked_before
        here.parts["library"].chance = 0.0
        clock.now += 10.0
        statuses = [(await here.chat(asking())).headers["x-ragstone-status"] for _ in range(2)]
    assert statuses == ["enriched; sources=1", "enriched; sources=1"]


async def test_a_server_that_is_down_is_not_asked_much_more_often_than_clients_ask(tmp_path: Path):
    requests = 1000
    clock = Clock()
    async with line(tmp_path, Servers(seed=1, fails=0, status=503), clock=clock) as here:
        for _ in range(requests):
            with suppress(CircuitOpen):
                assert (await here.chat(asking())).status == 503
            clock.now -= 0.95
    assert len(here.servers.asked) <= 1.1 * requests


FAULTS_BEFORE_THE_ANSWER = {
    Fault.REFUSE: 503,
    Fault.LIMITED: 429,
    Fault.BROKEN: 500,
    Fault.DOWN: 503,
    Fault.KEY: 401,
    Fault.GARBAGE: 503,
    Fault.ENDLESS_HEAD: 503,
}
FAULTS_WITHIN = (
    Fault.HTML,
    Fault.HALF_JSON,
    Fault.LONG_LINE,
    Fault.NO_END,
    Fault.RESET,
    Fault.ERROR_EVENT,
)


@pytest.mark.parametrize("fault", FAULTS_BEFORE_THE_ANSWER)
async def test_a_server_that_gives_no_answer_is_a_status_and_an_error_in_the_clients_words(
    tmp_path: Path, fault: Fault
):
    async with upstream(fault) as model, stand(tmp_path, model.url, upstream={"attempts": 1}) as here:
        response = await here.chat(asking(stream=True))
    assert response.status_code == FAULTS_BEFORE_THE_ANSWER[fault]
    error = response.json()["error"]
    assert error["message"]
    assert "sk-theirs" not in response.text
    assert model.url.removeprefix("http://") not in response.text
    if response.status_code == 429:
        assert response.headers["retry-after"] == "1"


@pytest.mark.parametrize("dialect", ["openai", "anthropic"])
@pytest.mark.parametrize("fault", FAULTS_WITHIN)
async def test_an_answer_that_breaks_off_ends_with_an_error_and_never_silently(
    tmp_path: Path, fault: Fault, dialect: str
):
    path = "/v1/chat/completions" if dialect == "openai" else "/v1/messages"
    body = asking(stream=True, max_tokens=50)
    async with upstream(fault) as model, stand(tmp_path, model.url) as here, here.client() as client:
        async with client.stream("POST", path, json=body) as response:
            ends = _told(response) if response.headers["content-type"].startswith("text/event") else None
            told = [event async for event in ends] if ends else [json.loads(await response.aread())]
        again = await client.get("/health")
    assert told[-1]["error"]["message"]
    assert "sk-theirs" not in json.dumps(told)
    assert again.status_code == 200


async def _told(response: httpx2.Response) -> AsyncIterator[dict[str, Any]]:
    async for event in events_of(response):
        yield event.data


async def test_a_server_that_refuses_the_passages_gets_the_clients_own_chat(tmp_path: Path):
    class Strict(Servers):
        async def begin(self, method: str, url: str, **sent: Any) -> Any:
            self.status = 400 if b"forty tonnes" in sent["body"] else 200
            return await super().begin(method, url, **sent)

    async with line(tmp_path, Strict(seed=1, fails=0)) as here:
        received = await here.chat(asking())
        rows = await _rows(here.platform)
    assert received.status == 200
    assert received.headers["x-ragstone-status"] == "bypass; reason=refused"
    assert here.servers.asked[-1] == json.dumps(asking()).encode()
    assert [(row.input_tokens, row.output_tokens) for row in rows] == [(10, 2)]


async def _rows(platform: OpenedPlatform) -> list[UsageRecord]:
    """The rows of chats, once all are settled."""
    now, day = datetime.now(UTC), timedelta(days=1)

    async def look() -> list[UsageRecord] | None:
        records = platform.billing.ledger.records("default", since=now - day, until=now + day)
        rows = [row async for row in records if row.kind == "chat"]
        return rows if all(row.state == "settled" for row in rows) else None

    return await found(look)
