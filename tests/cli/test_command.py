"""Errors of commands: one sentence and one documented exit code."""

from __future__ import annotations

import io
import sys

import pytest
import typer
from typer.testing import CliRunner

import ragstone.errors as errors
from ragstone.cli.command import ExitCode, exit_code, report_bug, run, text_of
from ragstone.errors import DataDirectoryError, InvalidInput, RagstoneError, TooLarge


def ending_with(outcome: ExitCode | BaseException) -> typer.Typer:
    app = typer.Typer()

    @app.command()
    @run
    async def story() -> ExitCode:
        if isinstance(outcome, BaseException):
            raise outcome
        return outcome

    return app


def all_errors(root: type[RagstoneError] = RagstoneError) -> list[type[RagstoneError]]:
    return [root, *(kind for child in root.__subclasses__() for kind in all_errors(child))]


@pytest.mark.parametrize(
    ("kind", "code"),
    [
        (errors.InvalidQuestion, ExitCode.USAGE),
        (errors.TooLarge, ExitCode.USAGE),
        (errors.NotFound, ExitCode.NOT_FOUND),
        (errors.ModelFileError, ExitCode.CONFIGURATION),
        (errors.PortInUse, ExitCode.CONFIGURATION),
        (errors.IndexUnavailable, ExitCode.UNAVAILABLE),
        (errors.Conflict, ExitCode.FAILED),
    ],
)
def test_an_error_ends_with_the_code_of_its_branch(kind, code):
    assert exit_code(kind("why")) is code


@pytest.mark.parametrize("kind", all_errors())
def test_no_error_ends_as_success(kind):
    assert exit_code(kind("why")) is not ExitCode.OK


def test_an_error_raised_on_purpose_is_a_sentence_on_stderr_without_a_traceback():
    result = CliRunner().invoke(ending_with(DataDirectoryError("The disk is full. Free some \x1b[2Jspace.")))
    assert result.exit_code == ExitCode.CONFIGURATION
    assert result.stderr == "The disk is full. Free some \\x1b[2Jspace.\n"
    assert result.stdout == ""


def test_debugging_shows_where_an_error_was_raised():
    result = CliRunner(env={"RAGSTONE_DEBUG": "1"}).invoke(ending_with(DataDirectoryError("full")))
    assert isinstance(result.exception, DataDirectoryError)


def test_a_command_ends_with_the_code_it_returns():
    assert CliRunner().invoke(ending_with(ExitCode.OK)).exit_code == 0
    assert CliRunner().invoke(ending_with(ExitCode.ABSTAINED)).exit_code == 6


def test_an_interrupt_ends_with_130():
    assert CliRunner().invoke(ending_with(KeyboardInterrupt())).exit_code == ExitCode.INTERRUPTED


def test_a_bug_is_one_line_with_the_way_to_its_traceback(capsys):
    report_bug(ZeroDivisionError, ZeroDivisionError("by\nzero"), None)
    message = capsys.readouterr().err
    assert message.startswith("Unexpected error, ZeroDivisionError: by zero\n")
    assert "RAGSTONE_DEBUG=1" in message


def stdin_of(content: bytes) -> io.TextIOWrapper:
    return io.TextIOWrapper(io.BytesIO(content), encoding="utf-8")


@pytest.fixture
def stdin():
    original = sys.stdin

    def replace(content: bytes) -> None:
        sys.stdin = stdin_of(content)

    yield replace
    sys.stdin = original


def test_a_question_comes_from_the_argument_or_from_stdin(stdin):
    stdin("\ufeffWhy ü?\n".encode())
    assert text_of("Why?") == "Why?"
    assert text_of("-") == "Why ü?"


def test_stdin_that_is_no_text_or_no_question_is_refused(stdin):
    stdin(b"\xff\xfe\x00w")
    with pytest.raises(InvalidInput, match="not UTF-8"):
        text_of("-")
    stdin(b"x" * ((1 << 20) + 1))
    with pytest.raises(TooLarge, match="Shorten it"):
        text_of("-")
