"""`ragstone operate load-test`: an open loop with exact counts, for the caller's own server only."""

from __future__ import annotations

import asyncio
import json
import random
from collections import Counter
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path
from typing import Any
from xml.etree import ElementTree as ET

import pytest
import typer
from typer.main import get_command

from benchmarks.load.charts import round_up
from benchmarks.load.chat import Asker, Kind, Target, session
from benchmarks.load.command import app, check_target, questions_of
from benchmarks.load.drive import Call, Reply, Run, drive
from benchmarks.load.figures import figures, percentile, percentiles
from benchmarks.load.plan import MAX_DURATION_S, Plan, arrivals, checked, steps
from benchmarks.load.report import page
from ragstone.cli.command import ExitCode, key_of, seconds_of
from ragstone.cli.load_test import run_tester
from ragstone.errors import Forbidden, InvalidInput, NotFound
from tests.api.conftest import running
from tests.cli.conftest import Cli, command_line, write_handbook
from tests.clocks import Clock
from tests.platforms import small_platform
from tests.servers import serving
from tests.waiting import until

RISE = Plan(rate=10, to=50, ramp_s=10, hold_s=5)
STREAM = "HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\nconnection: close\r\n\r\n"
CHAT = STREAM + 'event: delta\ndata: {"text":"a"}\n\nevent: delta\ndata: {"text":"b"}\n\nevent: done\ndata: {}\n\n'
CHUNK = 'data: {"choices":[{"delta":{"content":"a"}}]}\n\n'
ROLE = 'data: {"choices":[{"delta":{"role":"assistant","content":""}}]}\n\n'


DOCS = Path(__file__).parents[2] / "docs" / "cli.md"


@pytest.fixture
def cli(tmp_path: Path) -> Cli:
    """Runs a command on a fresh data directory."""
    return command_line(tmp_path / "data")


# The command.


def test_the_command_shows_the_options_of_the_tester_and_the_docs_page_names_each(cli):
    help_text, page_text = cli("operate", "load-test", "--help").stdout, DOCS.read_text(encoding="utf-8")
    options = [option for parameter in get_command(app).params for option in parameter.opts if option[:2] == "--"]
    assert len(options) > 10
    assert [option for option in options if option not in help_text or option not in page_text] == []


def test_an_installation_without_a_clone_says_how_to_get_the_tester(tmp_path, capsys):
    with pytest.raises(typer.Exit) as ended:
        run_tester(tmp_path, ["http://127.0.0.1:8000"])
    assert ended.value.exit_code == ExitCode.FAILED
    assert "Clone the repository" in capsys.readouterr().err


# The plan.


def test_a_plan_sends_as_many_requests_as_its_rate_adds_up_to():
    assert RISE.expected == 10 * 10 + 40 * 10 / 2 + 50 * 5
    assert len(arrivals(RISE, "constant", seed=1)) == 550


def test_moments_are_in_order_within_the_time_and_denser_as_the_rate_rises():
    for kind in ("constant", "poisson"):
        moments = arrivals(RISE, kind, seed=1)
        assert moments == sorted(moments)
        assert 0 <= moments[0] <= moments[-1] <= RISE.duration_s
        by_half = Counter(moment < 5 for moment in moments if moment < 10)
        assert by_half[True] < by_half[False]


def test_the_moment_of_a_request_is_the_inverse_of_how_many_are_due():
    for plan in (RISE, Plan(50, 10, 10, 5), Plan(10, 10, 10, 5), Plan(7, 7, 0, 9)):
        for share in (0.01, 0.3, 0.5, 0.9, 0.999):
            number = plan.expected * share
            assert plan.due_by(plan.moment_of(number)) == pytest.approx(number)


def test_the_same_seed_gives_the_same_moments_and_another_one_others():
    assert arrivals(RISE, "poisson", seed=3) == arrivals(RISE, "poisson", seed=3)
    assert arrivals(RISE, "poisson", seed=3) != arrivals(RISE, "poisson", seed=4)


def test_people_come_independently_of_each_other():
    moments = arrivals(Plan(100, 100, 0, 100), "poisson", seed=1)
    gaps = [later - sooner for sooner, later in pairwise(moments)]
    mean = sum(gaps) / len(gaps)
    variance = sum((gap - mean) ** 2 for gap in gaps) / len(gaps)
    assert len(moments) == pytest.approx(10_000, rel=0.05)
    assert variance / mean**2 == pytest.approx(1.0, rel=0.1)  # 1 for an exponential distribution, 0 for even gaps


