"""Vectors by content: one statement a batch, whatever its size, and none for what a cache holds."""

from __future__ import annotations

from sqlalchemy import event
from sqlalchemy.engine import Engine

from ragstone.storage.cache import MemoryCache
from ragstone.storage.database import Database
from ragstone.storage.shared_cache import CachedVectors, SqlVectorStore


async def test_vectors_come_back_and_unknown_keys_are_left_out(database: Database):
    store = SqlVectorStore(database, "us")
    await store.put_many({"a": b"\x00\x01", "b": b"\xff" * 1536})
    assert await store.get_many(["b", "a", "c"]) == {"a": b"\x00\x01", "b": b"\xff" * 1536}


async def test_a_key_keeps_its_first_value(database: Database):
    store = SqlVectorStore(database, "us")
    await store.put_many({"a": b"first"})
    await store.put_many({"a": b"second", "b": b"new"})
    assert await store.get_many(["a", "b"]) == {"a": b"first", "b": b"new"}


async def test_nothing_is_asked_for_an_empty_batch(database: Database):
    store = SqlVectorStore(database, "us")
    await store.put_many({})
    assert await store.get_many([]) == {}


async def test_a_batch_of_any_size_is_one_statement_each_way(database: Database):
    store = SqlVectorStore(database, "us")
    vectors = {f"key {number}": number.to_bytes(4) for number in range(5000)}
    statements: list[str] = []

    def note(_connection: object, _cursor: object, statement: str, *_rest: object) -> None:
        if not statement.startswith(("BEGIN", "SELECT set_config")):  # how a transaction begins
            statements.append(statement)

    event.listen(Engine, "before_cursor_execute", note)
    try:
        await store.put_many(vectors)
        assert await store.get_many(list(vectors)) == vectors
    finally:
        event.remove(Engine, "before_cursor_execute", note)
    assert [statement.split()[0] for statement in statements] == ["INSERT", "SELECT"]


async def test_vectors_are_asked_of_the_cache_then_of_the_database(database: Database):
    kept, cache = SqlVectorStore(database, "us"), MemoryCache()
    await kept.put_many({"old": b"1"})
    store = CachedVectors(cache, kept, "us")
    await store.put_many({"new": b"2"})
    assert await store.get_many(["old", "new", "none"]) == {"old": b"1", "new": b"2"}
    await database.close()
    others_database = SqlVectorStore(database, "nobody")
    assert await CachedVectors(cache, others_database, "us").get_many(["new", "old"]) == {"new": b"2", "old": b"1"}
    assert await cache.count("us") == 2


async def test_cached_vectors_are_the_tenants_own(database: Database):
    cache = MemoryCache()
    await CachedVectors(cache, SqlVectorStore(database, "us"), "us").put_many({"a": b"1"})
    assert await CachedVectors(cache, SqlVectorStore(database, "them"), "them").get_many(["a"]) == {}
