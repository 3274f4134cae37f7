"""Submitted bytes become searchable once, whole, and whatever fails on the way."""

from __future__ import annotations

import asyncio

import pytest

from ragstone.documents.chunking import ChunkingOptions
from ragstone.errors import InvalidInput, NotFound
from ragstone.vocabulary import DocumentState, FileState, JobState, Scope
from tests.ingestion.workbench import QUICK, SCOPE, Stand, upload

OTHERS = Scope("them", "docs")


async def test_a_submitted_text_can_be_found_and_cited(stand: Stand):
    job = await stand.ingest(upload("zoo.md", "# Zoo\n\nThe zebra sleeps."))
    (passage,) = await stand.found("zebra")
    text = await stand.library.text(SCOPE, passage.chunk.document_id)
    assert text[passage.chunk.start : passage.chunk.end] == passage.chunk.text
    assert (job.state, job.done, job.files[0].state) == (JobState.DONE, 1, FileState.DONE)
    assert job.chunks == await stand.index.count(SCOPE) > 0


async def test_submitting_answers_before_anything_is_ingested(stand: Stand):
    job = await stand.ingestion.submit(SCOPE, [upload("zoo.md", "zebra")])
    assert (job.state, job.total) == (JobState.QUEUED, 1)
    (document,) = await stand.library.documents(SCOPE)
    assert (document.state, document.active_version) == (DocumentState.PENDING, None)


async def test_the_title_is_the_heading_and_the_file_name_without_one(stand: Stand):
    await stand.ingest(
        upload("a.md", "# The Zoo\n\ntext"), upload("b.md", "no heading"), upload("c.md", "x", title="Mine")
    )
    assert [document.title for document in await stand.library.documents(SCOPE)] == ["The Zoo", "b.md", "Mine"]


async def test_unchanged_bytes_are_skipped(stand: Stand):
    await stand.ingest(upload("zoo.md", "zebra"))
    before = await stand.library.documents(SCOPE)
    job = await stand.ingest(upload("zoo.md", "zebra"))
    assert (job.skipped, job.done) == (1, 0)
    assert await stand.library.documents(SCOPE) == before


@pytest.mark.parametrize(
    "change", [{"content": b"gnu"}, {"title": "Gnu"}, {"metadata": {"lang": "de"}}, {"media_type": "text/plain"}]
)
async def test_any_change_makes_a_new_version(stand: Stand, change: dict[str, object]):
    await stand.ingest(upload("zoo.md", "zebra"))
    assert (await stand.ingest(upload("zoo.md", "zebra", **change))).done == 1
    (document,) = await stand.library.documents(SCOPE)
    assert document.active_version == 2


async def test_a_changed_setting_makes_a_new_version_of_unchanged_bytes(stand: Stand):
    await stand.ingest(upload("zoo.md", "zebra"))
    changed = stand.another(chunking=ChunkingOptions(max_tokens=100, overlap_tokens=10))
    job = await changed.submit(SCOPE, [upload("zoo.md", "zebra")])
    assert (await stand.finish(job)).done == 1


async def test_a_new_version_replaces_the_old_one_and_leaves_nothing_of_it(stand: Stand):
    await stand.ingest(upload("zoo.md", "the old zebra\n\nsleeps"))
    await stand.ingest(upload("zoo.md", "the new gnu"))
    await stand.settle()
    assert await stand.found("zebra") == []
    assert [passage.chunk.version for passage in await stand.found("gnu")] == [2]
    assert await stand.index.count(SCOPE) == 1
    assert stand.stored_bytes() == {b"the new gnu"}


async def test_a_bad_file_fails_with_a_sentence_and_the_rest_goes_on(stand: Stand):
    job = await stand.ingest(
        upload("a.md", "zebra"),
        upload("b.md", "", content=b"\xff\xfe\x00"),
        upload("c.md", "   "),
        upload("d.md", "gnu"),
    )
    assert [file.state for file in job.files] == [FileState.DONE, FileState.FAILED, FileState.FAILED, FileState.DONE]
    assert [file.error_code for file in job.files] == [None, "unreadable_document", "empty_document", None]
    assert job.files[1].error == "b.md is not text."
    assert (job.state, job.failed, job.done) == (JobState.DONE, 2, 2)


async def test_a_job_whose_every_file_failed_is_failed(stand: Stand):
    job = await stand.ingest(upload("a.md", " "))
    assert job.state is JobState.FAILED
    assert job.error
    (document,) = await stand.library.documents(SCOPE)
    assert (document.state, document.error) == (DocumentState.FAILED, "a.md is empty.")


async def test_a_failed_change_keeps_the_older_version_in_service(stand: Stand):
    await stand.ingest(upload("zoo.md", "zebra"))
    await stand.ingest(upload("zoo.md", " "))
    (document,) = await stand.library.documents(SCOPE)
    assert (document.state, document.active_version) == (DocumentState.FAILED, 1)
    assert len(await stand.found("zebra")) == 1


async def test_taking_a_failed_change_back_makes_the_document_ready(stand: Stand):
    for text in ("zebra", " ", "zebra"):
        await stand.ingest(upload("zoo.md", text))
    (document,) = await stand.library.documents(SCOPE)
    assert (document.state, document.error) == (DocumentState.READY, None)


async def test_a_file_that_is_too_large_fails_and_names_the_setting(stand: Stand):
    job = await stand.ingest(upload("a.md", "x" * (QUICK.max_file_bytes + 1)))
    assert job.files[0].error_code == "too_large"
    assert "RAGSTONE_INGESTION__MAX_FILE_BYTES" in (job.files[0].error or "")


