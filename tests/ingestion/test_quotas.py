"""Quotas: the limits of a plan are exact, also for concurrent submissions, and the refusal is a sentence."""

from __future__ import annotations

import asyncio
from dataclasses import replace

import pytest

from ragstone.billing.plans import Plan, Plans
from ragstone.documents.base import ParsedDocument
from ragstone.errors import QuotaExceeded
from ragstone.identity.audit import Audit
from ragstone.identity.secrets import Secret
from ragstone.identity.tenants import Tenants
from ragstone.ingestion.service import Ingestion
from ragstone.vocabulary import FileState, Job, JobState, PageSpan
from tests.ingestion.harness import SCOPE, Harness, PlainParser, upload

FREE = Plan(id="free", name="Free")


class PagedParser(PlainParser):
    """Each line is a page."""

    async def parse(self, content: bytes, *, name: str, media_type: str | None = None) -> ParsedDocument:
        parsed = await super().parse(content, name=name, media_type=media_type)
        ends = [place + 1 for place, char in enumerate(parsed.text) if char == "\n"]
        spans = zip([0, *ends], [*ends, len(parsed.text)], strict=True)
        return replace(parsed, pages=tuple(PageSpan(number, *span) for number, span in enumerate(spans, 1)))


async def limited(harness: Harness, plan: Plan) -> Ingestion:
    """Ingestion whose tenant has `plan`."""
    audit = Audit(harness.database, Secret(b"a secret for tests, 32 bytes long"))
    plans = Plans(harness.database, audit)
    await plans.save("test", plan)
    await Tenants(harness.database, audit).create("test", SCOPE.tenant, plan=plan.id)
    return harness.another(plans=plans, parser=PagedParser())


async def finish(harness: Harness, ingestion: Ingestion, job: Job) -> Job:
    await ingestion.work(until_job=(job.scope, job.id))
    return await harness.ingestion.job(job.scope, job.id)


async def test_fifty_uploads_at_once_do_not_pass_the_limit_of_documents(harness: Harness):
    ingestion = await limited(harness, replace(FREE, max_documents=7))
    submissions = [ingestion.submit(SCOPE, [upload(f"{number}.md", "zebra")]) for number in range(50)]
    outcomes = await asyncio.gather(*submissions, return_exceptions=True)
    assert sum(isinstance(outcome, Job) for outcome in outcomes) == 7
    assert sum(isinstance(outcome, QuotaExceeded) for outcome in outcomes) == 43
    assert len(await harness.library.documents(SCOPE)) == 7
    assert len(await harness.ingestion.jobs(SCOPE)) == 7


async def test_fifty_uploads_at_once_do_not_pass_the_limit_of_bytes(harness: Harness):
    ingestion = await limited(harness, replace(FREE, max_bytes=100))
    submissions = [ingestion.submit(SCOPE, [upload(f"{number}.md", f"{number:09}")]) for number in range(50)]
    outcomes = await asyncio.gather(*submissions, return_exceptions=True)
    assert sum(isinstance(outcome, Job) for outcome in outcomes) == 11
    assert sum(document.size_bytes for document in await harness.library.documents(SCOPE)) == 99


async def test_what_was_refused_leaves_nothing_behind(harness: Harness):
    ingestion = await limited(harness, replace(FREE, max_documents=2))
    with pytest.raises(QuotaExceeded, match="allows 2 documents; this submission would make it 3"):
        await ingestion.submit(SCOPE, [upload(f"{number}.md", f"zebra {number}") for number in range(3)])
    assert await harness.library.documents(SCOPE) == []
    await finish(harness, ingestion, await ingestion.submit(SCOPE, [upload("a.md", "gnu")]))
    await harness.settle()
    assert harness.stored_bytes() == {b"gnu"}


async def test_replacing_a_document_counts_the_difference(harness: Harness):
    ingestion = await limited(harness, replace(FREE, max_documents=1, max_bytes=10))
    await finish(harness, ingestion, await ingestion.submit(SCOPE, [upload("a.md", "12345678")]))
    with pytest.raises(QuotaExceeded, match="allows 10 bytes; this submission would make it 11"):
        await ingestion.submit(SCOPE, [upload("a.md", "12345678901")])
    job = await finish(harness, ingestion, await ingestion.submit(SCOPE, [upload("a.md", "1234567890")]))
    assert job.done == 1
    with pytest.raises(QuotaExceeded):
        await ingestion.submit(SCOPE, [upload("b.md", "1")])


async def test_room_that_a_smaller_version_may_leave_is_not_given_away_before_it_is_there(harness: Harness):
    ingestion = await limited(harness, replace(FREE, max_bytes=10))
    await finish(harness, ingestion, await ingestion.submit(SCOPE, [upload("a.md", "1234567890")]))
    smaller = await ingestion.submit(SCOPE, [upload("a.md", "1")])
    with pytest.raises(QuotaExceeded):
        await ingestion.submit(SCOPE, [upload("b.md", "22")])
    await finish(harness, ingestion, smaller)
    await ingestion.submit(SCOPE, [upload("b.md", "22")])


async def test_removed_and_failed_documents_give_their_room_back(harness: Harness):
    ingestion = await limited(harness, replace(FREE, max_documents=1))
    await finish(harness, ingestion, await ingestion.submit(SCOPE, [upload("a.md", " ")]))
    await finish(harness, ingestion, await ingestion.submit(SCOPE, [upload("b.md", "zebra")]))
    (ready,) = [each for each in await harness.library.documents(SCOPE) if each.active_version]
    await ingestion.remove(SCOPE, ready.id)
    await ingestion.submit(SCOPE, [upload("c.md", "zebra")])


async def test_a_document_with_too_many_pages_fails_with_a_sentence_and_leaves_nothing(harness: Harness):
    ingestion = await limited(harness, replace(FREE, max_pages=3))
    uploads = [upload("a.md", "zebra\nzebra"), upload("b.md", "gnu\ngnu"), upload("c.md", "zebra")]
    job = await finish(harness, ingestion, await ingestion.submit(SCOPE, uploads))
    assert [file.state for file in job.files] == [FileState.DONE, FileState.FAILED, FileState.DONE]
    assert job.files[1].error_code == "quota_exceeded"
    assert "allows 3 pages, too few to add the 2 of this document" in (job.files[1].error or "")
    assert await harness.ingestion.dead() == []
    await harness.settle()
    assert await harness.index.count(SCOPE) == 2
    assert harness.stored_bytes() == {b"zebra\nzebra", b"zebra"}
    replaced = await finish(harness, ingestion, await ingestion.submit(SCOPE, [upload("a.md", "one")]))
    assert replaced.state is JobState.DONE


async def test_a_plan_with_overage_refuses_nothing(harness: Harness):
    ingestion = await limited(harness, replace(FREE, max_documents=1, max_bytes=1, max_pages=1, overage=True))
    uploads = [upload("a.md", "zebra\nzebra"), upload("b.md", "gnu\ngnu")]
    assert (await finish(harness, ingestion, await ingestion.submit(SCOPE, uploads))).done == 2
