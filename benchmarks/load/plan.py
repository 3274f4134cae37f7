"""Arrival plan: a rate that rises and then stays, turned into the moment of each request before the test starts.

The moments depend on the plan and its seed alone, never on answers (an open loop). Requests go on while
a server stalls, so the test measures the delay that users see during a stall.
"""

from __future__ import annotations

import math
import random
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Literal

from ragstone.errors import InvalidInput

MAX_DURATION_S = 600.0  # an unattended test has to end
MAX_ARRIVALS = 200_000  # each is remembered until the report: about 200 bytes
RAMP_STEPS = 5
HOLD_STEPS = 3

Arrivals = Literal["poisson", "constant"]


@dataclass(frozen=True, slots=True)
class Plan:
    """Rate that rises from `rate` to `to` requests per second in `ramp_s` seconds, then stays for `hold_s` seconds."""

    rate: float
    to: float
    ramp_s: float
    hold_s: float

    @property
    def duration_s(self) -> float:
        """Seconds during which requests are sent."""
        return self.ramp_s + self.hold_s

    @property
    def expected(self) -> float:
        """Number of requests of the whole plan."""
        return self.due_by(self.duration_s)

    def rate_at(self, moment_s: float) -> float:
        """Requests per second at a moment."""
        if moment_s >= self.ramp_s:
            return self.to
        return self.rate + (self.to - self.rate) * moment_s / self.ramp_s

    def due_by(self, moment_s: float) -> float:
        """Number of requests due up to a moment: the integral of the rate."""
        ramp = min(moment_s, self.ramp_s)
        risen = self.rate * ramp + ((self.to - self.rate) * ramp**2 / (2 * self.ramp_s) if ramp else 0.0)
        return risen + self.to * max(0.0, moment_s - self.ramp_s)

    def moment_of(self, number: float) -> float:
        """Moment of request `number` in seconds; the inverse of `due_by`."""
        in_ramp = self.due_by(self.ramp_s)
        if number >= in_ramp:
            return self.ramp_s + (number - in_ramp) / self.to
        slope = (self.to - self.rate) / self.ramp_s
        if slope == 0:
            return number / self.rate
        # slope / 2 · t² + rate · t = number, in the form that stays exact for a small slope
        return 2 * number / (self.rate + math.sqrt(self.rate**2 + 2 * slope * number))


def checked(plan: Plan) -> Plan:
    """Return the plan if its rates, duration and number of requests are allowed.

    Raises:
        InvalidInput: a rate is not positive, or the plan is too long or too large.
    """
    if not (plan.rate > 0 and plan.to > 0):
        raise InvalidInput("A rate has to be above 0 requests a second.")
    if not 0 < plan.duration_s <= MAX_DURATION_S:
        raise InvalidInput(f"The test would take {plan.duration_s:g} s; it may take up to {MAX_DURATION_S:g} s.")
    if plan.expected > MAX_ARRIVALS:
        raise InvalidInput(
            f"The test would send {plan.expected:,.0f} requests; it may send {MAX_ARRIVALS:,}. "
            "Lower the rate or the time."
        )
    return plan


def arrivals(plan: Plan, kind: Arrivals, *, seed: int) -> list[float]:
    """Moments of all requests in seconds from the start, in order.

    Args:
        plan: The rate over time.
        kind: `constant` gives even distances. `poisson` gives independent arrivals: exponential distances of
            mean 1, mapped through the inverse of the integral.
        seed: The same seed gives the same moments.
    """
    dice = random.Random(seed)
    total, number, moments = plan.expected, 0.5, []
    if kind == "poisson":
        number = dice.expovariate(1.0)
    while number < total:
        moments.append(plan.moment_of(number))
        number += dice.expovariate(1.0) if kind == "poisson" else 1.0
    return moments


def steps(plan: Plan) -> list[tuple[float, float]]:
    """Time spans that are summed up separately, as (from, to) in seconds: parts of the ramp, then of the hold."""
    edges: Sequence[float] = (
        *_cut(0.0, plan.ramp_s, RAMP_STEPS),
        *_cut(plan.ramp_s, plan.duration_s, HOLD_STEPS),
        plan.duration_s,
    )
    return list(pairwise(edges))


def _cut(start: float, end: float, parts: int) -> list[float]:
    return [start + (end - start) * part / parts for part in range(parts)] if end > start else []
