"""Ingestion: submitted bytes become searchable exactly once and as a whole, despite failures."""

from __future__ import annotations

import asyncio

import pytest

from ragstone.documents.chunking import ChunkingOptions
from ragstone.errors import InvalidInput, NotFound
from ragstone.vocabulary import DocumentState, FileState, JobState, Scope
from tests.ingestion.harness import QUICK, SCOPE, Harness, upload

OTHERS = Scope("them", "docs")


async def test_a_submitted_text_can_be_found_and_cited(harness: Harness):
    job = await harness.ingest(upload("zoo.md", "# Zoo\n\nThe zebra sleeps."))
    (passage,) = await harness.found("zebra")
    text = await harness.library.text(SCOPE, passage.chunk.document_id)
    assert text[passage.chunk.start : passage.chunk.end] == passage.chunk.text
    assert (job.state, job.done, job.files[0].state) == (JobState.DONE, 1, FileState.DONE)
    assert job.chunks == await harness.index.count(SCOPE) > 0


async def test_submitting_answers_before_anything_is_ingested(harness: Harness):
    job = await harness.ingestion.submit(SCOPE, [upload("zoo.md", "zebra")])
    assert (job.state, job.total) == (JobState.QUEUED, 1)
    (document,) = await harness.library.documents(SCOPE)
    assert (document.state, document.active_version) == (DocumentState.PENDING, None)


async def test_the_title_is_the_heading_and_the_file_name_without_one(harness: Harness):
    await harness.ingest(
        upload("a.md", "# The Zoo\n\ntext"), upload("b.md", "no heading"), upload("c.md", "x", title="Mine")
    )
    assert [document.title for document in await harness.library.documents(SCOPE)] == ["The Zoo", "b.md", "Mine"]


async def test_unchanged_bytes_are_skipped(harness: Harness):
    await harness.ingest(upload("zoo.md", "zebra"))
    before = await harness.library.documents(SCOPE)
    job = await harness.ingest(upload("zoo.md", "zebra"))
    assert (job.skipped, job.done) == (1, 0)
    assert await harness.library.documents(SCOPE) == before


@pytest.mark.parametrize(
    "change", [{"content": b"gnu"}, {"title": "Gnu"}, {"metadata": {"lang": "de"}}, {"media_type": "text/plain"}]
)
async def test_any_change_makes_a_new_version(harness: Harness, change: dict[str, object]):
    await harness.ingest(upload("zoo.md", "zebra"))
    assert (await harness.ingest(upload("zoo.md", "zebra", **change))).done == 1
    (document,) = await harness.library.documents(SCOPE)
    assert document.active_version == 2


async def test_a_changed_setting_makes_a_new_version_of_unchanged_bytes(harness: Harness):
    await harness.ingest(upload("zoo.md", "zebra"))
    changed = harness.another(chunking=ChunkingOptions(max_tokens=100, overlap_tokens=10))
    job = await changed.submit(SCOPE, [upload("zoo.md", "zebra")])
    assert (await harness.finish(job)).done == 1


async def test_a_new_version_replaces_the_old_one_and_leaves_nothing_of_it(harness: Harness):
    await harness.ingest(upload("zoo.md", "the old zebra\n\nsleeps"))
    await harness.ingest(upload("zoo.md", "the new gnu"))
    await harness.settle()
    assert await harness.found("zebra") == []
    assert [passage.chunk.version for passage in await harness.found("gnu")] == [2]
    assert await harness.index.count(SCOPE) == 1
    assert harness.stored_bytes() == {b"the new gnu"}


async def test_a_bad_file_fails_with_a_sentence_and_the_rest_goes_on(harness: Harness):
    job = await harness.ingest(
        upload("a.md", "zebra"),
        upload("b.md", "", content=b"\xff\xfe\x00"),
        upload("c.md", "   "),
        upload("d.md", "gnu"),
    )
    assert [file.state for file in job.files] == [FileState.DONE, FileState.FAILED, FileState.FAILED, FileState.DONE]
    assert [file.error_code for file in job.files] == [None, "unreadable_document", "empty_document", None]
    assert job.files[1].error == "b.md is not text."
    assert (job.state, job.failed, job.done) == (JobState.DONE, 2, 2)


async def test_a_job_fails_if_all_its_files_fail(harness: Harness):
    job = await harness.ingest(upload("a.md", " "))
    assert job.state is JobState.FAILED
    assert job.error
    (document,) = await harness.library.documents(SCOPE)
    assert (document.state, document.error) == (DocumentState.FAILED, "a.md is empty.")


async def test_a_failed_change_keeps_the_older_version_in_service(harness: Harness):
    await harness.ingest(upload("zoo.md", "zebra"))
    await harness.ingest(upload("zoo.md", " "))
    (document,) = await harness.library.documents(SCOPE)
    assert (document.state, document.active_version) == (DocumentState.FAILED, 1)
    assert len(await harness.found("zebra")) == 1


async def test_taking_a_failed_change_back_makes_the_document_ready(harness: Harness):
    for text in ("zebra", " ", "zebra"):
        await harness.ingest(upload("zoo.md", text))
    (document,) = await harness.library.documents(SCOPE)
    assert (document.state, document.error) == (DocumentState.READY, None)


async def test_a_file_that_is_too_large_fails_and_names_the_setting(harness: Harness):
    job = await harness.ingest(upload("a.md", "x" * (QUICK.max_file_bytes + 1)))
    assert job.files[0].error_code == "too_large"
    assert "RAGSTONE_INGESTION__MAX_FILE_BYTES" in (job.files[0].error or "")


