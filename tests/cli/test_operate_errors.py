"""`ragstone operate errors`: recent failures in groups, each with its fix."""

from __future__ import annotations

import asyncio
import json
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from ragstone.cli.command import ExitCode
from ragstone.cli.errors import BY_CODE, UNKNOWN, advice, merged, sparkline
from ragstone.errors import RagstoneError
from ragstone.storage.failure_log import FailureGroup, FailureLog
from ragstone.telemetry.failure_buffer import Failure
from ragstone.wiring import open_records
from tests.platforms import small_settings

NOON = datetime(2026, 11, 21, 12, tzinfo=UTC)


def group(code: str, stage: str, count: int, *, upstream: str = "", last: int = 0, total: int = 10) -> FailureGroup:
    """A group whose failures came in one minute, `last` minutes before noon."""
    per_minute = [0, 0, 0]
    per_minute[-1 - last] = count
    moment = NOON - timedelta(minutes=last)
    return FailureGroup(
        code=code,
        stage=stage,
        upstream=upstream,
        errors=(code.title(),),
        count=count,
        share=count / total,
        first=moment - timedelta(seconds=count),
        last=moment,
        requests=tuple(f"{code}-{number}" for number in range(2)),
        per_minute=tuple(per_minute),
    )


GROUPS = [
    group("timeout", "retrieve", 5),
    group("timeout", "upstream", 3, upstream="one.example", last=1),
    group("overloaded", "upstream", 2, upstream="two.example", last=2),
]


def test_groups_are_left_apart_unless_they_are_put_together():
    assert [(one.code, one.stage, one.count) for one in merged(GROUPS, None)] == [
        ("timeout", "retrieve", 5),
        ("timeout", "upstream", 3),
        ("overloaded", "upstream", 2),
    ]


def test_what_is_put_together_adds_up():
    timeout, overloaded = merged(GROUPS, "code")
    assert (timeout.code, timeout.stage, timeout.upstream) == ("timeout", "*", "*")
    assert (timeout.count, timeout.per_minute) == (8, [0, 3, 5])
    assert timeout.share == pytest.approx(0.8)
    assert timeout.first == NOON - timedelta(minutes=1, seconds=3)
    assert timeout.last == NOON
    assert len(timeout.requests) == 2
    assert (overloaded.code, overloaded.stage, overloaded.upstream) == ("overloaded", "upstream", "two.example")
    assert [(one.stage, one.count) for one in merged(GROUPS, "stage")] == [("upstream", 5), ("retrieve", 5)]
    assert [(one.upstream, one.count) for one in merged(GROUPS, "upstream")] == [
        ("", 5),
        ("one.example", 3),
        ("two.example", 2),
    ]


@pytest.mark.parametrize(
    ("counts", "shown"),
    [
        ([], ""),
        ([0, 0], "  "),
        ([0, 1, 8], " ▁█"),
        ([1, 2, 3, 4, 5, 6, 7, 8], "▁▂▃▄▅▆▇█"),
        ([1] * 60, "█" * 20),
        ([0] * 59 + [1], " " * 19 + "█"),
    ],
)
def test_a_course_is_drawn_from_none_to_the_most(counts, shown):
    assert sparkline(counts) == shown


def codes(root: type[RagstoneError] = RagstoneError) -> set[str]:
    ours = {root.code} if root.__module__ == RagstoneError.__module__ else set()
    return ours.union(*(codes(kind) for kind in root.__subclasses__()))


def test_each_error_there_is_has_an_advice():
    assert codes() <= set(BY_CODE)
    assert advice("an unknown code", "") == UNKNOWN
    assert advice("timeout", "retrieve") != advice("timeout", "upstream")


def test_a_time_out_without_a_code_of_ours_is_a_time_out():
    assert advice("internal", "retrieve", ("TimeoutError",)) == advice("timeout", "retrieve")
    assert advice("internal", "retrieve", ("KeyError", "TimeoutError")) == BY_CODE["internal"]


def note(folder: Path, *failures: Failure) -> None:
    async def write() -> None:
        async with open_records(small_settings(folder)) as records:
            await FailureLog(records.storage.database).write(failures)

    asyncio.run(write())


def failure(number: int, code: str, stage: str, *, ago: timedelta = timedelta(minutes=5)) -> Failure:
    return Failure(
        id=f"{number:032x}",
        at=datetime.now(UTC) - ago,
        stage=stage,
        code=code,
        error="TimeoutError",
        request_id=f"request-{number}",
    )


def test_the_command_counts_and_says_what_to_do(cli, tmp_path):
    note(
        tmp_path / "data",
        *(failure(number, "circuit_open", "upstream") for number in range(3)),
        failure(9, "internal", "ingest"),
        failure(10, "overloaded", "upstream", ago=timedelta(hours=3)),
    )
    hour, day = cli("operate", "errors"), cli("operate", "errors", "--since", "1d", "--by", "stage", "--json")
    assert (hour.exit_code, day.exit_code) == (ExitCode.OK, ExitCode.OK)
    lines = [line.split("\t") for line in hour.stdout.splitlines()]
    assert [line[:4] for line in lines[1:3]] == [
        ["3", "75%", "circuit_open", "upstream"],
        ["1", "25%", "internal", "ingest"],
    ]
    assert "request-2" in lines[1][-1]
    assert "circuit_open upstream: " in hour.stdout
    assert "ragstone operate circuits" in hour.stdout
    found = json.loads(day.stdout)["errors"]
    assert [(one["stage"], one["code"], one["count"]) for one in found] == [
        ("upstream", "*", 4),
        ("ingest", "internal", 1),
    ]


def test_nothing_that_failed_is_a_sentence(cli):
    assert cli("operate", "errors").stdout.startswith("No failure was recorded in the last 1h")
    assert json.loads(cli("operate", "errors", "--json").stdout) == {"since": "1h", "errors": []}


@pytest.mark.parametrize("arguments", [("--by", "tenant"), ("--since", "yesterday")])
def test_wrong_usage_is_refused(cli, arguments):
    assert cli("operate", "errors", *arguments).exit_code == ExitCode.USAGE
