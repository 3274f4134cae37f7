"""Upstream policies: calls are admitted, retried, stopped for a failing server, and counted."""

from __future__ import annotations

import asyncio
from contextlib import AsyncExitStack, suppress

import pytest
import stamina
from stamina.instrumentation import set_on_retry_hooks
from structlog.testing import capture_logs

from ragstone.errors import CircuitOpen, ModelUnavailable, Overloaded
from ragstone.resilience.breaker import BreakerOptions, State
from ragstone.resilience.bulkhead import ConcurrencyOptions
from ragstone.resilience.retry import UpstreamFault
from ragstone.resilience.upstream_policy import UpstreamOptions, UpstreamPolicies
from ragstone.telemetry.metrics import Metrics
from tests.clocks import Clock

HOST = "models.example"
OPTIONS = UpstreamOptions(retry_budget=1.0, places=ConcurrencyOptions(max_calls=2, max_calls_per_tenant=1, queue_s=0.0))


@pytest.fixture(autouse=True)
def no_waits():
    set_on_retry_hooks(())
    with stamina.set_testing(True, attempts=100, cap=True):
        yield
    set_on_retry_hooks(None)


class Guarded:
    """A guard, its clock and what it counted."""

    def __init__(self, options: UpstreamOptions = OPTIONS, *, most: int = 100) -> None:
        self.clock = Clock(1000.0)
        self.metrics = Metrics()
        self.guards = UpstreamPolicies(options, metrics=self.metrics, clock=self.clock, most=most)
        self.guard = self.guards.guard(HOST)

    def counted(self, metric: str, **labels: str) -> float:
        return self.metrics.registry.get_sample_value(f"ragstone_{metric}", {"upstream": HOST, **labels}) or 0.0

    def outcomes(self) -> dict[str, float]:
        names = ("ok", "refused", "failed", "left", "open", "shed", "broke")
        counts = {name: self.counted("upstream_calls_total", outcome=name) for name in names}
        return {name: count for name, count in counts.items() if count}

    async def fail_until_open(self) -> None:
        while self.guard.breaker.state is State.CLOSED:
            with suppress(UpstreamFault):
                await self.guard.call(raising(fault()))


@pytest.fixture
def guarded():
    return Guarded()


def fault(**more) -> UpstreamFault:
    return UpstreamFault("Down.", **{"retryable": False, **more})


def raising(*errors: BaseException):
    """Raises these, one a call, then answers."""
    left = list(errors)

    async def operation() -> str:
        if left:
            raise left.pop(0)
        return "answer"

    return operation


async def hang() -> str:
    await asyncio.Event().wait()
    return "never"


async def test_an_answer_passes_and_is_counted(guarded):
    assert await guarded.guard.call(raising()) == "answer"
    assert guarded.outcomes() == {"ok": 1}
    assert guarded.counted("upstream_seconds_count") == 1


async def test_a_fault_that_may_be_tried_again_is(guarded):
    assert await guarded.guard.call(raising(fault(retryable=True))) == "answer"
    assert guarded.outcomes() == {"failed": 1, "ok": 1}
    assert guarded.counted("upstream_retries_total") == 1


async def test_a_fault_keeps_what_it_carries(guarded):
    class Carrying(UpstreamFault):
        body = b"{}"

    error = Carrying("Down.", retryable=True)
    with pytest.raises(Carrying) as caught:
        await guarded.guard.call(raising(error, error, error))
    assert caught.value is error


@pytest.mark.parametrize(
    "error",
    [fault(), TimeoutError(), ConnectionResetError(), ModelUnavailable("Down.")],
    ids=lambda e: type(e).__name__,
)
async def test_ten_failures_leave_the_server_alone(guarded, error):
    for _ in range(10):
        with pytest.raises(type(error)):
            await guarded.guard.call(raising(error))
    asked = raising()
    with pytest.raises(CircuitOpen):
        await guarded.guard.call(asked)
    assert guarded.outcomes() == {"failed": 10, "open": 1}


