"""Commands `ragstone operate metrics` and `circuits`: metrics and circuit breakers of a running server."""

from __future__ import annotations

import asyncio
import json
import math
import time
from collections import defaultdict
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from http import HTTPStatus
from typing import TYPE_CHECKING, Annotated
from urllib.parse import urlsplit

import typer

from ragstone.cli.command import LOCAL_SERVER, AsJson, ExitCode, KeyFile, ServerUrl, key_of, run
from ragstone.cli.output import complain, say, say_json, say_table
from ragstone.errors import Forbidden, InvalidInput, Unauthenticated, Unavailable

if TYPE_CHECKING:
    import aiohttp

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
    """Estimated times of one stage, route or upstream in seconds."""

    kind: str
    name: str
    count: int
    p50_s: float
    p95_s: float
    p99_s: float


@dataclass(frozen=True, slots=True)
class Reading:
    """Samples of one scrape by name and sorted labels."""

    values: Mapping[Key, float]

    def of(self, name: str) -> Iterator[tuple[dict[str, str], float]]:
        """Samples of a metric."""
        return ((dict(labels), value) for (sample, labels), value in self.values.items() if sample == name)

    def total(self, name: str) -> float:
        """Sum of the samples of a metric; 0 without samples."""
        return sum(value for _, value in self.of(name))

    def by(self, name: str, *labels: str) -> dict[str, int]:
        """Sums by the values of some labels, largest first, without zeros."""
        sums: defaultdict[str, float] = defaultdict(float)
        for found, value in self.of(name):
            sums[" ".join(found.get(label, "") for label in labels)] += value
        return {key: round(value) for key, value in sorted(sums.items(), key=lambda item: (-item[1], item[0])) if value}

    def since(self, before: Reading) -> Reading:
        """Increase of counters since `before`; gauges and counters reset by a restart keep their value."""
        added = {}
        for key, value in self.values.items():
            earlier = before.values.get(key, 0.0)
            counts = key[0].endswith(("_total", "_bucket", "_count", "_sum"))
            added[key] = value - earlier if counts and value >= earlier else value
        return Reading(added)


@dataclass(frozen=True, slots=True)
class Numbers:
    """Main metrics of a server. `cpu_share` is of one core; None if the server does not report it."""

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
        """Share of requests that ended with 5xx."""
        return self.server_errors / self.requests if self.requests else 0.0


def reading_of(text: str) -> Reading:
    """Parse a text in Prometheus' format.

    Raises:
        Unavailable: the text has another format.
    """
    from prometheus_client.parser import text_string_to_metric_families

    try:
        families = list(text_string_to_metric_families(text))
    except (ValueError, IndexError, KeyError) as error:
        raise Unavailable("The answer has no Ragstone metrics. Name the server with --url.") from error
    return Reading(
        {
            (sample.name, tuple(sorted(sample.labels.items()))): float(sample.value)
            for family in families
            for sample in family.samples
        }
    )


def numbers(reading: Reading, *, seconds: float | None) -> Numbers:
    """Main metrics of a reading; `seconds` is its period, for the CPU share."""
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
    """Seconds since the start of the server; None if it does not report it."""
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
    """Quantile from sorted cumulative counts by upper bound, linear within a bucket."""
    rank = share * bounds[-1][1]
    below, lower = 0.0, 0.0
    for upper, cumulative in bounds:
        if cumulative >= rank and cumulative > below:
            if math.isinf(upper):
                return lower
            return lower + (upper - lower) * (rank - below) / (cumulative - below)
        below, lower = cumulative, upper
    return lower


TIMEOUT_S = 10.0
MAX_ANSWER_BYTES = 16 << 20  # a thousand upstreams and routes make about 2 MiB of metrics


