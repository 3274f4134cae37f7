"""Upstream policies: circuit breaker, retries and concurrency limit of each server that is called.

A call holds a place until its answer ends (`UpstreamPolicy.place`). In this place
`UpstreamPolicy.call` opens the answer: it checks the circuit, limits the time, retries if that is
safe, and counts the outcome. An answer that has begun is never retried; if it breaks off, the
caller reports that (`UpstreamPolicy.broke`).
"""

from __future__ import annotations

import asyncio
import random
import time
from collections import OrderedDict
from collections.abc import AsyncGenerator, Awaitable, Callable, Iterator
from contextlib import AsyncExitStack, asynccontextmanager, contextmanager
from dataclasses import dataclass, field
from functools import partial
from math import inf
from typing import TypeVar

import structlog

from ragstone.errors import CircuitOpen, Overloaded, Unavailable
from ragstone.resilience.breaker import Breaker, BreakerOptions, State
from ragstone.resilience.bulkhead import Bulkhead, ConcurrencyOptions
from ragstone.resilience.retry import Retry, RetryBudget, UpstreamFault, retrying
from ragstone.telemetry.failure_buffer import FailureBuffer
from ragstone.telemetry.metrics import Metrics
from ragstone.telemetry.tracing import span

T = TypeVar("T")

MAX_GUARDS = 1000  # one per server of the operator and of tenants; beyond this the least recently used are dropped

log = structlog.get_logger()


@dataclass(frozen=True, slots=True, kw_only=True)
class UpstreamOptions:
    """Options of an upstream policy: attempts, average retries per call, circuit breaker and concurrency."""

    attempts: int = 3
    retry_budget: float = 0.1
    breaker: BreakerOptions = field(default_factory=BreakerOptions)
    places: ConcurrencyOptions = field(default_factory=ConcurrencyOptions)


@dataclass(frozen=True, slots=True)
class CircuitState:
    """State of the circuit of a server; `calls` and `failures` are those of the window."""

    name: str
    state: State
    running: int
    recent_calls: int
    recent_failures: int
    opened_s_ago: float | None