@pytest.mark.parametrize(
    ("error", "outcome"), [(fault(refused=True), "refused"), (ValueError("ours"), "left")], ids=["refusal", "bug"]
)
async def test_what_says_nothing_bad_of_the_server_does_not_open_the_circuit(guarded, error, outcome):
    for _ in range(50):
        with pytest.raises(type(error)):
            await guarded.guard.call(raising(error))
    assert guarded.guard.breaker.state is State.CLOSED
    assert guarded.outcomes() == {outcome: 50}


async def test_a_server_that_refuses_the_probe_is_back(guarded):
    await guarded.fail_until_open()
    guarded.clock.now += 10
    with pytest.raises(UpstreamFault):
        await guarded.guard.call(raising(fault(refused=True)))
    assert guarded.guard.breaker.state is State.CLOSED


async def test_the_attempt_that_opens_the_circuit_is_the_last(guarded):
    for _ in range(9):
        with suppress(UpstreamFault):
            await guarded.guard.call(raising(fault()))
    error = fault(retryable=True)
    with pytest.raises(UpstreamFault) as caught:
        await guarded.guard.call(raising(error, fault()))
    assert caught.value is error


async def test_an_attempt_is_bounded_in_time_and_not_made_again(guarded):
    with pytest.raises(TimeoutError):
        await guarded.guard.call(hang, timeout_s=0.001)
    assert guarded.outcomes() == {"failed": 1}


async def test_of_fifty_calls_at_once_to_a_server_left_alone_one_goes_through(guarded):
    await guarded.fail_until_open()
    guarded.clock.now += 10
    reached = 0

    async def operation() -> None:
        nonlocal reached
        reached += 1
        await asyncio.sleep(0)

    outcomes = await asyncio.gather(*(guarded.guard.call(operation) for _ in range(50)), return_exceptions=True)
    assert reached == 1
    assert sum(isinstance(outcome, CircuitOpen) for outcome in outcomes) == 49


async def cancelled(guarded: Guarded, *, after_s: float, **options) -> None:
    call = asyncio.create_task(guarded.guard.call(hang, **options))
    await asyncio.sleep(0)
    guarded.clock.now += after_s
    call.cancel()
    with pytest.raises(asyncio.CancelledError):
        await call


async def test_a_caller_who_leaves_says_nothing_of_the_server(guarded):
    for _ in range(50):
        await cancelled(guarded, after_s=60)
    assert guarded.guard.breaker.state is State.CLOSED
    assert guarded.outcomes() == {"left": 50}


async def test_callers_who_leave_after_their_patience_find_out_a_server_that_hangs(guarded):
    await cancelled(guarded, after_s=9, patience_s=10)
    for _ in range(3):
        await cancelled(guarded, after_s=10, patience_s=10)
    assert guarded.guard.breaker.state is State.OPEN
    assert guarded.outcomes() == {"left": 1, "failed": 3}


async def test_a_probe_whose_caller_left_is_followed_by_another(guarded):
    await guarded.fail_until_open()
    guarded.clock.now += 10
    await cancelled(guarded, after_s=0)
    assert await guarded.guard.call(raising()) == "answer"


async def test_answers_that_break_off_count_as_failures(guarded):
    for _ in range(20):
        await guarded.guard.call(raising())
        guarded.guard.broke()
    assert guarded.guard.breaker.state is State.OPEN
    assert guarded.outcomes() == {"ok": 20, "broke": 20}


async def test_places_are_bounded_and_what_is_refused_is_counted(guarded):
    async with AsyncExitStack() as held:
        await held.enter_async_context(guarded.guard.place("a"))
        with pytest.raises(Overloaded):
            await held.enter_async_context(guarded.guard.place("a"))
        await held.enter_async_context(guarded.guard.place("b"))
        assert guarded.counted("upstream_running") == 2
    assert guarded.counted("upstream_running") == 0
    assert guarded.counted("shed_total") == 1
    assert guarded.outcomes() == {"shed": 1}


