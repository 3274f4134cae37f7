"""The port of the cache, and the cache of one process. Cached values are derived, and safe to delete.

Every key begins with a tenant: there is no way to make one without. Values are bytes
that their reader can check; never pickles.
"""

from __future__ import annotations

import time
from collections import OrderedDict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from hashlib import blake2b
from typing import Protocol

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
