"""Windows that move, on both places they are kept in: never more than the limit within any window."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ragstone.storage.rate_windows import LocalWindows, SharedWindows
from ragstone.storage.redis import Redis
from tests.clocks import Clock
from tests.redis_server import RedisServer

HOUR_S = 3600


def test_the_hundred_and_first_within_an_hour_is_refused_until_the_first_has_passed():
    clock = Clock()
    windows = LocalWindows(clock)
    for second in range(100):
        clock.now = float(second)
        assert windows.take("a", 100, HOUR_S).granted
    refused = windows.take("a", 100, HOUR_S)
    assert (refused.granted, refused.held, refused.reset_s) == (False, 100, HOUR_S - 99)
    clock.now = HOUR_S - 0.001
    assert not windows.take("a", 100, HOUR_S).granted
    clock.now = float(HOUR_S)
    assert windows.take("a", 100, HOUR_S).granted
    assert not windows.take("a", 100, HOUR_S).granted


def test_names_have_windows_of_their_own():
    windows = LocalWindows(Clock())
    assert windows.take("a", 1, 1).granted
    assert windows.take("b", 1, 1).granted
    assert not windows.take("a", 1, 1).granted


def test_a_limit_of_none_at_all_lets_nothing_through():
    refused = LocalWindows(Clock()).take("a", 0, 60)
    assert (refused.granted, refused.reset_s) == (False, 60)


def test_a_limit_that_shrank_says_when_there_is_room_below_it():
    clock = Clock()
    windows = LocalWindows(clock)
    for second in range(10):
        clock.now = float(second)
        windows.take("a", 10, 60)
    refused = windows.take("a", 4, 60)
    assert not refused.granted
    assert refused.reset_s == 6 + 60 - 9  # those of seconds 0 to 6 have to pass


@given(gaps=st.lists(st.integers(0, 40), max_size=60), limit=st.integers(1, 5), window=st.integers(1, 60))
def test_no_window_anywhere_holds_more_than_the_limit(gaps, limit, window):
    clock = Clock()
    windows = LocalWindows(clock)
    granted = []
    for gap in gaps:
        clock.now += gap
        if windows.take("a", limit, window).granted:
            granted.append(clock.now)
    assert all(sum(start <= at < start + window for at in granted) <= limit for start in granted)


def test_memory_is_bounded_by_dropping_what_was_unused_for_longest():
    windows = LocalWindows(Clock(), max_names=2)
    for name in ("a", "b", "a", "c"):
        windows.take(name, 2, 60)
    assert [windows.peek(name, 2, 60).held for name in "abc"] == [2, 0, 1]


async def test_a_shared_window_counts_like_a_local_one(redis_url: str):
    redis = Redis(redis_url, timeout_s=1)
    windows, local = SharedWindows(redis), LocalWindows()
    for limit in (3, 3, 3, 3, 2, 0, 5):
        shared, alone = await windows.take("a", limit, HOUR_S), local.take("a", limit, HOUR_S)
        assert (shared.granted, shared.held) == (alone.granted, alone.held)
        assert shared.reset_s == pytest.approx(alone.reset_s, abs=5)
    await redis.close()


async def test_a_shared_window_moves(redis_url: str):
    redis = Redis(redis_url, timeout_s=1)
    windows = SharedWindows(redis)
    assert (await windows.take("a", 1, 0.2)).granted
    refused = await windows.take("a", 1, 0.2)
    assert not refused.granted
    assert 0 < refused.reset_s <= 0.2
    while not (await windows.take("a", 1, 0.2)).granted:
        pass
    await redis.close()


@pytest.mark.parametrize("hours", [-1, 1])
async def test_a_clock_that_was_set_wrong_locks_no_caller_out(
    redis_of_this_run: RedisServer, redis_url: str, hours: int
):
    """Entries an hour off are what a window holds after the server's clock was set."""
    redis = Redis(redis_url, timeout_s=1)
    windows = SharedWindows(redis)
    now_us = await redis.run(lambda client: client.time())
    off = int(now_us[0]) * 1_000_000 + hours * HOUR_S * 1_000_000 - 1
    redis_of_this_run.command("RPUSH", "ragstone:limit:a", str(off), str(off))
    assert (await windows.take("a", 2, HOUR_S)).granted
    assert (await windows.take("a", 2, HOUR_S)).granted
    assert not (await windows.take("a", 2, HOUR_S)).granted
    await redis.close()
