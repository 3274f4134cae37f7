"""Retries: repeat a failed call after a random wait or the server's Retry-After, within a budget of extra load.

Only this module repeats calls, and only before any part of the answer has arrived; the
retries of the vendors' SDKs are off. Three layers with three attempts each would turn one
call into 27, for a server that is already down.
"""

from __future__ import annotations

import random
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import TypeVar

import stamina

T = TypeVar("T")

FIRST_PAUSE_S = 0.2  # limit of the first wait; it doubles for each further one
LONGEST_PAUSE_S = 5.0
LONGEST_RETRY_AFTER_S = 10.0  # a chat user does not wait longer; then the error is returned instead

BUDGET_TOKENS = 10.0  # maximum of saved tokens, so that a long time without errors does not allow a flood of retries
QUIET_S = 10.0  # one retry in this time is free, for servers that are called rarely


class UpstreamFault(Exception):
    """A call to another server failed.

    Attributes:
        retryable: The call can be repeated: it had no effect, or none that is charged.
        retry_after_s: Seconds that the server asks to wait before the next call.
        refused: The server works but refuses this call: the breaker does not count a failure.
    """

    def __init__(
        self, message: str, *, retryable: bool, retry_after_s: float | None = None, refused: bool = False
    ) -> None:
        super().__init__(message)
        self.retryable = retryable
        self.retry_after_s = retry_after_s
        self.refused = refused


class RetryBudget:
    """Limit of retries to a server, as a share of its calls.

    A token bucket as in gRPC and Finagle: each call adds `ratio` of a token, each retry
    takes one. Later calls repay the free retries (see `QUIET_S`), so the share holds as soon
    as there are more than 1 / (`ratio` × `QUIET_S`) calls a second.
    """

    def __init__(self, ratio: float, *, clock: Callable[[], float] = time.monotonic) -> None:
        self._ratio = ratio
        self._clock = clock
        self._tokens = 0.0
        self._last_retry = clock() - QUIET_S

    def called(self) -> None:
        """Record a first attempt."""
        self._tokens = min(self._tokens + self._ratio, BUDGET_TOKENS)

    def take(self) -> bool:
        """Take a retry if there is one left, and return whether there was. With a ratio of 0 there is none."""
        now = self._clock()
        quiet = now - self._last_retry >= QUIET_S
        if self._ratio == 0 or (self._tokens < 1 and not quiet):
            return False
        self._tokens = max(self._tokens - 1, -BUDGET_TOKENS)
        self._last_retry = now
        return True


@dataclass(frozen=True, slots=True)
class Retry:
    """A planned retry: the fault of the last attempt, and the wait in seconds."""

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
    """Await `operation`, and repeat it after a retryable `UpstreamFault`, within the budget.

    The wait is random between zero and a limit that doubles ("full jitter": AWS
    Architecture Blog, "Exponential Backoff And Jitter"), or slightly more than the server
    asks for. `stamina.set_testing` skips the waits.

    Args:
        operation: Makes the call, and returns when its answer has begun.
        attempts: Maximum number of attempts.
        budget: Retry budget of the server; shared by all calls to it.
        may_retry: Called before each retry; False prevents it.
        on_retry: Called with each retry.
        jitter: Returns the random share of the limit, from 0 to 1.

    Raises:
        UpstreamFault: the fault of the last attempt.
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
    """Wait in seconds; it is spread out for callers that got the same Retry-After."""
    spread_s: float = share * min(FIRST_PAUSE_S * 2 ** (failures - 1), LONGEST_PAUSE_S)
    return spread_s + max(fault.retry_after_s or 0.0, 0.0)
