"""The index comes back from SQL, as it was."""

from __future__ import annotations

import asyncio

import pytest

from ragstone.vocabulary import Scope
from tests.ingestion.workbench import SCOPE, Stand, upload

OTHERS = Scope("them", "docs")


async def test_a_rebuilt_index_answers_as_before(stand: Stand):
    await stand.ingest(upload("a.md", "zebra\n\nzebra stripes"), upload("b.md", "gnu"))
    await stand.ingest(upload("c.md", "zebra of others"), scope=OTHERS)
    before = [(passage.chunk, passage.hit.score) for passage in await stand.found("zebra")]
    await stand.index.clear()
    steps: list[tuple[int, int]] = []
    count = await stand.ingestion.rebuild(progress=lambda done, total: steps.append((done, total)))
    assert [(passage.chunk, passage.hit.score) for passage in await stand.found("zebra")] == before
    assert count == await stand.index.count(SCOPE) + await stand.index.count(OTHERS)
    assert steps[-1] == (count, count)


async def test_a_rebuild_that_broke_off_can_be_repeated(stand: Stand):
    await stand.ingest(upload("a.md", "zebra"), upload("b.md", "zebra"))

    def break_off(_done: int, _total: int) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        await stand.ingestion.rebuild(progress=break_off)
    assert await stand.index.count(SCOPE) == 1
    await stand.ingestion.rebuild()
    assert await stand.index.count(SCOPE) == 2


async def test_a_rebuild_waits_for_a_document_that_is_being_ingested(stand: Stand):
    await stand.ingest(upload("a.md", "old zebra"))
    job = await stand.ingestion.submit(SCOPE, [upload("a.md", "new zebra")])
    async with stand.paused_at("upserted", job):
        rebuilding = asyncio.create_task(stand.ingestion.rebuild())
        await asyncio.wait([rebuilding], timeout=0.3)
        assert not rebuilding.done()
    await rebuilding
    await stand.settle()
    assert [passage.chunk.text for passage in await stand.found("zebra")] == ["new zebra"]
    assert await stand.index.count(SCOPE) == 1


async def test_an_empty_library_makes_an_empty_index(stand: Stand):
    assert await stand.ingestion.rebuild() == 0
