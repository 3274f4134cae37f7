"""`ragstone operate metrics` and `circuits`: monitoring of a running server."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from typing import Any

import pytest

from ragstone.cli.command import ExitCode
from ragstone.cli.metrics import Numbers, checked_address, numbers, quantile, reading_of, readings
from ragstone.errors import InvalidInput, Unavailable
from ragstone.telemetry.metrics import Metrics
from tests.api.conftest import KEY, running
from tests.clocks import Clock
from tests.platforms import small_platform
from tests.servers import serving


def read(metrics: Metrics, seconds: float | None = None) -> Numbers:
    return numbers(reading_of(metrics.render().decode()), seconds=seconds)


@pytest.fixture
def counted() -> Metrics:
    """A process that has seen something of everything."""
    metrics = Metrics()
    for status, times in {"200": 90, "404": 6, "500": 3, "503": 1}.items():
        metrics.requests.labels("/api/chat", status).inc(times)
    metrics.interceptions.labels("enriched").inc(7)
    metrics.fail_open.labels("timeout").inc(2)
    metrics.fail_open.labels("error").inc(5)
    metrics.upstream_calls.labels("one.example", "ok").inc(4)
    metrics.upstream_retries.labels("one.example").inc()
    metrics.shed.labels("one.example").inc(2)
    metrics.circuit.labels("one.example").set(2)
    metrics.circuit.labels("two.example").set(0)
    metrics.tokens.labels("fast", "input").inc(1000)
    for _ in range(100):
        metrics.stage_seconds.labels("search").observe(0.03)
    return metrics


def test_the_few_numbers_that_matter_are_sums_of_the_many(counted: Metrics):
    found = read(counted)
    assert (found.requests, found.server_errors, found.refused, found.error_share) == (100, 4, 6, 0.04)
    assert list(found.fail_opens.items()) == [("error", 5), ("timeout", 2)]
    assert found.interceptions == {"enriched": 7}
    assert found.circuits == {"one.example": "open", "two.example": "closed"}
    assert found.upstream_calls == {"one.example ok": 4}
    assert (found.retries, found.shed, found.tokens) == (1, 2, {"fast input": 1000})


def test_percentiles_are_linear_within_a_bucket(counted: Metrics):
    [latency] = [each for each in read(counted).latencies if each.kind == "stage"]
    # All hundred lie between 0.02 and 0.04 seconds; rank 50 is in the middle.
    assert (latency.kind, latency.name, latency.count) == ("stage", "search", 100)
    assert [latency.p50_s, latency.p95_s, latency.p99_s] == pytest.approx([0.03, 0.039, 0.0398])


@pytest.mark.parametrize(
    ("bounds", "share", "value"),
    [
        ([(1.0, 10), (2.0, 10), (float("inf"), 10)], 0.5, 0.5),
        ([(1.0, 0), (2.0, 10), (float("inf"), 10)], 0.5, 1.5),
        ([(1.0, 5), (2.0, 10), (float("inf"), 10)], 0.5, 1.0),
        ([(1.0, 0), (2.0, 0), (float("inf"), 10)], 0.99, 2.0),
    ],
)
def test_a_quantile_is_that_of_prometheus(bounds, share, value):
    assert quantile(bounds, share) == pytest.approx(value)


async def test_watching_shows_what_was_added_since(counted: Metrics):
    clock = Clock(100.0)

    async def exposition() -> str:
        return counted.render().decode()

    async def pause(seconds: float) -> None:
        clock.now += seconds
        counted.requests.labels("/api/chat", "200").inc(5)

    watching = readings(exposition, every_s=2.0, clock=clock, pause=pause)
    assert [(await anext(watching)).requests for _ in range(3)] == [100, 5, 5]
    await watching.aclose()  # type: ignore[attr-defined]  # an async generator


async def test_once_is_enough_without_watching(counted: Metrics):
    async def exposition() -> str:
        return counted.render().decode()

    assert len([found async for found in readings(exposition, every_s=None)]) == 1


def test_a_restart_is_no_negative_number(counted: Metrics):
    before = reading_of(counted.render().decode())
    fresh = Metrics()
    fresh.requests.labels("/api/chat", "200").inc(3)
    after = numbers(reading_of(fresh.render().decode()).since(before), seconds=1.0)
    assert after.requests == 3


def test_cpu_time_is_compared_with_the_time_it_is_about():
    text = (
        "process_cpu_seconds_total 5.0\nprocess_resident_memory_bytes 1048576.0\nragstone_event_loop_lag_seconds 0.25\n"
    )
    found = numbers(reading_of(text), seconds=20.0)
    assert (found.cpu_share, found.memory_bytes, found.open_files) == (0.25, 1_048_576, None)
    assert found.loop_lag_s == 0.25
    assert numbers(reading_of(text), seconds=None).cpu_share is None


def test_what_is_no_exposition_is_refused():
    with pytest.raises(Unavailable, match="--url"):
        reading_of('ragstone{"half')


@asynccontextmanager
async def server(folder: Any, **changes: object) -> AsyncIterator[tuple[Any, str]]:
    async with small_platform(folder, **changes) as platform, running(platform) as app, serving(app) as url:
        yield platform, url


async def test_the_numbers_of_a_running_server_are_a_table_json_or_as_they_are(cli, tmp_path):
    async with server(tmp_path / "served") as (_, url):
        table = await asyncio.to_thread(cli, "operate", "metrics", "--url", url)
        as_json = await asyncio.to_thread(cli, "operate", "metrics", "--url", f"{url}/", "--json")
        raw = await asyncio.to_thread(cli, "operate", "metrics", "--url", url, "--raw")
    assert (table.exit_code, as_json.exit_code, raw.exit_code) == (0, 0, 0)
    assert "requests\t" in table.stdout
    assert json.loads(as_json.stdout)["requests"] >= 1
    assert raw.stdout.startswith("# HELP ")


async def test_a_key_opens_what_a_stranger_may_not_see(cli, tmp_path):
    (tmp_path / "key").write_text(KEY)
    async with server(tmp_path / "served", server={"api_keys": [KEY]}) as (_, url):
        for command in ("metrics", "circuits"):
            stranger = await asyncio.to_thread(cli, "operate", command, "--url", url)
            assert (stranger.exit_code, "--key-file" in stranger.stderr) == (ExitCode.FAILED, True)
            known = await asyncio.to_thread(cli, "operate", command, "--url", url, "--key-file", tmp_path / "key")
            assert (known.exit_code, KEY in known.output) == (ExitCode.OK, False)


async def test_circuits_are_listed_and_one_that_is_open_ends_with_1(cli, tmp_path):
    async def fails() -> None:
        raise OSError

    async with server(tmp_path / "served") as (platform, url):
        none = await asyncio.to_thread(cli, "operate", "circuits", "--url", url)
        guard = platform.operations.policies.guard("models.example.com")
        for _ in range(60):
            with suppress(Exception):
                await guard.call(fails)
        table = await asyncio.to_thread(cli, "operate", "circuits", "--url", url)
        as_json = await asyncio.to_thread(cli, "operate", "circuits", "--url", url, "--json")
    assert (none.exit_code, none.stdout) == (ExitCode.OK, "")
    assert (table.exit_code, as_json.exit_code) == (ExitCode.FAILED, ExitCode.FAILED)
    assert "models.example.com\topen\t" in table.stdout
    [circuit] = json.loads(as_json.stdout)["circuits"]
    assert (circuit["name"], circuit["state"]) == ("models.example.com", "open")
    assert circuit["recent_failures"] == circuit["recent_calls"] > 0
    assert circuit["opened_s_ago"] >= 0


@asynccontextmanager
async def answering(answer: bytes) -> AsyncIterator[str]:
    async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with suppress(asyncio.IncompleteReadError, ConnectionError):
            await reader.readuntil(b"\r\n\r\n")
            writer.write(answer)
            await writer.drain()
        writer.close()

    listening = await asyncio.start_server(handle, "127.0.0.1", 0)
    async with listening:
        yield f"http://127.0.0.1:{listening.sockets[0].getsockname()[1]}"


@pytest.mark.parametrize(
    "body", [b"no json", b"[]", b'{"circuits": 3}', b'{"circuits": [3]}', b"[" * 100_000, b"\xff"], ids=repr
)
async def test_another_program_s_answer_is_a_sentence(cli, body):
    head = b"HTTP/1.1 200 OK\r\nconnection: close\r\n\r\n"
    async with answering(head + body) as url:
        result = await asyncio.to_thread(cli, "operate", "circuits", "--url", url)
    assert (result.exit_code, "not a Ragstone" in result.stderr) == (ExitCode.UNAVAILABLE, True)


@pytest.mark.parametrize(
    "answer",
    [
        b"HTTP/1.1 404 X\r\nconnection: close\r\n\r\n",
        b"HTTP/1.1 302 X\r\nlocation: /health\r\nconnection: close\r\n\r\n",
        b"no HTTP",
        b"",
    ],
    ids=["404", "302", "no HTTP", "nothing"],
)
async def test_a_server_that_is_none_is_a_sentence(cli, answer):
    async with answering(answer) as url:
        result = await asyncio.to_thread(cli, "operate", "metrics", "--url", url)
    assert result.exit_code == ExitCode.UNAVAILABLE


async def test_an_answer_without_end_is_not_kept(cli):
    async with answering(b"HTTP/1.1 200 OK\r\nconnection: close\r\n\r\n" + b"# x\n" * (5 << 20)) as url:
        result = await asyncio.to_thread(cli, "operate", "metrics", "--raw", "--url", url)
    assert (result.exit_code, result.stdout) == (ExitCode.UNAVAILABLE, "")


def test_no_server_there_is_a_sentence(cli):
    result = cli("operate", "metrics", "--url", "http://127.0.0.1:9")
    assert (result.exit_code, "ragstone serve" in result.stderr) == (ExitCode.UNAVAILABLE, True)


def test_a_key_that_travels_unencrypted_is_pointed_out(capsys):
    assert checked_address("http://rag.example.com/", "secret") == "http://rag.example.com"
    assert "unencrypted" in capsys.readouterr().err
    checked_address("https://rag.example.com", "secret")
    checked_address("http://127.0.0.1:8000", "secret")
    assert capsys.readouterr().err == ""


@pytest.mark.parametrize("url", ["", "127.0.0.1:8000", "ftp://a.example", "http://me:pw@a.example", "http://[::1"])
def test_an_invalid_address_is_refused(url):
    with pytest.raises(InvalidInput):
        checked_address(url, "")