async def fetched(url: str, path: str, key: str) -> str:
    """GET a path of a server and return the body as text.

    Raises:
        InvalidInput: the address is invalid.
        Unauthenticated: the server needs a key or refuses the given one.
        Forbidden: the key is not an operator's.
        Unavailable: the server does not answer, or is not a Ragstone.
    """
    import aiohttp

    base = checked_address(url, key)
    headers = {"authorization": f"Bearer {key}"} if key else {}
    try:
        async with (
            aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=TIMEOUT_S), trust_env=False) as session,
            session.get(f"{base}{path}", headers=headers, allow_redirects=False) as response,
        ):
            _check_status(response.status, base)
            return (await _content(response)).decode("utf-8", errors="replace")
    except (aiohttp.ClientError, TimeoutError, ValueError) as error:
        raise Unavailable(
            f"No server answers at {base} ({type(error).__name__}). "
            "Start it with `ragstone serve`, or name it with --url."
        ) from error


async def fetched_json(url: str, path: str, key: str) -> object:
    """GET a path of a server and parse the body as JSON. Raises as `fetched` does."""
    text = await fetched(url, path, key)
    try:
        value: object = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise _another(checked_address(url, "")) from error
    return value


def checked_address(url: str, key: str) -> str:
    """Address without a trailing slash. Warns if the key is sent unencrypted.

    Raises:
        InvalidInput: the address is not http or https, or contains credentials.
    """
    from ragstone.resilience.destinations import LOOPBACK_HOSTS

    try:
        parts = urlsplit(url)
        host = parts.hostname
    except ValueError:
        host = None
    if not host or parts.scheme not in {"http", "https"} or "@" in parts.netloc or parts.query:
        raise InvalidInput("--url is the server's address, such as http://127.0.0.1:8000.")
    if key and parts.scheme == "http" and host not in LOOPBACK_HOSTS:
        complain(f"Warning: the key goes to {host} unencrypted; use https.")
    return url.rstrip("/")


def _check_status(status: int, base: str) -> None:
    if status == HTTPStatus.UNAUTHORIZED:
        raise Unauthenticated("The server needs an operator's key. Give one with --key-file.")
    if status == HTTPStatus.FORBIDDEN:
        raise Forbidden(
            "This needs an operator: use a key of RAGSTONE_SERVER__API_KEYS, or the session of an operator."
        )
    if status != HTTPStatus.OK:
        raise _another(base)


async def _content(response: aiohttp.ClientResponse) -> bytes:
    content = b""
    async for chunk in response.content.iter_any():
        content += chunk
        if len(content) > MAX_ANSWER_BYTES:
            raise Unavailable("The answer is too large for metrics. Name a Ragstone server with --url.")
    return content


def _another(base: str) -> Unavailable:
    return Unavailable(f"The server at {base} is not a Ragstone of this version. Name another with --url.")


CIRCUITS_PATH = "/api/operate/circuits"
METRICS = "/metrics"
MIN_WATCH_S = 1.0


@run
async def metrics(
    *,
    url: ServerUrl = LOCAL_SERVER,
    key_file: KeyFile = None,
    watch: Annotated[
        float | None, typer.Option(metavar="SECONDS", min=MIN_WATCH_S, help="Repeat, with the increase per period.")
    ] = None,
    raw: Annotated[bool, typer.Option("--raw", help="All metrics in Prometheus' format.")] = False,
    as_json: AsJson = False,
) -> ExitCode:
    """Show the main metrics of a running server.

    Times are estimates from histograms. With --watch, the first table covers the time since the
    start, each further one a period; Ctrl-C ends it.
    """
    key = key_of(key_file)
    if raw:
        say(await fetched(url, METRICS, key), end="")
        return ExitCode.OK
    async for found in readings(lambda: fetched(url, METRICS, key), every_s=watch):
        if as_json:
            say_json(found)
        else:
            show_metrics(found)
    return ExitCode.OK


