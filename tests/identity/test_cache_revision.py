"""The cache revision: counted in SQL, with notifications within the process and through Redis."""

from __future__ import annotations

import asyncio
from contextlib import aclosing
from typing import Any

import pytest

from ragstone.errors import Conflict
from ragstone.identity.cache_revision import CacheRevision, current
from ragstone.storage.database import Database
from ragstone.storage.redis import Redis
from tests.identity.conftest import Stores, on_both
from tests.waiting import PATIENCE_S


@on_both
async def test_each_change_by_any_process_increments_the_revision(database: Database):
    before = await current(database)
    changes = [CacheRevision(database), CacheRevision(database)]

    async def change(number: int) -> None:
        async with changes[number % 2].change(f"tenant-{number % 3}"):
            pass

    await asyncio.gather(*(change(number) for number in range(20)))
    assert await current(database) == before + 20


async def test_listeners_are_called_after_the_commit(database: Database):
    changes = CacheRevision(database)
    heard: list[str] = []
    changes.listen(lambda: heard.append("told"))
    before = await current(database)
    async with changes.change("acme"):
        assert heard == []
    assert heard == ["told"]
    assert await current(database) == before + 1


async def test_a_failed_change_does_not_increment_the_revision(database: Database):
    before = await current(database)

    async def fail() -> None:
        async with CacheRevision(database).change("acme"):
            raise Conflict("on purpose")

    with pytest.raises(Conflict):
        await fail()
    assert await current(database) == before


async def test_a_login_does_not_invalidate_caches(stores: Stores):
    await stores.user()
    before = await current(stores.database)
    await stores.login()
    assert await current(stores.database) == before


async def test_other_processes_are_notified_through_redis(database: Database, redis_url: str):
    here, there = Redis(redis_url), Redis(redis_url)
    heard = asyncio.Event()

    async def listen() -> None:
        async with aclosing(CacheRevision(database, here).notifications()) as notifications:
            async for _ in notifications:
                heard.set()

    listening = asyncio.create_task(listen())
    async with asyncio.timeout(PATIENCE_S):
        while not heard.is_set():  # it subscribes at some moment
            async with CacheRevision(database, there).change("acme"):
                pass
            await asyncio.sleep(0)
    listening.cancel()
    await asyncio.gather(listening, return_exceptions=True)
    for each in (here, there):
        await each.close()


async def test_a_change_does_not_need_redis(database: Database):
    unreachable = Redis("redis://127.0.0.1:1")
    before = await current(database)
    async with CacheRevision(database, unreachable).change("acme"):
        pass
    assert await current(database) == before + 1
    await unreachable.close()


async def test_without_redis_there_are_no_notifications(database: Database):
    news: list[Any] = [each async for each in CacheRevision(database).notifications()]
    assert news == []
