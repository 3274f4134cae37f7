"""The port of the cache, and the cache of one process. Cached values are derived and safe to delete.

Every key has a tenant. Values are bytes that the reader can validate, never pickles.
"""

from __future__ import annotations

import time
from collections import OrderedDict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from hashlib import blake2b
from typing import Protocol

MAX_BYTES = 32 << 20  # of one process's memory; some thousand search results
ENTRY_BYTES = 400  # overhead of an entry: key, expiry, position in the order (CPython 3.11)


@dataclass(frozen=True, slots=True)
class CacheKey:
    """The key of one value, made by `cache_key` only."""

    tenant: str
    name: str


def cache_key(tenant: str, kind: str, *parts: str) -> CacheKey:
    """The key of a value that depends on a tenant and `parts`; hashed, so that it shows no text of a user.

    Raises:
        ValueError: the tenant is empty.
    """
    if not tenant:
        raise ValueError("a cached value belongs to a tenant")
    hashed = blake2b(digest_size=20)
    for part in parts:
        content = part.encode(errors="surrogatepass")
        hashed.update(len(content).to_bytes(8) + content)
    return CacheKey(tenant, f"{kind}:{hashed.hexdigest()}")


class Cache(Protocol):
    """Stores bytes by key, with a maximum age.

    While the cache is down, reads find nothing and writes do nothing. Deleting and counting
    raise Unavailable, because it is unknown what is left.
    """

    async def get_many(self, keys: Sequence[CacheKey]) -> dict[CacheKey, bytes]:
        """The stored values; keys without a value are left out."""
        ...

    async def put_many(self, values: Mapping[CacheKey, bytes], ttl_s: float) -> None:
        """Store all `values` for at most `ttl_s` seconds."""
        ...

    async def count(self, tenant: str) -> int:
        """The number of stored values of the tenant."""
        ...

    async def delete_tenant(self, tenant: str) -> None:
        """Delete all values of the tenant."""
        ...


class MemoryCache:
    """See `Cache`. In the memory of this process; the least recently used values are dropped first."""

    def __init__(self, *, max_bytes: int = MAX_BYTES, clock: Callable[[], float] = time.monotonic) -> None:
        self._max_bytes = max_bytes
        self._clock = clock
        self._entries: OrderedDict[CacheKey, tuple[float, bytes]] = OrderedDict()
        self._bytes = 0

    async def get_many(self, keys: Sequence[CacheKey]) -> dict[CacheKey, bytes]:
        """See `Cache.get_many`."""
        now, found = self._clock(), {}
        for key in keys:
            ends_at, value = self._entries.get(key, (now, b""))
            if ends_at > now:
                self._entries.move_to_end(key)
                found[key] = value
            else:
                self._drop(key)
        return found

    async def put_many(self, values: Mapping[CacheKey, bytes], ttl_s: float) -> None:
        """See `Cache.put_many`."""
        ends_at = self._clock() + ttl_s
        for key, value in values.items():
            self._drop(key)
            if len(value) + ENTRY_BYTES <= self._max_bytes:  # else it would evict all others, then itself
                self._entries[key] = (ends_at, value)
                self._bytes += len(value) + ENTRY_BYTES
        while self._bytes > self._max_bytes:
            self._drop(next(iter(self._entries)))

    async def count(self, tenant: str) -> int:
        """See `Cache.count`."""
        now = self._clock()
        return sum(key.tenant == tenant and ends_at > now for key, (ends_at, _) in self._entries.items())

    async def delete_tenant(self, tenant: str) -> None:
        """See `Cache.delete_tenant`."""
        for key in [key for key in self._entries if key.tenant == tenant]:
            self._drop(key)

    def _drop(self, key: CacheKey) -> None:
        if entry := self._entries.pop(key, None):
            self._bytes -= len(entry[1]) + ENTRY_BYTES