@pytest.mark.parametrize("source", ["", "x" * 3000, "a\nb", "a\x00b"])
async def test_a_source_that_cannot_be_a_name_is_refused(stand: Stand, source: str):
    with pytest.raises(InvalidInput, match="cannot name a document"):
        await stand.ingestion.submit(SCOPE, [upload("a.md", "x", source=source)])


@pytest.mark.parametrize("metadata", [{"a": ["list"]}, {"a": None}, {"a": float("nan")}, {"a": "x" * 20_000}])
async def test_metadata_that_cannot_be_kept_is_refused(stand: Stand, metadata: dict[str, object]):
    with pytest.raises(InvalidInput):
        await stand.ingestion.submit(SCOPE, [upload("a.md", "x", metadata=metadata)])


async def test_a_job_without_files_is_done(stand: Stand):
    job = await stand.ingestion.submit(SCOPE, [])
    assert (job.state, job.total) == (JobState.DONE, 0)


async def test_an_index_that_comes_back_is_waited_for(stand: Stand):
    stand.index.failures_left = 2
    job = await stand.ingest(upload("zoo.md", "zebra"))
    assert job.state is JobState.DONE
    assert len(await stand.found("zebra")) == 1


async def test_an_index_that_stays_away_fails_the_file_in_the_end(stand: Stand):
    stand.index.down = True
    job = await stand.ingest(upload("zoo.md", "zebra"))
    assert job.files[0].error_code == "index_unavailable"
    stand.index.down = False
    assert (await stand.ingest(upload("zoo.md", "zebra"))).state is JobState.DONE


async def test_the_last_submission_wins_and_versions_never_mix(stand: Stand):
    first = await stand.ingestion.submit(SCOPE, [upload("zoo.md", "zebra\n\nzebra stripes")])
    second = await stand.ingestion.submit(SCOPE, [upload("zoo.md", "gnu")])
    await asyncio.gather(stand.finish(second), stand.another().work(until_job=(SCOPE, second.id)))
    assert (await stand.finish(first)).skipped == 1
    assert await stand.found("zebra") == []
    assert len(await stand.found("gnu")) == 1


async def test_many_submitters_and_workers_at_once_ingest_each_file_once(stand: Stand):
    async def submit(number: int) -> str:
        job = await stand.another().submit(SCOPE, [upload(f"{number}-{each}.md", f"zebra {each}") for each in range(5)])
        return job.id

    job_ids = await asyncio.gather(*(submit(number) for number in range(4)))
    await asyncio.gather(*(stand.another().work(until_job=(SCOPE, job_id)) for job_id in job_ids))
    jobs = [await stand.ingestion.job(SCOPE, job_id) for job_id in job_ids]
    assert [job.done for job in jobs] == [5, 5, 5, 5]
    assert await stand.index.count(SCOPE) == 20
    assert {document.active_version for document in await stand.library.documents(SCOPE)} == {1}


@pytest.mark.parametrize("other", ["a tenant before", "z tenant behind"])
async def test_a_tenant_with_many_files_does_not_keep_others_waiting(stand: Stand, other: str):
    await stand.ingestion.submit(SCOPE, [upload(f"{number}.md", "zebra") for number in range(200)])
    small = await stand.ingestion.submit(Scope(other), [upload("a.md", "gnu")])
    await stand.ingestion.work(until_job=(Scope(other), small.id))
    (job,) = await stand.ingestion.jobs(SCOPE)
    assert job.done <= 64  # a turn or two of the large one


async def test_jobs_of_another_scope_are_not_there(stand: Stand):
    job = await stand.ingestion.submit(SCOPE, [upload("a.md", "zebra")])
    assert await stand.ingestion.jobs(OTHERS) == []
    with pytest.raises(NotFound, match="no job"):
        await stand.ingestion.job(OTHERS, job.id)


async def test_watching_a_job_ends_with_its_files(stand: Stand):
    job = await stand.ingestion.submit(SCOPE, [upload("a.md", "zebra"), upload("b.md", " ")])

    async def watch() -> list[JobState]:
        return [each.state async for each in stand.ingestion.watch(SCOPE, job.id, poll_s=0.001)]

    states, finished = await asyncio.gather(watch(), stand.finish(job))
    assert states[0] is JobState.QUEUED
    assert states[-1] is JobState.DONE
    assert len(finished.files) == 2


async def test_a_worker_ends_when_told_to(stand: Stand):
    stop = asyncio.Event()
    stop.set()
    await stand.ingestion.work(stop=stop)


async def test_files_not_begun_at_a_stop_are_given_back(stand: Stand):
    stop = asyncio.Event()

    def stop_at_first(step: str) -> None:
        if step == "parsed":
            stop.set()

    job = await stand.ingestion.submit(SCOPE, [upload(f"{number}.md", "zebra") for number in range(5)])
    await stand.another(faults=stop_at_first, lease_s=600).work(stop=stop)
    assert (await stand.ingestion.job(SCOPE, job.id)).done == 1
    assert (await stand.finish(job)).done == 5


async def test_a_submission_that_breaks_off_leaves_no_job(stand: Stand):
    def broken():
        yield upload("a.md", "zebra")
        raise InvalidInput("The connection broke off.")

    with pytest.raises(InvalidInput):
        await stand.ingestion.submit(SCOPE, broken())
    assert await stand.ingestion.jobs(SCOPE) == []
    assert await stand.library.documents(SCOPE) == []
