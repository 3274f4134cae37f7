"""Sliding rate windows: never more than `limit` events within any `window_s` seconds.

The time of each event is stored until it has left the window, so the count is exact at
every moment; a fixed window would allow twice the limit at the turn of an hour.
"""

from __future__ import annotations

import math
import time
from collections import OrderedDict, deque
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from hashlib import blake2b

from ragstone.errors import RateLimited, Unavailable
from ragstone.storage.redis import Redis, Script
from ragstone.telemetry.metrics import Metrics

MAX_NAMES = 50_000  # windows of one process; beyond it, the least recently used is dropped


@dataclass(frozen=True, slots=True)
class Count:
    """Whether an event was `granted`, how many the window then holds, and when there is room again."""

    granted: bool
    held: int
    reset_s: float


class LocalWindows:
    """Rate windows in the memory of this process."""

    def __init__(self, clock: Callable[[], float] = time.monotonic, *, max_names: int = MAX_NAMES) -> None:
        self._clock = clock
        self._max_names = max_names
        self._windows: OrderedDict[str, deque[float]] = OrderedDict()

    def take(self, name: str, limit: int, window_s: float) -> Count:
        """Count an event if there is room."""
        count = self.peek(name, limit, window_s)
        if not count.granted:
            return count
        self.add(name)
        return Count(True, count.held + 1, count.reset_s)

    def peek(self, name: str, limit: int, window_s: float) -> Count:
        """Whether there is room for an event, without counting one."""
        now, times = self._clock(), self._windows.get(name, ())
        if isinstance(times, deque):
            while times and times[0] <= now - window_s:
                times.popleft()
        held = len(times)
        if held < limit:
            return Count(True, held, times[0] + window_s - now if times else window_s)
        # There is room when fewer than `limit` events are left in the window; `limit` may have become smaller.
        return Count(False, held, times[held - limit] + window_s - now if limit else window_s)

    def add(self, name: str) -> None:
        """Count an event, whether there is room or not."""
        self._windows.setdefault(name, deque()).append(self._clock())
        self._windows.move_to_end(name)
        if len(self._windows) > self._max_names:
            self._windows.popitem(last=False)

    def remove_newest(self, name: str) -> None:
        """Remove the newest event."""
        if window := self._windows.get(name):
            window.pop()


class SharedWindows:
    """Rate windows in Redis, by its clock: exact for any number of processes and machines."""

    def __init__(self, redis: Redis) -> None:
        self._redis = redis

    async def take(self, name: str, limit: int, window_s: float) -> Count:
        """Count an event if there is room. Raises: Unavailable."""
        arguments = (limit, round(window_s * 1_000_000))
        granted, held, reset_us = await self._redis.run_script(_TAKE, [self._redis.key("limit", name)], arguments)
        return Count(bool(granted), held, reset_us / 1_000_000)

    async def remove_newest(self, name: str) -> None:
        """Remove the newest event. Raises: Unavailable."""
        await self._redis.run(lambda client: client.lpop(self._redis.key("limit", name)))


class RateWindows:
    """Rate windows shared by all servers through Redis; without Redis, each process has its own.

    While Redis does not answer, each process applies the whole limit by itself. It also counts the
    events that it granted while Redis answered, so one process never grants more than the limit.
    """

    def __init__(self, redis: Redis | None, metrics: Metrics, *, clock: Callable[[], float] = time.monotonic) -> None:
        self._redis = redis
        self._metrics = metrics
        self._local = LocalWindows(clock)
        self._shared = SharedWindows(redis) if redis else None

    async def take(self, name: str, limit: int, window_s: float) -> tuple[Count, bool]:
        """Count an event if there is room; also returns whether all servers share the count."""
        if self._redis is None or self._shared is None:
            return self._local.take(name, limit, window_s), False
        own = self._local.peek(name, limit, window_s)
        if not own.granted:  # this process alone has used up the limit: Redis would refuse too
            return own, self._redis.works
        try:
            count = await self._shared.take(name, limit, window_s)
        except Unavailable:
            self._metrics.degraded.labels("limits_local").inc()
            return self._local.take(name, limit, window_s), False
        if count.granted:
            self._local.add(name)
        return count, True

    def take_locally(self, name: str, limit: int, window_s: float) -> Count:
        """Count an event of this process alone if there is room."""
        return self._local.take(name, limit, window_s)

    async def attempt(self, name: str, *, limit: int, window_s: int) -> None:
        """Count an attempt, for example a login. Raises: RateLimited."""
        count, _ = await self.take(_attempts(name), limit, window_s)
        if not count.granted:
            raise RateLimited(
                f"Too many attempts. Try again in {seconds_in_words(count.reset_s)}.",
                retry_after_s=count.reset_s,
            )

    async def undo_attempt(self, name: str) -> None:
        """Remove the newest attempt after it succeeded: only failures count."""
        self._local.remove_newest(_attempts(name))
        if self._shared:
            with suppress(Unavailable):  # then it counts as a failure until it leaves the window
                await self._shared.remove_newest(_attempts(name))


def seconds_in_words(seconds: float) -> str:
    """A waiting time for a message: "a second", "42 seconds"."""
    whole = max(1, math.ceil(seconds))
    return "a second" if whole == 1 else f"{whole} seconds"


def _attempts(name: str) -> str:
    """The window of attempts under `name`, hashed: the name may be an e-mail address and has no maximum length."""
    return f"attempts:{blake2b(name.encode(errors='surrogatepass'), digest_size=16).hexdigest()}"


# A list of times in microseconds, newest first. A time in the future shows that the clock
# of the server was set back; the window is then emptied instead of blocking until that time.
_TAKE = Script("""
local key, limit, window = KEYS[1], tonumber(ARGV[1]), tonumber(ARGV[2])
local time = redis.call('TIME')
local now = time[1] * 1000000 + time[2]
local newest = redis.call('LINDEX', key, 0)
if newest and tonumber(newest) > now + 1000000 then
  redis.call('DEL', key)
end
local oldest = redis.call('LINDEX', key, -1)
while oldest and tonumber(oldest) <= now - window do
  redis.call('RPOP', key)
  oldest = redis.call('LINDEX', key, -1)
end
local held = redis.call('LLEN', key)
if held < limit then
  redis.call('LPUSH', key, string.format('%.0f', now))
  redis.call('PEXPIRE', key, math.ceil(window / 1000))
  return {1, held + 1, oldest and tonumber(oldest) + window - now or window}
end
local leaving = limit > 0 and redis.call('LINDEX', key, limit - 1)
return {0, held, leaving and tonumber(leaving) + window - now or window}
""")
