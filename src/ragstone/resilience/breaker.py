"""Circuit breaker: stops the calls to a failing server for some seconds, then sends a probe.

Each call to a server that is down costs the caller a timeout, and may keep the server down.
An open breaker refuses calls at once. After `open_s` it is half open and admits one call, the
probe; it refuses all others until the probe has ended.

A successful probe closes the circuit at once, with an empty window. Admitting traffic in
steps would help a weak server, but refuse calls that it could answer. If the server still
fails, the circuit opens again after ten calls, and the bulkhead limits the concurrent calls.
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from enum import IntEnum

from ragstone.errors import CircuitOpen

BUCKETS = 10  # the window moves in steps of a tenth
LONGEST_OPEN_S = 10.0  # limit of the growing wait, so that a recovered server is detected soon
OPEN_GROWTH = 2.0  # factor of the wait after each failed probe


class State(IntEnum):
    """State of a circuit, as the metric `ragstone_circuit_state` reports it."""

    CLOSED = 0
    HALF_OPEN = 1
    OPEN = 2


@dataclass(frozen=True, slots=True, kw_only=True)
class BreakerOptions:
    """Options of a circuit breaker. Any one of three conditions opens the circuit.

    Attributes:
        failure_rate: Condition 1: share of failed calls in the window.
        window_s: Length of the window.
        min_calls: Minimum number of calls in the window for condition 1.
        failures_in_row: Condition 2: number of consecutive failures.
        failing_s: Condition 3: time without a success; for servers that are called rarely.
        failing_calls: Minimum number of failures for condition 3.
        open_s: Wait before a probe; doubles after each failed probe, up to `LONGEST_OPEN_S`.
        probe_s: Time after which an unfinished probe is given up and another one admitted.
    """

    failure_rate: float = 0.5
    window_s: float = 10.0
    min_calls: int = 20
    failures_in_row: int = 10
    failing_s: float = 2.0
    failing_calls: int = 3
    open_s: float = 5.0
    probe_s: float = 30.0

    @property
    def longest_open_s(self) -> float:
        """The longest wait before a probe."""
        return max(self.open_s, LONGEST_OPEN_S)


class Breaker:
    """Circuit breaker of one server. Each admitted call ends with `succeeded`, `failed` or `let_go`.

    It needs no lock, because only the tasks of one event loop use it. The cost of a call is
    constant.
    """

    def __init__(
        self,
        name: str,
        *,
        options: BreakerOptions,
        clock: Callable[[], float] = time.monotonic,
        on_change: Callable[[str, State], None] | None = None,
    ) -> None:
        """`name` is used in errors; `on_change` is called with it and each new state."""
        self.name = name
        self._options = options
        self._clock = clock
        self._on_change = on_change
        self._state = State.CLOSED
        self._window = _Window(options.window_s)
        self._row = 0
        self._row_began = 0.0
        self._open_s = options.open_s
        self._opened_at = 0.0
        self._calls = 0
        self._valid_from = 0
        self._probe: int | None = None
        self._probe_began = 0.0

    @property
    def state(self) -> State:
        """State after the last call; an open circuit becomes half open when it admits a call."""
        return self._state

    @property
    def recent(self) -> tuple[int, int]:
        """Number of calls that ended within the window, and number of failed ones."""
        return self._window.counts(self._clock())

    @property
    def opened_s_ago(self) -> float | None:
        """Seconds since the circuit opened; None if it is closed."""
        return None if self._state is State.CLOSED else self._clock() - self._opened_at

    def check(self) -> None:
        """Raise the error that `admit` would raise now; admits nothing.

        Raises:
            CircuitOpen: see `admit`.
        """
        if self._state is State.CLOSED:
            return
        wait_s = self._wait_s(self._clock())
        if wait_s > 0:
            raise CircuitOpen(
                f"{self.name} failed too often, so calls to it are paused. Try again in a few seconds.",
                retry_after_s=min(wait_s, self._open_s),
            )

    def admit(self) -> int:
        """Admit one call; a half-open circuit admits only the probe.

        Returns:
            The call's number, to be passed with its outcome. It distinguishes the probe from
            calls that began before the circuit opened.

        Raises:
            CircuitOpen: the circuit is open; `retry_after_s` is the time until the next probe.
        """
        self.check()
        self._calls += 1
        if self._state is not State.CLOSED:
            self._probe, self._probe_began = self._calls, self._clock()
            if self._state is State.OPEN:
                self._change_state(State.HALF_OPEN)
        return self._calls

    def succeeded(self, call: int | None = None) -> None:
        """Record a successful call. A successful probe closes the circuit."""
        if self._stale(call):
            return
        if self._state is State.CLOSED:
            self._row = 0
            self._window.add(self._clock(), calls=1)
        elif self._state is State.HALF_OPEN:
            self._close()

    def failed(self, call: int | None = None) -> None:
        """Record a failed call. A failed probe opens the circuit again."""
        if self._stale(call):
            return
        if self._state is State.CLOSED:
            self._note_failure(calls=1)
        elif self._state is State.HALF_OPEN:
            self._open_s = min(self._open_s * OPEN_GROWTH, self._options.longest_open_s)
            self._open()

    def let_go(self, call: int | None = None) -> None:
        """Record an abandoned call, which counts as nothing. If it was the probe, the next call is the probe."""
        if call is None or call == self._probe:
            self._probe = None

    def broke(self) -> None:
        """Record that the answer of a successful call broke off: the call now counts as failed."""
        if self._state is State.CLOSED:
            self._note_failure(calls=0)

    def _stale(self, call: int | None) -> bool:
        return call is not None and call < self._valid_from

    def _wait_s(self, now: float) -> float:
        if self._state is State.OPEN:
            return self._opened_at + self._open_s - now
        if self._probe is None:
            return 0.0
        return self._probe_began + self._options.probe_s - now

    def _note_failure(self, *, calls: int) -> None:
        now = self._clock()
        self._window.add(now, calls=calls, failures=1)
        if not self._row:
            self._row_began = now
        self._row += 1
        if self._failing(now):
            self._open()

    def _failing(self, now: float) -> bool:
        options = self._options
        calls, failures = self._window.counts(now)
        return (
            self._row >= options.failures_in_row
            or (calls >= options.min_calls and failures >= options.failure_rate * calls)
            or (self._row >= options.failing_calls and now - self._row_began >= options.failing_s)
        )

    def _open(self) -> None:
        self._opened_at = self._clock()
        self._change_state(State.OPEN)

    def _close(self) -> None:
        self._window = _Window(self._options.window_s)
        self._row = 0
        self._open_s = self._options.open_s
        self._change_state(State.CLOSED)

    def _change_state(self, state: State) -> None:
        """Change the state; outcomes of calls admitted in the previous state no longer count."""
        self._state = state
        if state is State.HALF_OPEN:
            self._valid_from = self._calls
        else:
            self._valid_from, self._probe = self._calls + 1, None
        if self._on_change:
            self._on_change(self.name, state)


class _Window:
    """Counts of calls and failures of the last seconds in buckets; its memory does not grow with the traffic."""

    def __init__(self, window_s: float) -> None:
        self._bucket_s = window_s / BUCKETS
        self._buckets: deque[list[int]] = deque([[0, 0] for _ in range(BUCKETS)])
        self._latest = 0
        self._calls = 0
        self._failures = 0

    def add(self, now: float, *, calls: int = 0, failures: int = 0) -> None:
        self._move(now)
        self._buckets[-1][0] += calls
        self._buckets[-1][1] += failures
        self._calls += calls
        self._failures += failures

    def counts(self, now: float) -> tuple[int, int]:
        """Calls and failures; calls are at least the failures, because an answer may break off after its call left."""
        self._move(now)
        return max(self._calls, self._failures), self._failures

    def _move(self, now: float) -> None:
        bucket = int(now / self._bucket_s)
        for _ in range(min(bucket - self._latest, BUCKETS)):
            oldest = self._buckets.popleft()
            self._calls -= oldest[0]
            self._failures -= oldest[1]
            self._buckets.append([0, 0])
        self._latest = max(self._latest, bucket)
