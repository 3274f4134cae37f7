"""Redis may be slow, hung, full, stopped or emptied: what was asked for is refused soon, and comes back by itself."""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncIterator
from contextlib import aclosing, asynccontextmanager

import pytest

from ragstone.errors import ConfigurationError, Unavailable
from ragstone.storage.redis import REST_S, Redis, Script
from ragstone.telemetry.metrics import Metrics
from tests.clocks import Clock
from tests.redis_server import RedisServer
from tests.waiting import until

TIMEOUT_S = 0.5  # on a busy machine, a Redis that works may need this long


@asynccontextmanager
async def opened(url: str, clock: Clock, metrics: Metrics | None = None) -> AsyncIterator[Redis]:
    redis = Redis(url, timeout_s=TIMEOUT_S, metrics=metrics, clock=clock)
    try:
        yield redis
    finally:
        await redis.close()


async def ping(redis: Redis) -> bool:
    async def call(client):
        return await client.ping()

    return await redis.run(call)


async def refused(redis: Redis) -> bool:
    try:
        await ping(redis)
    except Unavailable:
        return True
    return False


def counted(metrics: Metrics, outcome: str) -> float:
    return metrics.registry.get_sample_value("ragstone_redis_total", {"outcome": outcome}) or 0.0


@pytest.mark.parametrize("fault", ["stopped", "hung"])
async def test_a_broken_redis_is_left_alone_then_tried_by_one_call_and_comes_back(
    redis_server: RedisServer, fault: str
):
    clock, metrics = Clock(), Metrics()
    async with opened(redis_server.url, clock, metrics) as redis:
        assert await ping(redis)
        redis_server.pause() if fault == "hung" else redis_server.stop()
        assert await refused(redis)
        assert all(await asyncio.gather(*(refused(redis) for _ in range(1000))))
        assert (counted(metrics, "failed"), counted(metrics, "refused")) == (1, 1000)
        clock.now += REST_S
        assert all(await asyncio.gather(*(refused(redis) for _ in range(10))))
        assert (counted(metrics, "failed"), counted(metrics, "refused")) == (2, 1009)
        redis_server.resume() if fault == "hung" else redis_server.start()
        assert await refused(redis)
        clock.now += REST_S
        assert await ping(redis)
        assert not any(await asyncio.gather(*(refused(redis) for _ in range(100))))
    assert metrics.registry.get_sample_value("ragstone_degraded_total", {"policy": "redis_unavailable"}) == 1012


async def test_all_calls_that_wait_for_a_hung_redis_wait_for_one_deadline_together(redis_server: RedisServer):
    metrics = Metrics()
    async with opened(redis_server.url, Clock(), metrics) as redis:
        assert await ping(redis)
        redis_server.pause()
        async with asyncio.timeout(10 * TIMEOUT_S):
            assert all(await asyncio.gather(*(refused(redis) for _ in range(1000))))
        redis_server.resume()
    assert counted(metrics, "failed") <= 16


async def test_a_full_redis_is_unavailable_too(redis_server: RedisServer):
    redis_server.command("CONFIG", "SET", "maxmemory-policy", "noeviction")
    redis_server.command("CONFIG", "SET", "maxmemory", "1")
    async with opened(redis_server.url, Clock()) as redis:
        with pytest.raises(Unavailable):
            await redis.run(lambda client: client.set("a", b"1"))


async def test_a_busy_process_does_not_blame_redis(redis_url: str):
    async with opened(redis_url, Clock()) as redis:
        asked = asyncio.create_task(ping(redis))  # not connected yet, so an answer takes several turns
        for _ in range(4):
            await asyncio.sleep(0)
        _busy_for(4 * TIMEOUT_S)
        assert await asked


def _busy_for(seconds: float) -> None:
    loop = asyncio.get_running_loop()
    end = loop.time() + seconds
    while loop.time() < end:
        pass


async def test_a_cancelled_call_leaves_its_answer_to_no_other_call(redis_url: str):
    async with opened(redis_url, Clock()) as redis:
        chance = random.Random(7)
        asked = [asyncio.create_task(_echo(redis, f"nonce-{number}")) for number in range(2000)]
        while any(not task.done() for task in asked):
            for task in chance.sample(asked, 50):
                if chance.random() < 0.5:
                    task.cancel()
            await asyncio.sleep(0)
        answers = await asyncio.gather(*asked, return_exceptions=True)
        heard = [(number, answer) for number, answer in enumerate(answers) if isinstance(answer, bytes)]
        assert heard
        assert all(answer == f"nonce-{number}".encode() for number, answer in heard)
        assert len(heard) < len(asked)
        assert await _echo(redis, "last") == b"last"


async def _echo(redis: Redis, nonce: str) -> object:
    return await redis.run(lambda client: client.echo(nonce))


async def test_a_script_runs_also_after_redis_forgot_it(redis_url: str):
    twice = Script("return tonumber(ARGV[1]) * 2")
    async with opened(redis_url, Clock()) as redis:
        assert await redis.run_script(twice, [], [21]) == 42
        await redis.run(lambda client: client.script_flush())
        assert await redis.run_script(twice, [], [4]) == 8


async def test_a_script_that_fails_is_unavailable(redis_url: str):
    async with opened(redis_url, Clock()) as redis:
        with pytest.raises(Unavailable):
            await redis.run_script(Script("return redis.call('NO')"), [], [])


async def test_messages_are_heard_also_after_redis_was_gone(redis_server: RedisServer):
    clock = Clock()
    heard: list[str] = []
    async with opened(redis_server.url, clock) as redis:

        async def listen() -> None:
            async with aclosing(redis.messages("news")) as messages:
                async for message in messages:
                    heard.append(message)

        listening = asyncio.create_task(listen())
        for text in ("first", "second"):
            await until(lambda: redis_server.command("PUBLISH", "ragstone:news:news", "") == b":1")
            clock.now += REST_S
            await until_published(redis, text, heard)
            redis_server.stop()
            await redis.publish("news", "nobody hears this")
            redis_server.start()
        listening.cancel()
        await asyncio.gather(listening, return_exceptions=True)
    assert [text for text in heard if text] == ["first", "second"]


async def until_published(redis: Redis, text: str, heard: list[str]) -> None:
    await redis.publish("news", text)
    await until(lambda: text in heard)


@pytest.mark.parametrize(
    "url",
    ["localhost:6379", "http://:geheim@host/0", "redis://:geheim@host:geheim/0", "redis://:geheim@host/0?x=geheim"],
)
def test_a_wrong_address_is_refused_without_its_password(url: str):
    with pytest.raises(ConfigurationError) as caught:
        Redis(url)
    assert "RAGSTONE_REDIS__URL" in caught.value.message
    assert "geheim" not in caught.value.message
    assert caught.value.__cause__ is None


async def test_a_wrong_password_is_unavailable_and_not_told(redis_server: RedisServer):
    redis_server.command("CONFIG", "SET", "requirepass", "right")
    async with opened(redis_server.url.replace("//", "//:geheim@"), Clock()) as redis:
        with pytest.raises(Unavailable) as caught:
            await ping(redis)
    assert "geheim" not in repr(caught.value) + repr(caught.value.__cause__)
