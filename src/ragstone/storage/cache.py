"""The cache port with its adapters: search results and embedding vectors, in memory, Redis and SQL. Safe to empty.

Every key begins with a tenant: there is no way to make one without. Values are bytes
that their reader checks; never pickles.
"""

from __future__ import annotations

import time
from collections import OrderedDict, defaultdict
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from hashlib import blake2b
from typing import Protocol

from ragstone.errors import Unavailable
from ragstone.storage.database import Database, any_of, scoped
from ragstone.storage.redis import Redis, Script
from ragstone.storage.schema import embedding_cache

VECTOR_TTL_S = 3600.0  # vectors are kept in SQL too, so this only bounds what Redis holds
MAX_BYTES = 32 << 20  # of one process's memory; some thousand results of searches
ENTRY_BYTES = 400  # what an entry takes besides its value: key, time, place in the order (CPython 3.11)


@dataclass(frozen=True, slots=True)
class CacheKey:
    """The place of one value; made by `cache_key` only."""

    tenant: str
    name: str


def cache_key(tenant: str, kind: str, *parts: str) -> CacheKey:
    """The key of what a tenant's `parts` determine; hashed, so that it shows no words of a user.

    Raises:
        ValueError: no tenant is named.
    """
    if not tenant:
        raise ValueError("a cached value belongs to a tenant")
    hashed = blake2b(digest_size=20)
    for part in parts:
        content = part.encode(errors="surrogatepass")
        hashed.update(len(content).to_bytes(8) + content)
    return CacheKey(tenant, f"{kind}:{hashed.hexdigest()}")


class Cache(Protocol):
    """Keeps bytes by key, for some time at most.

    To keep and to find never fails: where it is down, nothing is found. To delete and to
    count raise Unavailable then, as it would be unknown what is left.
    """

    async def get_many(self, keys: Sequence[CacheKey]) -> dict[CacheKey, bytes]:
        """The values that are kept; keys without one are left out."""
        ...

    async def put_many(self, values: Mapping[CacheKey, bytes], ttl_s: float) -> None:
        """Keep all `values`, for `ttl_s` seconds at most."""
        ...

    async def count(self, tenant: str) -> int:
        """How many values of the tenant are kept."""
        ...

    async def delete_tenant(self, tenant: str) -> None:
        """Forget all values of the tenant."""
        ...


class MemoryCache:
    """See `Cache`. Of this process; the values unused for longest make room for new ones."""

    def __init__(self, *, max_bytes: int = MAX_BYTES, clock: Callable[[], float] = time.monotonic) -> None:
        self._max_bytes = max_bytes
        self._clock = clock
        self._kept: OrderedDict[CacheKey, tuple[float, bytes]] = OrderedDict()
        self._bytes = 0

    async def get_many(self, keys: Sequence[CacheKey]) -> dict[CacheKey, bytes]:
        """See `Cache.get_many`."""
        now, found = self._clock(), {}
        for key in keys:
            ends_at, value = self._kept.get(key, (now, b""))
            if ends_at > now:
                self._kept.move_to_end(key)
                found[key] = value
            else:
                self._drop(key)
        return found

    async def put_many(self, values: Mapping[CacheKey, bytes], ttl_s: float) -> None:
        """See `Cache.put_many`."""
        ends_at = self._clock() + ttl_s
        for key, value in values.items():
            self._drop(key)
            if len(value) + ENTRY_BYTES <= self._max_bytes:  # else it would drive out all others, then itself
                self._kept[key] = (ends_at, value)
                self._bytes += len(value) + ENTRY_BYTES
        while self._bytes > self._max_bytes:
            self._drop(next(iter(self._kept)))

    async def count(self, tenant: str) -> int:
        """See `Cache.count`."""
        now = self._clock()
        return sum(key.tenant == tenant and ends_at > now for key, (ends_at, _) in self._kept.items())

    async def delete_tenant(self, tenant: str) -> None:
        """See `Cache.delete_tenant`."""
        for key in [key for key in self._kept if key.tenant == tenant]:
            self._drop(key)

    def _drop(self, key: CacheKey) -> None:
        if entry := self._kept.pop(key, None):
            self._bytes -= len(entry[1]) + ENTRY_BYTES


class RedisCache:
    """See `Cache`. Of all processes; without Redis nothing is kept.

    Beside its values a tenant has a sorted set of their keys, by the time they end: to
    forget a tenant is to delete what the set names.
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

    def __init__(self, cache: Cache, kept: SqlVectorStore, tenant: str) -> None:
        self._cache = cache
        self._kept = kept
        self._tenant = tenant

    async def get_many(self, keys: Sequence[str]) -> dict[str, bytes]:
        """See `VectorStore.get_many`; what only the database had is kept in the cache again."""
        places = {key: self._place(key) for key in keys}
        cached = await self._cache.get_many(list(places.values()))
        found = {key: cached[place] for key, place in places.items() if place in cached}
        if missing := [key for key in keys if key not in found]:
            stored = await self._kept.get_many(missing)
            await self._remember(stored)
            found |= stored
        return found

    async def put_many(self, vectors: Mapping[str, bytes]) -> None:
        """See `VectorStore.put_many`."""
        await self._kept.put_many(vectors)
        await self._remember(vectors)

    async def _remember(self, vectors: Mapping[str, bytes]) -> None:
        if vectors:
            await self._cache.put_many({self._place(key): value for key, value in vectors.items()}, VECTOR_TTL_S)

    def _place(self, key: str) -> CacheKey:
        return cache_key(self._tenant, "vector", key)


class SqlVectorStore:
    """See `embedding.cache.VectorStore`. One statement a batch, whatever its size.

    Each tenant has vectors of its own, though equal texts give equal ones: how quickly a
    text is embedded would tell whether another tenant has it too.
    """

    def __init__(self, database: Database, tenant: str) -> None:
        self._database = database
        self._tenant = tenant

    async def get_many(self, keys: Sequence[str]) -> dict[str, bytes]:
        """The vectors that are kept, by key; keys without one are left out."""
        if not keys:
            return {}
        statement = scoped(embedding_cache, self._tenant).where(any_of(embedding_cache.c.key, keys))
        async with self._database.read(self._tenant) as connection:
            return {row.key: row.vector for row in await connection.execute(statement)}

    async def put_many(self, vectors: Mapping[str, bytes]) -> None:
        """Keep all `vectors`; a key that is there already keeps its value."""
        if not vectors:
            return
        rows = [{"tenant": self._tenant, "key": key, "vector": vector} for key, vector in vectors.items()]
        async with self._database.write(self._tenant) as connection:
            await connection.execute(self._database.insert_missing(embedding_cache), rows)


def tenant_vectors(database: Database, cache: Cache | None, tenant: str) -> SqlVectorStore | CachedVectors:
    """The store of a tenant's vectors: the database, with `cache` before it if there is one."""
    kept = SqlVectorStore(database, tenant)
    return CachedVectors(cache, kept, tenant) if cache else kept


_NOW = """
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
"""
# Values first: a Redis that is full refuses the first write, and all is as before.
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