@pytest.mark.parametrize(
    ("plan", "why"),
    [
        (Plan(0, 10, 1, 1), "above 0"),
        (Plan(10, -1, 1, 1), "above 0"),
        (Plan(10, 10, 0, 0), "may take"),
        (Plan(10, 10, 0, MAX_DURATION_S + 1), "may take"),
        (Plan(5_000, 5_000, 0, 600), "may send"),
    ],
)
def test_a_plan_that_does_not_end_or_does_not_fit_is_refused(plan, why):
    with pytest.raises(InvalidInput, match=why):
        checked(plan)
    assert checked(RISE) == RISE


def test_steps_cover_the_whole_time_without_a_gap():
    for plan in (RISE, Plan(1, 1, 0, 3), Plan(1, 2, 3, 0)):
        edges = steps(plan)
        assert (edges[0][0], edges[-1][1]) == (0.0, plan.duration_s)
        assert all(end == start for (_, end), (start, _) in pairwise(edges))


# The driver, in time that passes when it waits.


@dataclass
class World:
    """A clock that a pause moves on; it wakes the tasks that wait for a moment in that time."""

    clock: Clock = field(default_factory=Clock)
    waiting: list[tuple[float, asyncio.Event]] = field(default_factory=list)

    async def pause(self, seconds: float) -> None:
        await self.others()
        end = self.clock.now + seconds
        while due := sorted((moment, event) for moment, event in self.waiting if moment <= end):
            moment, event = due[0]
            self.waiting.remove((moment, event))
            self.clock.now = max(self.clock.now, moment)
            event.set()
            await self.others()
        self.clock.now = end
        await self.others()

    async def others(self) -> None:
        for _ in range(5):
            await asyncio.sleep(0)

    async def after(self, seconds: float) -> None:
        event = asyncio.Event()
        self.waiting.append((self.clock.now + seconds, event))
        await event.wait()


async def test_an_arrival_never_waits_for_the_answer_before_it():
    world, sent = World(), []

    async def stalls(number: int) -> Reply:
        sent.append((number, world.clock.now))
        await world.after(4.0)
        return Reply(1.0, 4.0)

    moments = [0.0, 1.0, 2.0, 3.0, 30.0]
    driving = asyncio.create_task(drive(moments, stalls, most=100, clock=world.clock, pause=world.pause))
    await until(lambda: len(sent) == len(moments))
    await world.pause(10)
    run = await driving
    assert sent == list(enumerate(moments))
    assert len(run.calls) == 5
    assert run.most_at_once == 4


async def test_beyond_the_places_arrivals_are_counted_and_not_sent():
    world, sent = World(), []

    async def stalls(number: int) -> Reply:
        sent.append(number)
        await world.after(10.0)
        return Reply(None, 10.0)

    driving = asyncio.create_task(drive([0.0, 1.0, 2.0, 3.0], stalls, most=2, clock=world.clock, pause=world.pause))
    await until(lambda: world.clock.now >= 3.0)
    await world.pause(20)
    run = await driving
    assert (sent, run.not_sent) == ([0, 1], [2.0, 3.0])
    found = figures(Plan(1, 1, 0, 4), run)
    assert found.problems == {"not sent": 2}
    assert found.whole.error_share == 0.5


async def test_a_late_start_is_part_of_what_is_measured():
    clock = Clock()

    async def slow_pause(seconds: float) -> None:
        clock.now += seconds + 0.5
        await asyncio.sleep(0)

    async def at_once(_number: int) -> Reply:
        return Reply(0.1, 0.2, words=3, gaps_s=(0.05, 0.05))

    run = await drive([1.0], at_once, most=1, clock=clock, pause=slow_pause)
    [call] = run.calls
    assert [call.lag_s, call.first_s, call.total_s] == pytest.approx([0.5, 0.6, 0.7])
    assert list(run.gaps_s) == [0.05, 0.05]
    assert "sent 500 ms after it was due" in figures(Plan(1, 1, 0, 2), run).warnings[0]


