"""Deletion of a tenant: its data leave every store, also if the worker dies at any step."""

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
from tests.ingestion.harness import SCOPE, Harness, upload
from tests.ingestion.test_claims import Killed

THEM = Scope("them", "docs")
LEAVING = "us"


def secret() -> Secret:
    return Secret(b"a secret for tests, 32 bytes long")


def deletion_of(
    harness: Harness, *, cache: MemoryCache | None = None, faults: Callable[[str], None] = lambda _: None
) -> TenantDeletion:
    parts = replace(harness.parts, purge_cache=cache.delete_tenant if cache else None, reached=faults)
    return TenantDeletion(parts, Audit(harness.database, secret()))


def check_of(harness: Harness, *, cache: MemoryCache | None = None) -> DeletionCheck:
    return DeletionCheck(
        database=harness.database,
        index=harness.index,
        blobs=harness.blobs,
        dimensions=HashingEmbedder().dimensions,
        caches={"of answers": cache.count} if cache else {},
    )


async def add_data(harness: Harness) -> None:
    """Two tenants with documents, a conversation and usage."""
    for scope in (SCOPE, THEM):
        await Tenants(harness.database, Audit(harness.database, secret())).create("test", scope.tenant)
        await harness.ingest(upload("a.md", "zebra"), upload("b.md", "gnu"), scope=scope)
        store = SqlVectorStore(harness.database, scope.tenant)
        await CachedEmbedder(HashingEmbedder(), store).embed(["zebra"], purpose="document")
        now = datetime.now(UTC)
        conversation = {"id": f"c{scope.tenant}", "title": "?", "created_at": now, "updated_at": now}
        turn = {"id": f"t{scope.tenant}", "conversation_id": f"c{scope.tenant}", "ordinal": 0, "created_at": now}
        turn |= dict.fromkeys(("question", "condensed", "answer", "model"), "?")
        turn |= {"citations": [], "degraded": [], "abstained": False}
        turn |= dict.fromkeys(("input_tokens", "output_tokens", "cached_tokens"), 0)
        async with harness.database.write(scope) as connection:
            await connection.execute(scoped_insert(conversations, scope).values(conversation))
            await connection.execute(scoped_insert(turns, scope).values(turn))


async def request(harness: Harness, tenant: str = LEAVING) -> None:
    await request_deletion(harness.database, Audit(harness.database, secret()), "test", tenant)


async def rows_of(harness: Harness, tenant: str) -> dict[str, int]:
    counts = {}
    async with harness.database.read(EVERY_TENANT) as connection:
        for table in metadata.sorted_tables:
            if "tenant" in table.c:
                counts[table.name] = len((await connection.execute(scoped(table, tenant, table.c.tenant))).all())
    return counts


async def test_only_audit_and_usage_of_a_deleted_tenant_are_left_and_others_lose_nothing(harness: Harness):
    await add_data(harness)
    cache = MemoryCache()
    keys = {tenant: cache_key(tenant, "answer", "x") for tenant in (LEAVING, "them")}
    await cache.put_many(dict.fromkeys(keys.values(), b"x"), 60)
    theirs, points = await rows_of(harness, "them"), await harness.index.count("them")
    assert not (await check_of(harness, cache=cache).of_tenant(LEAVING)).is_gone
    await request(harness)
    assert [await deletion_of(harness, cache=cache).work() for _ in range(3)] == [0, 1, 0]
    report = await check_of(harness, cache=cache).of_tenant(LEAVING)
    assert report.is_gone
    left = {place.name for place in report.places if place.left}
    assert left == {"sql audit_log", "sql audit_heads", "sql usage_records"}
    assert {place.name for place in report.places} >= {f"sql {name}" for name in await rows_of(harness, LEAVING)}
    assert await rows_of(harness, "them") == theirs
    assert await harness.index.count("them") == points > 0
    assert len(await cache.get_many(list(keys.values()))) == 1
    assert len(await harness.found("zebra", THEM)) == 1


async def test_a_worker_that_dies_at_any_step_leaves_the_rest_to_the_next(harness: Harness):
    await add_data(harness)
    steps: list[str] = []
    await request(harness)

    def die_at_the_next(step: str) -> None:
        if step not in steps:
            steps.append(step)
            raise Killed

    for _ in range(100):
        try:
            await deletion_of(harness, faults=die_at_the_next).work()
            break
        except Killed:
            assert not await is_deleted(harness)
    assert len(steps) == 3 + len(tables_of_tenants())
    while not await is_deleted(harness):
        await deletion_of(harness).work()
    assert (await check_of(harness).of_tenant(LEAVING)).is_gone


async def is_deleted(harness: Harness) -> bool:
    async with harness.database.read(EVERY_TENANT) as connection:
        return (await connection.execute(scoped(tenants, LEAVING))).first() is None


