"""A tenant that is deleted is gone from every place, also if the worker dies at any step of it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime

import pytest

from ragstone.embedding.cache import CachedEmbedder
from ragstone.embedding.hashing import HashingEmbedder
from ragstone.errors import Conflict, NotFound
from ragstone.identity.audit import Audit
from ragstone.identity.secrets import Secret
from ragstone.identity.tenants import Tenants
from ragstone.ingestion.queue import ClaimOptions, Claims, Queue
from ragstone.ingestion.tenant_deletion import DeletionCheck, TenantDeletion, request_deletion, tables_of_tenants
from ragstone.storage.cache import MemoryCache, cache_key
from ragstone.storage.database import EVERY_TENANT, scoped, scoped_insert, unscoped
from ragstone.storage.schema import conversations, metadata, tenants, turns, usage_records
from ragstone.storage.shared_cache import SqlVectorStore
from ragstone.vocabulary import DEFAULT_TENANT, Scope
from tests.ingestion.test_claims import Killed
from tests.ingestion.workbench import SCOPE, Stand, upload

THEM = Scope("them", "docs")
LEAVING = "us"


def secret() -> Secret:
    return Secret(b"a secret for tests, 32 bytes long")


def eraser(
    stand: Stand, *, cache: MemoryCache | None = None, faults: Callable[[str], None] = lambda _: None
) -> TenantDeletion:
    parts = replace(stand.parts, purge_cache=cache.delete_tenant if cache else None, reached=faults)
    return TenantDeletion(parts, Audit(stand.database, secret()))


def remains(stand: Stand, *, cache: MemoryCache | None = None) -> DeletionCheck:
    return DeletionCheck(
        database=stand.database,
        index=stand.index,
        blobs=stand.blobs,
        dimensions=HashingEmbedder().dimensions,
        caches={"of answers": cache.count} if cache else {},
    )


async def furnish(stand: Stand) -> None:
    """Two tenants with documents, a conversation, and a bill."""
    for scope in (SCOPE, THEM):
        await Tenants(stand.database, Audit(stand.database, secret())).create("test", scope.tenant)
        await stand.ingest(upload("a.md", "zebra"), upload("b.md", "gnu"), scope=scope)
        store = SqlVectorStore(stand.database, scope.tenant)
        await CachedEmbedder(HashingEmbedder(), store).embed(["zebra"], purpose="document")
        now = datetime.now(UTC)
        conversation = {"id": f"c{scope.tenant}", "title": "?", "created_at": now, "updated_at": now}
        turn = {"id": f"t{scope.tenant}", "conversation_id": f"c{scope.tenant}", "ordinal": 0, "created_at": now}
        turn |= dict.fromkeys(("question", "condensed", "answer", "model"), "?")
        turn |= {"citations": [], "degraded": [], "abstained": False}
        turn |= dict.fromkeys(("input_tokens", "output_tokens", "cached_tokens"), 0)
        async with stand.database.write(scope) as connection:
            await connection.execute(scoped_insert(conversations, scope).values(conversation))
            await connection.execute(scoped_insert(turns, scope).values(turn))


async def begin(stand: Stand, tenant: str = LEAVING) -> None:
    await request_deletion(stand.database, Audit(stand.database, secret()), "test", tenant)


async def rows_of(stand: Stand, tenant: str) -> dict[str, int]:
    counts = {}
    async with stand.database.read(EVERY_TENANT) as connection:
        for table in metadata.sorted_tables:
            if "tenant" in table.c:
                counts[table.name] = len((await connection.execute(scoped(table, tenant, table.c.tenant))).all())
    return counts


async def test_nothing_of_an_erased_tenant_is_left_but_audit_and_bill_and_nobody_else_loses_anything(stand: Stand):
    await furnish(stand)
    cache = MemoryCache()
    keys = {tenant: cache_key(tenant, "answer", "x") for tenant in (LEAVING, "them")}
    await cache.put_many(dict.fromkeys(keys.values(), b"x"), 60)
    theirs, points = await rows_of(stand, "them"), await stand.index.count("them")
    assert not (await remains(stand, cache=cache).of_tenant(LEAVING)).is_gone
    await begin(stand)
    assert [await eraser(stand, cache=cache).work() for _ in range(3)] == [0, 1, 0]
    report = await remains(stand, cache=cache).of_tenant(LEAVING)
    assert report.is_gone
    left = {place.name for place in report.places if place.left}
    assert left == {"sql audit_log", "sql audit_heads", "sql usage_records"}
    assert {place.name for place in report.places} >= {f"sql {name}" for name in await rows_of(stand, LEAVING)}
    assert await rows_of(stand, "them") == theirs
    assert await stand.index.count("them") == points > 0
    assert len(await cache.get_many(list(keys.values()))) == 1
    assert len(await stand.found("zebra", THEM)) == 1


async def test_a_worker_that_dies_at_any_step_leaves_the_rest_to_the_next(stand: Stand):
    await furnish(stand)
    steps: list[str] = []
    await begin(stand)

    def die_at_the_next(step: str) -> None:
        if step not in steps:
            steps.append(step)
            raise Killed

    for _ in range(100):
        try:
            await eraser(stand, faults=die_at_the_next).work()
            break
        except Killed:
            assert not await is_struck_out(stand)
    assert len(steps) == 3 + len(tables_of_tenants())
    while not await is_struck_out(stand):
        await eraser(stand).work()
    assert (await remains(stand).of_tenant(LEAVING)).is_gone


async def is_struck_out(stand: Stand) -> bool:
    async with stand.database.read(EVERY_TENANT) as connection:
        return (await connection.execute(scoped(tenants, LEAVING))).first() is None


async def test_a_marked_tenant_takes_nothing_in_and_its_waiting_files_are_not_begun(stand: Stand):
    await furnish(stand)
    waiting = await stand.ingestion.submit(SCOPE, [upload("c.md", "new zebra")])
    await begin(stand)
    await begin(stand)
    with pytest.raises(NotFound, match="being deleted"):
        await stand.ingestion.submit(SCOPE, [upload("d.md", "zebra")])
    await stand.ingest(upload("d.md", "zebra"), scope=THEM)
    options = ClaimOptions()
    assert await Queue(stand.database, Claims(stand.database, "worker", options), options).take(1) is None
    assert (await stand.ingestion.job(SCOPE, waiting.id)).done == 0
    while not await is_struck_out(stand):
        await eraser(stand).work()
    with pytest.raises(NotFound, match="being deleted"):
        await stand.ingestion.submit(SCOPE, [upload("d.md", "zebra")])


async def test_a_worker_in_the_middle_of_it_is_waited_for_and_leaves_nothing(stand: Stand):
    await furnish(stand)
    job = await stand.ingestion.submit(SCOPE, [upload("c.md", "new zebra")])
    async with stand.paused_at("embedded", job):
        await begin(stand)
        assert await eraser(stand).work() == 0
        assert not await is_struck_out(stand)
    while not await is_struck_out(stand):
        await eraser(stand).work()
    assert (await remains(stand).of_tenant(LEAVING)).is_gone


async def test_with_the_index_away_the_tenant_waits(stand: Stand):
    await furnish(stand)
    await begin(stand)
    stand.index.down = True
    assert await eraser(stand).work() == 0
    stand.index.down = False
    assert [await eraser(stand).work() for _ in range(2)] == [0, 1]


async def test_the_installations_own_tenant_and_unknown_ones_cannot_be_erased(stand: Stand):
    with pytest.raises(Conflict, match="installation's own"):
        await begin(stand, DEFAULT_TENANT)
    with pytest.raises(NotFound, match="no tenant"):
        await begin(stand, "nobody")


async def test_nothing_of_a_removed_document_is_left(stand: Stand):
    await furnish(stand)
    (document, _) = await stand.library.documents(SCOPE)
    report = await remains(stand).of_document(document.id)
    places = {place.name: place.left for place in report.places}
    assert places["index"] == places["sql documents"] == places["sql chunks"] == places["sql document_texts"] == 1
    assert not report.is_gone
    await stand.ingestion.remove(SCOPE, document.id)
    await stand.settle()
    assert (await remains(stand).of_document(document.id)).is_gone
    (job,) = await stand.ingestion.jobs(SCOPE)
    assert {file.source for file in (await stand.ingestion.job(SCOPE, job.id)).files} == {"removed", "upload:b.md"}


async def test_past_answers_quote_a_removed_document_no_more(stand: Stand):
    await furnish(stand)
    first, second = await stand.library.documents(SCOPE)
    quotes = [{"document_id": each.id, "quote": "zebra"} for each in (first, second)]
    async with stand.database.write(SCOPE) as connection:
        await connection.execute(turns.update().where(turns.c.tenant == LEAVING).values(citations=quotes))
    await stand.ingestion.remove(SCOPE, first.id)
    async with stand.database.read(SCOPE) as connection:
        (kept,) = (await connection.scalars(scoped(turns, SCOPE, turns.c.citations))).all()
    assert kept == quotes[1:]


async def test_the_cached_vectors_of_a_removed_document_go_with_it(stand: Stand):
    store = SqlVectorStore(stand.database, LEAVING)
    ingestion = stand.another(vectors=store)
    job = await ingestion.submit(SCOPE, [upload("a.md", "zebra " * 1500), upload("b.md", "gnu")])
    await ingestion.work(until_job=(SCOPE, job.id))
    before = (await rows_of(stand, LEAVING))["embedding_cache"]
    (large, _) = await stand.library.documents(SCOPE)
    await ingestion.remove(SCOPE, large.id)
    assert before > 2
    assert (await rows_of(stand, LEAVING))["embedding_cache"] == 1


async def test_nothing_of_a_deleted_conversation_is_left(stand: Stand):
    await furnish(stand)
    report = await remains(stand).of_conversation(f"c{LEAVING}")
    assert {place.name for place in report.places if place.left} == {"sql conversations", "sql turns"}
    async with stand.database.write(SCOPE) as connection:
        await connection.execute(conversations.delete().where(conversations.c.tenant == LEAVING))
    assert (await remains(stand).of_conversation(f"c{LEAVING}")).is_gone


async def test_what_was_embedded_is_on_the_bill_of_whoever_submitted_it(stand: Stand):
    job = await stand.ingestion.submit(SCOPE, [upload("a.md", "zebra gnu")], principal="key:1")
    await stand.finish(job)
    async with stand.database.read(EVERY_TENANT) as connection:
        (row,) = (await connection.execute(unscoped(usage_records))).all()
    assert (row.tenant, row.kind, row.state, row.principal) == (LEAVING, "ingest", "settled", "key:1")
    (document,) = await stand.library.documents(SCOPE)
    chunks = await stand.library.chunks(SCOPE, document.id)
    assert row.embedding_tokens == sum(chunk.token_count for chunk in chunks) > 0
