"""The record of who did what to documents, whichever way they came."""

from __future__ import annotations

from pathlib import Path

import pytest

from ragstone.billing.plans import Plan
from ragstone.errors import QuotaExceeded
from ragstone.ingestion.submit import Upload
from ragstone.principals import LOCAL
from ragstone.vocabulary import Scope
from tests.platforms import small_platform

SCOPE = Scope("default", "notes")


async def test_who_brought_documents_in_and_took_them_out_is_recorded(tmp_path: Path):
    (tmp_path / "notes").mkdir()
    (tmp_path / "notes" / "a.md").write_text("# A\n\nSecret words.", encoding="utf-8")
    async with small_platform(tmp_path / "data") as platform:
        await platform.ingest(tmp_path / "notes", scope=SCOPE)
        job = await platform.corpus.ingestion.submit(SCOPE, [Upload("upload:b.md", "", b"B")], principal="user:1")
        await platform.corpus.ingestion.work(until_job=(SCOPE, job.id))
        document_id = (await platform.storage.library.documents(SCOPE))[-1].id
        await platform.corpus.ingestion.remove(SCOPE, document_id, principal="key:2")
        entries = await platform.identity.audit.entries("default")
        assert await platform.identity.audit.verify() == []
    assert [(each.actor, each.action) for each in reversed(entries)] == [
        (LOCAL.id, "documents.submitted"),
        ("user:1", "documents.submitted"),
        ("key:2", "document.removed"),
    ]
    removed, submitted, _ = entries
    assert (submitted.target, submitted.details) == (job.id, {"collection": "notes", "files": 1, "vanished": 0})
    assert removed.target == document_id
    assert "Secret" not in repr(entries)


async def test_what_is_refused_is_not_recorded(tmp_path: Path):
    async with small_platform(tmp_path) as platform:
        await platform.billing.plans.save("local", Plan(id="one", name="One", max_documents=1))
        await platform.identity.tenants.create("local", "acme", plan="one")
        before = len(await platform.identity.audit.entries("acme"))
        uploads = [Upload(f"upload:{name}.md", "", name.encode()) for name in "ab"]
        with pytest.raises(QuotaExceeded):
            await platform.corpus.ingestion.submit(Scope("acme"), uploads)
        assert len(await platform.identity.audit.entries("acme")) == before