async def test_a_test_that_is_ended_leaves_no_request_behind():
    world, cancelled = World(), []

    async def never(number: int) -> Reply:
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            cancelled.append(number)
            raise
        return Reply(None, 0.0)

    driving = asyncio.create_task(drive([0.0, 1.0], never, most=9, clock=world.clock, pause=world.pause))
    await until(lambda: world.clock.now >= 1.0)
    driving.cancel()
    with suppress(asyncio.CancelledError):
        await driving
    assert sorted(cancelled) == [0, 1]


# The figures.


def test_percentiles_are_times_that_were_measured():
    values = list(range(1, 101))
    random.Random(7).shuffle(values)
    assert percentiles(values) == percentiles(range(1, 101))
    assert (percentiles(values).p50, percentiles(values).p95, percentiles(values).p99) == (50, 95, 99)
    assert percentile([3.0], 0.99) == 3.0
    assert percentile([], 0.5) is None


def a_run() -> Run:
    """Ten seconds, one request each; the third and fourth fail, the fifth was not sent."""
    run = Run(not_sent=[4.0], wall_s=10.0, cpu_s=1.0)
    for number in (0, 1, 2, 3, 5, 6, 7, 8, 9):
        problem = {2: "HTTP 503", 3: "broke off"}.get(number, "")
        run.add(Call(float(number), 0.001, None if problem else 0.1 * number, 0.9, 5, problem), ())
    return run


def test_calls_count_where_they_were_due_and_answers_where_they_came():
    found = figures(Plan(1, 1, 0, 10), a_run())
    assert (found.whole.sent, found.whole.failed, found.whole.not_sent) == (9, 2, 1)
    assert found.whole.error_share == pytest.approx(0.3)
    assert found.problems == {"HTTP 503": 1, "broke off": 1, "not sent": 1}
    assert found.whole.first_s.p50 == pytest.approx(0.6)  # of 0, .1, .5, .6, .7, .8, .9
    assert found.whole.achieved_rate == pytest.approx(0.7)
    assert sum(step.sent for step in found.steps) == 9
    assert found.warnings == [
        "1 requests were not sent because --most requests were already open. They count as errors."
    ]


def test_a_client_that_is_busy_says_so():
    run = a_run()
    run.cpu_s = 9.9
    assert any("99% of a core" in text for text in figures(Plan(1, 1, 0, 10), run).warnings)


# The report.


def test_the_report_stands_by_itself_and_its_pictures_are_described():
    plan = Plan(1, 1, 0, 10)
    run = a_run()
    text = page(plan, run, figures(plan, run), {"target": "http://127.0.0.1/<script>alert(1)</script>"})
    assert "<script" not in text
    assert "http" not in text.replace("http://127.0.0.1/&lt;script", "").replace("HTTP 503", "").lower().replace(
        "http 503", ""
    )
    assert "prefers-color-scheme: dark" in text
    pictures = [f"<svg{rest.split('</svg>')[0]}</svg>" for rest in text.split("<svg")[1:]]
    assert len(pictures) == 4
    for picture in pictures:
        tree = ET.fromstring(picture)
        assert tree.attrib["role"] == "img"
        names = tree.attrib["aria-labelledby"].split()
        assert [tree.find(f"*[@id='{name}']") is not None for name in names] == [True, True]
    assert text.count("<td>HTTP 503</td><td>1</td>") == 1


def test_a_report_of_nothing_is_a_report():
    plan = Plan(1, 1, 0, 10)
    assert "None." in page(plan, Run(), figures(plan, Run()), {})


@pytest.mark.parametrize(("most", "top"), [(0, 1), (0.9, 1), (3, 4), (4.1, 5), (79, 80), (81, 100), (1000, 1000)])
def test_axes_end_at_round_numbers(most, top):
    assert round_up(most) == pytest.approx(top)


# Real requests.


@asynccontextmanager
async def answering(answers: Callable[[int], str]) -> AsyncIterator[tuple[str, list[dict]]]:
    """A server that answers request n with `answers(n)` and closes; and the requests that it got."""
    got: list[dict] = []

    async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with suppress(asyncio.IncompleteReadError, ConnectionError):
            head = (await reader.readuntil(b"\r\n\r\n")).decode().lower()
            length = int(head.split("content-length: ")[1].split("\r\n")[0])
            body = json.loads(await reader.readexactly(length))
            got.append({"head": head, "body": body})
            writer.write(answers(len(got) - 1).encode())
            await writer.drain()
        writer.close()

    server = await asyncio.start_server(handle, "127.0.0.1", 0)
    async with server:
        yield f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}", got


