"""Shared parts of all commands: options, opening the services, exit codes.

A command is an async function that returns its `ExitCode`; `run` makes it callable from a
shell and turns errors into a message and a code. Imports of the platform stay inside
functions, so that `ragstone --help` does not load NumPy.
"""

from __future__ import annotations

import asyncio
import os
import re
import sys
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import asynccontextmanager
from enum import IntEnum
from functools import wraps
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Annotated, ParamSpec

import typer

from ragstone.cli.output import complain, one_line
from ragstone.errors import ConfigurationError, InvalidInput, NotFound, RagstoneError, TooLarge, Unavailable

if TYPE_CHECKING:
    from ragstone.services import Services
    from ragstone.settings import Settings
    from ragstone.vocabulary import Scope
    from ragstone.wiring import Infrastructure

DEBUG_VARIABLE = "RAGSTONE_DEBUG"
MAX_STDIN_BYTES = 1 << 20  # far above any question
MAX_KEY_BYTES = 4096  # above any key or token in use
LONG_RUNNING = {"serve", "worker", "load_test", "serve_interceptor", "intercept"}


class ExitCode(IntEnum):
    """Exit code of a command; `docs/cli.md` explains each."""

    OK = 0
    FAILED = 1
    USAGE = 2
    NOT_FOUND = 3
    CONFIGURATION = 4
    UNAVAILABLE = 5
    ABSTAINED = 6
    PARTLY = 7
    INTERRUPTED = 130


EXIT_CODES_HELP = (
    "Exit codes: 0 done, 1 failed, 2 wrong usage, 3 not found, 4 settings or data directory, 5 a part is down, "
    "6 no answer in the documents, 7 some files failed, 130 interrupted."
)


def _data_dir_of_the_group(context: typer.Context, value: Path | None) -> Path | None:
    return value or context.find_root().params.get("data_dir")


_DATA_DIR_HELP = "The data directory. [env var: RAGSTONE_DATA_DIR; default: data]"
GlobalDataDir = Annotated[Path | None, typer.Option(metavar="FOLDER", help=_DATA_DIR_HELP)]
DataDir = Annotated[Path | None, typer.Option(metavar="FOLDER", help=_DATA_DIR_HELP, callback=_data_dir_of_the_group)]
CollectionName = Annotated[
    str | None, typer.Option("--collection", "-c", metavar="NAME", help="Collection of documents.")
]
AsJson = Annotated[bool, typer.Option("--json", help="Write JSON to stdout, for scripts.")]

ServerUrl = Annotated[str, typer.Option("--url", metavar="URL", help="Address of the server.")]
KeyFile = Annotated[Path | None, typer.Option(metavar="FILE", help="File with the key for the server; - reads stdin.")]
LOCAL_SERVER = "http://127.0.0.1:8000"

P = ParamSpec("P")


def run(story: Callable[P, Coroutine[None, None, ExitCode]]) -> Callable[P, None]:
    """Make an async command callable; errors become one message on stderr."""

    @wraps(story)
    def command(*args: P.args, **kwargs: P.kwargs) -> None:
        try:
            with asyncio.Runner(loop_factory=_loop_factory(story.__name__)) as runner:
                code = runner.run(story(*args, **kwargs))
        except RagstoneError as error:
            if os.environ.get(DEBUG_VARIABLE):
                raise
            complain(error.message)
            code = exit_code(error)
        sys.stdout.flush()  # a closed pipe raises here, where typer ends quietly
        raise typer.Exit(code)

    return command


def _loop_factory(command: str) -> Callable[[], asyncio.AbstractEventLoop] | None:
    """Use uvloop for long-running commands: it takes two thirds of the time per byte. None means asyncio's loop."""
    if command not in LONG_RUNNING:
        return None
    try:
        import uvloop
    except ImportError:  # not available on this system
        return None
    return uvloop.new_event_loop


def report_bug(kind: type[BaseException], error: BaseException, trace: TracebackType | None) -> None:
    """Report an unexpected error in one line; for `sys.excepthook`."""
    if os.environ.get(DEBUG_VARIABLE):
        sys.__excepthook__(kind, error, trace)
    else:
        complain(
            f"Unexpected error, {kind.__name__}: {one_line(str(error), max_chars=300)}\n"
            f"Run it again with {DEBUG_VARIABLE}=1 to see where it happened, and please report it."
        )