@pytest.mark.parametrize("source", ["", "x" * 3000, "a\nb", "a\x00b"])
async def test_a_source_that_cannot_be_a_name_is_refused(harness: Harness, source: str):
    with pytest.raises(InvalidInput, match="is not a valid source"):
        await harness.ingestion.submit(SCOPE, [upload("a.md", "x", source=source)])


@pytest.mark.parametrize("metadata", [{"a": ["list"]}, {"a": None}, {"a": float("nan")}, {"a": "x" * 20_000}])
async def test_metadata_that_cannot_be_kept_is_refused(harness: Harness, metadata: dict[str, object]):
    with pytest.raises(InvalidInput):
        await harness.ingestion.submit(SCOPE, [upload("a.md", "x", metadata=metadata)])


async def test_a_job_without_files_is_done(harness: Harness):
    job = await harness.ingestion.submit(SCOPE, [])
    assert (job.state, job.total) == (JobState.DONE, 0)


async def test_an_index_that_comes_back_is_waited_for(harness: Harness):
    harness.index.failures_left = 2
    job = await harness.ingest(upload("zoo.md", "zebra"))
    assert job.state is JobState.DONE
    assert len(await harness.found("zebra")) == 1


async def test_an_index_that_stays_away_fails_the_file_in_the_end(harness: Harness):
    harness.index.down = True
    job = await harness.ingest(upload("zoo.md", "zebra"))
    assert job.files[0].error_code == "index_unavailable"
    harness.index.down = False
    assert (await harness.ingest(upload("zoo.md", "zebra"))).state is JobState.DONE


async def test_the_last_submission_wins_and_versions_never_mix(harness: Harness):
    first = await harness.ingestion.submit(SCOPE, [upload("zoo.md", "zebra\n\nzebra stripes")])
    second = await harness.ingestion.submit(SCOPE, [upload("zoo.md", "gnu")])
    await asyncio.gather(harness.finish(second), harness.another().work(until_job=(SCOPE, second.id)))
    assert (await harness.finish(first)).skipped == 1
    assert await harness.found("zebra") == []
    assert len(await harness.found("gnu")) == 1


async def test_many_submitters_and_workers_at_once_ingest_each_file_once(harness: Harness):
    async def submit(number: int) -> str:
        job = await harness.another().submit(
            SCOPE, [upload(f"{number}-{each}.md", f"zebra {each}") for each in range(5)]
        )
        return job.id

    job_ids = await asyncio.gather(*(submit(number) for number in range(4)))
    await asyncio.gather(*(harness.another().work(until_job=(SCOPE, job_id)) for job_id in job_ids))
    jobs = [await harness.ingestion.job(SCOPE, job_id) for job_id in job_ids]
    assert [job.done for job in jobs] == [5, 5, 5, 5]
    assert await harness.index.count(SCOPE) == 20
    assert {document.active_version for document in await harness.library.documents(SCOPE)} == {1}


@pytest.mark.parametrize("other", ["a tenant before", "z tenant behind"])
async def test_a_tenant_with_many_files_does_not_keep_others_waiting(harness: Harness, other: str):
    await harness.ingestion.submit(SCOPE, [upload(f"{number}.md", "zebra") for number in range(200)])
    small = await harness.ingestion.submit(Scope(other), [upload("a.md", "gnu")])
    await harness.ingestion.work(until_job=(Scope(other), small.id))
    (job,) = await harness.ingestion.jobs(SCOPE)
    assert job.done <= 64  # a turn or two of the large one


async def test_jobs_of_another_scope_are_not_there(harness: Harness):
    job = await harness.ingestion.submit(SCOPE, [upload("a.md", "zebra")])
    assert await harness.ingestion.jobs(OTHERS) == []
    with pytest.raises(NotFound, match="no job"):
        await harness.ingestion.job(OTHERS, job.id)


async def test_watching_a_job_ends_with_its_files(harness: Harness):
    job = await harness.ingestion.submit(SCOPE, [upload("a.md", "zebra"), upload("b.md", " ")])

    async def watch() -> list[JobState]:
        return [each.state async for each in harness.ingestion.watch(SCOPE, job.id, poll_s=0.001)]

    states, finished = await asyncio.gather(watch(), harness.finish(job))
    assert states[0] is JobState.QUEUED
    assert states[-1] is JobState.DONE
    assert len(finished.files) == 2


async def test_a_worker_ends_when_it_is_stopped(harness: Harness):
    stop = asyncio.Event()
    stop.set()
    await harness.ingestion.work(stop=stop)


async def test_files_not_begun_at_a_stop_are_given_back(harness: Harness):
    stop = asyncio.Event()

    def stop_at_first(step: str) -> None:
        if step == "parsed":
            stop.set()

    job = await harness.ingestion.submit(SCOPE, [upload(f"{number}.md", "zebra") for number in range(5)])
    await harness.another(faults=stop_at_first, lease_s=600).work(stop=stop)
    assert (await harness.ingestion.job(SCOPE, job.id)).done == 1
    assert (await harness.finish(job)).done == 5


async def test_a_submission_that_breaks_off_leaves_no_job(harness: Harness):
    def broken():
        yield upload("a.md", "zebra")
        raise InvalidInput("The connection broke off.")

    with pytest.raises(InvalidInput):
        await harness.ingestion.submit(SCOPE, broken())
    assert await harness.ingestion.jobs(SCOPE) == []
    assert await harness.library.documents(SCOPE) == []
