"""What every cache does, in memory and in Redis."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ragstone.errors import Unavailable
from ragstone.storage.cache import ENTRY_BYTES, Cache, MemoryCache, cache_key
from ragstone.storage.redis import Redis
from ragstone.storage.shared_cache import RedisCache
from tests.clocks import Clock
from tests.redis_server import RedisServer
from tests.waiting import until

ADAPTERS = ("memory", "redis")
A, B = cache_key("acme", "search", "a"), cache_key("acme", "search", "b")
THEIRS = cache_key("globex", "search", "a")


@asynccontextmanager
async def redis_cache(url: str) -> AsyncIterator[RedisCache]:
    redis = Redis(url, timeout_s=2)
    try:
        yield RedisCache(redis)
    finally:
        await redis.close()


@pytest.fixture(params=ADAPTERS)
async def cache(request: pytest.FixtureRequest) -> AsyncIterator[Cache]:
    if request.param == "memory":
        yield MemoryCache()
        return
    async with redis_cache(request.getfixturevalue("redis_url")) as opened:
        yield opened


async def test_what_was_put_is_found_and_nothing_else(cache: Cache):
    await cache.put_many({A: b"one", B: bytes(range(256))}, 60)
    assert await cache.get_many([A, cache_key("acme", "search", "c"), B]) == {A: b"one", B: bytes(range(256))}
    assert await cache.get_many([]) == {}
    await cache.put_many({}, 60)


async def test_a_newer_value_takes_the_place(cache: Cache):
    await cache.put_many({A: b"old"}, 60)
    await cache.put_many({A: b"new"}, 60)
    assert await cache.get_many([A]) == {A: b"new"}
    assert await cache.count("acme") == 1


async def test_a_value_ends_with_its_time(cache: Cache):
    await cache.put_many({A: b"short"}, 0.05)
    await cache.put_many({B: b"long"}, 60)
    while await cache.get_many([A]):
        pass
    assert await cache.get_many([A, B]) == {B: b"long"}
    assert await cache.count("acme") == 1


async def test_a_tenant_is_forgotten_whole_and_alone(cache: Cache):
    await cache.put_many({cache_key("acme", "x", str(number)): b"1" for number in range(2500)}, 60)
    await cache.put_many({A: b"mine", THEIRS: b"theirs"}, 60)
    assert await cache.count("acme") == 2501
    await cache.delete_tenant("acme")
    assert await cache.count("acme") == 0
    assert await cache.get_many([A, cache_key("acme", "x", "0"), THEIRS]) == {THEIRS: b"theirs"}


async def test_nothing_is_left_in_redis_of_a_tenant_that_was_forgotten(redis_of_this_run: RedisServer, redis_url: str):
    async with redis_cache(redis_url) as cache:
        await cache.put_many({A: b"1", B: b"2"}, 60)
        await cache.delete_tenant("acme")
    assert redis_of_this_run.command("DBSIZE") == b":0"


async def test_a_tenants_list_of_keys_ends_with_its_last_value(redis_of_this_run: RedisServer, redis_url: str):
    async with redis_cache(redis_url) as cache:
        await cache.put_many({A: b"1"}, 0.2)
        await cache.put_many({B: b"2"}, 0.05)
    assert redis_of_this_run.command("DBSIZE") == b":3"
    await until(lambda: redis_of_this_run.command("DBSIZE") == b":0")


@pytest.mark.parametrize("fault", ["stopped", "hung", "full", "emptied"])
async def test_without_redis_nothing_is_found_and_no_call_fails(redis_server: RedisServer, fault: str):
    async with redis_cache(redis_server.url) as cache:
        await cache.put_many({A: b"1"}, 60)
        match fault:
            case "stopped":
                redis_server.stop()
            case "hung":
                redis_server.pause()
            case "full":
                redis_server.command("CONFIG", "SET", "maxmemory", "1")
            case "emptied":
                redis_server.command("FLUSHALL")
        await cache.put_many({B: b"2"}, 60)
        assert (await cache.get_many([B])) == ({B: b"2"} if fault == "emptied" else {})
        if fault != "emptied":
            with pytest.raises(Unavailable):
                await cache.delete_tenant("acme")
            with pytest.raises(Unavailable):
                await cache.count("acme")
        redis_server.resume() if fault == "hung" else None


def test_a_key_always_belongs_to_a_tenant():
    with pytest.raises(ValueError, match="belongs to a tenant"):
        cache_key("", "search", "a")
    assert cache_key("acme", "search", "a") != cache_key("globex", "search", "a")


@given(st.lists(st.text()), st.lists(st.text()))
def test_different_parts_make_different_keys(one, two):
    assert (cache_key("acme", "k", *one) == cache_key("acme", "k", *two)) == (one == two)


def test_a_key_shows_no_words_of_its_question():
    assert "salary" not in repr(cache_key("acme", "search", "what is the salary of Ann"))


async def test_memory_is_bounded_and_keeps_what_is_used():
    cache = MemoryCache(max_bytes=3 * (100 + ENTRY_BYTES), clock=Clock())
    for name in ("a", "b", "c"):
        await cache.put_many({cache_key("acme", "k", name): bytes(100)}, 60)
    await cache.get_many([cache_key("acme", "k", "a")])
    await cache.put_many({cache_key("acme", "k", "d"): bytes(100)}, 60)
    keys = [cache_key("acme", "k", name) for name in "abcd"]
    assert list(await cache.get_many(keys)) == [keys[0], keys[2], keys[3]]
    await cache.put_many({keys[1]: bytes(10_000)}, 60)  # larger than all there is room for
    assert await cache.count("acme") == 3


async def test_memory_forgets_by_its_clock():
    clock = Clock()
    cache = MemoryCache(clock=clock)
    await cache.put_many({A: b"1"}, 300)
    clock.now = 299.9
    assert await cache.get_many([A]) == {A: b"1"}
    clock.now = 300.0
    assert await cache.count("acme") == 0
    assert await cache.get_many([A]) == {}
