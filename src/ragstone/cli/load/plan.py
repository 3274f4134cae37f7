"""When each request is due: a rate that rises, then holds, made into moments before the first one is sent.

The moments depend on the plan and its seed alone, never on answers, so a server that stalls is asked
on all the same. That is what an open loop is: what people feel while it stalls is measured too.
"""

from __future__ import annotations

import math
import random
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Literal

from ragstone.errors import InvalidInput

MAX_DURATION_S = 600.0  # a test that nobody watches must end by itself
MAX_ARRIVALS = 200_000  # each is remembered until the report: about 200 bytes
RAMP_STEPS = 5
HOLD_STEPS = 3

Arrivals = Literal["poisson", "constant"]


@dataclass(frozen=True, slots=True)
class Plan:
    """From `rate` to `to` requests a second over `ramp_s` seconds, then at `to` for `hold_s`."""

    rate: float
    to: float
    ramp_s: float
    hold_s: float

    @property
    def duration_s(self) -> float:
        """How long requests are sent."""
        return self.ramp_s + self.hold_s

    @property
    def expected(self) -> float:
        """How many requests that makes."""
        return self.due_by(self.duration_s)

    def rate_at(self, moment_s: float) -> float:
        """Requests a second that the plan asks for then."""
        if moment_s >= self.ramp_s:
            return self.to
        return self.rate + (self.to - self.rate) * moment_s / self.ramp_s

    def due_by(self, moment_s: float) -> float:
        """How many requests are due by then: the integral of the rate."""
        ramp = min(moment_s, self.ramp_s)
        risen = self.rate * ramp + ((self.to - self.rate) * ramp**2 / (2 * self.ramp_s) if ramp else 0.0)
        return risen + self.to * max(0.0, moment_s - self.ramp_s)

    def moment_of(self, number: float) -> float:
        """When the `number`th request is due; the inverse of `due_by`."""
        in_ramp = self.due_by(self.ramp_s)
        if number >= in_ramp:
            return self.ramp_s + (number - in_ramp) / self.to
        slope = (self.to - self.rate) / self.ramp_s
        if slope == 0:
            return number / self.rate
        # slope / 2 · t² + rate · t = number, in the form that stays exact for a small slope
        return 2 * number / (self.rate + math.sqrt(self.rate**2 + 2 * slope * number))


def checked(plan: Plan) -> Plan:
    """The plan, if it ends and fits.

    Raises:
        InvalidInput: a rate that is none, too long, or too many requests.
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
    """When each request is due, in seconds from the start, in order.

    Args:
        plan: The rate over time.
        kind: `constant` spaces them evenly; `poisson` as people come, independently of each other, by
            rescaling time (exponential distances of mean 1, carried through the inverse of the integral).
        seed: The same seed gives the same moments.
    """
    dice = random.Random(seed)  # noqa: S311 — nobody's secret
    total, number, moments = plan.expected, 0.5, []
    if kind == "poisson":
        number = dice.expovariate(1.0)
    while number < total:
        moments.append(plan.moment_of(number))
        number += dice.expovariate(1.0) if kind == "poisson" else 1.0
    return moments


def steps(plan: Plan) -> list[tuple[float, float]]:
    """The spans that are summed up by themselves, as (from, to) in seconds: parts of the ramp, then of the hold."""
    edges: Sequence[float] = (
        *_cut(0.0, plan.ramp_s, RAMP_STEPS),
        *_cut(plan.ramp_s, plan.duration_s, HOLD_STEPS),
        plan.duration_s,
    )
    return list(pairwise(edges))


def _cut(start: float, end: float, parts: int) -> list[float]:
    return [start + (end - start) * part / parts for part in range(parts)] if end > start else []