async def test_a_body_that_is_overloaded_itself_is_not_counted_as_shed(guarded):
    with pytest.raises(Overloaded):
        async with guarded.guard.place("a"):
            raise Overloaded("Elsewhere.")
    assert guarded.counted("shed_total") == 0


async def test_no_call_waits_for_a_place_at_a_server_that_is_left_alone(guarded):
    async with guarded.guard.place("a"):
        await guarded.fail_until_open()
        with pytest.raises(CircuitOpen):
            async with guarded.guard.place("a"):
                pass


async def test_a_change_of_the_circuit_is_logged_and_shown(guarded):
    with capture_logs() as logs:
        await guarded.fail_until_open()
        assert guarded.counted("circuit_state") == State.OPEN
        guarded.clock.now += 10
        await guarded.guard.call(raising())
    assert guarded.counted("circuit_state") == State.CLOSED
    changes = [entry for entry in logs if entry["event"] == "upstream.circuit"]
    assert [(entry["state"], entry["log_level"]) for entry in changes] == [
        ("open", "warning"),
        ("half_open", "info"),
        ("closed", "info"),
    ]
    assert {entry["upstream"] for entry in changes} == {HOST}


async def test_the_states_of_all_servers_are_listed_by_name(guarded):
    guarded.guards.guard("a.example")
    await guarded.fail_until_open()
    guarded.clock.now += 2
    async with guarded.guards.guard("a.example").place("t"):
        first, second = guarded.guards.states()
    assert (first.name, first.state, first.running, first.opened_s_ago) == ("a.example", State.CLOSED, 1, None)
    assert (second.name, second.state, second.recent_calls, second.recent_failures) == (HOST, State.OPEN, 10, 10)
    assert second.opened_s_ago == 2


async def test_servers_do_not_share_a_circuit(guarded):
    await guarded.fail_until_open()
    assert await guarded.guards.guard("other.example").call(raising()) == "answer"
    assert guarded.guards.guard(HOST) is guarded.guard


async def test_the_least_used_idle_server_is_forgotten_with_its_labels():
    guarded = Guarded(most=3)
    await guarded.fail_until_open()
    busy = guarded.guards.guard("busy")
    async with busy.place("t"):
        await guarded.guards.guard("idle").call(raising())
        for number in range(100):
            await guarded.guards.guard(f"host{number}").call(raising())
        assert {state.name for state in guarded.guards.states()} == {HOST, "busy", "host99"}
        assert guarded.guards.guard("busy") is busy
    rendered = guarded.metrics.render().decode()
    assert 'upstream="idle"' not in rendered
    assert 'upstream="host98"' not in rendered
    assert 'upstream="host99"' in rendered


async def test_where_no_server_is_idle_the_names_are_bounded_all_the_same():
    guarded = Guarded(most=2)
    async with AsyncExitStack() as held:
        for number in range(10):
            await held.enter_async_context(guarded.guards.guard(f"host{number}").place("t"))
        assert len(guarded.guards.states()) == 2


async def test_a_server_that_is_down_gets_a_tenth_more_than_its_calls_were_its_circuit_never_open():
    never = BreakerOptions(failures_in_row=10**9, min_calls=10**9, failing_s=1e9)
    guarded = Guarded(UpstreamOptions(breaker=never))
    for _ in range(10_000):
        guarded.clock.now += 0.01
        with pytest.raises(UpstreamFault):
            await guarded.guard.call(raising(*[fault(retryable=True) for _ in range(3)]))
    assert 10_900 <= guarded.outcomes()["failed"] <= 11_000


async def test_with_its_circuit_a_server_that_is_down_gets_next_to_nothing():
    guarded = Guarded(UpstreamOptions())
    for _ in range(10_000):
        guarded.clock.now += 0.01  # for 100 s
        with suppress(UpstreamFault, CircuitOpen):
            await guarded.guard.call(raising(*[fault(retryable=True) for _ in range(3)]))
    assert guarded.outcomes()["failed"] <= 10 + 100 / 5
