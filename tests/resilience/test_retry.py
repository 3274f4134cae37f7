"""Retries: after a random wait or the time that the server asks for, and within a budget."""

from __future__ import annotations

import asyncio
from random import Random

import pytest
import stamina
from hypothesis import given, settings
from hypothesis import strategies as st
from stamina.instrumentation import set_on_retry_hooks

from ragstone.resilience.retry import (
    BUDGET_TOKENS,
    LONGEST_PAUSE_S,
    LONGEST_RETRY_AFTER_S,
    QUIET_S,
    Retry,
    RetryBudget,
    UpstreamFault,
    retrying,
)
from tests.clocks import Clock

AGAIN = UpstreamFault("Down.", retryable=True)


@pytest.fixture(autouse=True)
def no_waits():
    set_on_retry_hooks(())  # thousands of log lines
    with stamina.set_testing(True, attempts=100, cap=True):
        yield
    set_on_retry_hooks(None)


class Server:
    """Fails with these faults, one after another, then answers."""

    def __init__(self, *faults: BaseException) -> None:
        self.faults = faults
        self.calls = 0

    async def __call__(self) -> str:
        self.calls += 1
        if self.calls <= len(self.faults):
            raise self.faults[self.calls - 1]
        return "answer"


class Down:
    """Fails always."""

    def __init__(self) -> None:
        self.calls = 0

    async def __call__(self) -> str:
        self.calls += 1
        raise UpstreamFault("Down.", retryable=True)


def full_budget() -> RetryBudget:
    budget = RetryBudget(1.0, clock=Clock())
    for _ in range(20):
        budget.called()
    return budget


async def tried(server: Server | Down, *, attempts: int = 3, jitter: float = 1.0, **options) -> list[Retry]:
    """The retries it took."""
    retries: list[Retry] = []
    options = {"budget": full_budget(), **options}
    await retrying(server, attempts=attempts, on_retry=retries.append, jitter=lambda: jitter, **options)
    return retries


async def test_a_call_is_made_again_until_it_is_answered():
    server = Server(AGAIN, AGAIN)
    assert len(await tried(server)) == 2
    assert server.calls == 3


async def test_after_the_last_attempt_its_fault_is_raised():
    last = UpstreamFault("Still down.", retryable=True)
    server = Server(AGAIN, AGAIN, last)
    with pytest.raises(UpstreamFault) as caught:
        await tried(server)
    assert caught.value is last
    assert server.calls == 3


@pytest.mark.parametrize(
    "fault",
    [
        UpstreamFault("No.", retryable=False),
        UpstreamFault("Later.", retryable=True, retry_after_s=LONGEST_RETRY_AFTER_S + 1),
        UpstreamFault("Never.", retryable=True, retry_after_s=float("nan")),
        ValueError("Ours."),
        TimeoutError(),
        OSError(),
    ],
    ids=["final", "too-late", "no-number", "other", "timeout", "system"],
)
async def test_what_would_not_help_is_not_tried(fault):
    server = Server(fault)
    with pytest.raises(type(fault)):
        await tried(server)
    assert server.calls == 1


async def test_the_bound_of_the_wait_doubles_up_to_a_limit():
    retries = await tried(Server(*[AGAIN] * 7), attempts=8)
    assert [retry.pause_s for retry in retries] == [0.2, 0.4, 0.8, 1.6, 3.2, LONGEST_PAUSE_S, LONGEST_PAUSE_S]


async def test_the_wait_is_random_down_to_nothing():
    random = Random(1)
    [drawn] = await tried(Server(AGAIN), jitter=random.random())
    [least] = await tried(Server(AGAIN), jitter=0.0)
    assert drawn.pause_s == pytest.approx(0.2 * Random(1).random())
    assert least.pause_s == 0


async def test_the_server_is_left_alone_for_as_long_as_it_asks():
    [retry] = await tried(Server(UpstreamFault("Busy.", retryable=True, retry_after_s=3)), jitter=0.5)
    assert retry.pause_s == pytest.approx(3.1)


async def test_nothing_is_tried_again_where_that_may_not_be():
    server = Server(AGAIN)
    with pytest.raises(UpstreamFault):
        await tried(server, may_retry=lambda: False)
    assert server.calls == 1


async def test_the_last_attempt_costs_no_retry():
    budget = full_budget()
    with pytest.raises(UpstreamFault):
        await tried(Down(), attempts=2, budget=budget)
    assert sum(budget.take() for _ in range(100)) == BUDGET_TOKENS - 1


async def test_who_is_cancelled_is_not_tried_again():
    server = Server(asyncio.CancelledError())
    with pytest.raises(asyncio.CancelledError):
        await tried(server)
    assert server.calls == 1


@pytest.mark.parametrize("per_second", [1, 100])
async def test_a_server_that_always_fails_gets_a_tenth_more_than_its_calls(per_second):
    clock, server = Clock(), Down()
    budget = RetryBudget(0.1, clock=clock)
    for _ in range(10_000):
        clock.now += 1 / per_second
        with pytest.raises(UpstreamFault):
            await retrying(server, attempts=3, budget=budget)
    assert 10_900 <= server.calls <= 11_000


async def test_of_calls_that_fail_half_of_the_time_few_are_lost_while_the_budget_lasts():
    random, clock = Random(7), Clock()
    budget = RetryBudget(1.0, clock=clock)
    answered = 0

    async def half() -> bool:
        if random.random() < 0.5:
            raise UpstreamFault("Down.", retryable=True)
        return True

    for _ in range(4000):
        try:
            answered += await retrying(half, attempts=2, budget=budget)
        except UpstreamFault:
            continue
    assert 0.74 <= answered / 4000 <= 0.76  # 1 - 0.5²


async def test_a_server_that_is_called_seldom_may_be_tried_again():
    clock = Clock()
    budget = RetryBudget(0.1, clock=clock)
    for _ in range(10):
        clock.now += QUIET_S
        assert await tried(Server(AGAIN), budget=budget)


async def test_without_a_budget_nothing_is_tried_again():
    server = Server(AGAIN)
    with pytest.raises(UpstreamFault):
        await tried(server, budget=RetryBudget(0.0, clock=Clock()))
    assert server.calls == 1


def test_a_long_good_time_pays_for_ten_retries_and_no_more():
    budget = RetryBudget(0.1, clock=Clock())
    for _ in range(100_000):
        budget.called()
    assert sum(budget.take() for _ in range(100)) == BUDGET_TOKENS


@given(
    st.floats(0.01, 1),
    st.lists(st.tuples(st.floats(0, 5), st.integers(0, 3)), min_size=1, max_size=300),
)
@settings(max_examples=200)
def test_retries_never_exceed_their_share_and_one_in_ten_seconds(ratio, calls):
    clock = Clock()
    budget = RetryBudget(ratio, clock=clock)
    taken = 0
    for number, (wait_s, wanted) in enumerate(calls, 1):
        clock.now += wait_s
        budget.called()
        taken += sum(budget.take() for _ in range(wanted))
        assert taken <= ratio * number + clock.now / QUIET_S + 1 + 1e-6
