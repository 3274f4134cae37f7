"""Usage over HTTP: what was asked is on the bill, and everybody sees their own."""

from __future__ import annotations

import csv
import io
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from ragstone.billing.ledger import UsageRecord, csv_cell, records_csv
from ragstone.billing.plans import Plan
from ragstone.identity.tenants import TenantChange
from ragstone.vocabulary import Scope
from tests.api.calls import NOTES
from tests.api.people import Installation, installation

QUESTION = {"question": "At what temperature does water boil?"}


@pytest.fixture
async def place(tmp_path: Path) -> AsyncIterator[Installation]:
    async with installation(tmp_path / "data") as made:
        (tmp_path / "notes.md").write_text(NOTES)
        await made.platform.ingest(tmp_path / "notes.md", scope=Scope("acme"))
        yield made


async def owner_of(place: Installation, tenant: str):
    return place.calling(await place.token(f"owner@{tenant}.example"))


async def asked(client, **more: object) -> Any:
    response = await client.get("/api/usage", params=more)
    assert response.status_code == 200, response.text
    return response.json()


def of_questions(report: dict) -> list[tuple[str, int]]:
    return [(each["principal"], each["requests"]) for each in report["sums"] if each["principal"] != "local"]


async def test_questions_and_searches_are_summed_by_key(place):
    key_id, key = await place.key()
    async with place.calling(key) as program, await owner_of(place, "acme") as owner:
        for _ in range(2):
            assert (await program.post("/api/chat", json=QUESTION)).status_code == 200
        assert (await program.post("/api/search", json={"query": "water"})).status_code == 200
        report = await asked(owner, by="month", by_key=True)
    assert of_questions(report) == [(f"key:{key_id}", 3)]
    [mine] = [each for each in report["sums"] if each["principal"] != "local"]
    assert mine["embedding_tokens"] > 8
    assert (mine["tenant"], mine["period"]) == ("acme", f"{datetime.now(UTC):%Y-%m}-01")


async def test_a_question_that_is_refused_is_on_no_bill(place):
    _, key = await place.key()
    async with place.calling(key) as program, await owner_of(place, "acme") as owner:
        assert (await program.post("/api/chat", json={"question": " "})).status_code == 400
        assert (await program.post("/api/search", json={"query": "a", "collection": "no"})).status_code == 404
        assert of_questions(await asked(owner, by_key=True)) == []


async def test_only_the_operator_sees_the_usage_of_others(place):
    async with await owner_of(place, "rival") as rival:
        assert (await asked(rival))["sums"] == []
        missing = await rival.get("/api/usage", params={"tenant": "nobody"})
        foreign = await rival.get("/api/usage", params={"tenant": "acme"})
        assert (missing.status_code, foreign.status_code) == (404, 404)
        assert (await rival.get("/api/usage/export", params={"tenant": "acme"})).status_code == 404
        assert (await rival.get("/api/usage", params={"all": True})).status_code == 403
    async with place.calling(await place.token("root@example.org")) as root:
        assert {each["tenant"] for each in (await asked(root, all=True))["sums"]} == {"acme"}
        assert {each["tenant"] for each in (await asked(root, tenant="acme"))["sums"]} == {"acme"}


async def test_the_export_has_a_line_a_request_and_is_recorded(place):
    _, key = await place.key()
    async with place.calling(key) as program, await owner_of(place, "acme") as owner:
        await program.post("/api/chat", json=QUESTION)
        response = await owner.get("/api/usage/export")
        audit = await owner.get("/api/accounts/audit")
    assert response.headers["content-type"] == "text/csv; charset=utf-8"
    assert "attachment" in response.headers["content-disposition"]
    kinds = [row["kind"] for row in csv.DictReader(io.StringIO(response.text))]
    assert sorted(kinds) == ["chat", "ingest"]
    assert "usage.exported" in audit.text


@pytest.mark.parametrize("days", [{"since": "2026-01-02", "until": "2026-01-01"}, {"since": "2000-01-01"}])
async def test_a_period_that_makes_no_sense_is_refused(place, days):
    async with await owner_of(place, "acme") as owner:
        assert (await owner.get("/api/usage", params=days)).status_code == 400


async def test_beyond_the_limit_a_plan_with_overage_serves_and_counts(place):
    await place.platform.billing.plans.save("root", Plan(id="tiny", name="Tiny", requests_per_hour=1, overage=True))
    await place.platform.identity.tenants.change("root", "acme", TenantChange(plan="tiny"))
    _, key = await place.key()
    async with place.calling(key) as program, await owner_of(place, "acme") as owner:
        for _ in range(3):
            assert (await program.post("/api/chat", json=QUESTION)).status_code == 200
        report = await asked(owner)
    assert sum(each["overage"] for each in report["sums"]) == 2


async def test_a_stream_too_many_is_refused_before_it_begins(place):
    await place.platform.billing.plans.save("root", Plan(id="one", name="One", concurrent_streams=0))
    await place.platform.identity.tenants.change("root", "acme", TenantChange(plan="one"))
    _, key = await place.key()
    async with place.calling(key) as program, await owner_of(place, "acme") as owner:
        refused = await program.post("/api/chat", json={**QUESTION, "stream": True})
        assert (refused.status_code, "retry-after" in refused.headers) == (429, True)
        assert of_questions(await asked(owner, by_key=True)) == []


@pytest.mark.parametrize("text", ["=1+1", "+1", "-1", "@SUM(A1)", "\t=1", "\r=1"])
async def test_no_cell_is_a_formula(text):
    assert csv_cell(text) == f"'{text}"
    at = datetime.now(UTC) - timedelta(days=1)
    row = UsageRecord("1", text, at, "chat", "settled", text, None, text, 0, 0, 0, 0, 0, overage=False, estimated=False)

    async def rows() -> AsyncIterator[UsageRecord]:
        yield row

    [_, line] = list(csv.reader(io.StringIO("".join([piece async for piece in records_csv(rows())]), newline="")))
    assert not any(cell.startswith(("=", "+", "-", "@", "\t", "\r")) for cell in line)