def exit_code(error: RagstoneError) -> ExitCode:
    """Exit code of an error by its class."""
    match error:
        case InvalidInput():
            return ExitCode.USAGE
        case NotFound():
            return ExitCode.NOT_FOUND
        case ConfigurationError():
            return ExitCode.CONFIGURATION
        case Unavailable():
            return ExitCode.UNAVAILABLE
        case _:
            return ExitCode.FAILED


def settings_for(data_dir: Path | None) -> Settings:
    """Load the settings; `--data-dir` overrides the environment.

    Logs are limited to errors, because a command prints its own result.

    Raises:
        ConfigurationError: a value is invalid.
    """
    from ragstone.settings import load_settings
    from ragstone.telemetry.logs import configure_logs

    configure_logs("debug" if os.environ.get(DEBUG_VARIABLE) else "error")
    return load_settings(data_dir=data_dir) if data_dir else load_settings()


@asynccontextmanager
async def opened(data_dir: Path | None, *, recreate_index: bool = False) -> AsyncIterator[Services]:
    """Open the platform on the data directory of the command; see `open_platform`.

    Raises:
        ConfigurationError: a setting, the data directory or the model is invalid.
    """
    settings = settings_for(data_dir)
    from ragstone.wiring import open_services

    async with open_services(settings, recreate_index=recreate_index) as services:
        yield services


@asynccontextmanager
async def opened_records(data_dir: Path | None) -> AsyncIterator[Infrastructure]:
    """Open only the database of the data directory, for commands that need no index and model.

    Raises:
        ConfigurationError: a setting or the data directory is invalid.
    """
    settings = settings_for(data_dir)
    from ragstone.wiring import open_records

    async with open_records(settings) as records:
        yield records


def scope_of(collection: str | None) -> Scope:
    """Scope of a command; its collection is `default` unless named.

    Raises:
        InvalidInput: the name is not valid for a collection.
    """
    from ragstone.vocabulary import COLLECTION_PATTERN, DEFAULT_COLLECTION, Scope

    name = DEFAULT_COLLECTION if collection is None else collection
    if not re.fullmatch(COLLECTION_PATTERN, name):
        raise InvalidInput(
            f"{name[:80]!r} is not a collection name. Use up to 64 of a-z, 0-9, - and _; start with a letter or digit."
        )
    return Scope(collection=name)


def text_of(argument: str) -> str:
    """The argument, or the content of stdin for `-`.

    Raises:
        InvalidInput: stdin is too large or not UTF-8.
    """
    if argument != "-":
        return argument
    content = sys.stdin.buffer.read(MAX_STDIN_BYTES + 1)
    if len(content) > MAX_STDIN_BYTES:
        raise TooLarge(f"stdin has more than {MAX_STDIN_BYTES} bytes, too much for a question. Shorten it.")
    try:
        return content.decode("utf-8-sig").strip()
    except UnicodeDecodeError as error:
        raise InvalidInput("The text on stdin is not UTF-8. Convert it first, for example with iconv.") from error


_DURATION = re.compile(r"([0-9]{1,6}(?:\.[0-9]{1,3})?)(ms|s|m|h|d)")
_SECONDS = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86_400.0}


def seconds_of(text: str) -> float:
    """Seconds of a duration such as `90s`, `1.5m`, `2h` or `7d`.

    Raises:
        InvalidInput: the text is not a duration.
    """
    found = _DURATION.fullmatch(text.strip())
    if found is None:
        raise InvalidInput(f"{text[:40]!r} is not a duration. Write a number and a unit, such as 30s, 5m, 1h or 7d.")
    return float(found[1]) * _SECONDS[found[2]]


def key_of(file: Path | None) -> str:
    """Read a key from a file, or from stdin for `-`; empty without a file.

    Raises:
        NotFound: the file cannot be read.
        InvalidInput: the file does not contain exactly one key.
    """
    if file is None:
        return ""
    try:
        with sys.stdin.buffer if str(file) == "-" else file.open("rb") as opened_file:
            content = opened_file.read(MAX_KEY_BYTES + 1)
    except OSError as error:
        raise NotFound(f"The key file cannot be read: {error.strerror}. Check its name and permissions.") from error
    key = content.decode("ascii", errors="replace").strip()
    if not re.fullmatch(rf"[!-~]{{1,{MAX_KEY_BYTES}}}", key):
        raise InvalidInput("The key file must contain one key without blanks and nothing else.")
    return key
