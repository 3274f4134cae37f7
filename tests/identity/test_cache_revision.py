"""CacheRevision of accounts: counted in SQL, told in this process at once, and to others through Redis."""

from __future__ import annotations

import asyncio
from contextlib import aclosing
from typing import Any

import pytest

from ragstone.errors import Conflict
from ragstone.identity.cache_revision import CacheRevision, current
from ragstone.storage.database import Database
from ragstone.storage.redis import Redis
from tests.identity.conftest import Office, on_both
from tests.waiting import PATIENCE_S


@on_both
async def test_each_change_is_counted_whoever_makes_it(database: Database):
    before = await current(database)
    changes = [CacheRevision(database), CacheRevision(database)]

    async def change(number: int) -> None:
        async with changes[number % 2].change(f"tenant-{number % 3}"):
            pass

    await asyncio.gather(*(change(number) for number in range(20)))
    assert await current(database) == before + 20


async def test_listeners_hear_after_the_commit(database: Database):
    changes = CacheRevision(database)
    heard: list[str] = []
    changes.listen(lambda: heard.append("told"))
    before = await current(database)
    async with changes.change("acme"):
        assert heard == []
    assert heard == ["told"]
    assert await current(database) == before + 1


async def test_what_fails_is_not_counted(database: Database):
    before = await current(database)

    async def fail() -> None:
        async with CacheRevision(database).change("acme"):
            raise Conflict("on purpose")

    with pytest.raises(Conflict):
        await fail()
    assert await current(database) == before


async def test_a_login_is_no_change_that_makes_others_forget(office: Office):
    await office.user()
    before = await current(office.database)
    await office.login()
    assert await current(office.database) == before


async def test_other_processes_hear_through_redis(database: Database, redis_url: str):
    here, there = Redis(redis_url), Redis(redis_url)
    heard = asyncio.Event()

    async def listen() -> None:
        async with aclosing(CacheRevision(database, here).news()) as news:
            async for _ in news:
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
    nobody = Redis("redis://127.0.0.1:1")
    before = await current(database)
    async with CacheRevision(database, nobody).change("acme"):
        pass
    assert await current(database) == before + 1
    await nobody.close()


async def test_without_redis_there_is_no_news(database: Database):
    news: list[Any] = [each async for each in CacheRevision(database).news()]
    assert news == []
