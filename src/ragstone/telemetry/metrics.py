"""Prometheus metrics of a process. Labels never come from user input."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager
from time import perf_counter

from prometheus_client import (
    CollectorRegistry,
    Counter,
    Gauge,
    GCCollector,
    Histogram,
    PlatformCollector,
    ProcessCollector,
    generate_latest,
)

STAGE_BUCKETS_S = (0.001, 0.0025, 0.005, 0.01, 0.02, 0.04, 0.08, 0.16, 0.32, 0.64, 1.3, 2.6, 5, 10, 30)
HTTP_BUCKETS_S = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 120)  # streams last for minutes
LAG_EVERY_S = 1.0


class Metrics:
    """All metrics of one process in their own registry."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        self.stage_seconds = Histogram(
            "ragstone_stage_seconds",
            "Time spent in one stage.",
            ["stage"],
            buckets=STAGE_BUCKETS_S,
            registry=self.registry,
        )
        self.degraded = self._counter("degraded", "Fallbacks that acted, by policy.", "policy")
        self.files = self._counter("ingested_files", "Files finished, by outcome.", "outcome")
        self.chunks = self._counter("ingested_chunks", "Chunks written to the index.")
        self.cache = self._counter("embedding_cache", "Embedding cache look-ups, by outcome.", "outcome")
        self.query_cache = self._counter("query_cache", "Query cache look-ups, by outcome.", "outcome")
        self.callbacks = self._counter("callbacks", "Attempts to send webhooks, by outcome.", "outcome")
        self.redis = self._counter("redis", "Calls of Redis, by outcome.", "outcome")
        self.answers = self._counter("answers", "Answers given, by answerer and outcome.", "answerer", "outcome")
        self.citations = self._counter("citations", "Citations given, by verdict.", "verdict")
        self.repaired = self._counter("repaired_sentences", "Sentences that were repaired, by what was done.", "repair")
        self.removed_markers = self._counter("removed_markers", "Citation markers without a passage.")
        self.tokens = self._counter("tokens", "Model tokens, by model and direction.", "model", "direction")
        self.requests = self._counter("http_requests", "Requests, by route and status.", "route", "status")
        self.http_seconds = Histogram(
            "ragstone_http_seconds",
            "Time from a request to the end of its answer.",
            ["route", "status_class"],
            buckets=HTTP_BUCKETS_S,
            registry=self.registry,
        )
        self.interceptions = self._counter(
            "interceptions", "Intercepted chats, by outcome: enriched, or the reason why not.", "outcome"
        )
        self.fail_open = self._counter("fail_open", "Chats forwarded unchanged because retrieval failed.", "reason")
        self.upstream_calls = self._counter("upstream_calls", "Calls upstream, by outcome.", "upstream", "outcome")
        self.upstream_retries = self._counter("upstream_retries", "Retried calls.", "upstream")
        self.shed = self._counter("shed", "Calls refused at the concurrency limit.", "upstream")
        self.upstream_seconds = Histogram(
            "ragstone_upstream_seconds",
            "Time to the first byte of an upstream's answer.",
            ["upstream"],
            buckets=STAGE_BUCKETS_S,
            registry=self.registry,
        )
        self.circuit = self._gauge("circuit_state", "0 closed, 1 half open, 2 open.", "upstream")
        self.upstream_running = self._gauge("upstream_running", "Running calls.", "upstream")
        self.jobs_running = self._gauge("jobs_running", "Running jobs of this process.")
        self.loop_lag = self._gauge("event_loop_lag_seconds", "Delay of the event loop at the last measurement.")
        ProcessCollector(registry=self.registry)
        PlatformCollector(registry=self.registry)
        GCCollector(registry=self.registry)

    def _counter(self, name: str, text: str, *labels: str) -> Counter:
        return Counter(f"ragstone_{name}", text, labels, registry=self.registry)

    def _gauge(self, name: str, text: str, *labels: str) -> Gauge:
        return Gauge(f"ragstone_{name}", text, labels, registry=self.registry)

    @contextmanager
    def timed(self, stage: str) -> Iterator[None]:
        """Measure the duration of the block, also when it raises."""
        start = perf_counter()
        try:
            yield
        finally:
            self.stage_seconds.labels(stage).observe(perf_counter() - start)

    async def watch_loop(self, *, every_s: float = LAG_EVERY_S) -> None:
        """Measure the delay of the event loop periodically until cancelled."""
        loop = asyncio.get_running_loop()
        while True:
            due = loop.time() + every_s
            await asyncio.sleep(every_s)
            self.loop_lag.set(max(0.0, loop.time() - due))

    def render(self) -> bytes:
        """Metrics in Prometheus' text format."""
        return generate_latest(self.registry)
