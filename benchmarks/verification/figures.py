"""Figures of a run: shares with their Wilson intervals, means over kinds, the area under the curve, calibration."""

from __future__ import annotations

import math
import random
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

Z_95 = 1.96
"""Standard deviations of a two-sided interval of 95 %."""

DRAWS = 2000
"""Bootstrap samples of the kinds; the interval's ends move by less than .005 between seeds."""

BINS = 10


@dataclass(frozen=True, slots=True)
class Judged:
    """A case after its check: what it was, the score in [0, 1], and whether the product says quoted or borne out."""

    group: str
    kind: str
    true: bool
    language: str
    score: float
    accepted: bool
    verdict: str
    new: bool = False
    """Of a kind that has no kin among the built kinds."""


@dataclass(frozen=True, slots=True)
class Share:
    """`hits` of `n` with the 95 % interval of Wilson."""

    hits: int
    n: int

    @property
    def value(self) -> float:
        """The share; NaN of nothing."""
        return self.hits / self.n if self.n else math.nan

    @property
    def interval(self) -> tuple[float, float]:
        """The ends of the interval."""
        if not self.n:
            return (0.0, 1.0)
        square = Z_95**2 / self.n
        middle = (self.value + square / 2) / (1 + square)
        half = Z_95 * math.sqrt(self.value * (1 - self.value) / self.n + square / (4 * self.n)) / (1 + square)
        return (max(0.0, middle - half), min(1.0, middle + half))


def accepted(cases: Iterable[Judged]) -> Share:
    """The share of the cases that the check accepts."""
    found = [one.accepted for one in cases]
    return Share(sum(found), len(found))


def by_kind(cases: Iterable[Judged], *, true: bool) -> dict[str, Share]:
    """Accepted of each kind, in alphabetical order."""
    kinds: dict[str, list[Judged]] = defaultdict(list)
    for one in cases:
        if one.true == true:
            kinds[one.kind].append(one)
    return {kind: accepted(kinds[kind]) for kind in sorted(kinds)}


def macro(shares: Mapping[str, Share], seed: int = 1) -> tuple[float, float, float]:
    """The mean over kinds, each with the same weight, and the 95 % interval of drawing the kinds anew."""
    values = [share.value for share in shares.values() if share.n]
    if not values:
        return (math.nan, math.nan, math.nan)
    draw = random.Random(seed)
    means = sorted(sum(draw.choices(values, k=len(values))) / len(values) for _ in range(DRAWS))
    return (sum(values) / len(values), means[int(DRAWS * 0.025)], means[int(DRAWS * 0.975)])


def area(true: Sequence[float], false: Sequence[float]) -> float:
    """The area under the ROC curve: how often a true case has the higher score; equal scores count half."""
    if not true or not false:
        return math.nan
    ranked = sorted([(score, True) for score in true] + [(score, False) for score in false])
    total, place = 0.0, 0
    while place < len(ranked):
        end = place
        while end < len(ranked) and ranked[end][0] == ranked[place][0]:
            end += 1
        total += sum(is_true for _, is_true in ranked[place:end]) * (place + 1 + end) / 2
        place = end
    return (total - len(true) * (len(true) + 1) / 2) / (len(true) * len(false))


def area_of(cases: Iterable[Judged]) -> float:
    """The area under the curve over all these cases."""
    found = list(cases)
    return area([one.score for one in found if one.true], [one.score for one in found if not one.true])


@dataclass(frozen=True, slots=True)
class Bin:
    """The cases whose score lies in one tenth: how many, their mean score, and the share that is true."""

    n: int
    score: float
    true: float


def calibration(cases: Iterable[Judged]) -> tuple[list[Bin], float]:
    """The reliability table by tenths of the score, and the expected calibration error."""
    tenths: list[list[Judged]] = [[] for _ in range(BINS)]
    for one in cases:
        tenths[min(BINS - 1, int(one.score * BINS))].append(one)
    bins = [
        Bin(len(found), sum(one.score for one in found) / len(found), sum(one.true for one in found) / len(found))
        if found
        else Bin(0, math.nan, math.nan)
        for found in tenths
    ]
    total = sum(one.n for one in bins)
    error = sum(one.n / total * abs(one.score - one.true) for one in bins if one.n) if total else math.nan
    return bins, error


def percentile(values: Sequence[float], share: float) -> float:
    """The value below which `share` of the sorted values lie (nearest rank)."""
    return sorted(values)[min(len(values) - 1, math.ceil(share * len(values)) - 1)] if values else math.nan
