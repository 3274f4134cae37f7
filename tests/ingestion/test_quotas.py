"""A plan's room is exact, also for submissions at once, and its refusal is a sentence."""

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
from tests.ingestion.workbench import SCOPE, PlainParser, Stand, upload

FREE = Plan(id="free", name="Free")


class PagedParser(PlainParser):
    """Each line is a page."""

    async def parse(self, content: bytes, *, name: str, media_type: str | None = None) -> ParsedDocument:
        parsed = await super().parse(content, name=name, media_type=media_type)
        ends = [place + 1 for place, char in enumerate(parsed.text) if char == "\n"]
        spans = zip([0, *ends], [*ends, len(parsed.text)], strict=True)
        return replace(parsed, pages=tuple(PageSpan(number, *span) for number, span in enumerate(spans, 1)))


async def limited(stand: Stand, plan: Plan) -> Ingestion:
    """Ingestion whose tenant has `plan`."""
    audit = Audit(stand.database, Secret(b"a secret for tests, 32 bytes long"))
    plans = Plans(stand.database, audit)
    await plans.save("test", plan)
    await Tenants(stand.database, audit).create("test", SCOPE.tenant, plan=plan.id)
    return stand.another(plans=plans, parser=PagedParser())


async def finish(stand: Stand, ingestion: Ingestion, job: Job) -> Job:
    await ingestion.work(until_job=(job.scope, job.id))
    return await stand.ingestion.job(job.scope, job.id)


async def test_fifty_uploads_at_once_do_not_pass_the_limit_of_documents(stand: Stand):
    ingestion = await limited(stand, replace(FREE, max_documents=7))
    submissions = [ingestion.submit(SCOPE, [upload(f"{number}.md", "zebra")]) for number in range(50)]
    outcomes = await asyncio.gather(*submissions, return_exceptions=True)
    assert sum(isinstance(outcome, Job) for outcome in outcomes) == 7
    assert sum(isinstance(outcome, QuotaExceeded) for outcome in outcomes) == 43
    assert len(await stand.library.documents(SCOPE)) == 7
    assert len(await stand.ingestion.jobs(SCOPE)) == 7


async def test_fifty_uploads_at_once_do_not_pass_the_limit_of_bytes(stand: Stand):
    ingestion = await limited(stand, replace(FREE, max_bytes=100))
    submissions = [ingestion.submit(SCOPE, [upload(f"{number}.md", f"{number:09}")]) for number in range(50)]
    outcomes = await asyncio.gather(*submissions, return_exceptions=True)
    assert sum(isinstance(outcome, Job) for outcome in outcomes) == 11
    assert sum(document.size_bytes for document in await stand.library.documents(SCOPE)) == 99


async def test_what_was_refused_leaves_nothing_behind(stand: Stand):
    ingestion = await limited(stand, replace(FREE, max_documents=2))
    with pytest.raises(QuotaExceeded, match="room for 2 documents, and this would make 3"):
        await ingestion.submit(SCOPE, [upload(f"{number}.md", f"zebra {number}") for number in range(3)])
    assert await stand.library.documents(SCOPE) == []
    await finish(stand, ingestion, await ingestion.submit(SCOPE, [upload("a.md", "gnu")]))
    await stand.settle()
    assert stand.stored_bytes() == {b"gnu"}


async def test_replacing_a_document_counts_the_difference(stand: Stand):
    ingestion = await limited(stand, replace(FREE, max_documents=1, max_bytes=10))
    await finish(stand, ingestion, await ingestion.submit(SCOPE, [upload("a.md", "12345678")]))
    with pytest.raises(QuotaExceeded, match="room for 10 bytes, and this would make 11"):
        await ingestion.submit(SCOPE, [upload("a.md", "12345678901")])
    job = await finish(stand, ingestion, await ingestion.submit(SCOPE, [upload("a.md", "1234567890")]))
    assert job.done == 1
    with pytest.raises(QuotaExceeded):
        await ingestion.submit(SCOPE, [upload("b.md", "1")])


async def test_room_that_a_smaller_version_may_leave_is_not_given_away_before_it_is_there(stand: Stand):
    ingestion = await limited(stand, replace(FREE, max_bytes=10))
    await finish(stand, ingestion, await ingestion.submit(SCOPE, [upload("a.md", "1234567890")]))
    smaller = await ingestion.submit(SCOPE, [upload("a.md", "1")])
    with pytest.raises(QuotaExceeded):
        await ingestion.submit(SCOPE, [upload("b.md", "22")])
    await finish(stand, ingestion, smaller)
    await ingestion.submit(SCOPE, [upload("b.md", "22")])


async def test_removed_and_failed_documents_give_their_room_back(stand: Stand):
    ingestion = await limited(stand, replace(FREE, max_documents=1))
    await finish(stand, ingestion, await ingestion.submit(SCOPE, [upload("a.md", " ")]))
    await finish(stand, ingestion, await ingestion.submit(SCOPE, [upload("b.md", "zebra")]))
    (ready,) = [each for each in await stand.library.documents(SCOPE) if each.active_version]
    await ingestion.remove(SCOPE, ready.id)
    await ingestion.submit(SCOPE, [upload("c.md", "zebra")])


async def test_a_document_with_too_many_pages_fails_with_a_sentence_and_leaves_nothing(stand: Stand):
    ingestion = await limited(stand, replace(FREE, max_pages=3))
    uploads = [upload("a.md", "zebra\nzebra"), upload("b.md", "gnu\ngnu"), upload("c.md", "zebra")]
    job = await finish(stand, ingestion, await ingestion.submit(SCOPE, uploads))
    assert [file.state for file in job.files] == [FileState.DONE, FileState.FAILED, FileState.DONE]
    assert job.files[1].error_code == "quota_exceeded"
    assert "room for 3 pages, and the 2 of this document are too many" in (job.files[1].error or "")
    assert await stand.ingestion.dead() == []
    await stand.settle()
    assert await stand.index.count(SCOPE) == 2
    assert stand.stored_bytes() == {b"zebra\nzebra", b"zebra"}
    replaced = await finish(stand, ingestion, await ingestion.submit(SCOPE, [upload("a.md", "one")]))
    assert replaced.state is JobState.DONE


async def test_a_plan_with_overage_refuses_nothing(stand: Stand):
    ingestion = await limited(stand, replace(FREE, max_documents=1, max_bytes=1, max_pages=1, overage=True))
    uploads = [upload("a.md", "zebra\nzebra"), upload("b.md", "gnu\ngnu")]
    assert (await finish(stand, ingestion, await ingestion.submit(SCOPE, uploads))).done == 2
