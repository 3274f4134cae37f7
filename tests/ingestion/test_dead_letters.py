"""What fails for reasons that are not its own is kept, and can be tried again."""

from __future__ import annotations

import pytest

from ragstone.errors import NotFound
from ragstone.ingestion.dead_letters import Replay
from ragstone.vocabulary import DocumentState, FileState, Job, JobState, Scope
from tests.ingestion.workbench import SCOPE, Stand, upload


async def give_up(stand: Stand, *names: str) -> Job:
    """Ingest while the index is away, until it is not tried any more."""
    stand.index.down = True
    job = await stand.ingest(*(upload(name, f"zebra {name}") for name in names))
    stand.index.down = False
    return job


async def test_a_file_that_the_index_failed_is_dead_and_keeps_its_bytes(stand: Stand):
    job = await give_up(stand, "a.md")
    await stand.settle()
    (dead,) = await stand.ingestion.dead(SCOPE.tenant)
    assert (dead.job_id, dead.source, dead.error_code) == (job.id, "upload:a.md", "index_unavailable")
    assert await stand.ingestion.dead() == [dead]
    assert await stand.ingestion.dead("them") == []
    assert stand.stored_bytes() == {b"zebra a.md"}


async def test_a_file_that_fails_by_itself_is_not_dead(stand: Stand):
    await stand.ingest(upload("a.md", " "))
    assert await stand.ingestion.dead() == []
    await stand.settle()
    assert stand.stored_bytes() == set()


async def test_replayed_files_are_ingested_and_their_job_counts_them(stand: Stand):
    job = await give_up(stand, "a.md", "b.md")
    assert (job.state, job.failed) == (JobState.FAILED, 2)
    first, _ = await stand.ingestion.dead(SCOPE.tenant)
    assert await stand.ingestion.replay(SCOPE.tenant, files=[first.id]) == Replay(1, 0)
    again = await stand.ingestion.job(SCOPE, job.id)
    assert (again.state, again.failed, again.finished_at, again.error) == (JobState.RUNNING, 1, None, None)
    finished = await stand.finish(again)
    assert (finished.state, finished.done, finished.failed) == (JobState.DONE, 1, 1)
    assert [file.state for file in finished.files] == [FileState.DONE, FileState.FAILED]
    assert len(await stand.found("zebra")) == 1
    assert await stand.ingestion.replay(SCOPE.tenant, job_id=job.id) == Replay(1, 0)
    finished = await stand.finish(job)
    assert (finished.state, finished.done, finished.failed) == (JobState.DONE, 2, 0)
    assert {document.state for document in await stand.library.documents(SCOPE)} == {DocumentState.READY}
    assert await stand.ingestion.dead() == []


async def test_what_was_submitted_anew_or_removed_is_not_replayed_and_its_bytes_go(stand: Stand):
    job = await give_up(stand, "a.md", "b.md", "c.md")
    await stand.ingest(upload("a.md", "gnu"))
    documents = {document.source: document.id for document in await stand.library.documents(SCOPE)}
    await stand.ingestion.remove(SCOPE, documents["upload:b.md"])
    assert [dead.source for dead in await stand.ingestion.dead()] == ["upload:c.md"]
    await stand.settle()
    assert stand.stored_bytes() == {b"gnu", b"zebra c.md"}
    assert await stand.ingestion.replay(SCOPE.tenant, job_id=job.id) == Replay(1, 0)
    await stand.finish(job)
    assert {passage.chunk.text for passage in await stand.found("zebra gnu")} == {"gnu", "zebra c.md"}


async def test_nobody_replays_what_is_another_tenants_or_not_dead(stand: Stand):
    job = await give_up(stand, "a.md")
    (dead,) = await stand.ingestion.dead()
    for tenant, files in (("them", [dead.id]), (SCOPE.tenant, [dead.id + 1])):
        with pytest.raises(NotFound, match="given up"):
            await stand.ingestion.replay(tenant, files=files)
    with pytest.raises(NotFound):
        await stand.ingestion.replay("them", job_id=job.id)
    assert len(await stand.ingestion.dead()) == 1


async def test_a_failed_change_that_is_dead_leaves_the_older_version_in_service(stand: Stand):
    await stand.ingest(upload("a.md", "old zebra"))
    await give_up(stand, "a.md")
    (passage,) = await stand.found("zebra")
    assert passage.chunk.text == "old zebra"
    (dead,) = await stand.ingestion.dead()
    await stand.ingestion.replay(SCOPE.tenant, files=[dead.id])
    (document,) = await stand.library.documents(SCOPE)
    assert (document.state, document.error) == (DocumentState.READY, None)
    await stand.settle()
    assert [passage.chunk.text for passage in await stand.found("zebra")] == ["zebra a.md"]
    assert await stand.index.count(Scope(SCOPE.tenant, SCOPE.collection)) == 1


async def test_bytes_that_a_removed_document_shared_with_a_dead_file_are_kept(stand: Stand):
    await stand.ingest(upload("b.md", "zebra a.md"))
    (removed,) = await stand.library.documents(SCOPE)
    job = await give_up(stand, "a.md")
    await stand.ingestion.remove(SCOPE, removed.id)
    await stand.settle()
    assert stand.stored_bytes() == {b"zebra a.md"}
    await stand.ingestion.replay(SCOPE.tenant, job_id=job.id)
    assert (await stand.finish(job)).done == 1
