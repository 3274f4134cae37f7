"""What a plan has no room for is refused with 402 and a sentence; what is deleted is deleted by the worker."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path

import httpx2
import pytest

from ragstone.app import create_app
from ragstone.identity.tenants import TenantChange
from ragstone.vocabulary import DEFAULT_TENANT
from tests.platforms import small_platform


@pytest.fixture
async def client(tmp_path: Path) -> AsyncIterator[httpx2.AsyncClient]:
    """A server whose tenant has a plan with room for one document."""
    async with small_platform(tmp_path) as platform:
        plans = platform.billing.plans
        await plans.save("test", replace(await plans.get("free"), id="one", name="One", max_documents=1))
        await platform.identity.tenants.change("test", DEFAULT_TENANT, TenantChange(plan="one"))
        app = create_app(platform.services)
        async with (
            app.router.lifespan_context(app),
            httpx2.AsyncClient(transport=httpx2.ASGITransport(app), base_url="http://localhost") as client,
        ):
            yield client


@pytest.mark.parametrize("way", ["upload", "text"])
async def test_the_document_beyond_the_plan_is_refused_with_a_sentence(client: httpx2.AsyncClient, way: str):
    async def send(name: str) -> httpx2.Response:
        if way == "text":
            return await client.post("/api/ingest", json={"title": name, "text": "zebra"})
        return await client.post("/api/documents", files={"files": (name, b"zebra")})

    assert (await send("a.md")).status_code == 202
    refused = await send("b.md")
    assert refused.status_code == 402
    assert refused.json()["code"] == "quota_exceeded"
    assert "The plan One allows 1 documents; this submission would make it 2." in refused.json()["detail"]
    assert (await send("a.md")).status_code == 202
