"""`ragstone operate metrics` and `circuits`: how a running server does, seen from outside."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Annotated

import typer

from ragstone.cli.command import LOCAL_SERVER, AsJson, ExitCode, KeyFile, ServerUrl, key_of, run
from ragstone.cli.output import complain, say, say_json, say_table
from ragstone.cli.remote import fetched, fetched_json
from ragstone.errors import Unavailable

if TYPE_CHECKING:
    from ragstone.cli.readings import Latency, Numbers

CIRCUITS = "/api/operate/circuits"
METRICS = "/metrics"
MIN_WATCH_S = 1.0


@run
async def metrics(
    *,
    url: ServerUrl = LOCAL_SERVER,
    key_file: KeyFile = None,
    watch: Annotated[
        float | None, typer.Option(metavar="SECONDS", min=MIN_WATCH_S, help="Show again and again what was added.")
    ] = None,
    raw: Annotated[bool, typer.Option("--raw", help="Everything, as Prometheus reads it.")] = False,
    as_json: AsJson = False,
) -> ExitCode:
    """Show the numbers of a running server that matter.

    Times are estimates from histograms. With --watch, the first table is of all time, each
    further one of the time since the one before; Ctrl-C ends it.
    """
    key = key_of(key_file)
    if raw:
        say(await fetched(url, METRICS, key), end="")
        return ExitCode.OK
    async for found in looks(lambda: fetched(url, METRICS, key), every_s=watch):
        if as_json:
            say_json(found)
        else:
            tell(found)
    return ExitCode.OK


async def looks(
    read: Callable[[], Awaitable[str]],
    *,
    every_s: float | None,
    clock: Callable[[], float] = time.time,
    pause: Callable[[float], Awaitable[None]] = asyncio.sleep,
) -> AsyncIterator[Numbers]:
    """The numbers of all time, then for ever what was added every `every_s` seconds; once without it."""
    from ragstone.cli.readings import age_s, numbers, reading_of

    before, then = reading_of(await read()), clock()
    yield numbers(before, seconds=age_s(before, then))
    while every_s is not None:
        await pause(every_s)
        reading, now = reading_of(await read()), clock()
        yield numbers(reading.since(before), seconds=now - then)
        before, then = reading, now


def tell(found: Numbers) -> None:
    """Write the numbers as two tables."""
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
        ("passed on since retrieval failed", _list(found.fail_opens)),
        ("fallbacks", _list(found.degraded)),
        ("circuits", ", ".join(f"{name} {state}" for name, state in found.circuits.items()) or "none"),
        ("calls upstream", _list(found.upstream_calls)),
        ("under way upstream", _list(found.upstream_running)),
        ("made again; refused for want of a place", f"{found.retries:,}; {found.shed:,}"),
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
    """Show which servers are called, and which are left alone.

    They are those of the one process that answers. Ends with 1 if a circuit is not closed.
    """
    found = _circuits(await fetched_json(url, CIRCUITS, key_of(key_file)))
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
        raise Unavailable("What answers there is no Ragstone of this version. Name another with --url.")
    return found


def _circuit_row(circuit: Mapping[str, object]) -> tuple[object, ...]:
    ago = circuit.get("opened_s_ago")
    opened = f"{ago:.1f} s ago" if isinstance(ago, int | float) else "-"
    shown = (circuit.get(name, "") for name in ("name", "state", "running", "recent_calls", "recent_failures"))
    return (*shown, opened)
