"""The read side answers within its scope, and only of active versions."""

from __future__ import annotations

from datetime import timedelta

import pytest

from ragstone.errors import NotFound
from ragstone.storage.database import EVERY_TENANT, Database, scoped_delete, scoped_insert, scoped_update
from ragstone.storage.library import Library
from ragstone.storage.schema import collections, documents
from ragstone.vocabulary import DocumentState, Hit, JobState, Scope
from tests.storage.rows import NOON, add_document

OURS = Scope("us", "docs")
OTHERS = Scope("them", "docs")


def hits(*ids: str) -> list[Hit]:
    return [Hit(chunk_id, 1.0, {}) for chunk_id in ids]


async def test_documents_come_by_source_a_page_at_a_time(database: Database, library: Library):
    for document_id, source in [("a", "upload:2"), ("b", "upload:1"), ("c", "upload:3")]:
        await add_document(database, OURS, document_id, "text", source=source)
    first = await library.documents(OURS, limit=2)
    rest = await library.documents(OURS, limit=2, after=first[-1].id)
    assert [document.id for document in first + rest] == ["b", "a", "c"]


async def test_paging_after_an_unknown_document_is_an_error(library: Library):
    with pytest.raises(NotFound):
        await library.documents(OURS, after="nobody")


async def test_a_document_carries_what_is_known_of_it(database: Database, library: Library):
    await add_document(database, OURS, "a", "one", "two")
    document = await library.document(OURS, "a")
    assert (document.scope, document.state, document.chunk_count) == (OURS, DocumentState.READY, 2)
    assert document.metadata == {"lang": "en"}


async def test_chunks_are_spans_of_the_text(database: Database, library: Library):
    await add_document(database, OURS, "a", "Grüße. ", "Schluß.")
    text = await library.text(OURS, "a")
    assert [text[chunk.start : chunk.end] for chunk in await library.chunks(OURS, "a")] == ["Grüße. ", "Schluß."]


async def test_the_text_of_a_replaced_version_is_not_passed_off(database: Database, library: Library):
    await add_document(database, OURS, "a", "new", version=2)
    assert await library.text(OURS, "a", version=2) == "new"
    with pytest.raises(NotFound, match="replaced by version 2"):
        await library.text(OURS, "a", version=1)


async def test_a_document_that_waits_has_no_text_and_no_chunks(database: Database, library: Library):
    await add_document(database, OURS, "a", version=None)
    assert await library.chunks(OURS, "a") == []
    with pytest.raises(NotFound, match="not ready yet"):
        await library.text(OURS, "a")
    with pytest.raises(NotFound, match="not ready yet"):
        await library.original(OURS, "a")


async def test_passages_keep_the_order_of_their_hits(database: Database, library: Library):
    await add_document(database, OURS, "a", "one", "two", "three")
    passages = await library.passages(OURS, hits("a:1:2", "a:1:0", "a:1:1"))
    assert [passage.chunk.text for passage in passages] == ["three", "one", "two"]
    assert passages[0].title == "A"
    assert passages[0].chunk.heading_path == ("Part", "a")


async def test_a_hit_on_a_version_that_is_not_active_is_dropped(database: Database, library: Library):
    await add_document(database, OURS, "a", "one")
    await add_document(database, OURS, "b", "two")
    async with database.write(EVERY_TENANT) as connection:
        statement = scoped_update(documents, OURS).where(documents.c.id == "a")
        await connection.execute(statement.values(active_version=2))
    assert [each.chunk.id for each in await library.passages(OURS, hits("a:1:0", "b:1:0", "c:1:0"))] == ["b:1:0"]


@pytest.mark.parametrize("scope", [OTHERS, Scope("us", "elsewhere")])
async def test_nothing_is_seen_from_another_scope(database: Database, library: Library, scope: Scope):
    await add_document(database, OURS, "a", "secret")
    assert await library.documents(scope) == []
    assert await library.passages(scope, hits("a:1:0")) == []
    assert (await library.stats(scope)).documents == 0
    for read in (library.document, library.text, library.chunks, library.original):
        with pytest.raises(NotFound):
            await read(scope, "a")


async def test_stats_count_what_a_scope_holds(database: Database, library: Library):
    await add_document(database, OURS, "a", "one", "three")
    await add_document(database, OTHERS, "b", "two")
    stats = await library.stats(OURS)
    assert (stats.documents, stats.chunks, stats.bytes) == (1, 2, 8)
    assert stats.jobs == dict.fromkeys(JobState, 0)


async def test_a_collection_made_anew_never_has_an_earlier_generation(database: Database, library: Library):
    names = set()
    for seconds in range(2):
        async with database.write(OURS) as connection:
            await connection.execute(scoped_delete(collections, OURS))
            made = {"created_at": NOON + timedelta(seconds=seconds)}
            await connection.execute(scoped_insert(collections, OURS), made)
        names.add(await library.generation(OURS))
        async with database.write(OURS) as connection:
            row = scoped_update(collections, OURS)
            await connection.execute(row.values(generation=collections.c.generation + 1))
        names.add(await library.generation(OURS))
    assert len(names) == 4
