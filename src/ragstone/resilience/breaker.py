"""The circuit breaker: a server that fails is left alone for some seconds, then asked once.

While it is down, each call to it costs its caller a time-out and the server a request that
keeps it down. Open, the breaker refuses at once. After `open_s` it lets through one call, the
probe; all others are refused until that one has come back.

A good probe closes the circuit at once, with an empty window. Letting traffic in by degrees
would help a server that is weak, but would refuse calls that it could answer; and one that is
still broken is left alone again after ten calls, while the places bound how many run at once.
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from enum import IntEnum

from ragstone.errors import CircuitOpen

BUCKETS = 10  # the window moves in tenths
LONGEST_OPEN_S = 10.0  # the wait grows no longer than this, so that a server that is back is found out soon
OPEN_GROWTH = 2.0  # after each probe that failed


class State(IntEnum):
    """What the metric `ragstone_circuit_state` shows."""

    CLOSED = 0
    HALF_OPEN = 1
    OPEN = 2


@dataclass(frozen=True, slots=True, kw_only=True)
class BreakerOptions:
    """When a circuit opens, and for how long. Any one of three signs opens it.

    Attributes:
        failure_rate: Sign 1: this share of the window's calls failed.
        window_s: How far back it is looked.
        min_calls: Calls in the window without which a share says nothing.
        failures_in_row: Sign 2: so many failed with none good between.
        failing_s: Sign 3: for so long none was good, for servers that are called seldom.
        failing_calls: Failures without which sign 3 says nothing.
        open_s: Wait before a probe; twice as long after each that fails, up to `LONGEST_OPEN_S`.
        probe_s: A probe that did not come back within this is given up, and another one let through.
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
    """One circuit. Each admitted call ends in one of `succeeded`, `failed` and `let_go`.

    It is no lock and needs none: it is used by the tasks of one event loop. Every call
    costs the same, whatever came before.
    """

    def __init__(
        self,
        name: str,
        *,
        options: BreakerOptions,
        clock: Callable[[], float] = time.monotonic,
        on_change: Callable[[str, State], None] | None = None,
    ) -> None:
        """`name` is for the reader of errors; `on_change` hears of it and of each new state."""
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
        """The state after the last call; an open circuit becomes half open when a call is admitted."""
        return self._state

    @property
    def recent(self) -> tuple[int, int]:
        """Calls that ended within the window, and how many of them failed."""
        return self._window.counts(self._clock())

    @property
    def opened_s_ago(self) -> float | None:
        """Seconds since it opened; None while it is closed."""
        return None if self._state is State.CLOSED else self._clock() - self._opened_at

    def check(self) -> None:
        """Raise what `admit` would raise now, and reserve nothing.

        Raises:
            CircuitOpen: see `admit`.
        """
        if self._state is State.CLOSED:
            return
        wait_s = self._wait_s(self._clock())
        if wait_s > 0:
            raise CircuitOpen(
                f"{self.name} failed too often a moment ago and is left alone for now. Try again in a few seconds.",
                retry_after_s=min(wait_s, self._open_s),
            )

    def admit(self) -> int:
        """Let one call through; half open, only the probe.

        Returns:
            The call's number. Given back with its outcome, it keeps a call that began
            before the circuit opened from being taken for the probe.

        Raises:
            CircuitOpen: left alone for now; `retry_after_s` says for how long.
        """
        self.check()
        self._calls += 1
        if self._state is not State.CLOSED:
            self._probe, self._probe_began = self._calls, self._clock()
            if self._state is State.OPEN:
                self._turn(State.HALF_OPEN)
        return self._calls

    def succeeded(self, call: int | None = None) -> None:
        """The call was answered. A good probe closes the circuit."""
        if self._stale(call):
            return
        if self._state is State.CLOSED:
            self._row = 0
            self._window.add(self._clock(), calls=1)
        elif self._state is State.HALF_OPEN:
            self._close()

    def failed(self, call: int | None = None) -> None:
        """The call failed. A failed probe opens the circuit again."""
        if self._stale(call):
            return
        if self._state is State.CLOSED:
            self._note_failure(calls=1)
        elif self._state is State.HALF_OPEN:
            self._open_s = min(self._open_s * OPEN_GROWTH, self._options.longest_open_s)
            self._open()

    def let_go(self, call: int | None = None) -> None:
        """Count nothing: the caller left before the call ended. Another call may be the probe."""
        if call is None or call == self._probe:
            self._probe = None

    def broke(self) -> None:
        """An answer that counted as good broke off: it counts as failed after all."""
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
        self._turn(State.OPEN)

    def _close(self) -> None:
        self._window = _Window(self._options.window_s)
        self._row = 0
        self._open_s = self._options.open_s
        self._turn(State.CLOSED)

    def _turn(self, state: State) -> None:
        """Take on a state; what was admitted in another one says nothing about it."""
        self._state = state
        if state is State.HALF_OPEN:
            self._valid_from = self._calls
        else:
            self._valid_from, self._probe = self._calls + 1, None
        if self._on_change:
            self._on_change(self.name, state)


class _Window:
    """Calls and failures of the last seconds, in buckets: what it holds does not grow with the traffic."""

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
        """Calls and failures. A call may have left the window before its answer broke off, so calls are no fewer."""
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