class UpstreamPolicy:
    """Policy for the calls to one server. Get it from `UpstreamPolicies`."""

    def __init__(
        self,
        name: str,
        *,
        options: UpstreamOptions,
        metrics: Metrics,
        failures: FailureBuffer | None = None,
        clock: Callable[[], float] = time.monotonic,
        jitter: Callable[[], float] = random.random,
    ) -> None:
        self.name = name
        self.breaker = Breaker(name, options=options.breaker, clock=clock, on_change=self._changed)
        self._places = Bulkhead(name, options=options.places, on_change=metrics.upstream_running.labels(name).set)
        self._attempts = options.attempts
        self._budget = RetryBudget(options.retry_budget, clock=clock)
        self._metrics = metrics
        self._failures = failures if failures is not None else FailureBuffer()
        self._clock = clock
        self._jitter = jitter
        metrics.circuit.labels(name).set(State.CLOSED)

    @property
    def state(self) -> CircuitState:
        """Current state of the server."""
        calls, failures = self.breaker.recent
        return CircuitState(
            self.name, self.breaker.state, self._places.running, calls, failures, self.breaker.opened_s_ago
        )

    @asynccontextmanager
    async def place(self, tenant: str) -> AsyncGenerator[None, None]:
        """Hold a place of the server and of the tenant for a call and its whole answer.

        While the breaker is open, no call waits for a place.

        Raises:
            CircuitOpen: the server failed too often a moment ago.
            Overloaded: no place became free in time.
        """
        self._count_if_open(self.breaker.check)
        async with AsyncExitStack() as held:
            try:
                await held.enter_async_context(self._places.place(tenant))
            except Overloaded:
                self._metrics.shed.labels(self.name).inc()
                self._count("shed")
                raise
            yield

    async def call(
        self,
        operation: Callable[[], Awaitable[T]],
        *,
        timeout_s: float | None = None,
        patience_s: float | None = None,
    ) -> T:
        """Open an answer: await `operation`, and repeat it after a `retryable` fault, within the budget.

        An `UpstreamFault` that is not a refusal, a `TimeoutError`, an `OSError` and an
        `Unavailable` count as failures of the server. Other exceptions and a cancellation do
        not; so set `timeout_s` or `patience_s`.

        Args:
            operation: Makes the call, and returns when its answer has begun.
            timeout_s: Timeout of each attempt, in seconds.
            patience_s: An attempt that is cancelled after this time, in seconds, counts as
                failed. Otherwise a hanging server would not be detected if all callers give
                up before it answers.

        Raises:
            CircuitOpen: the server failed too often; its circuit is open.
            TimeoutError: an attempt took longer than `timeout_s`; there is no retry, because the
                server may still process the request.
            UpstreamFault: the fault of the last attempt, unless `operation` raises another error.
        """
        self._count_if_open(self.breaker.check)  # first, so that the budget does not count a refused call
        return await retrying(
            partial(self._attempt, operation, timeout_s, patience_s),
            attempts=self._attempts,
            budget=self._budget,
            may_retry=lambda: self.breaker.state is State.CLOSED,
            on_retry=self._retried,
            jitter=self._jitter,
        )

    def broke(self) -> None:
        """Record that an answer broke off after it had begun: the call counts as failed."""
        self._count("broke")
        self.breaker.broke()

    async def _attempt(
        self, operation: Callable[[], Awaitable[T]], timeout_s: float | None, patience_s: float | None
    ) -> T:
        call = self._count_if_open(self.breaker.admit)
        began = self._clock()
        impatient_at = began + (inf if patience_s is None else patience_s)
        with self._observed(call, impatient_at=impatient_at), span("call", upstream=self.name):
            async with asyncio.timeout(timeout_s):
                answer = await operation()
        self._metrics.upstream_seconds.labels(self.name).observe(self._clock() - began)
        return answer

    @contextmanager
    def _observed(self, call: int, *, impatient_at: float) -> Iterator[None]:
        """Report the outcome of an attempt to the breaker and the metrics."""
        try:
            yield
        except (UpstreamFault, TimeoutError, OSError, Unavailable) as error:
            if isinstance(error, UpstreamFault) and error.refused:
                self._ended("refused", self.breaker.succeeded, call)
            else:
                self._ended("failed", self.breaker.failed, call)
            raise
        except BaseException as error:
            if isinstance(error, asyncio.CancelledError) and self._clock() >= impatient_at:
                self._ended("failed", self.breaker.failed, call)
            else:
                self._ended("left", self.breaker.let_go, call)
            raise
        self._ended("ok", self.breaker.succeeded, call)

    def _ended(self, outcome: str, record: Callable[[int], None], call: int) -> None:
        record(call)
        self._count(outcome)

    def _count_if_open(self, check: Callable[[], T]) -> T:
        try:
            return check()
        except CircuitOpen:
            self._count("open")
            raise

    def _retried(self, retry: Retry) -> None:
        self._metrics.upstream_retries.labels(self.name).inc()
        log.info("upstream.retry", upstream=self.name, pause_s=round(retry.pause_s, 3))

    def _count(self, outcome: str) -> None:
        self._metrics.upstream_calls.labels(self.name, outcome).inc()

    def _changed(self, name: str, state: State) -> None:
        self._metrics.circuit.labels(name).set(state)
        calls, failures = self.breaker.recent
        say = log.warning if state is State.OPEN else log.info
        say("upstream.circuit", upstream=name, state=state.name.lower(), recent_calls=calls, recent_failures=failures)


class UpstreamPolicies:
    """Upstream policies of this process by server name."""

    def __init__(
        self,
        options: UpstreamOptions,
        *,
        metrics: Metrics,
        failures: FailureBuffer | None = None,
        clock: Callable[[], float] = time.monotonic,
        jitter: Callable[[], float] = random.random,
        most: int = MAX_GUARDS,
    ) -> None:
        """`jitter` returns the random share of each wait, from 0 to 1; at most `most` policies are kept."""
        self._options = options
        self._metrics = metrics
        self._failures = failures if failures is not None else FailureBuffer()
        self._clock = clock
        self._jitter = jitter
        self._most = most
        self._guards: OrderedDict[str, UpstreamPolicy] = OrderedDict()

    def guard(self, name: str) -> UpstreamPolicy:
        """Policy of a server. `name` must come from settings, never from a request, because it is a metric label."""
        known = self._guards.get(name)
        if known is None:
            if len(self._guards) >= self._most:
                self._forget_one()
            known = self._guards[name] = UpstreamPolicy(
                name,
                options=self._options,
                metrics=self._metrics,
                failures=self._failures,
                clock=self._clock,
                jitter=self._jitter,
            )
        self._guards.move_to_end(name)
        return known

    def states(self) -> list[CircuitState]:
        """States of all servers, sorted by name."""
        return [self._guards[name].state for name in sorted(self._guards)]

    def _forget_one(self) -> None:
        """Drop the least recently used idle policy, else the least recently used one; its current users keep it."""
        idle = (name for name, guard in self._guards.items() if _idle(guard.state))
        name = next(idle, next(iter(self._guards)))
        del self._guards[name]
        metrics = self._metrics
        for metric in (metrics.upstream_calls, metrics.upstream_retries, metrics.shed, metrics.upstream_seconds):
            metric.remove_by_labels({"upstream": name})
        for gauge in (metrics.circuit, metrics.upstream_running):
            gauge.remove_by_labels({"upstream": name})


def _idle(state: CircuitState) -> bool:
    return state.state is State.CLOSED and not state.running
