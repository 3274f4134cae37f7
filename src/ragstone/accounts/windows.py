"""Moving windows: never more than `limit` of something within any `window_s` seconds.

Each event is remembered by its time until the window has passed over it, so the count
is exact at every moment: no double share at the turn of an hour.
"""

from __future__ import annotations

import time
from collections import OrderedDict, deque
from collections.abc import Callable
from dataclasses import dataclass

from ragstone.storage.redis import Redis, Script

MAX_NAMES = 50_000  # windows kept by one process; beyond, the one unused for longest is dropped


@dataclass(frozen=True, slots=True)
class Count:
    """Whether one more was `granted`, how many the window then holds, and when there is room again."""

    granted: bool
    held: int
    reset_s: float


class LocalWindows:
    """Windows of this process."""

    def __init__(self, clock: Callable[[], float] = time.monotonic, *, max_names: int = MAX_NAMES) -> None:
        self._clock = clock
        self._max_names = max_names
        self._windows: OrderedDict[str, deque[float]] = OrderedDict()

    def take(self, name: str, limit: int, window_s: float) -> Count:
        """Count one more, if there is room."""
        count = self.look(name, limit, window_s)
        if not count.granted:
            return count
        self.add(name)
        return Count(True, count.held + 1, count.reset_s)

    def look(self, name: str, limit: int, window_s: float) -> Count:
        """Whether there is room for one more, without taking it."""
        now, times = self._clock(), self._windows.get(name, ())
        if isinstance(times, deque):
            while times and times[0] <= now - window_s:
                times.popleft()
        held = len(times)
        if held < limit:
            return Count(True, held, times[0] + window_s - now if times else window_s)
        # Room comes when so many have passed that fewer than `limit` are left, and `limit` may have shrunk.
        return Count(False, held, times[held - limit] + window_s - now if limit else window_s)

    def add(self, name: str) -> None:
        """Count one more, whether there is room or not."""
        self._windows.setdefault(name, deque()).append(self._clock())
        self._windows.move_to_end(name)
        if len(self._windows) > self._max_names:
            self._windows.popitem(last=False)

    def take_back(self, name: str) -> None:
        """Count the newest one no longer."""
        if window := self._windows.get(name):
            window.pop()


class SharedWindows:
    """Windows in Redis, by its clock: exact however many processes and machines count."""

    def __init__(self, redis: Redis) -> None:
        self._redis = redis

    async def take(self, name: str, limit: int, window_s: float) -> Count:
        """Count one more, if there is room. Raises: Unavailable."""
        arguments = (limit, round(window_s * 1_000_000))
        granted, held, reset_us = await self._redis.run_script(_TAKE, [self._redis.key("limit", name)], arguments)
        return Count(bool(granted), held, reset_us / 1_000_000)

    async def take_back(self, name: str) -> None:
        """Count the newest one no longer. Raises: Unavailable."""
        await self._redis.run(lambda client: client.lpop(self._redis.key("limit", name)))


# A list of times in microseconds, newest first. Times that lie in the future show that
# the server's clock was set back: such a window is begun anew, not held until they pass.
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
