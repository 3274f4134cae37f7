"""Rebuild: the index is restored from SQL."""

from __future__ import annotations

import asyncio

import pytest

from ragstone.vocabulary import Scope
from tests.ingestion.harness import SCOPE, Harness, upload

OTHERS = Scope("them", "docs")


async def test_a_rebuilt_index_answers_as_before(harness: Harness):
    await harness.ingest(upload("a.md", "zebra\n\nzebra stripes"), upload("b.md", "gnu"))
    await harness.ingest(upload("c.md", "zebra of others"), scope=OTHERS)
    before = [(passage.chunk, passage.hit.score) for passage in await harness.found("zebra")]
    await harness.index.clear()
    steps: list[tuple[int, int]] = []
    count = await harness.ingestion.rebuild(progress=lambda done, total: steps.append((done, total)))
    assert [(passage.chunk, passage.hit.score) for passage in await harness.found("zebra")] == before
    assert count == await harness.index.count(SCOPE) + await harness.index.count(OTHERS)
    assert steps[-1] == (count, count)


async def test_a_rebuild_that_broke_off_can_be_repeated(harness: Harness):
    await harness.ingest(upload("a.md", "zebra"), upload("b.md", "zebra"))

    def break_off(_done: int, _total: int) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        await harness.ingestion.rebuild(progress=break_off)
    assert await harness.index.count(SCOPE) == 1
    await harness.ingestion.rebuild()
    assert await harness.index.count(SCOPE) == 2


async def test_a_rebuild_waits_for_a_document_that_is_being_ingested(harness: Harness):
    await harness.ingest(upload("a.md", "old zebra"))
    job = await harness.ingestion.submit(SCOPE, [upload("a.md", "new zebra")])
    async with harness.paused_at("upserted", job):
        rebuilding = asyncio.create_task(harness.ingestion.rebuild())
        await asyncio.wait([rebuilding], timeout=0.3)
        assert not rebuilding.done()
    await rebuilding
    await harness.settle()
    assert [passage.chunk.text for passage in await harness.found("zebra")] == ["new zebra"]
    assert await harness.index.count(SCOPE) == 1


async def test_an_empty_library_makes_an_empty_index(harness: Harness):
    assert await harness.ingestion.rebuild() == 0
