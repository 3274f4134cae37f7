"""Upstream policies: breaker, retries and concurrency limit of each server that is called.

A place is held for as long as the call and its answer last (`UpstreamPolicy.place`). Inside it the
answer is opened (`UpstreamPolicy.call`): the circuit is asked, the call is bounded in time, made
again where that does no harm, and counted. Once an answer has begun nothing is made again;
one that breaks off is reported (`UpstreamPolicy.broke`).
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

MAX_GUARDS = 1000  # names are servers of the operator and of tenants; beyond this the least used are forgotten

log = structlog.get_logger()


@dataclass(frozen=True, slots=True, kw_only=True)
class UpstreamOptions:
    """How often a call is tried, retries for each call on average, when the circuit opens, and the places."""

    attempts: int = 3
    retry_budget: float = 0.1
    breaker: BreakerOptions = field(default_factory=BreakerOptions)
    places: ConcurrencyOptions = field(default_factory=ConcurrencyOptions)


@dataclass(frozen=True, slots=True)
class CircuitState:
    """How a server does, as seen from here; calls are those of the last seconds."""

    name: str
    state: State
    running: int
    recent_calls: int
    recent_failures: int
    opened_s_ago: float | None


class UpstreamPolicy:
    """Stands before one server. Get it from `UpstreamPolicies`."""

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
        """How the server does now."""
        calls, failures = self.breaker.recent
        return CircuitState(
            self.name, self.breaker.state, self._places.running, calls, failures, self.breaker.opened_s_ago
        )

    @asynccontextmanager
    async def place(self, tenant: str) -> AsyncGenerator[None, None]:
        """Hold one of the server's places, and of the tenant's, for a call and all of its answer.

        While the breaker is open, no call waits for a place.

        Raises:
            CircuitOpen: the server failed too often a moment ago.
            Overloaded: no place became free in time.
        """
        self._told_if_open(self.breaker.check)
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
        """Open an answer: await `operation`, and again after a fault that is `retryable`, within the budget.

        An `UpstreamFault` that is no refusal, a `TimeoutError`, an `OSError` and an
        `Unavailable` count as failures of the server. What else is raised, and being
        cancelled, say nothing of it; so bound the time in here, or say what patience is.

        Args:
            operation: Makes the call, and returns when its answer has begun.
            timeout_s: Seconds for each attempt.
            patience_s: An attempt cancelled after so many seconds counts as failed: a server
                that hangs would never be found out, if all its callers give up before it does.

        Raises:
            CircuitOpen: the server failed too often a moment ago.
            TimeoutError: it took longer than `timeout_s`; not tried again, for it may be at work.
            UpstreamFault: the last one, unless `operation` raises something else.
        """
        self._told_if_open(self.breaker.check)  # before the budget hears of a call that is not made
        return await retrying(
            partial(self._attempt, operation, timeout_s, patience_s),
            attempts=self._attempts,
            budget=self._budget,
            may_retry=lambda: self.breaker.state is State.CLOSED,
            on_retry=self._retried,
            jitter=self._jitter,
        )

    def broke(self) -> None:
        """An answer that had begun broke off: the server failed after all."""
        self._count("broke")
        self.breaker.broke()

    async def _attempt(
        self, operation: Callable[[], Awaitable[T]], timeout_s: float | None, patience_s: float | None
    ) -> T:
        call = self._told_if_open(self.breaker.admit)
        began = self._clock()
        impatient_at = began + (inf if patience_s is None else patience_s)
        with self._observed(call, impatient_at=impatient_at), span("call", upstream=self.name):
            async with asyncio.timeout(timeout_s):
                answer = await operation()
        self._metrics.upstream_seconds.labels(self.name).observe(self._clock() - began)
        return answer

    @contextmanager
    def _observed(self, call: int, *, impatient_at: float) -> Iterator[None]:
        """Tell breaker and metrics how an attempt ended."""
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

    def _ended(self, outcome: str, tell: Callable[[int], None], call: int) -> None:
        tell(call)
        self._count(outcome)

    def _told_if_open(self, ask: Callable[[], T]) -> T:
        try:
            return ask()
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
    """The guards of this process, by the name of the server."""

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
        """`jitter` gives the random share of each wait, from 0 to 1; `most` bounds the names that are kept."""
        self._options = options
        self._metrics = metrics
        self._failures = failures if failures is not None else FailureBuffer()
        self._clock = clock
        self._jitter = jitter
        self._most = most
        self._guards: OrderedDict[str, UpstreamPolicy] = OrderedDict()

    def guard(self, name: str) -> UpstreamPolicy:
        """The guard of a server. Names come from settings, never from a request: they become labels."""
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
        """How each server does, by name."""
        return [self._guards[name].state for name in sorted(self._guards)]

    def _forget_one(self) -> None:
        """Forget the least recently used that is idle, else the least recently used; who holds it keeps it."""
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
