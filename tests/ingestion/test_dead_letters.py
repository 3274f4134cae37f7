"""Dead letters: files that failed for a reason outside the file are kept and can be retried."""

from __future__ import annotations

import pytest

from ragstone.errors import NotFound
from ragstone.ingestion.dead_letters import Replay
from ragstone.vocabulary import DocumentState, FileState, Job, JobState, Scope
from tests.ingestion.harness import SCOPE, Harness, upload


async def give_up(harness: Harness, *names: str) -> Job:
    """Ingest while the index is down, until the retries end."""
    harness.index.down = True
    job = await harness.ingest(*(upload(name, f"zebra {name}") for name in names))
    harness.index.down = False
    return job


async def test_a_file_that_the_index_failed_is_dead_and_keeps_its_bytes(harness: Harness):
    job = await give_up(harness, "a.md")
    await harness.settle()
    (dead,) = await harness.ingestion.dead(SCOPE.tenant)
    assert (dead.job_id, dead.source, dead.error_code) == (job.id, "upload:a.md", "index_unavailable")
    assert await harness.ingestion.dead() == [dead]
    assert await harness.ingestion.dead("them") == []
    assert harness.stored_bytes() == {b"zebra a.md"}


async def test_a_file_that_fails_by_itself_is_not_dead(harness: Harness):
    await harness.ingest(upload("a.md", " "))
    assert await harness.ingestion.dead() == []
    await harness.settle()
    assert harness.stored_bytes() == set()


async def test_replayed_files_are_ingested_and_their_job_counts_them(harness: Harness):
    job = await give_up(harness, "a.md", "b.md")
    assert (job.state, job.failed) == (JobState.FAILED, 2)
    first, _ = await harness.ingestion.dead(SCOPE.tenant)
    assert await harness.ingestion.replay(SCOPE.tenant, files=[first.id]) == Replay(1, 0)
    again = await harness.ingestion.job(SCOPE, job.id)
    assert (again.state, again.failed, again.finished_at, again.error) == (JobState.RUNNING, 1, None, None)
    finished = await harness.finish(again)
    assert (finished.state, finished.done, finished.failed) == (JobState.DONE, 1, 1)
    assert [file.state for file in finished.files] == [FileState.DONE, FileState.FAILED]
    assert len(await harness.found("zebra")) == 1
    assert await harness.ingestion.replay(SCOPE.tenant, job_id=job.id) == Replay(1, 0)
    finished = await harness.finish(job)
    assert (finished.state, finished.done, finished.failed) == (JobState.DONE, 2, 0)
    assert {document.state for document in await harness.library.documents(SCOPE)} == {DocumentState.READY}
    assert await harness.ingestion.dead() == []


async def test_a_file_submitted_again_or_removed_is_not_replayed_and_its_bytes_are_deleted(harness: Harness):
    job = await give_up(harness, "a.md", "b.md", "c.md")
    await harness.ingest(upload("a.md", "gnu"))
    documents = {document.source: document.id for document in await harness.library.documents(SCOPE)}
    await harness.ingestion.remove(SCOPE, documents["upload:b.md"])
    assert [dead.source for dead in await harness.ingestion.dead()] == ["upload:c.md"]
    await harness.settle()
    assert harness.stored_bytes() == {b"gnu", b"zebra c.md"}
    assert await harness.ingestion.replay(SCOPE.tenant, job_id=job.id) == Replay(1, 0)
    await harness.finish(job)
    assert {passage.chunk.text for passage in await harness.found("zebra gnu")} == {"gnu", "zebra c.md"}


async def test_a_file_of_another_tenant_or_a_living_file_cannot_be_replayed(harness: Harness):
    job = await give_up(harness, "a.md")
    (dead,) = await harness.ingestion.dead()
    for tenant, files in (("them", [dead.id]), (SCOPE.tenant, [dead.id + 1])):
        with pytest.raises(NotFound, match="no such dead letter"):
            await harness.ingestion.replay(tenant, files=files)
    with pytest.raises(NotFound):
        await harness.ingestion.replay("them", job_id=job.id)
    assert len(await harness.ingestion.dead()) == 1


async def test_a_failed_change_that_is_dead_leaves_the_older_version_in_service(harness: Harness):
    await harness.ingest(upload("a.md", "old zebra"))
    await give_up(harness, "a.md")
    (passage,) = await harness.found("zebra")
    assert passage.chunk.text == "old zebra"
    (dead,) = await harness.ingestion.dead()
    await harness.ingestion.replay(SCOPE.tenant, files=[dead.id])
    (document,) = await harness.library.documents(SCOPE)
    assert (document.state, document.error) == (DocumentState.READY, None)
    await harness.settle()
    assert [passage.chunk.text for passage in await harness.found("zebra")] == ["zebra a.md"]
    assert await harness.index.count(Scope(SCOPE.tenant, SCOPE.collection)) == 1


async def test_bytes_that_a_removed_document_shared_with_a_dead_file_are_kept(harness: Harness):
    await harness.ingest(upload("b.md", "zebra a.md"))
    (removed,) = await harness.library.documents(SCOPE)
    job = await give_up(harness, "a.md")
    await harness.ingestion.remove(SCOPE, removed.id)
    await harness.settle()
    assert harness.stored_bytes() == {b"zebra a.md"}
    await harness.ingestion.replay(SCOPE.tenant, job_id=job.id)
    assert (await harness.finish(job)).done == 1
