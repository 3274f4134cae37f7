"""The circuit breaker: it opens soon, admits one probe, and closes after a successful one."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ragstone.errors import CircuitOpen
from ragstone.resilience.breaker import LONGEST_OPEN_S, Breaker, BreakerOptions, State
from tests.clocks import Clock

OPTIONS = BreakerOptions()


class Watched:
    """A breaker, its clock, and the states it went through."""

    def __init__(self, options: BreakerOptions = OPTIONS) -> None:
        self.clock = Clock(1000.0)
        self.states: list[State] = []
        self.breaker = Breaker(
            "models.example", options=options, clock=self.clock, on_change=lambda _, state: self.states.append(state)
        )

    def call(self, *, good: bool) -> None:
        number = self.breaker.admit()
        if good:
            self.breaker.succeeded(number)
        else:
            self.breaker.failed(number)

    def fail_until_open(self) -> int:
        for failures in range(1, 100):
            self.call(good=False)
            if self.breaker.state is State.OPEN:
                return failures
        raise AssertionError("it never opened")

    def fail_a_probe(self) -> float:
        """The wait after one more probe that failed."""
        self.clock.now += LONGEST_OPEN_S * 10
        self.call(good=False)
        with pytest.raises(CircuitOpen) as caught:
            self.breaker.check()
        return caught.value.retry_after_s


@pytest.fixture
def watched():
    return Watched()


@pytest.fixture
def opened(watched):
    """A breaker that is due to let a probe through."""
    watched.fail_until_open()
    watched.clock.now += OPTIONS.open_s
    return watched


def test_ten_failures_in_a_row_open_it(watched):
    assert watched.fail_until_open() == OPTIONS.failures_in_row == 10


def test_after_a_long_good_time_it_opens_as_soon(watched):
    for _ in range(10_000):
        watched.call(good=True)
    assert watched.fail_until_open() == 10


def test_a_server_that_is_called_seldom_is_left_alone_after_two_seconds_of_failures(watched):
    began = watched.clock.now
    watched.call(good=False)
    while watched.breaker.state is State.CLOSED:
        watched.clock.now += 0.5
        watched.call(good=False)
    assert watched.clock.now - began == OPTIONS.failing_s == 2.0


def test_two_failures_are_no_sign_however_far_apart(watched):
    watched.call(good=False)
    watched.clock.now += 3600
    watched.call(good=False)
    assert watched.breaker.state is State.CLOSED


def test_half_of_the_calls_failing_opens_it_though_no_row_is_long(watched):
    for number in range(OPTIONS.min_calls):
        assert watched.breaker.state is State.CLOSED
        watched.call(good=number % 2 == 0)
    assert watched.breaker.state is State.OPEN


def test_less_than_the_share_never_opens_it(watched):
    for number in range(10_000):
        watched.clock.now += 0.01
        watched.call(good=number % 5 > 1)
    assert watched.breaker.state is State.CLOSED


def test_failures_are_forgotten_when_the_window_has_passed(watched):
    for _ in range(9):
        watched.call(good=False)
    watched.call(good=True)
    assert watched.breaker.recent == (10, 9)
    watched.clock.now += OPTIONS.window_s
    assert watched.breaker.recent == (0, 0)


def test_open_it_refuses_and_says_for_how_long(watched):
    watched.fail_until_open()
    watched.clock.now += 1.5
    with pytest.raises(CircuitOpen, match=r"models\.example") as caught:
        watched.breaker.admit()
    assert caught.value.retry_after_s == OPTIONS.open_s - 1.5
    assert watched.breaker.opened_s_ago == 1.5


async def test_of_fifty_concurrent_calls_exactly_one_is_the_probe(opened):
    passed = 0
    begun = asyncio.Event()

    async def call():
        nonlocal passed
        await begun.wait()
        number = opened.breaker.admit()
        passed += 1
        await asyncio.sleep(0)
        opened.breaker.succeeded(number)

    calls = [asyncio.create_task(call()) for _ in range(50)]
    begun.set()
    outcomes = await asyncio.gather(*calls, return_exceptions=True)
    assert passed == 1
    assert sum(isinstance(outcome, CircuitOpen) for outcome in outcomes) == 49


def test_the_first_good_probe_brings_back_all_traffic_at_once(opened):
    opened.call(good=True)
    for _ in range(1000):
        opened.call(good=True)
    assert opened.states == [State.OPEN, State.HALF_OPEN, State.CLOSED]
    assert opened.breaker.opened_s_ago is None


def test_what_was_before_does_not_open_it_again(opened):
    opened.call(good=True)
    assert opened.breaker.recent == (0, 0)
    for _ in range(9):
        opened.call(good=False)
    assert opened.breaker.state is State.CLOSED


def test_each_failed_probe_doubles_the_wait_up_to_ten_seconds(watched):
    watched.fail_until_open()
    assert [watched.fail_a_probe() for _ in range(4)] == [10.0, 10.0, 10.0, 10.0]
    short = Watched(replace(OPTIONS, open_s=1.0))
    short.fail_until_open()
    assert [short.fail_a_probe() for _ in range(5)] == [2.0, 4.0, 8.0, 10.0, 10.0]


def test_a_good_probe_makes_the_wait_short_again(opened):
    opened.fail_a_probe()
    opened.clock.now += LONGEST_OPEN_S
    opened.call(good=True)
    opened.fail_until_open()
    with pytest.raises(CircuitOpen) as caught:
        opened.breaker.check()
    assert caught.value.retry_after_s == OPTIONS.open_s


def test_a_probe_whose_caller_left_makes_room_for_another(opened):
    opened.breaker.let_go(opened.breaker.admit())
    opened.breaker.admit()
    with pytest.raises(CircuitOpen):
        opened.breaker.admit()


def test_a_probe_that_never_comes_back_is_given_up(opened):
    opened.breaker.admit()
    opened.clock.now += OPTIONS.probe_s
    opened.breaker.admit()
    with pytest.raises(CircuitOpen):
        opened.breaker.admit()


def test_a_probe_that_was_given_up_and_is_good_after_all_closes_the_circuit(opened):
    slow = opened.breaker.admit()
    opened.clock.now += OPTIONS.probe_s
    opened.breaker.admit()
    opened.breaker.succeeded(slow)
    assert opened.breaker.state is State.CLOSED


def test_one_that_was_given_up_and_leaves_does_not_free_the_place_of_the_next(opened):
    slow = opened.breaker.admit()
    opened.clock.now += OPTIONS.probe_s
    opened.breaker.admit()
    opened.breaker.let_go(slow)
    with pytest.raises(CircuitOpen):
        opened.breaker.admit()


@pytest.mark.parametrize("good", [True, False])
def test_a_call_from_before_it_opened_is_not_taken_for_the_probe(watched, good):
    early = watched.breaker.admit()
    watched.fail_until_open()
    watched.clock.now += OPTIONS.open_s
    watched.breaker.admit()
    (watched.breaker.succeeded if good else watched.breaker.failed)(early)
    assert watched.breaker.state is State.HALF_OPEN


def test_a_call_from_before_it_opened_does_not_count_when_it_is_closed_again(watched):
    early = [watched.breaker.admit() for _ in range(50)]
    watched.fail_until_open()
    watched.clock.now += OPTIONS.open_s
    watched.call(good=True)
    for number in early:
        watched.breaker.failed(number)
    assert watched.breaker.state is State.CLOSED


def test_asking_without_calling_reserves_nothing(opened):
    for _ in range(3):
        opened.breaker.check()
    assert opened.breaker.state is State.OPEN
    opened.call(good=True)


def test_answers_that_all_break_off_open_it(watched):
    for _ in range(OPTIONS.min_calls):
        assert watched.breaker.state is State.CLOSED
        watched.call(good=True)
        watched.breaker.broke()
    assert watched.breaker.state is State.OPEN


def test_an_answer_may_break_off_when_its_call_has_left_the_window(watched):
    watched.call(good=True)
    watched.clock.now += OPTIONS.window_s
    watched.breaker.broke()
    assert watched.breaker.recent == (1, 1)


def test_one_that_broke_off_is_not_taken_for_the_probe(opened):
    opened.breaker.admit()
    opened.breaker.broke()
    assert opened.breaker.state is State.HALF_OPEN


STEPS = st.lists(
    st.one_of(
        st.sampled_from(["admit", "broke"]),
        st.tuples(st.sampled_from(["succeeded", "failed", "let_go"]), st.integers(0, 30)),
        st.tuples(st.just("wait"), st.floats(0, 12)),
    ),
    max_size=80,
)


@given(STEPS)
@settings(max_examples=200)
def test_whatever_happens_no_second_call_passes_beside_a_probe(steps):
    watched = Watched(BreakerOptions(failures_in_row=2, failing_calls=2, open_s=4.0))
    out: list[int] = []
    probe: tuple[int, float] | None = None
    for step in steps:
        match step:
            case "admit":
                with suppress(CircuitOpen):
                    number = watched.breaker.admit()
                    out.append(number)
                    if watched.breaker.state is State.HALF_OPEN:
                        assert probe is None or watched.clock.now - probe[1] >= OPTIONS.probe_s
                        probe = number, watched.clock.now
            case "broke":
                watched.breaker.broke()
            case ("wait", float(seconds)):
                watched.clock.now += seconds
            case (str(outcome), int(place)) if out:
                number = out.pop(place % len(out))
                getattr(watched.breaker, outcome)(number)
                if probe and probe[0] == number:
                    probe = None
        if watched.breaker.state is not State.HALF_OPEN:
            probe = None


@given(STEPS)
@settings(max_examples=100)
def test_whatever_happens_one_good_probe_within_ten_seconds_closes_it(steps):
    watched = Watched()
    for step in steps:
        match step:
            case "admit":
                with suppress(CircuitOpen):
                    watched.breaker.failed(watched.breaker.admit())
            case ("wait", float(seconds)):
                watched.clock.now += seconds
    watched.clock.now += LONGEST_OPEN_S
    watched.call(good=True)
    assert watched.breaker.state is State.CLOSED


@given(st.lists(st.tuples(st.floats(0, 3), st.booleans()), max_size=200))
@settings(max_examples=100)
def test_the_window_counts_what_a_list_would_count(calls):
    watched = Watched(BreakerOptions(failure_rate=1.0, min_calls=10**9, failures_in_row=10**9, failing_s=1e9))
    kept: list[tuple[float, bool]] = []
    for wait_s, good in calls:
        watched.clock.now += wait_s
        watched.call(good=good)
        kept.append((watched.clock.now, good))
    within = [good for at, good in kept if int(at) > int(watched.clock.now) - OPTIONS.window_s]
    assert watched.breaker.recent == (len(within), within.count(False))
