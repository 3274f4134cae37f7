"""Retries: after a random wait, or as long as the server asks, within a budget that bounds the extra load.

This is the one place where a call is made again, and only while nothing of its answer has
come; the vendors' own retries are off. Several layers that each try three times make 27
calls of one, and that for a server that is down already.
"""

from __future__ import annotations

import random
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import TypeVar

import stamina

T = TypeVar("T")

FIRST_PAUSE_S = 0.2  # the longest first wait; each further one may be twice as long
LONGEST_PAUSE_S = 5.0
LONGEST_RETRY_AFTER_S = 10.0  # a user at a chat does not wait longer; the answer goes back to the caller instead

BUDGET_TOKENS = 10.0  # kept for later at most: a long good time does not pay for a flood of retries
QUIET_S = 10.0  # one retry in this time is free, or a server that is called seldom would never get one


class UpstreamFault(Exception):
    """A call of another server failed.

    Attributes:
        retryable: The same call may be made again: it had no effect, or none that is billed.
        retry_after_s: How long the server asks to be left alone, in seconds.
        refused: The server works, and refuses this one call: its breaker does not count it.
    """

    def __init__(
        self, message: str, *, retryable: bool, retry_after_s: float | None = None, refused: bool = False
    ) -> None:
        super().__init__(message)
        self.retryable = retryable
        self.retry_after_s = retry_after_s
        self.refused = refused


class RetryBudget:
    """Retries a server may cost, as a share of its calls.

    A token bucket, as gRPC and Finagle have: each call adds `ratio` of a token, each retry
    takes one. What is free (see `QUIET_S`) is owed, and paid back by later calls, so the
    share holds as soon as there are more than 1 / (`ratio` × `QUIET_S`) calls a second.
    """

    def __init__(self, ratio: float, *, clock: Callable[[], float] = time.monotonic) -> None:
        self._ratio = ratio
        self._clock = clock
        self._tokens = 0.0
        self._last_retry = clock() - QUIET_S

    def called(self) -> None:
        """A call is made for the first time."""
        self._tokens = min(self._tokens + self._ratio, BUDGET_TOKENS)

    def take(self) -> bool:
        """Whether there is a retry left; takes it. With a ratio of 0 there is none."""
        now = self._clock()
        quiet = now - self._last_retry >= QUIET_S
        if self._ratio == 0 or (self._tokens < 1 and not quiet):
            return False
        self._tokens = max(self._tokens - 1, -BUDGET_TOKENS)
        self._last_retry = now
        return True


@dataclass(frozen=True, slots=True)
class Retry:
    """A call is about to be made again: after which fault, and in how many seconds."""

    fault: UpstreamFault
    pause_s: float


async def retrying(
    operation: Callable[[], Awaitable[T]],
    *,
    attempts: int,
    budget: RetryBudget,
    may_retry: Callable[[], bool] = lambda: True,
    on_retry: Callable[[Retry], None] | None = None,
    jitter: Callable[[], float] = random.random,
) -> T:
    """Await `operation`, again after an `UpstreamFault` that is retryable, within the budget.

    The wait is random between nothing and a bound that doubles ("full jitter": AWS
    Architecture Blog, "Exponential Backoff And Jitter"), or what the server asks for and
    a little of it more. `stamina.set_testing` leaves the waits out.

    Args:
        operation: Makes the call, and returns when its answer has begun.
        attempts: Times it is awaited, at most.
        budget: What the server may still cost; shared by all calls to it.
        may_retry: Asked before each retry; False ends it.
        on_retry: Told of each retry.
        jitter: Gives the random share of the bound, from 0 to 1.

    Raises:
        UpstreamFault: the last one.
    """
    failures = 0

    def pause_after(error: Exception) -> float | bool:
        nonlocal failures
        failures += 1
        if not isinstance(error, UpstreamFault) or failures >= attempts or not _may_again(error):
            return False
        if not may_retry() or not budget.take():
            return False
        pause_s = _pause_s(error, failures, jitter())
        if on_retry:
            on_retry(Retry(error, pause_s))
        return pause_s

    budget.called()
    async for attempt in stamina.retry_context(on=pause_after, attempts=attempts, timeout=None):
        with attempt:
            return await operation()
    raise AssertionError("stamina ends with a result or an error")


def _may_again(fault: UpstreamFault) -> bool:
    return fault.retryable and (fault.retry_after_s or 0) <= LONGEST_RETRY_AFTER_S


def _pause_s(fault: UpstreamFault, failures: int, share: float) -> float:
    """Seconds to wait. Those who were all asked to come back after a second come back spread out."""
    spread_s: float = share * min(FIRST_PAUSE_S * 2 ** (failures - 1), LONGEST_PAUSE_S)
    return spread_s + max(fault.retry_after_s or 0.0, 0.0)
