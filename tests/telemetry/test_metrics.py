"""What is measured: the exposition is what Prometheus reads, and the documentation lists all of it."""

from __future__ import annotations

import asyncio
import re
from pathlib import Path

from prometheus_client import Metric
from prometheus_client.parser import text_string_to_metric_families

from ragstone.telemetry.metrics import Metrics

DOCS = Path(__file__).resolve().parents[2] / "docs" / "telemetry.md"


def families(metrics: Metrics) -> dict[str, Metric]:
    return {family.name: family for family in text_string_to_metric_families(metrics.render().decode())}


def test_the_exposition_is_what_prometheus_reads():
    metrics = Metrics()
    metrics.requests.labels('/a"b\\c\n', "200").inc()
    metrics.http_seconds.labels("/api/x", "2xx").observe(0.3)
    read = families(metrics)
    [request] = [sample for sample in read["ragstone_http_requests"].samples if sample.name.endswith("_total")]
    assert (request.labels, request.value) == ({"route": '/a"b\\c\n', "status": "200"}, 1.0)
    seconds = {sample.labels.get("le"): sample.value for sample in read["ragstone_http_seconds"].samples}
    assert (seconds["0.25"], seconds["0.5"], seconds["+Inf"]) == (0.0, 1.0, 1.0)


def test_memory_cpu_and_open_files_of_the_process_are_measured():
    read = families(Metrics())
    for name in ("process_resident_memory_bytes", "process_cpu_seconds", "process_open_fds", "python_info"):
        assert read[name].samples[0].value > 0


def test_two_platforms_in_a_process_have_metrics_of_their_own():
    first, second = Metrics(), Metrics()
    first.answers.labels("extractive", "answered").inc()
    assert first.render() != second.render()
    assert not [sample for sample in families(second)["ragstone_answers"].samples if sample.name.endswith("_total")]


async def test_a_loop_that_is_kept_busy_is_seen_to_be_late():
    metrics, loop = Metrics(), asyncio.get_running_loop()
    watching = asyncio.create_task(metrics.watch_loop(every_s=0.01))
    await asyncio.sleep(0)
    until = loop.time() + 0.06
    while loop.time() < until:  # nothing else gets its turn
        pass
    for _ in range(5):
        await asyncio.sleep(0)
    watching.cancel()
    assert families(metrics)["ragstone_event_loop_lag_seconds"].samples[0].value >= 0.04


def test_the_documentation_lists_every_metric_with_its_labels():
    ours = {
        (family._name, tuple(family._labelnames))
        for family in vars(Metrics()).values()
        if hasattr(family, "_labelnames")
    }
    rows = re.findall(r"^\| `(ragstone_\w+)` \| \w+ \| ([^|]*) \|", DOCS.read_text(encoding="utf-8"), re.MULTILINE)
    listed = {(re.sub(r"_total$", "", name), tuple(re.findall(r"`(\w+)`", labels))) for name, labels in rows}
    assert listed == ours
