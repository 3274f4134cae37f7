"""Removal: a document disappears from searches at once, then from index and disk."""

from __future__ import annotations

import pytest

from ragstone.errors import NotFound
from ragstone.vocabulary import FileState, Scope
from tests.ingestion.harness import SCOPE, Harness, upload


async def only_document(harness: Harness) -> str:
    (document,) = await harness.library.documents(SCOPE)
    return document.id


async def test_a_removed_document_is_gone_everywhere(harness: Harness):
    await harness.ingest(upload("zoo.md", "zebra"))
    document_id = await only_document(harness)
    await harness.ingestion.remove(SCOPE, document_id)
    assert await harness.found("zebra") == []
    assert await harness.index.count(SCOPE) == 0
    assert harness.stored_bytes() == set()
    with pytest.raises(NotFound):
        await harness.library.document(SCOPE, document_id)


async def test_removing_twice_says_that_it_is_gone(harness: Harness):
    await harness.ingest(upload("zoo.md", "zebra"))
    document_id = await only_document(harness)
    await harness.ingestion.remove(SCOPE, document_id)
    with pytest.raises(NotFound, match="no document"):
        await harness.ingestion.remove(SCOPE, document_id)


@pytest.mark.parametrize("scope", [Scope("them", "docs"), Scope("us", "elsewhere")])
async def test_a_document_cannot_be_removed_from_another_scope(harness: Harness, scope: Scope):
    await harness.ingest(upload("zoo.md", "zebra"))
    with pytest.raises(NotFound):
        await harness.ingestion.remove(scope, await only_document(harness))
    assert len(await harness.found("zebra")) == 1


async def test_bytes_that_another_document_shares_are_kept(harness: Harness):
    await harness.ingest(upload("a.md", "zebra"), upload("b.md", "zebra"))
    first, second = await harness.library.documents(SCOPE)
    await harness.ingestion.remove(SCOPE, first.id)
    assert await harness.library.original(SCOPE, second.id) == b"zebra"


async def test_with_the_index_down_searches_miss_it_and_its_points_go_later(harness: Harness):
    await harness.ingest(upload("zoo.md", "zebra"))
    harness.index.down = True
    await harness.ingestion.remove(SCOPE, await only_document(harness))
    assert await harness.found("zebra") == []
    assert await harness.index.count(SCOPE) == 1
    harness.index.down = False
    await harness.settle()
    assert await harness.index.count(SCOPE) == 0


async def test_a_document_removed_before_its_turn_is_not_ingested(harness: Harness):
    job = await harness.ingestion.submit(SCOPE, [upload("zoo.md", "zebra")])
    await harness.ingestion.remove(SCOPE, await only_document(harness))
    assert (await harness.finish(job)).files[0].state is FileState.REMOVED
    assert await harness.index.count(SCOPE) == 0


@pytest.mark.parametrize("step", ["claimed", "parsed", "embedded", "upserted"])
async def test_a_document_removed_during_its_ingestion_stays_removed(harness: Harness, step: str):
    """The removal comes from another process, between two steps of the worker."""
    await harness.ingest(upload("zoo.md", "old zebra"))
    document_id = await only_document(harness)
    job = await harness.ingestion.submit(SCOPE, [upload("zoo.md", "new zebra")])
    async with harness.paused_at(step, job):
        await harness.ingestion.remove(SCOPE, document_id)
    assert (await harness.ingestion.job(SCOPE, job.id)).files[0].state is FileState.REMOVED
    await harness.settle()
    assert await harness.library.documents(SCOPE) == []
    assert await harness.index.count(SCOPE) == 0
    assert harness.stored_bytes() == set()
