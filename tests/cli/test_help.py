"""Help: it is quick, and the page of the command line documents every command and option."""

from __future__ import annotations

import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from typer.main import get_command
from typer.testing import CliRunner

from benchmarks.load.command import app as load_tester
from ragstone import __version__
from ragstone.cli.command import EXIT_CODES_HELP, ExitCode
from ragstone.cli.main import app

HEAVY = {"numpy", "sqlalchemy", "fastapi", "onnxruntime", "rich", "structlog", "ragstone.wiring"}
LOADED_BY_TYPER = {"pydantic"}  # it checks the options before a command's own help is shown
IMPORTED = """
import sys
from ragstone.__main__ import main
sys.argv = ["ragstone", *sys.argv[1:]]
try:
    main()
except SystemExit as end:
    assert not end.code, end.code
print("IMPORTED", *sys.modules)
"""
DOCS = Path(__file__).parents[2] / "docs" / "cli.md"


def commands(group: Any, path: tuple[str, ...] = ()) -> Iterator[tuple[str, Any]]:
    for name, command in group.commands.items():
        if hasattr(command, "commands"):
            yield from commands(command, (*path, name))
        else:
            yield " ".join((*path, name)), command


# The load tester has its options in benchmarks/load; the command passes them on.
ALL_COMMANDS = dict(commands(get_command(app))) | {"operate load-test": get_command(load_tester)}


@pytest.mark.parametrize(
    ("arguments", "heavy"),
    [
        (["--help"], HEAVY | LOADED_BY_TYPER),
        (["--version"], HEAVY | LOADED_BY_TYPER),
        (["ask", "--help"], HEAVY),
        (["documents", "-h"], HEAVY),
    ],
)
def test_help_loads_nothing_heavy(arguments, heavy):
    done = subprocess.run([sys.executable, "-c", IMPORTED, *arguments], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    modules = done.stdout.rsplit("IMPORTED", maxsplit=1)[1].split()
    assert not heavy & set(modules)


def test_no_command_shows_the_help():
    result = CliRunner().invoke(app, [])
    assert "Commands:" in result.output
    assert result.exit_code == ExitCode.USAGE


def test_the_version_is_the_package_s():
    assert CliRunner().invoke(app, ["--version"]).output.strip() == __version__


@pytest.mark.parametrize("path", ALL_COMMANDS)
def test_each_command_says_what_it_does_in_a_line_that_is_not_cut(path):
    command = ALL_COMMANDS[path]
    summary = command.get_short_help_str(limit=60)
    assert summary
    assert not summary.endswith("...")


@pytest.mark.parametrize("path", ALL_COMMANDS)
def test_the_docs_page_names_each_command_with_its_options(path):
    page = DOCS.read_text(encoding="utf-8")
    assert re.search(rf"`{path.removesuffix(' list')}[` \[]", page)
    options = [option for parameter in ALL_COMMANDS[path].params for option in parameter.opts if option[:2] == "--"]
    assert [option for option in options if option not in page] == []


def test_docs_page_and_help_explain_each_exit_code():
    page = DOCS.read_text(encoding="utf-8")
    for code in ExitCode:
        assert f"| {code.value} |" in page
        assert re.search(rf"\b{code.value} \w", EXIT_CODES_HELP)


@pytest.mark.parametrize(
    "arguments",
    [
        ["frobnicate"],
        ["ask"],
        ["ask", "q", "--limit", "0"],
        ["documents", "show"],
        ["ingest"],
        ["jobs", "--limit", "x"],
    ],
)
def test_wrong_usage_ends_with_2_and_says_how_to_get_help(arguments):
    result = CliRunner().invoke(app, arguments)
    assert result.exit_code == ExitCode.USAGE
    assert "for help" in result.stderr
