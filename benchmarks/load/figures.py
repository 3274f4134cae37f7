"""Statistics of a run: percentiles per step, errors by kind, and warnings about a slow client.

A percentile is taken by nearest rank from the sorted samples (the smallest value that at least p % do not
exceed), so each is a measured time. A call belongs to the span in which it was due.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from benchmarks.load.drive import Call, Run
from benchmarks.load.plan import Plan, steps

LATE_S = 0.01  # a longer delay in the client distorts the measurement
BUSY = 0.9  # of one core; above it answers wait for the client


@dataclass(frozen=True, slots=True)
class Percentiles:
    """Three percentiles in seconds; None without a sample."""

    p50: float | None
    p95: float | None
    p99: float | None


@dataclass(frozen=True, slots=True)
class Span:
    """Statistics of the calls due between two moments, and of the answers in that time."""

    start_s: float
    end_s: float
    asked_rate: float
    achieved_rate: float
    sent: int
    not_sent: int
    failed: int
    first_s: Percentiles
    total_s: Percentiles

    @property
    def error_share(self) -> float:
        """Share of due calls that failed or were not sent; 0 without calls."""
        due = self.sent + self.not_sent
        return (self.failed + self.not_sent) / due if due else 0.0


@dataclass(frozen=True, slots=True)
class Figures:
    """Statistics of a whole run."""

    whole: Span
    steps: Sequence[Span]
    problems: Mapping[str, int]
    gap_s: Percentiles
    words: int
    lag_p99_s: float | None
    cpu_share: float
    most_at_once: int

    @property
    def warnings(self) -> list[str]:
        """Reasons why the client rather than the server limited the figures."""
        found = []
        if self.lag_p99_s is not None and self.lag_p99_s > LATE_S:
            found.append(
                f"The client was late: one request in a hundred was sent {self.lag_p99_s * 1000:.0f} ms after it was "
                "due. Use a lower rate or a faster machine."
            )
        if self.cpu_share > BUSY:
            found.append(
                f"The client used {self.cpu_share:.0%} of a core, so answers waited for it. "
                "Use a lower rate or several clients."
            )
        if self.whole.not_sent:
            found.append(
                f"{self.whole.not_sent:,} requests were not sent because --most requests were already open. "
                "They count as errors."
            )
        return found


def percentile(samples: Sequence[float], share: float) -> float | None:
    """Value at nearest rank in sorted samples; None without samples."""
    return samples[max(0, math.ceil(share * len(samples)) - 1)] if samples else None


def percentiles(values: Iterable[float]) -> Percentiles:
    """Median, 95th and 99th percentile."""
    samples = sorted(values)
    return Percentiles(percentile(samples, 0.50), percentile(samples, 0.95), percentile(samples, 0.99))


def figures(plan: Plan, run: Run) -> Figures:
    """Compute the statistics of a run, whole and per step of the plan."""
    problems = Counter(call.problem for call in run.calls if call.problem)
    if run.not_sent:
        problems["not sent"] = len(run.not_sent)
    return Figures(
        whole=spans(plan, run, [(0.0, plan.duration_s)])[0],
        steps=spans(plan, run, steps(plan)),
        problems=dict(problems.most_common()),
        gap_s=percentiles(run.gaps_s),
        words=sum(call.words for call in run.calls),
        lag_p99_s=percentile(sorted(call.lag_s for call in run.calls), 0.99),
        cpu_share=run.cpu_s / run.wall_s if run.wall_s else 0.0,
        most_at_once=run.most_at_once,
    )


def spans(plan: Plan, run: Run, edges: Sequence[tuple[float, float]]) -> list[Span]:
    """Compute the statistics of each time span."""
    return [_span(plan, run, start, end) for start, end in edges]


def _span(plan: Plan, run: Run, start: float, end: float) -> Span:
    due = [call for call in run.calls if start <= call.due_s < end]
    good = [call for call in due if not call.problem]
    answered = sum(1 for call in run.calls if not call.problem and start <= call.done_s < end)
    return Span(
        start_s=start,
        end_s=end,
        asked_rate=(plan.due_by(end) - plan.due_by(start)) / (end - start),
        achieved_rate=answered / (end - start),
        sent=len(due),
        not_sent=sum(1 for moment in run.not_sent if start <= moment < end),
        failed=len(due) - len(good),
        first_s=percentiles(_first_times(good)),
        total_s=percentiles(call.total_s for call in good),
    )


def _first_times(calls: Iterable[Call]) -> Iterable[float]:
    return (call.first_s for call in calls if call.first_s is not None)