async def test_a_marked_tenant_accepts_nothing_and_its_waiting_files_are_not_begun(harness: Harness):
    await add_data(harness)
    waiting = await harness.ingestion.submit(SCOPE, [upload("c.md", "new zebra")])
    await request(harness)
    await request(harness)
    with pytest.raises(NotFound, match="being deleted"):
        await harness.ingestion.submit(SCOPE, [upload("d.md", "zebra")])
    await harness.ingest(upload("d.md", "zebra"), scope=THEM)
    options = ClaimOptions()
    assert await Queue(harness.database, Claims(harness.database, "worker", options), options).take(1) is None
    assert (await harness.ingestion.job(SCOPE, waiting.id)).done == 0
    while not await is_deleted(harness):
        await deletion_of(harness).work()
    with pytest.raises(NotFound, match="being deleted"):
        await harness.ingestion.submit(SCOPE, [upload("d.md", "zebra")])


async def test_a_worker_in_the_middle_of_it_is_waited_for_and_leaves_nothing(harness: Harness):
    await add_data(harness)
    job = await harness.ingestion.submit(SCOPE, [upload("c.md", "new zebra")])
    async with harness.paused_at("embedded", job):
        await request(harness)
        assert await deletion_of(harness).work() == 0
        assert not await is_deleted(harness)
    while not await is_deleted(harness):
        await deletion_of(harness).work()
    assert (await check_of(harness).of_tenant(LEAVING)).is_gone


async def test_with_the_index_away_the_tenant_waits(harness: Harness):
    await add_data(harness)
    await request(harness)
    harness.index.down = True
    assert await deletion_of(harness).work() == 0
    harness.index.down = False
    assert [await deletion_of(harness).work() for _ in range(2)] == [0, 1]


async def test_the_default_tenant_and_unknown_ones_cannot_be_deleted(harness: Harness):
    with pytest.raises(Conflict, match="default tenant"):
        await request(harness, DEFAULT_TENANT)
    with pytest.raises(NotFound, match="no tenant"):
        await request(harness, "nobody")


async def test_nothing_of_a_removed_document_is_left(harness: Harness):
    await add_data(harness)
    (document, _) = await harness.library.documents(SCOPE)
    report = await check_of(harness).of_document(document.id)
    places = {place.name: place.left for place in report.places}
    assert places["index"] == places["sql documents"] == places["sql chunks"] == places["sql document_texts"] == 1
    assert not report.is_gone
    await harness.ingestion.remove(SCOPE, document.id)
    await harness.settle()
    assert (await check_of(harness).of_document(document.id)).is_gone
    (job,) = await harness.ingestion.jobs(SCOPE)
    assert {file.source for file in (await harness.ingestion.job(SCOPE, job.id)).files} == {"removed", "upload:b.md"}


async def test_past_answers_quote_a_removed_document_no_more(harness: Harness):
    await add_data(harness)
    first, second = await harness.library.documents(SCOPE)
    quotes = [{"document_id": each.id, "quote": "zebra"} for each in (first, second)]
    async with harness.database.write(SCOPE) as connection:
        await connection.execute(turns.update().where(turns.c.tenant == LEAVING).values(citations=quotes))
    await harness.ingestion.remove(SCOPE, first.id)
    async with harness.database.read(SCOPE) as connection:
        (kept,) = (await connection.scalars(scoped(turns, SCOPE, turns.c.citations))).all()
    assert kept == quotes[1:]


async def test_the_cached_vectors_of_a_removed_document_go_with_it(harness: Harness):
    store = SqlVectorStore(harness.database, LEAVING)
    ingestion = harness.another(vectors=store)
    job = await ingestion.submit(SCOPE, [upload("a.md", "zebra " * 1500), upload("b.md", "gnu")])
    await ingestion.work(until_job=(SCOPE, job.id))
    before = (await rows_of(harness, LEAVING))["embedding_cache"]
    (large, _) = await harness.library.documents(SCOPE)
    await ingestion.remove(SCOPE, large.id)
    assert before > 2
    assert (await rows_of(harness, LEAVING))["embedding_cache"] == 1


async def test_nothing_of_a_deleted_conversation_is_left(harness: Harness):
    await add_data(harness)
    report = await check_of(harness).of_conversation(f"c{LEAVING}")
    assert {place.name for place in report.places if place.left} == {"sql conversations", "sql turns"}
    async with harness.database.write(SCOPE) as connection:
        await connection.execute(conversations.delete().where(conversations.c.tenant == LEAVING))
    assert (await check_of(harness).of_conversation(f"c{LEAVING}")).is_gone


async def test_embedded_tokens_are_recorded_as_usage_of_the_submitter(harness: Harness):
    job = await harness.ingestion.submit(SCOPE, [upload("a.md", "zebra gnu")], principal="key:1")
    await harness.finish(job)
    async with harness.database.read(EVERY_TENANT) as connection:
        (row,) = (await connection.execute(unscoped(usage_records))).all()
    assert (row.tenant, row.kind, row.state, row.principal) == (LEAVING, "ingest", "settled", "key:1")
    (document,) = await harness.library.documents(SCOPE)
    chunks = await harness.library.chunks(SCOPE, document.id)
    assert row.embedding_tokens == sum(chunk.token_count for chunk in chunks) > 0
