"""The bulkhead: it limits concurrent calls, and no tenant takes all places."""

from __future__ import annotations

import asyncio
from contextlib import AsyncExitStack
from dataclasses import replace
from random import Random

import pytest

from ragstone.errors import Overloaded
from ragstone.resilience.bulkhead import Bulkhead, ConcurrencyOptions

PATIENT = ConcurrencyOptions(max_calls=4, max_calls_per_tenant=2, queue_s=60)
IMPATIENT = replace(PATIENT, queue_s=0.0)


def places(options: ConcurrencyOptions = PATIENT) -> Bulkhead:
    return Bulkhead("models.example", options=options)


async def full(bulkhead: Bulkhead, held: AsyncExitStack, *tenants: str) -> None:
    for tenant in tenants:
        await held.enter_async_context(bulkhead.place(tenant))


class Calls:
    """Calls that hold a place until they are told to end."""

    def __init__(self, bulkhead: Bulkhead) -> None:
        self.bulkhead = bulkhead
        self.entered: list[str] = []
        self.tasks: dict[str, asyncio.Task[None]] = {}
        self.ends: dict[str, asyncio.Event] = {}

    async def begin(self, *names: str) -> None:
        """A call for each; the first letter is the tenant."""
        for name in names:
            self.ends[name] = asyncio.Event()
            self.tasks[name] = asyncio.create_task(self._call(name))
        await settled()

    async def end(self, name: str) -> None:
        self.ends[name].set()
        await self.tasks[name]
        await settled()

    async def end_all(self) -> None:
        for event in self.ends.values():
            event.set()
        await asyncio.gather(*self.tasks.values(), return_exceptions=True)

    async def _call(self, name: str) -> None:
        async with self.bulkhead.place(name[0]):
            self.entered.append(name)
            await self.ends[name].wait()


async def settled() -> None:
    for _ in range(5):
        await asyncio.sleep(0)


async def test_a_call_beyond_the_places_is_refused_and_told_when_to_come_back():
    async with AsyncExitStack() as held:
        bulkhead = places(IMPATIENT)
        await full(bulkhead, held, "a", "a", "b", "b")
        with pytest.raises(Overloaded, match=r"to models\.example") as caught:
            await full(bulkhead, held, "c")
        assert caught.value.retry_after_s > 0
        assert bulkhead.running == 4


async def test_one_tenant_cannot_take_all_places():
    async with AsyncExitStack() as held:
        bulkhead = places(IMPATIENT)
        await full(bulkhead, held, "a", "a")
        with pytest.raises(Overloaded, match="of this tenant"):
            await full(bulkhead, held, "a")
        await full(bulkhead, held, "b")


async def test_a_place_is_free_again_when_its_block_raises():
    bulkhead = places()
    with pytest.raises(ValueError, match="ours"):
        async with bulkhead.place("a"):
            raise ValueError("ours")
    assert bulkhead.running == 0


async def test_a_call_waits_for_its_place_no_longer_than_it_may():
    async with AsyncExitStack() as held:
        bulkhead = places(replace(PATIENT, queue_s=0.001))
        await full(bulkhead, held, "a", "a")
        with pytest.raises(Overloaded):
            await full(bulkhead, held, "a")
    assert (bulkhead.running, bulkhead.tenants) == (0, 0)


async def test_who_waits_gets_the_place_that_becomes_free():
    calls = Calls(places())
    await calls.begin("a1", "a2", "a3")
    assert calls.entered == ["a1", "a2"]
    await calls.end("a1")
    assert calls.entered == ["a1", "a2", "a3"]
    await calls.end_all()


async def test_tenants_take_turns_however_many_calls_one_has_waiting():
    calls = Calls(places())
    await calls.begin("a1", "a2", "b1", "b2")
    await calls.begin("c1", "c2", "d1", "e1")
    for name in ("a1", "a2", "b1", "b2"):
        await calls.end(name)
    assert calls.entered[4:] == ["c1", "d1", "e1", "c2"]
    await calls.end_all()


async def test_a_tenant_at_its_limit_does_not_hold_up_those_behind_it():
    calls = Calls(places())
    await calls.begin("a1", "a2", "b1", "b2")
    await calls.begin("a3", "c1")
    await calls.end("b1")
    assert calls.entered[4:] == ["c1"]
    await calls.end_all()


async def test_the_queue_is_bounded():
    calls = Calls(places())
    await calls.begin("a1", "a2", "b1", "b2", "c1", "c2", "d1", "d2")
    with pytest.raises(Overloaded):
        async with calls.bulkhead.place("e"):
            pass
    await calls.end_all()


async def test_a_tenants_part_of_the_queue_is_bounded():
    calls = Calls(places())
    await calls.begin("a1", "a2", "a3", "a4")
    with pytest.raises(Overloaded):
        async with calls.bulkhead.place("a"):
            pass
    await calls.end_all()


async def test_who_is_cancelled_while_waiting_leaves_its_turn_to_the_next():
    calls = Calls(places())
    await calls.begin("a1", "a2", "a3", "a4")
    calls.tasks["a3"].cancel()
    await settled()
    await calls.end("a1")
    assert calls.entered == ["a1", "a2", "a4"]
    await calls.end_all()
    assert (calls.bulkhead.running, calls.bulkhead.tenants) == (0, 0)


@pytest.mark.parametrize("first", ["the place", "the cancelling"])
async def test_a_place_that_becomes_free_in_the_moment_of_cancelling_goes_to_the_next(first):
    bulkhead = places(replace(PATIENT, max_calls=2))
    entered: list[str] = []

    async def call(name: str) -> None:
        async with bulkhead.place(name):
            entered.append(name)

    async with AsyncExitStack() as held, bulkhead.place("a"):
        await full(bulkhead, held, "z")
        cancelled, other = asyncio.create_task(call("b")), asyncio.create_task(call("c"))
        await settled()
        if first == "the cancelling":
            cancelled.cancel()
        held_still = held.pop_all()
    cancelled.cancel()  # the place is its own by now, but it has not run since
    await asyncio.gather(cancelled, other, return_exceptions=True)
    assert entered == ["c"]
    await held_still.aclose()
    assert (bulkhead.running, bulkhead.tenants) == (0, 0)


async def test_however_calls_come_and_go_the_limits_hold_and_nothing_is_left_behind():
    random = Random(11)
    bulkhead = places(ConcurrencyOptions(max_calls=5, max_calls_per_tenant=2, queue_s=60))
    running: dict[str, int] = dict.fromkeys("abcd", 0)

    async def call(tenant: str, steps: int) -> None:
        async with bulkhead.place(tenant):
            running[tenant] += 1
            try:
                assert running[tenant] <= 2
                assert sum(running.values()) <= bulkhead.running <= 5
                for _ in range(steps):
                    await asyncio.sleep(0)
            finally:
                running[tenant] -= 1

    tasks = []
    for _ in range(2000):
        tasks.append(asyncio.create_task(call(random.choice("abcd"), random.randrange(4))))
        if random.random() < 0.3:
            random.choice(tasks).cancel()
        if random.random() < 0.5:
            await asyncio.sleep(0)
    outcomes = await asyncio.gather(*tasks, return_exceptions=True)
    assert not [outcome for outcome in outcomes if isinstance(outcome, AssertionError)]
    assert outcomes.count(None) > 500
    assert (bulkhead.running, bulkhead.tenants) == (0, 0)
