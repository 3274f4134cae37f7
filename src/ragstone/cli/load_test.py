"""`ragstone operate load-test`: how a server answers when many ask at once, whatever it does."""

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

if TYPE_CHECKING:
    from ragstone.cli.load.asking import Target
    from ragstone.cli.load.drive import Run
    from ragstone.cli.load.figures import Figures
    from ragstone.cli.load.plan import Plan

LOOPBACK = {"127.0.0.1", "::1", "localhost"}  # `settings.LOOPBACK_HOSTS`; to import it would make `--help` slow
QUESTION = "What is this about?"
MAX_QUESTIONS_BYTES = 1 << 20
MOST_AT_ONCE = 2000
MAX_AT_ONCE = 20_000  # below the ports of one address
TELL_EVERY_S = 5.0
COLUMNS = ("SECONDS", "ASKED/S", "ANSWERED/S", "SENT", "ERRORS", "FIRST p50", "p95", "p99", "ALL p50", "p95", "p99")

Rate = Annotated[float, typer.Option(metavar="N", help="Requests a second to begin with.")]
Duration = Annotated[str, typer.Option(metavar="TIME", help="How long, such as 30s or 2m.")]


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
        str, typer.Option(metavar="poisson|constant", help="As people come, or evenly spaced.")
    ] = "poisson",
    seed: Annotated[int, typer.Option(metavar="N", help="The same seed gives the same moments.")] = 1,
    key_file: KeyFile = None,
    question_file: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Questions, one a line, asked in turn.")
    ] = None,
    model: Annotated[str, typer.Option(metavar="NAME", help="The model to name, for openai.")] = "ragstone",
    longest: Annotated[str, typer.Option(metavar="TIME", help="How long an answer may take.")] = "60s",
    most: Annotated[
        int, typer.Option(metavar="N", min=1, max=MAX_AT_ONCE, help="Requests at once; more are not sent.")
    ] = MOST_AT_ONCE,
    report: Annotated[Path | None, typer.Option(metavar="FILE", help="Write a page with pictures there.")] = None,
    i_own_this_host: Annotated[
        str | None, typer.Option(metavar="HOST", help="Say so for any host but this machine.")
    ] = None,
    as_json: AsJson = False,
) -> ExitCode:
    """Ask a server at a rate that rises, and measure the answers.

    Requests are sent when they are due, whatever became of the others. Ends with 1 if any
    failed. Answers may cost money; --kind openai may call a model upstream.
    """
    check_target(url, i_own_this_host)
    from ragstone.cli.load.figures import figures
    from ragstone.cli.load.plan import Plan, checked

    plan = checked(Plan(rate, to or rate, seconds_of(ramp) if to else 0.0, seconds_of(hold)))
    target = _target(url, kind, key_file, question_file, model, seconds_of(longest))
    done = await _drive(plan, target, _arrivals(arrivals), seed=seed, most=most, quiet=as_json)
    found = figures(plan, done)
    if report is not None:
        await asyncio.to_thread(_write, report, plan, done, found, _facts(plan, target, arrivals, seed, most))
    _tell(found, as_json=as_json)
    return ExitCode.FAILED if found.problems else ExitCode.OK


def check_target(url: str, owned: str | None) -> None:
    """Refuse to load a server that the caller has not said is theirs.

    Raises:
        InvalidInput: it is no address, or holds more than scheme, host, port and path.
        Forbidden: the host is not this machine, and not the one that was named.
    """
    parts = _split(url)
    if parts.scheme not in {"http", "https"} or not parts.hostname or "@" in parts.netloc or parts.query:
        raise InvalidInput("Give the server's address, such as http://127.0.0.1:8000, without a name or a key in it.")
    if parts.hostname not in LOOPBACK and parts.hostname != (owned or "").lower():
        raise Forbidden(
            f"{parts.hostname} is not this machine, and a load test of somebody else's server is an attack. "
            f"If it is yours, say so with --i-own-this-host {parts.hostname}."
        )


def _split(url: str) -> SplitResult:
    try:
        return urlsplit(url)
    except ValueError as error:
        raise InvalidInput("That is no address. Write it like http://127.0.0.1:8000.") from error


def _arrivals(name: str) -> Literal["poisson", "constant"]:
    if name not in {"poisson", "constant"}:
        raise InvalidInput(f"There are no arrivals {name[:40]!r}. Use poisson or constant.")
    return cast("Literal['poisson', 'constant']", name)


def _target(
    url: str, kind: str, key_file: Path | None, question_file: Path | None, model: str, timeout_s: float
) -> Target:
    from ragstone.cli.load.asking import Target

    if kind not in {"chat", "openai"}:
        raise InvalidInput(f"There is no kind {kind[:40]!r}. Use chat or openai.")
    questions = [QUESTION] if question_file is None else questions_of(question_file)
    return Target(url, cast("Literal['chat', 'openai']", kind), questions, key_of(key_file), model, timeout_s)


def questions_of(file: Path) -> Sequence[str]:
    """The lines of a file that are not empty.

    Raises:
        NotFound: it cannot be read.
        InvalidInput: it holds no question, or far too many, or is not UTF-8.
    """
    try:
        with file.open("rb") as opened:
            content = opened.read(MAX_QUESTIONS_BYTES + 1)
        lines = content.decode("utf-8-sig").splitlines()
    except OSError as error:
        raise NotFound(f"The file of questions cannot be read: {error.strerror}. Check its name.") from error
    except UnicodeDecodeError as error:
        raise InvalidInput("The file of questions is not UTF-8. Convert it first, for example with iconv.") from error
    questions = [line.strip() for line in lines if line.strip()]
    if not questions or len(content) > MAX_QUESTIONS_BYTES:
        raise InvalidInput(f"The file of questions has to hold some, one a line, in {MAX_QUESTIONS_BYTES} bytes.")
    return questions


async def _drive(
    plan: Plan, target: Target, kind: Literal["poisson", "constant"], *, seed: int, most: int, quiet: bool
) -> Run:
    from ragstone.cli.load.asking import Asker, session
    from ragstone.cli.load.drive import drive
    from ragstone.cli.load.plan import arrivals

    moments = arrivals(plan, kind, seed=seed)
    complain(f"Sending {len(moments):,} requests in {plan.duration_s:g} s to {target.address}. Ctrl-C ends it.")
    async with session(most) as client:
        return await drive(moments, Asker(target, client).ask, most=most, report=_progress(plan, quiet=quiet))


def _progress(plan: Plan, *, quiet: bool) -> Callable[[float, int], None]:
    """Says every few seconds where the test is, on a terminal."""
    told = 0.0

    def tell(moment_s: float, running: int) -> None:
        nonlocal told
        if moment_s - told >= TELL_EVERY_S and not quiet and sys.stderr.isatty():
            told = moment_s
            complain(f"  {moment_s:.0f} of {plan.duration_s:.0f} s, {running} under way")

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
    from ragstone.cli.load.report import page

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
    from ragstone.cli.load.report import ms, row

    say_table(COLUMNS, [row(span) for span in (*found.steps, found.whole)])
    say("Times are milliseconds, by nearest rank in the sorted samples, from when a request was due.")
    gaps = " ".join(ms(gap) for gap in (found.gap_s.p50, found.gap_s.p95, found.gap_s.p99))
    say(f"Between two words: {gaps} (p50, p95, p99), in {found.words:,} words.")
    say(f"The client was late by {ms(found.lag_p99_s)} ms (p99); {found.most_at_once:,} requests at once at most.")
    for kind, count in found.problems.items():
        say(f"{count:,} failed: {kind}")
