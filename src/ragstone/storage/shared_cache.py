"""Caches shared by processes: the cache in Redis, and embedding vectors in SQL behind a cache."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from contextlib import suppress

from ragstone.errors import Unavailable
from ragstone.storage.cache import Cache, CacheKey, cache_key
from ragstone.storage.database import Database, any_of, scoped
from ragstone.storage.redis import Redis, Script
from ragstone.storage.schema import embedding_cache

VECTOR_TTL_S = 3600.0  # vectors are stored in SQL too, so this only bounds the memory of Redis


class RedisCache:
    """See `Cache`. Shared by all processes; while Redis is down, nothing is stored.

    Each tenant has a sorted set of its keys by expiry, which `count` and `delete_tenant` use.
    """

    def __init__(self, redis: Redis) -> None:
        self._redis = redis

    async def get_many(self, keys: Sequence[CacheKey]) -> dict[CacheKey, bytes]:
        """See `Cache.get_many`."""
        if not keys:
            return {}
        try:
            values = await self._redis.run(lambda client: client.mget([self._name(key) for key in keys]))
        except Unavailable:
            return {}
        return {key: value for key, value in zip(keys, values, strict=True) if isinstance(value, bytes)}

    async def put_many(self, values: Mapping[CacheKey, bytes], ttl_s: float) -> None:
        """See `Cache.put_many`."""
        by_tenant: defaultdict[str, dict[CacheKey, bytes]] = defaultdict(dict)
        for key, value in values.items():
            by_tenant[key.tenant][key] = value
        for tenant, own in by_tenant.items():
            names = [self._keys_of(tenant), *map(self._name, own)]
            with suppress(Unavailable):
                await self._redis.run_script(_PUT, names, (round(ttl_s * 1000), *own.values()))

    async def count(self, tenant: str) -> int:
        """See `Cache.count`."""
        return int(await self._redis.run_script(_COUNT, [self._keys_of(tenant)], ()))

    async def delete_tenant(self, tenant: str) -> None:
        """See `Cache.delete_tenant`."""
        while await self._redis.run_script(_DELETE_SOME, [self._keys_of(tenant)], ()):
            pass

    def _name(self, key: CacheKey) -> str:
        return self._redis.key("cache", f"{key.tenant}:{key.name}")

    def _keys_of(self, tenant: str) -> str:
        return self._redis.key("cached", tenant)


class CachedVectors:
    """See `embedding.cache.VectorStore`: a tenant's vectors from a cache, else from the database."""

    def __init__(self, cache: Cache, store: SqlVectorStore, tenant: str) -> None:
        self._cache = cache
        self._store = store
        self._tenant = tenant

    async def get_many(self, keys: Sequence[str]) -> dict[str, bytes]:
        """See `VectorStore.get_many`; vectors read from the database are added to the cache."""
        cache_keys = {key: self._cache_key(key) for key in keys}
        cached = await self._cache.get_many(list(cache_keys.values()))
        found = {key: cached[cache_key] for key, cache_key in cache_keys.items() if cache_key in cached}
        if missing := [key for key in keys if key not in found]:
            stored = await self._store.get_many(missing)
            await self._add(stored)
            found |= stored
        return found

    async def put_many(self, vectors: Mapping[str, bytes]) -> None:
        """See `VectorStore.put_many`."""
        await self._store.put_many(vectors)
        await self._add(vectors)

    async def _add(self, vectors: Mapping[str, bytes]) -> None:
        if vectors:
            await self._cache.put_many({self._cache_key(key): value for key, value in vectors.items()}, VECTOR_TTL_S)

    def _cache_key(self, key: str) -> CacheKey:
        return cache_key(self._tenant, "vector", key)


class SqlVectorStore:
    """See `embedding.cache.VectorStore`. One statement per batch of any size.

    Vectors are not shared between tenants, although equal texts have equal vectors: the time
    of an embedding would reveal whether another tenant has the same text.
    """

    def __init__(self, database: Database, tenant: str) -> None:
        self._database = database
        self._tenant = tenant

    async def get_many(self, keys: Sequence[str]) -> dict[str, bytes]:
        """The stored vectors by key; keys without a vector are left out."""
        if not keys:
            return {}
        statement = scoped(embedding_cache, self._tenant).where(any_of(embedding_cache.c.key, keys))
        async with self._database.read(self._tenant) as connection:
            return {row.key: row.vector for row in await connection.execute(statement)}

    async def put_many(self, vectors: Mapping[str, bytes]) -> None:
        """Store all `vectors`; existing keys are not changed."""
        if not vectors:
            return
        rows = [{"tenant": self._tenant, "key": key, "vector": vector} for key, vector in vectors.items()]
        async with self._database.write(self._tenant) as connection:
            await connection.execute(self._database.insert_missing(embedding_cache), rows)


def tenant_vectors(database: Database, cache: Cache | None, tenant: str) -> SqlVectorStore | CachedVectors:
    """The store of a tenant's vectors: the database, behind `cache` if there is one."""
    store = SqlVectorStore(database, tenant)
    return CachedVectors(cache, store, tenant) if cache else store


_NOW = """
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
"""
# Values first: if Redis is full, it refuses the first write and nothing has changed.
_PUT = Script(f"""{_NOW}
local ttl = tonumber(ARGV[1])
for i = 2, #KEYS do
  redis.call('SET', KEYS[i], ARGV[i], 'PX', ttl)
  redis.call('ZADD', KEYS[1], now + ttl, KEYS[i])
end
redis.call('ZREMRANGEBYSCORE', KEYS[1], '-inf', now)
if redis.call('PTTL', KEYS[1]) < ttl then redis.call('PEXPIRE', KEYS[1], ttl) end
""")
_COUNT = Script(f"{_NOW} return redis.call('ZCOUNT', KEYS[1], now, '+inf')")
_DELETE_SOME = Script("""
local some = redis.call('ZPOPMIN', KEYS[1], 1000)
for i = 1, #some, 2 do redis.call('UNLINK', some[i]) end
return #some
""")
