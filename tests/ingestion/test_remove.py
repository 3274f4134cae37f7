"""What is removed is gone: from searches at once, then from index and disk."""

from __future__ import annotations

import pytest

from ragstone.errors import NotFound
from ragstone.vocabulary import FileState, Scope
from tests.ingestion.workbench import SCOPE, Stand, upload


async def only_document(stand: Stand) -> str:
    (document,) = await stand.library.documents(SCOPE)
    return document.id


async def test_a_removed_document_is_gone_everywhere(stand: Stand):
    await stand.ingest(upload("zoo.md", "zebra"))
    document_id = await only_document(stand)
    await stand.ingestion.remove(SCOPE, document_id)
    assert await stand.found("zebra") == []
    assert await stand.index.count(SCOPE) == 0
    assert stand.stored_bytes() == set()
    with pytest.raises(NotFound):
        await stand.library.document(SCOPE, document_id)


async def test_removing_twice_says_that_it_is_gone(stand: Stand):
    await stand.ingest(upload("zoo.md", "zebra"))
    document_id = await only_document(stand)
    await stand.ingestion.remove(SCOPE, document_id)
    with pytest.raises(NotFound, match="no document"):
        await stand.ingestion.remove(SCOPE, document_id)


@pytest.mark.parametrize("scope", [Scope("them", "docs"), Scope("us", "elsewhere")])
async def test_a_document_cannot_be_removed_from_another_scope(stand: Stand, scope: Scope):
    await stand.ingest(upload("zoo.md", "zebra"))
    with pytest.raises(NotFound):
        await stand.ingestion.remove(scope, await only_document(stand))
    assert len(await stand.found("zebra")) == 1


async def test_bytes_that_another_document_shares_are_kept(stand: Stand):
    await stand.ingest(upload("a.md", "zebra"), upload("b.md", "zebra"))
    first, second = await stand.library.documents(SCOPE)
    await stand.ingestion.remove(SCOPE, first.id)
    assert await stand.library.original(SCOPE, second.id) == b"zebra"


async def test_with_the_index_down_searches_miss_it_and_its_points_go_later(stand: Stand):
    await stand.ingest(upload("zoo.md", "zebra"))
    stand.index.down = True
    await stand.ingestion.remove(SCOPE, await only_document(stand))
    assert await stand.found("zebra") == []
    assert await stand.index.count(SCOPE) == 1
    stand.index.down = False
    await stand.settle()
    assert await stand.index.count(SCOPE) == 0


async def test_a_document_removed_before_its_turn_is_not_ingested(stand: Stand):
    job = await stand.ingestion.submit(SCOPE, [upload("zoo.md", "zebra")])
    await stand.ingestion.remove(SCOPE, await only_document(stand))
    assert (await stand.finish(job)).files[0].state is FileState.REMOVED
    assert await stand.index.count(SCOPE) == 0


@pytest.mark.parametrize("step", ["claimed", "parsed", "embedded", "upserted"])
async def test_a_document_removed_during_its_ingestion_stays_removed(stand: Stand, step: str):
    """The removal comes from another process, between two steps of the worker."""
    await stand.ingest(upload("zoo.md", "old zebra"))
    document_id = await only_document(stand)
    job = await stand.ingestion.submit(SCOPE, [upload("zoo.md", "new zebra")])
    async with stand.paused_at(step, job):
        await stand.ingestion.remove(SCOPE, document_id)
    assert (await stand.ingestion.job(SCOPE, job.id)).files[0].state is FileState.REMOVED
    await stand.settle()
    assert await stand.library.documents(SCOPE) == []
    assert await stand.index.count(SCOPE) == 0
    assert stand.stored_bytes() == set()
