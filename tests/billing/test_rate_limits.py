"""Limits are exact among all who count together, and hold in each process when Redis does not answer."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from pathlib import Path

import pytest

from ragstone.billing.plans import Plans
from ragstone.billing.rate_limits import CALLS_PER_MINUTE, RateLimits
from ragstone.errors import RateLimited
from ragstone.identity.audit import Audit
from ragstone.identity.secrets import Secret
from ragstone.principals import CredentialType, Principal
from ragstone.storage.database import EVERY_TENANT, Database
from ragstone.storage.redis import REST_S, Redis
from ragstone.storage.schema import plans
from ragstone.telemetry.metrics import Metrics
from ragstone.vocabulary import RateLimitStatus
from tests.clocks import Clock
from tests.redis_server import RedisServer
from tests.waiting import until

LIMIT = 10
PATIENT_S = 0.5  # on a busy machine, a Redis that works may need this long
PLANS = (
    {"id": "ten", "name": "Ten", "requests_per_hour": LIMIT, "concurrent_streams": 2, "overage": False, "models": []},
    {"id": "more", "name": "More", "requests_per_hour": LIMIT, "overage": True, "models": []},
    {"id": "all", "name": "All", "overage": False, "models": []},
)


def caller(plan: str = "ten", tenant: str = "acme") -> Principal:
    return Principal(f"key:{tenant}", CredentialType.SECRET, tenant=tenant, plan=plan)


@pytest.fixture
async def price_list(tmp_path: Path) -> AsyncIterator[Plans]:
    database = await Database.open(f"sqlite+aiosqlite:///{tmp_path / 'ragstone.db'}")
    async with database.write(EVERY_TENANT) as connection:
        for plan in PLANS:
            await connection.execute(plans.insert(), plan)
    yield Plans(database, Audit(database, Secret(b"0" * 32)))
    await database.close()


class Servers:
    """Several servers, each with limits and a connection of its own."""

    def __init__(self, price_list: Plans, url: str | None, stack: AsyncExitStack) -> None:
        self.clock = Clock()
        self.metrics = Metrics()
        self._list = price_list
        self._url = url
        self._stack = stack

    def one(self, *, lease_s: float = 30.0) -> RateLimits:
        redis = None
        if self._url:
            redis = Redis(self._url, timeout_s=PATIENT_S, metrics=self.metrics, clock=self.clock)
            self._stack.push_async_callback(redis.close)
        return RateLimits(self._list, redis, self.metrics, clock=self.clock, lease_s=lease_s)

    def alone(self) -> float:
        return self.metrics.registry.get_sample_value("ragstone_degraded_total", {"policy": "limits_local"}) or 0.0


@pytest.fixture
async def stack() -> AsyncIterator[AsyncExitStack]:
    async with AsyncExitStack() as opened:
        yield opened


@pytest.fixture
def alone(price_list: Plans, stack: AsyncExitStack) -> Servers:
    return Servers(price_list, None, stack)


@pytest.fixture
def together(price_list: Plans, stack: AsyncExitStack, redis_url: str) -> Servers:
    return Servers(price_list, redis_url, stack)


@pytest.fixture
def breakable(price_list: Plans, stack: AsyncExitStack, redis_server: RedisServer) -> Servers:
    return Servers(price_list, redis_server.url, stack)


async def accepted(limits: RateLimits, times: int, principal: Principal | None = None) -> int:
    answers = await asyncio.gather(*(limits.hit(principal or caller()) for _ in range(times)), return_exceptions=True)
    assert all(isinstance(answer, (RateLimitStatus, RateLimited)) for answer in answers), answers
    return sum(isinstance(answer, RateLimitStatus) for answer in answers)


async def test_a_request_says_where_the_tenant_stands(alone: Servers):
    limits = alone.one()
    assert await limits.hit(caller()) == RateLimitStatus(LIMIT, LIMIT - 1, 3600.0)
    alone.clock.now = 100.0
    assert await limits.hit(caller()) == RateLimitStatus(LIMIT, LIMIT - 2, 3500.0)


async def test_beyond_the_limit_it_says_when_there_is_room(alone: Servers):
    limits = alone.one()
    assert await accepted(limits, LIMIT) == LIMIT
    alone.clock.now = 600.0
    with pytest.raises(RateLimited) as caught:
        await limits.hit(caller())
    assert caught.value.retry_after_s == 3000
    assert "All 10 requests per hour" in caught.value.message
    alone.clock.now = 3600.0
    assert await accepted(limits, 20) == LIMIT


async def test_each_tenant_has_the_limit_for_itself_and_all_its_keys_share_it(alone: Servers):
    limits = alone.one()
    assert await accepted(limits, 20) == LIMIT
    assert await accepted(limits, 20, Principal("key:2", CredentialType.SECRET, tenant="acme", plan="ten")) == 0
    assert await accepted(limits, 20, caller(tenant="globex")) == LIMIT


async def test_what_no_plan_counts_is_bounded_too_but_not_where_there_is_no_limit(alone: Servers):
    server = alone.one()
    for _ in range(CALLS_PER_MINUTE):
        await server.call(caller())
        await server.call(caller("all", "free"))
    with pytest.raises(RateLimited, match="requests per minute") as refused:
        await server.call(caller())
    assert 0 < refused.value.retry_after_s <= 60
    await server.call(caller(tenant="other"))
    await server.call(caller("all", "free"))
    alone.clock.now += 60
    await server.call(caller())


async def test_a_plan_with_overage_serves_and_marks_what_is_beyond_it(alone: Servers, together: Servers):
    for servers in (alone, together):
        limits = servers.one()
        standings = [await limits.hit(caller("more")) for _ in range(LIMIT + 3)]
        assert [each.overage for each in standings] == [False] * LIMIT + [True] * 3
        assert standings[-1].remaining == 0
        assert standings[-1].shared is (servers is together)


async def test_a_plan_without_limits_asks_no_server(breakable: Servers, redis_server: RedisServer):
    limits = breakable.one()
    redis_server.stop()
    assert await limits.hit(caller("all")) == RateLimitStatus(None, 0, 0.0)
    async with limits.stream(caller("all")):
        pass
    assert breakable.metrics.registry.get_sample_value("ragstone_redis_total", {"outcome": "failed"}) is None


async def test_four_servers_accept_exactly_the_limit(together: Servers):
    servers = [together.one() for _ in range(4)]
    assert sum(await asyncio.gather(*(accepted(limits, 250) for limits in servers))) == LIMIT
    assert together.alone() == 0
    with pytest.raises(RateLimited):
        await together.one().hit(caller())


async def test_attempts_are_counted_by_name_and_the_name_is_not_told(together: Servers, redis_of_this_run: RedisServer):
    one, two = together.one(), together.one()
    await one.windows.attempt("ann@example.org", limit=2, window_s=60)
    await two.windows.attempt("ann@example.org", limit=2, window_s=60)
    await two.windows.attempt("bob@example.org", limit=2, window_s=60)
    with pytest.raises(RateLimited) as caught:
        await one.windows.attempt("ann@example.org", limit=2, window_s=60)
    assert 0 < caught.value.retry_after_s <= 60
    assert "ann" not in caught.value.message
    assert redis_of_this_run.command("EXISTS", "ragstone:limit:attempts:ann@example.org") == b":0"


FAULTS = ("stopped", "hung", "full")


def break_it(server: RedisServer, fault: str) -> None:
    match fault:
        case "stopped":
            server.stop()
        case "hung":
            server.pause()
        case "full":
            server.command("CONFIG", "SET", "maxmemory", "1")


def mend(server: RedisServer, fault: str) -> None:
    match fault:
        case "stopped":
            server.start()
        case "hung":
            server.resume()
        case "full":
            server.command("CONFIG", "SET", "maxmemory", "0")


@pytest.mark.parametrize("fault", FAULTS)
async def test_without_redis_each_server_holds_the_limit_and_then_they_count_together_again(
    breakable: Servers, redis_server: RedisServer, fault: str
):
    one, two = breakable.one(), breakable.one()
    first = await one.hit(caller())
    assert first.shared
    break_it(redis_server, fault)
    second = await one.hit(caller())
    assert not second.shared
    assert second.remaining == LIMIT - 2  # what it let through before counts
    async with asyncio.timeout(5):
        assert await accepted(one, 1000) == LIMIT - 2
        assert await accepted(two, 1000) == LIMIT
    assert breakable.alone() > 0
    mend(redis_server, fault)
    breakable.clock.now += REST_S
    other = caller(tenant="globex")
    for limits in (one, two):
        assert (await limits.hit(other)).shared
    assert await accepted(one, 100, other) + await accepted(two, 100, other) == LIMIT - 2


async def test_an_emptied_redis_gives_no_server_more_than_the_limit(together: Servers, redis_of_this_run: RedisServer):
    one = together.one()
    assert await accepted(one, 100) == LIMIT
    redis_of_this_run.command("FLUSHALL")
    assert await accepted(one, 100) == 0


async def streams_of(limits: RateLimits, stack: AsyncExitStack, times: int = 1) -> None:
    for _ in range(times):
        await stack.enter_async_context(limits.stream(caller()))


async def test_a_stream_beyond_the_plan_is_refused_until_one_ends(alone: Servers, together: Servers):
    for servers in (alone, together):
        one, two = servers.one(), servers.one()
        others = two if servers is together else one
        async with AsyncExitStack() as held:
            await streams_of(one, held)
            await streams_of(others, held)
            for limits in (one, others):
                with pytest.raises(RateLimited):
                    await streams_of(limits, held)
            async with one.stream(caller(tenant="globex")):
                pass
        async with AsyncExitStack() as held:
            await streams_of(others, held, 2)


async def test_of_many_streams_at_once_as_many_begin_as_the_plan_has(together: Servers):
    servers = [together.one() for _ in range(4)]
    done = asyncio.Event()
    begun: list[int] = []

    async def stream(number: int) -> None:
        async with servers[number % 4].stream(caller()):
            begun.append(number)
            await done.wait()

    streams = [asyncio.create_task(stream(number)) for number in range(100)]
    await until(lambda: sum(each.done() for each in streams) == 98)
    assert len(begun) == 2
    done.set()
    answers = await asyncio.gather(*streams, return_exceptions=True)
    assert sum(isinstance(answer, RateLimited) for answer in answers) == 98


async def test_cancelled_streams_leave_no_slot_taken(together: Servers, redis_of_this_run: RedisServer):
    limits = together.one()

    async def stream() -> None:
        async with limits.stream(caller()):
            await asyncio.Event().wait()

    for turns in range(30):
        streams = [asyncio.create_task(stream()) for _ in range(2)]
        for _ in range(turns):
            await asyncio.sleep(0)
        for each in streams:
            each.cancel()
        await asyncio.gather(*streams, return_exceptions=True)
    await until(lambda: redis_of_this_run.command("ZCARD", "ragstone:slots:acme") == b":0")
    async with AsyncExitStack() as held:
        await streams_of(limits, held, 2)


async def test_a_lease_that_is_not_renewed_ends(together: Servers, redis_of_this_run: RedisServer):
    """What a server leaves behind that dies with its streams."""
    limits = together.one(lease_s=0.3)
    soon = str(round(time.time() * 1000) + 1300)
    redis_of_this_run.command("ZADD", "ragstone:slots:acme", soon, "dead", soon, "dead too")
    with pytest.raises(RateLimited):
        async with limits.stream(caller()):
            pass
    async with AsyncExitStack() as held:
        while True:
            try:
                await streams_of(limits, held, 2)
                break
            except RateLimited:
                await held.aclose()


async def test_a_stream_that_runs_keeps_its_slot_also_when_redis_forgets_it(
    together: Servers, redis_of_this_run: RedisServer
):
    one, two = together.one(lease_s=0.3), together.one(lease_s=0.3)
    async with AsyncExitStack() as held:
        await streams_of(one, held, 2)
        redis_of_this_run.command("FLUSHALL")
        await until(lambda: redis_of_this_run.command("ZCARD", "ragstone:slots:acme") == b":2")
        before = asyncio.get_running_loop().time()
        await until(lambda: asyncio.get_running_loop().time() > before + 0.5)
        with pytest.raises(RateLimited):
            await streams_of(two, held)


@pytest.mark.parametrize("fault", ["stopped", "hung"])  # a full Redis lets a script write that has deleted
async def test_without_redis_streams_are_counted_here(breakable: Servers, redis_server: RedisServer, fault: str):
    limits = breakable.one()
    async with AsyncExitStack() as held:
        await streams_of(limits, held)
        break_it(redis_server, fault)
        await streams_of(limits, held)
        with pytest.raises(RateLimited):
            await streams_of(limits, held)
        assert breakable.alone() == 1
        mend(redis_server, fault)
