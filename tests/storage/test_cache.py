"""Vectors by content: one statement a batch, whatever its size."""

from __future__ import annotations

from sqlalchemy import event
from sqlalchemy.engine import Engine

from ragstone.storage.cache import SqlVectorStore
from ragstone.storage.database import Database


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
        if not statement.startswith("BEGIN"):
            statements.append(statement)

    event.listen(Engine, "before_cursor_execute", note)
    try:
        await store.put_many(vectors)
        assert await store.get_many(list(vectors)) == vectors
    finally:
        event.remove(Engine, "before_cursor_execute", note)
    assert [statement.split()[0] for statement in statements] == ["INSERT", "SELECT"]
