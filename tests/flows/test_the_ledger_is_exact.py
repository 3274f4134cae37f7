"""Whatever happens to a request, the ledger has one row for it, and the sum of all is the vendors' bill.

Three proofs: ten thousand requests on scripted models, ended in every way there is; some
hundred over HTTP, with models behind real connections; and a server that is killed.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import random
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import AsyncIterator, Iterator
from contextlib import aclosing, asynccontextmanager
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import httpx2
import pytest

from ragstone.billing.ledger import Ledger, Reservation, UsageRecord
from ragstone.billing.plans import ModelEntry, Plan
from ragstone.chat.usage_meter import UsageMeter
from ragstone.generation.answer import AnswerOptions, Generator
from ragstone.generation.base import Answerer
from ragstone.generation.extractive import ExtractiveAnswerer
from ragstone.generation.prompted import PromptedAnswerer
from ragstone.identity.api_keys import NewKey
from ragstone.principals import LOCAL, UNLIMITED_PLAN, CredentialType, Principal
from ragstone.telemetry.metrics import Metrics
from ragstone.vocabulary import Scope, Usage
from tests.api.calls import NOTES
from tests.api.conftest import running
from tests.commands import address_of
from tests.flows.billing_models import CapriciousModel, VendorBill
from tests.generation.passages import BRIDGE, TOWER
from tests.llm.mock_upstreams import Exchange, anthropic_events, openai_events
from tests.llm.mock_upstreams import serving as serving_upstream
from tests.platforms import OpenedPlatform, small_platform
from tests.servers import events_of, serving
from tests.waiting import PATIENCE_S, until

SEED = 20261121
REQUESTS = 10_000
AT_ONCE = 200
EVER = {"since": datetime(2020, 1, 1, tzinfo=UTC), "until": datetime(2100, 1, 1, tzinfo=UTC)}
TENANTS = tuple(Principal(f"key:{name}", CredentialType.SECRET, tenant=name) for name in ("acme", "other", "third"))
FIRST = ModelEntry(id="first", provider="openai", model="m", input_price=150_000, output_price=600_000)
SECOND = ModelEntry(id="second", provider="anthropic", model="m", input_price=3_000_001, output_price=15_000_000)
ENDS = ("finished", "finished", "finished", "cancelled", "closed", "failed", "never begun")


async def all_rows(ledger: Ledger, *tenants: str) -> list[UsageRecord]:
    return [row for tenant in tenants async for row in ledger.records(tenant, **EVER)]


def agree(rows: list[UsageRecord], bill: VendorBill, requests: int) -> None:
    assert len(rows) == len({row.id for row in rows}) == requests
    assert Counter(row.state for row in rows) == {"settled": requests}
    assert (sum(row.input_tokens for row in rows), sum(row.output_tokens for row in rows)) == bill.total()
    assert sum(row.cost for row in rows) == bill.cost([FIRST, SECOND])


class ConsumerFailed(Exception):
    """What reads the answer has a fault of its own."""


async def test_ten_thousand_requests_that_end_in_every_way(tmp_path: Path):
    dice, vendor = random.Random(SEED), VendorBill()
    models = [CapriciousModel(name, vendor, dice) for name in ("first", "second")]
    chain: list[Answerer] = [*(PromptedAnswerer(model) for model in models), ExtractiveAnswerer()]
    generator = Generator(
        answerer=chain[0],
        fallback=chain[-1],
        metrics=Metrics(),
        options=AnswerOptions(first_token_s=0.05, total_s=0.1),
    )
    places = asyncio.Semaphore(AT_ONCE)

    async def consume(bill: UsageMeter, end: str, after: int) -> None:
        events = generator.answer("When did it open?", (TOWER, BRIDGE), answerers=chain, spent=bill.spent)
        try:
            async with aclosing(events):
                seen = 0
                async for _ in events:
                    seen += 1
                    if end == "closed" and seen > after:
                        return
                    if end == "failed" and seen > after:
                        raise ConsumerFailed
        finally:
            await bill.settle()

    async def request(ledger: Ledger, number: int) -> None:
        async with places:
            end, after, turns = dice.choice(ENDS), dice.randrange(4), dice.randrange(12)
            bill = await UsageMeter.open(ledger, TENANTS[number % len(TENANTS)], "chat")
            if end == "never begun":
                return
            task = asyncio.create_task(consume(bill, end, after))
            if end == "cancelled":
                for _ in range(turns):
                    await asyncio.sleep(0)
                task.cancel()
            with contextlib.suppress(asyncio.CancelledError, ConsumerFailed):
                await task

    async with small_platform(tmp_path / "data") as platform:
        for entry in (FIRST, SECOND):
            await platform.billing.plans.save_model("local", entry)
        ledger = platform.billing.ledger
        await asyncio.gather(*(request(ledger, number) for number in range(REQUESTS)))
        await asyncio.sleep(0)  # those that were forgotten are settled on the next turn
        await ledger.close()
        agree(await all_rows(ledger, *(each.tenant for each in TENANTS)), vendor, REQUESTS)
        assert len(vendor.calls) > REQUESTS / 2


HTTP_REQUESTS = 240
WORDS = [f" word{number}" for number in range(1, 7)]


class Vendor:
    """Both wire formats with a running count; does with a call what its question says: `stall 3`, `refuse 0`, …"""

    def __init__(self) -> None:
        self.bill = VendorBill()
        self.stalled = 0

    async def openai(self, exchange: Exchange) -> None:
        await self._serve(exchange, "first", _asked(exchange.body["messages"][-1]["content"]))

    async def anthropic(self, exchange: Exchange) -> None:
        await self._serve(exchange, "second", _asked(exchange.body["messages"][-1]["content"][0]["text"]))

    async def _serve(self, exchange: Exchange, model: str, asked: tuple[str, int]) -> None:
        fate, tokens = asked
        if fate == "refuse" or (fate == "second" and model == "first"):
            await exchange.json(503, {"error": {"message": "no"}})
            return
        broken = fate in {"break", "stall"}
        words = WORDS[:tokens] if broken else WORDS
        call = self.bill.open(model, 2105)
        self.bill.sent(call, len(words))
        await exchange.head()
        for event in _events_of(model, words, ended=not broken):
            await exchange.send(event)
        if fate == "stall":
            self.stalled += 1
            await exchange.until_hung_up()


def _asked(prompt: str) -> tuple[str, int]:
    fate, number = prompt.rsplit("water boil ", 1)[1].split()[:2]
    return fate, int(number.rstrip("?"))


def _events_of(model: str, words: list[str], *, ended: bool) -> list[str]:
    """What one call streams, with the usage so far in every chunk, or at the start and the end."""

    def usage(sent: int) -> dict[str, int]:
        return {"prompt_tokens": 2105, "completion_tokens": sent, "total_tokens": 2105 + sent}

    if model == "first":
        return openai_events(words, finish="stop" if ended else None, done=ended, running=usage)
    return anthropic_events(words, ended=ended, delta_usage={"output_tokens": len(words)}, cached=0)


@asynccontextmanager
async def a_tenant_with_models(platform: OpenedPlatform, vendor: Vendor) -> AsyncIterator[str]:
    """The key of a tenant whose plan names a model of each wire format."""
    async with serving_upstream(vendor.openai) as first, serving_upstream(vendor.anthropic) as second:
        for entry, upstream in ((FIRST, first), (SECOND, second)):
            wired = replace(entry, base_url=upstream.url, key_variable="MOCK_API_KEY")
            await platform.billing.plans.save_model("local", wired)
        await platform.billing.plans.save("local", Plan(id="both", name="Both", models=("first", "second")))
        await platform.identity.tenants.create("local", "acme", plan="both")
        _, key = await platform.identity.api_keys.create(LOCAL, "acme", NewKey())
        yield key


async def test_hundreds_over_http_with_faults_and_disconnects(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("MOCK_API_KEY", "k" * 20)
    dice, vendor = random.Random(SEED), Vendor()
    places = asyncio.Semaphore(16)

    async def request(client: httpx2.AsyncClient) -> None:
        fate = dice.choice(["end", "end", "refuse", "second", "break", "stall", "stall"])
        tokens = dice.randrange(1, len(WORDS))
        body = {"question": f"At what temperature does water boil {fate} {tokens}?", "stream": fate == "stall"}
        async with places, client.stream("POST", "/api/chat", json=body) as response:
            assert response.status_code == 200
            if fate != "stall":
                await response.aread()
                return
            text = ""
            async for event in events_of(response):
                text += event.data.get("text", "") if event.name == "delta" else ""
                if text.endswith(f"word{tokens}"):
                    return  # all that was sent has arrived; leaving closes the connection

    patient = {"failure_rate": 1.0}  # these servers are not left alone, however often they fail
    opened = small_platform(tmp_path / "data", upstream=patient)
    async with opened as platform, running(platform) as app, serving(app) as url:
        async with a_tenant_with_models(platform, vendor) as key:
            (tmp_path / "notes.md").write_text(NOTES)
            await platform.ingest(tmp_path / "notes.md", scope=Scope("acme"))
            headers = {"authorization": f"Bearer {key}"}
            async with httpx2.AsyncClient(base_url=url, headers=headers, timeout=30) as client:
                await asyncio.gather(*(request(client) for _ in range(HTTP_REQUESTS)))
        ledger = platform.billing.ledger
        rows = [row for row in await settled_rows(ledger, "acme") if row.kind == "chat"]
        agree(rows, vendor.bill, HTTP_REQUESTS)
        assert vendor.stalled > HTTP_REQUESTS / 8
        assert not await all_rows(ledger, "other")


async def settled_rows(ledger: Ledger, tenant: str) -> list[UsageRecord]:
    """The rows as soon as none is open any more; disconnects are settled after their client has gone."""
    deadline = time.monotonic() + PATIENCE_S
    rows = await all_rows(ledger, tenant)
    while any(row.state == "reserved" for row in rows):
        assert time.monotonic() < deadline, "Some rows stay open."
        await asyncio.sleep(0)
        rows = await all_rows(ledger, tenant)
    return rows


async def test_a_server_that_is_killed_leaves_rows_that_are_lost_once(tmp_path: Path):
    vendor = Vendor()
    async with serving_upstream(vendor.openai) as upstream:
        async with small_platform(tmp_path / "data") as platform:
            (tmp_path / "notes.md").write_text(NOTES)
            await platform.ingest(tmp_path / "notes.md")
            await platform.billing.plans.save_model("local", replace(FIRST, base_url=upstream.url))
            await platform.billing.plans.save("local", Plan(id=UNLIMITED_PLAN, name="U", models=("first",)))
            before = len(await all_rows(platform.billing.ledger, "default"))
        with a_server_to_kill(tmp_path / "data") as (process, url):
            async with httpx2.AsyncClient(base_url=url, timeout=30) as client:
                asking = [asyncio.create_task(client.post("/api/chat", json=_stalling(each))) for each in range(5)]
                finished = await client.post("/api/chat", json={"question": "Does water boil end 1?"})
                assert finished.json()["usage"]["model"] == "first"
                await until(lambda: vendor.stalled == 5)
                process.send_signal(signal.SIGKILL)
                await asyncio.gather(*asking, return_exceptions=True)
        async with small_platform(tmp_path / "data") as platform:
            ledger, later = platform.billing.ledger, time.time() + 86_400
            rows = (await all_rows(ledger, "default"))[before:]
            assert Counter(row.state for row in rows) == {"reserved": 5, "settled": 1}
            two = [Ledger(platform.storage.database, platform.billing.plans, clock=lambda: later) for _ in range(2)]
            assert await ledger.expire() == 0
            assert sum(await asyncio.gather(*(each.expire() for each in two))) == 5
            for row in rows:
                await ledger.settle(Reservation(row.id, row.tenant), [Usage("first", 9, 9)])
            after = (await all_rows(ledger, "default"))[before:]
            assert Counter(row.state for row in after) == {"lost": 5, "settled": 1}
            assert sum(row.output_tokens for row in after) == len(WORDS)


def _stalling(number: int) -> dict[str, object]:
    return {"question": f"At what temperature does water boil stall {number + 1}?", "stream": True}


@contextlib.contextmanager
def a_server_to_kill(folder: Path) -> Iterator[tuple[subprocess.Popen[str], str]]:
    process = subprocess.Popen(
        [sys.executable, "-m", "ragstone", "--data-dir", str(folder), "serve", "--port", "0"],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        env={**os.environ, "RAGSTONE_EMBEDDING__MODEL": "hashing", "RAGSTONE_INDEX__ENGINE": "memory"},
    )
    try:
        yield process, address_of(process)
    finally:
        process.kill()
        process.communicate(timeout=30)