async def readings(
    read: Callable[[], Awaitable[str]],
    *,
    every_s: float | None,
    clock: Callable[[], float] = time.time,
    pause: Callable[[float], Awaitable[None]] = asyncio.sleep,
) -> AsyncIterator[Numbers]:
    """Yield the metrics since the start, then without end the increase per `every_s` seconds; once if it is None."""
    before, then = reading_of(await read()), clock()
    yield numbers(before, seconds=age_s(before, then))
    while every_s is not None:
        await pause(every_s)
        reading, now = reading_of(await read()), clock()
        yield numbers(reading.since(before), seconds=now - then)
        before, then = reading, now


def show_metrics(found: Numbers) -> None:
    """Print the metrics as two tables."""
    say_table(("", "VALUE"), _facts(found))
    say()
    if found.latencies:
        columns = ("MILLISECONDS", "OF", "COUNT", "p50", "p95", "p99")
        say_table(columns, [(each.kind, each.name, each.count, *_ms(each)) for each in found.latencies])


def _ms(times: Latency) -> tuple[str, ...]:
    return tuple(f"{seconds * 1000:.3g}" for seconds in (times.p50_s, times.p95_s, times.p99_s))


def _facts(found: Numbers) -> list[tuple[str, str]]:
    memory = "unknown" if found.memory_bytes is None else f"{found.memory_bytes / (1 << 20):,.0f} MiB"
    cpu = "unknown" if found.cpu_share is None else f"{found.cpu_share:.1%} of a core"
    return [
        ("requests", f"{found.requests:,}"),
        ("failed (5xx)", f"{found.server_errors:,}, {found.error_share:.2%}"),
        ("refused (4xx)", f"{found.refused:,}"),
        ("chats intercepted", _list(found.interceptions)),
        ("forwarded without passages", _list(found.fail_opens)),
        ("fallbacks", _list(found.degraded)),
        ("circuits", ", ".join(f"{name} {state}" for name, state in found.circuits.items()) or "none"),
        ("calls upstream", _list(found.upstream_calls)),
        ("running upstream", _list(found.upstream_running)),
        ("retried; refused by the limit", f"{found.retries:,}; {found.shed:,}"),
        ("tokens", _list(found.tokens)),
        ("memory", memory),
        ("CPU", cpu),
        ("open files", "unknown" if found.open_files is None else f"{found.open_files:,}"),
        ("event loop late by", "unknown" if found.loop_lag_s is None else f"{found.loop_lag_s * 1000:.1f} ms"),
    ]


def _list(counts: Mapping[str, int]) -> str:
    return ", ".join(f"{name} {count:,}" for name, count in counts.items()) or "none"


@run
async def circuits(*, url: ServerUrl = LOCAL_SERVER, key_file: KeyFile = None, as_json: AsJson = False) -> ExitCode:
    """Show the circuit breaker of each upstream server.

    The list is of the process that answers. Exit code 1 means that a circuit is not closed.
    """
    found = _circuits(await fetched_json(url, CIRCUITS_PATH, key_of(key_file)))
    if as_json:
        say_json({"circuits": found})
    elif found:
        columns = ("SERVER", "STATE", "RUNNING", "RECENT CALLS", "FAILED", "OPENED")
        say_table(columns, [_circuit_row(each) for each in found])
    else:
        complain("This process has called no other server yet.")
    return ExitCode.OK if all(each.get("state") == "closed" for each in found) else ExitCode.FAILED


def _circuits(answer: object) -> Sequence[Mapping[str, object]]:
    found = answer.get("circuits") if isinstance(answer, dict) else None
    if not isinstance(found, list) or not all(isinstance(each, dict) for each in found):
        raise Unavailable("The server is not a Ragstone of this version. Name another with --url.")
    return found


def _circuit_row(circuit: Mapping[str, object]) -> tuple[object, ...]:
    ago = circuit.get("opened_s_ago")
    opened = f"{ago:.1f} s ago" if isinstance(ago, int | float) else "-"
    shown = (circuit.get(name, "") for name in ("name", "state", "running", "recent_calls", "recent_failures"))
    return (*shown, opened)
