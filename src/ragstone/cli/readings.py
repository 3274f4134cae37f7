"""The numbers of `/metrics` as the few that an operator wants; pure functions from text.

Percentiles of histograms are estimates: linear within the bucket that holds the rank, as Prometheus'
`histogram_quantile` has it. A rank beyond the last bound is shown as that bound.
"""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from ragstone.errors import Unavailable

Labels = tuple[tuple[str, str], ...]
Key = tuple[str, Labels]
HISTOGRAMS = {
    "ragstone_http_seconds": ("request", "route"),
    "ragstone_stage_seconds": ("stage", "stage"),
    "ragstone_upstream_seconds": ("upstream", "upstream"),
}
CIRCUITS = {0.0: "closed", 1.0: "half open", 2.0: "open"}


@dataclass(frozen=True, slots=True)
class Latency:
    """Times of one stage, route or upstream, in seconds; estimates."""

    kind: str
    name: str
    count: int
    p50_s: float
    p95_s: float
    p99_s: float


@dataclass(frozen=True, slots=True)
class Reading:
    """The samples of one exposition, by name and labels in order."""

    values: Mapping[Key, float]

    def of(self, name: str) -> Iterator[tuple[dict[str, str], float]]:
        """The samples of a name."""
        return ((dict(labels), value) for (sample, labels), value in self.values.items() if sample == name)

    def total(self, name: str) -> float:
        """Their sum; 0 without any."""
        return sum(value for _, value in self.of(name))

    def by(self, name: str, *labels: str) -> dict[str, int]:
        """Sums by the values of some labels, the largest first; without what is 0."""
        sums: defaultdict[str, float] = defaultdict(float)
        for found, value in self.of(name):
            sums[" ".join(found.get(label, "") for label in labels)] += value
        return {key: round(value) for key, value in sorted(sums.items(), key=lambda item: (-item[1], item[0])) if value}

    def since(self, before: Reading) -> Reading:
        """What was added since; gauges stay as they are, and so does all that a restart has set back."""
        added = {}
        for key, value in self.values.items():
            earlier = before.values.get(key, 0.0)
            counts = key[0].endswith(("_total", "_bucket", "_count", "_sum"))
            added[key] = value - earlier if counts and value >= earlier else value
        return Reading(added)


@dataclass(frozen=True, slots=True)
class Numbers:
    """What an operator wants to know. `cpu_share` is of one core; None where the server does not tell."""

    requests: int
    server_errors: int
    refused: int
    latencies: Sequence[Latency]
    interceptions: Mapping[str, int]
    fail_opens: Mapping[str, int]
    degraded: Mapping[str, int]
    circuits: Mapping[str, str]
    upstream_calls: Mapping[str, int]
    upstream_running: Mapping[str, int]
    retries: int
    shed: int
    tokens: Mapping[str, int]
    memory_bytes: int | None
    cpu_share: float | None
    open_files: int | None
    loop_lag_s: float | None

    @property
    def error_share(self) -> float:
        """Of all requests, those the server failed at."""
        return self.server_errors / self.requests if self.requests else 0.0


def reading_of(text: str) -> Reading:
    """The samples of a text in Prometheus' format.

    Raises:
        Unavailable: it is none.
    """
    from prometheus_client.parser import text_string_to_metric_families

    try:
        families = list(text_string_to_metric_families(text))
    except (ValueError, IndexError, KeyError) as error:
        raise Unavailable("What answers there has no metrics of Ragstone. Name the server with --url.") from error
    return Reading(
        {
            (sample.name, tuple(sorted(sample.labels.items()))): float(sample.value)
            for family in families
            for sample in family.samples
        }
    )


def numbers(reading: Reading, *, seconds: float | None) -> Numbers:
    """What the reading says; `seconds` is the time it is about, which CPU time is compared with."""
    statuses = reading.by("ragstone_http_requests_total", "status")
    return Numbers(
        requests=sum(statuses.values()),
        server_errors=sum(count for status, count in statuses.items() if status.startswith("5")),
        refused=sum(count for status, count in statuses.items() if status.startswith("4")),
        latencies=list(_latencies(reading)),
        interceptions=reading.by("ragstone_interceptions_total", "outcome"),
        fail_opens=reading.by("ragstone_fail_open_total", "reason"),
        degraded=reading.by("ragstone_degraded_total", "policy"),
        circuits={
            labels.get("upstream", ""): CIRCUITS.get(value, "unknown")
            for labels, value in reading.of("ragstone_circuit_state")
        },
        upstream_calls=reading.by("ragstone_upstream_calls_total", "upstream", "outcome"),
        upstream_running=reading.by("ragstone_upstream_running", "upstream"),
        retries=round(reading.total("ragstone_upstream_retries_total")),
        shed=round(reading.total("ragstone_shed_total")),
        tokens=reading.by("ragstone_tokens_total", "model", "direction"),
        memory_bytes=_rounded(reading, "process_resident_memory_bytes"),
        cpu_share=_cpu(reading, seconds),
        open_files=_rounded(reading, "process_open_fds"),
        loop_lag_s=_gauge(reading, "ragstone_event_loop_lag_seconds"),
    )


def age_s(reading: Reading, now: float) -> float | None:
    """How long the server has run; None where it does not tell."""
    started = reading.total("process_start_time_seconds")
    return max(0.0, now - started) if started else None


def _gauge(reading: Reading, name: str) -> float | None:
    return next((value for _, value in reading.of(name)), None)


def _rounded(reading: Reading, name: str) -> int | None:
    found = _gauge(reading, name)
    return None if found is None else round(found)


def _cpu(reading: Reading, seconds: float | None) -> float | None:
    used = reading.total("process_cpu_seconds_total")
    return used / seconds if seconds and used else None


def _latencies(reading: Reading) -> Iterator[Latency]:
    for name, (kind, label) in HISTOGRAMS.items():
        buckets: defaultdict[str, defaultdict[float, float]] = defaultdict(lambda: defaultdict(float))
        for labels, value in reading.of(f"{name}_bucket"):
            buckets[labels.get(label, "")][float(labels.get("le", "inf"))] += value
        for key in sorted(buckets):
            bounds = sorted(buckets[key].items())
            count = bounds[-1][1]
            if count:
                p50, p95, p99 = (quantile(bounds, share) for share in (0.5, 0.95, 0.99))
                yield Latency(kind, key, round(count), p50, p95, p99)


def quantile(bounds: Sequence[tuple[float, float]], share: float) -> float:
    """The value that a share of the samples does not exceed, from cumulative counts by upper bound, in order."""
    rank = share * bounds[-1][1]
    below, lower = 0.0, 0.0
    for upper, cumulative in bounds:
        if cumulative >= rank and cumulative > below:
            if math.isinf(upper):
                return lower
            return lower + (upper - lower) * (rank - below) / (cumulative - below)
        below, lower = cumulative, upper
    return lower
