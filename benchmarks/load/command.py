"""Command `ragstone operate load-test`: open-loop load test of a chat server."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal, cast
from urllib.parse import SplitResult, urlsplit

import typer

from ragstone.cli.command import AsJson, ExitCode, KeyFile, key_of, run, seconds_of
from ragstone.cli.output import complain, say, say_json, say_table
from ragstone.errors import Forbidden, InvalidInput, NotFound
from ragstone.settings import LOOPBACK_HOSTS

if TYPE_CHECKING:
    from benchmarks.load.chat import Target
    from benchmarks.load.drive import Run
    from benchmarks.load.figures import Figures
    from benchmarks.load.plan import Plan

QUESTION = "What is this about?"
MAX_QUESTIONS_BYTES = 1 << 20
MOST_AT_ONCE = 2000
MAX_AT_ONCE = 20_000  # below the ports of one address
TELL_EVERY_S = 5.0
app = typer.Typer(add_completion=False, rich_markup_mode=None, context_settings={"help_option_names": ["-h", "--help"]})
COLUMNS = ("SECONDS", "ASKED/S", "ANSWERED/S", "SENT", "ERRORS", "FIRST p50", "p95", "p99", "ALL p50", "p95", "p99")

Rate = Annotated[float, typer.Option(metavar="N", help="Requests per second at the start.")]
Duration = Annotated[str, typer.Option(metavar="TIME", help="Duration, such as 30s or 2m.")]


@app.command()
@run
async def load_test(
    url: Annotated[str, typer.Argument(metavar="URL", help="The server, such as http://127.0.0.1:8000.")],
    *,
    kind: Annotated[str, typer.Option(metavar="chat|openai", help="POST /api/chat, or /v1/chat/completions.")] = "chat",
    rate: Rate = 10.0,
    to: Annotated[float | None, typer.Option(metavar="N", help="The rate to rise to. [default: no rise]")] = None,
    ramp: Duration = "30s",
    hold: Duration = "30s",
    arrivals: Annotated[
        str, typer.Option(metavar="poisson|constant", help="Random as with independent users, or evenly spaced.")
    ] = "poisson",
    seed: Annotated[int, typer.Option(metavar="N", help="Seed of the random arrivals.")] = 1,
    key_file: KeyFile = None,
    question_file: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Questions, one a line, asked in turn.")
    ] = None,
    model: Annotated[str, typer.Option(metavar="NAME", help="Model name in the request, for openai.")] = "ragstone",
    longest: Annotated[str, typer.Option(metavar="TIME", help="Time limit of an answer.")] = "60s",
    most: Annotated[
        int,
        typer.Option(metavar="N", min=1, max=MAX_AT_ONCE, help="Limit of open requests; others are dropped."),
    ] = MOST_AT_ONCE,
    report: Annotated[Path | None, typer.Option(metavar="FILE", help="Write an HTML report with charts.")] = None,
    i_own_this_host: Annotated[
        str | None, typer.Option(metavar="HOST", help="Confirm a host other than this machine.")
    ] = None,
    as_json: AsJson = False,
) -> ExitCode:
    """Send chats at a rising rate and measure the answers.

    Each request is sent when it is due, independently of earlier answers. Exit code 1 means that
    a request failed. Answers may cost money: --kind openai may call a model upstream.
    """
    check_target(url, i_own_this_host)
    from benchmarks.load.figures import figures
    from benchmarks.load.plan import Plan, checked

    plan = checked(Plan(rate, to or rate, seconds_of(ramp) if to else 0.0, seconds_of(hold)))
    target = _target(url, kind, key_file, question_file, model, seconds_of(longest))
    done = await _drive(plan, target, _arrivals(arrivals), seed=seed, most=most, quiet=as_json)
    found = figures(plan, done)
    if report is not None:
        await asyncio.to_thread(_write, report, plan, done, found, _facts(plan, target, arrivals, seed, most))
    _tell(found, as_json=as_json)
    return ExitCode.FAILED if found.problems else ExitCode.OK


def check_target(url: str, owned: str | None) -> None:
    """Refuse a server that is neither local nor named as the caller's own.

    Raises:
        InvalidInput: the address is invalid or has more than scheme, host, port and path.
        Forbidden: the host is neither this machine nor `owned`.
    """
    parts = _split(url)
    if parts.scheme not in {"http", "https"} or not parts.hostname or "@" in parts.netloc or parts.query:
        raise InvalidInput("Give the server's address, such as http://127.0.0.1:8000, without a name or a key in it.")
    if parts.hostname not in LOOPBACK_HOSTS and parts.hostname != (owned or "").lower():
        raise Forbidden(
            f"{parts.hostname} is not this machine, and a load test of another owner's server is an attack. "
            f"If the server is yours, confirm it with --i-own-this-host {parts.hostname}."
        )


def _split(url: str) -> SplitResult:
    try:
        return urlsplit(url)
    except ValueError as error:
        raise InvalidInput("The address is invalid. Write it like http://127.0.0.1:8000.") from error


def _arrivals(name: str) -> Literal["poisson", "constant"]:
    if name not in {"poisson", "constant"}:
        raise InvalidInput(f"Unknown arrivals {name[:40]!r}. Use poisson or constant.")
    return cast("Literal['poisson', 'constant']", name)


def _target(
    url: str, kind: str, key_file: Path | None, question_file: Path | None, model: str, timeout_s: float
) -> Target:
    from benchmarks.load.chat import Target

    if kind not in {"chat", "openai"}:
        raise InvalidInput(f"Unknown kind {kind[:40]!r}. Use chat or openai.")
    questions = [QUESTION] if question_file is None else questions_of(question_file)
    return Target(url, cast("Literal['chat', 'openai']", kind), questions, key_of(key_file), model, timeout_s)


def questions_of(file: Path) -> Sequence[str]:
    """Read the questions of a file, one per line.

    Raises:
        NotFound: the file cannot be read.
        InvalidInput: the file has no question, is too large, or is not UTF-8.
    """
    try:
        with file.open("rb") as opened:
            content = opened.read(MAX_QUESTIONS_BYTES + 1)
        lines = content.decode("utf-8-sig").splitlines()
    except OSError as error:
        raise NotFound(f"The question file cannot be read: {error.strerror}. Check its name.") from error
    except UnicodeDecodeError as error:
        raise InvalidInput("The question file is not UTF-8. Convert it first, for example with iconv.") from error
    questions = [line.strip() for line in lines if line.strip()]
    if not questions or len(content) > MAX_QUESTIONS_BYTES:
        raise InvalidInput(
            f"The question file needs at least one question, one per line, and at most {MAX_QUESTIONS_BYTES} bytes."
        )
    return questions


async def _drive(
    plan: Plan, target: Target, kind: Literal["poisson", "constant"], *, seed: int, most: int, quiet: bool
) -> Run:
    from benchmarks.load.chat import Asker, session
    from benchmarks.load.drive import drive
    from benchmarks.load.plan import arrivals

    moments = arrivals(plan, kind, seed=seed)
    complain(f"Sending {len(moments):,} requests in {plan.duration_s:g} s to {target.address}. Ctrl-C ends it.")
    async with session(most) as client:
        return await drive(moments, Asker(target, client).ask, most=most, report=_progress(plan, quiet=quiet))


def _progress(plan: Plan, *, quiet: bool) -> Callable[[float, int], None]:
    """Create a callback that prints the progress every `TELL_EVERY_S` seconds on a terminal."""
    told = 0.0

    def tell(moment_s: float, running: int) -> None:
        nonlocal told
        if moment_s - told >= TELL_EVERY_S and not quiet and sys.stderr.isatty():
            told = moment_s
            complain(f"  {moment_s:.0f} of {plan.duration_s:.0f} s, {running} open requests")

    return tell


def _facts(plan: Plan, target: Target, arrivals: str, seed: int, most: int) -> dict[str, str]:
    risen = f"{plan.rate:g} requests a second, rising in {plan.ramp_s:g} s; then " if plan.ramp_s else ""
    return {
        "target": target.address,
        "questions": f"{len(target.questions):,}",
        "rate": f"{risen}{plan.to:g} requests a second for {plan.hold_s:g} s",
        "arrivals": f"{arrivals}, seed {seed}",
        "at once, at most": f"{most:,}",
        "longest answer": f"{target.timeout_s:g} s",
    }


def _write(file: Path, plan: Plan, done: Run, found: Figures, facts: dict[str, str]) -> None:
    from benchmarks.load.report import page

    try:
        file.write_text(page(plan, done, found, facts), encoding="utf-8")
    except OSError as error:
        raise InvalidInput(f"The report cannot be written: {error.strerror}. Name another file.") from error
    complain(f"The report is in {file}.")


def _tell(found: Figures, *, as_json: bool) -> None:
    if as_json:
        say_json(found)
    else:
        _show(found)
    for text in found.warnings:
        complain(f"Warning: {text}")


def _show(found: Figures) -> None:
    from benchmarks.load.report import ms, row

    say_table(COLUMNS, [row(span) for span in (*found.steps, found.whole)])
    say("Times are milliseconds from when a request was due, by nearest rank in the sorted samples.")
    gaps = " ".join(ms(gap) for gap in (found.gap_s.p50, found.gap_s.p95, found.gap_s.p99))
    say(f"Between two words: {gaps} (p50, p95, p99), in {found.words:,} words.")
    say(f"The client was late by {ms(found.lag_p99_s)} ms (p99); {found.most_at_once:,} open requests at most.")
    for kind, count in found.problems.items():
        say(f"{count:,} failed: {kind}")