async def asked(answer: str, kind: Kind = "chat") -> Reply:
    async with answering(lambda _: answer) as (url, _), session(1) as client:
        return await Asker(Target(url, kind, ["Why?"], timeout_s=20), client).ask(0)


@pytest.mark.parametrize(
    ("kind", "answer", "words", "problem"),
    [
        ("chat", CHAT, 2, ""),
        ("openai", f"{STREAM}{ROLE}{CHUNK}{CHUNK}{CHUNK}data: [DONE]\n\n", 3, ""),
        ("openai", f"{STREAM}{CHUNK}", 1, "broke off"),
        (
            "openai",
            f'{STREAM}{CHUNK}data: {{"error": {{"message": "no"}}}}\n\ndata: [DONE]\n\n',
            1,
            "error in the stream",
        ),
        ("openai", f"{STREAM}data: {{half\n\ndata: [DONE]\n\n", 0, ""),
        ("chat", f"{STREAM}event: delta\ndata: {{}}\n\nevent: error\ndata: {{}}\n\n", 1, "error in the stream"),
        ("chat", STREAM, 0, "broke off"),
        ("chat", "HTTP/1.1 503 X\r\ncontent-length: 0\r\n\r\n", 0, "HTTP 503"),
        ("chat", "HTTP/1.1 302 X\r\nlocation: http://127.0.0.1:1/\r\ncontent-length: 0\r\n\r\n", 0, "HTTP 302"),
        ("chat", "", 0, "connection lost"),
        (
            "chat",
            STREAM.replace("connection: close", "content-length: 999") + "event: delta\ndata: {}\n\n",
            1,
            "broke off",
        ),
    ],
)
async def test_each_way_an_answer_ends_has_its_name(kind, answer, words, problem):
    reply = await asked(answer, kind)
    assert (reply.words, reply.problem, len(reply.gaps_s)) == (words, problem, max(0, words - 1))
    assert (reply.first_s is None) == (words == 0)


async def test_no_server_there_is_no_connection():
    async with session(1) as client:
        reply = await Asker(Target("http://127.0.0.1:9", "chat", ["Why?"]), client).ask(0)
    assert reply.problem == "no connection"


async def test_a_line_without_an_end_is_not_kept_for_ever():
    assert (await asked(STREAM + "data: " + "x" * (5 << 20))).problem == "connection lost"


async def in_thread(command: Callable[..., Any], *arguments: object) -> Any:
    return await asyncio.to_thread(command, *arguments)


QUICK = ("--rate", "100", "--hold", "300ms", "--arrivals", "constant")


async def test_the_command_counts_every_request_and_ends_with_1_if_any_failed(cli, tmp_path):
    report = tmp_path / "report.html"
    busy = "HTTP/1.1 429 X\r\ncontent-length: 0\r\nconnection: close\r\n\r\n"
    async with answering(lambda number: busy if number % 10 == 9 else CHAT) as (url, got):
        arguments = ("operate", "load-test", url, *QUICK, "--report", report, "--json")
        done = await in_thread(cli, *arguments)
    assert done.exit_code == ExitCode.FAILED, done.output
    found = json.loads(done.stdout)
    assert (len(got), found["whole"]["sent"], found["whole"]["failed"]) == (30, 30, 3)
    assert found["problems"] == {"HTTP 429": 3}
    assert found["words"] == 54
    assert got[0]["body"] == {"question": "What is this about?", "stream": True}
    assert found["gap_s"]["p50"] >= 0
    assert found["lag_p99_s"] >= 0
    assert "<svg" in report.read_text(encoding="utf-8")


async def test_the_table_ends_with_the_whole_and_says_how_late_the_client_was(cli):
    async with answering(lambda _: CHAT) as (url, _):
        done = await in_thread(cli, "operate", "load-test", url, *QUICK)
    lines = done.stdout.splitlines()
    assert lines[0].startswith("SECONDS\tASKED/S\tANSWERED/S\tSENT\tERRORS\tFIRST p50\t")
    assert lines[4].split("\t")[:2] == ["0 to 0.3", "100.0"]
    assert lines[4].split("\t")[3:5] == ["30", "0.00%"]
    assert "in 60 words" in done.stdout
    assert "The client was late by " in done.stdout


async def test_the_key_is_sent_and_shown_nowhere(cli, tmp_path):
    (tmp_path / "key").write_text("rs_secret_hunter2\n")
    (tmp_path / "questions").write_text("First?\n\nSecond?\n")
    report = tmp_path / "report.html"
    files = ("--key-file", tmp_path / "key", "--question-file", tmp_path / "questions", "--report", report)
    answer = f"{STREAM}{CHUNK}data: [DONE]\n\n"
    async with answering(lambda _: answer) as (url, got):
        arguments = ("operate", "load-test", f"{url}/v1", *QUICK, "--kind", "openai", "--model", "fast", *files)
        done = await in_thread(cli, *arguments)
    assert done.exit_code == ExitCode.OK, done.output
    assert {request["body"]["messages"][0]["content"] for request in got} == {"First?", "Second?"}
    assert got[0]["body"]["model"] == "fast"
    assert "post /v1/chat/completions " in got[0]["head"]
    assert "authorization: bearer rs_secret_hunter2" in got[0]["head"]
    assert "hunter2" not in done.output + report.read_text(encoding="utf-8")


async def test_our_own_server_answers_a_load_test(cli, tmp_path):
    async with small_platform(tmp_path / "served") as platform:
        await platform.ingest(write_handbook(tmp_path / "handbook"))
        async with running(platform) as app, serving(app) as url:
            arguments = ("operate", "load-test", url, "--rate", "20", "--hold", "500ms", "--json")
            done = await in_thread(cli, *arguments)
    assert done.exit_code == ExitCode.OK, done.output
    found = json.loads(done.stdout)
    assert found["whole"]["sent"] > 0
    assert found["words"] >= found["whole"]["sent"]
    assert found["whole"]["first_s"]["p50"] is not None


# What is refused.


@pytest.mark.parametrize("url", ["http://127.0.0.1:8000", "http://localhost/", "https://[::1]:1/v1"])
def test_this_machine_may_be_loaded(url):
    check_target(url, None)


@pytest.mark.parametrize("owned", [None, "other.example.com", "", "example.com"])
def test_another_host_needs_to_be_named_as_ones_own(owned):
    with pytest.raises(Forbidden, match=r"--i-own-this-host rag\.example\.com"):
        check_target("https://rag.example.com", owned)
    check_target("https://rag.example.com", "rag.example.com")


@pytest.mark.parametrize(
    "url",
    ["ftp://127.0.0.1", "127.0.0.1:8000", "http://", "http://me:pw@127.0.0.1", "http://[::1", "http://127.0.0.1?a=b"],
)
def test_an_invalid_address_is_refused(url):
    with pytest.raises(InvalidInput):
        check_target(url, "127.0.0.1")


@pytest.mark.parametrize(
    "arguments",
    [("--kind", "soap"), ("--arrivals", "bursts"), ("--hold", "1 fortnight"), ("--rate", "0"), ("--hold", "11m")],
)
def test_wrong_usage_sends_nothing(cli, arguments):
    assert cli("operate", "load-test", "http://127.0.0.1:9", *arguments).exit_code == ExitCode.USAGE


def test_durations_have_a_unit():
    assert [seconds_of(text) for text in ("500ms", "30s", "1.5m", "2h", "7d")] == [0.5, 30, 90, 7200, 604_800]
    for text in ("", "30", "s", "-1s", "1e9s", "1 s"):
        with pytest.raises(InvalidInput):
            seconds_of(text)


def test_files_of_keys_and_questions_hold_what_they_should(tmp_path: Path):
    file = tmp_path / "file"
    for content in (b"", b"two words", b"\xff", b"x" * 5000):
        file.write_bytes(content)
        with pytest.raises(InvalidInput):
            key_of(file)
    for content in (b"", b" \n", b"\xff\xfe\x00"):
        file.write_bytes(content)
        with pytest.raises(InvalidInput):
            questions_of(file)
    for read in (key_of, questions_of):
        with pytest.raises(NotFound):
            read(tmp_path / "none")
