"""Command `ragstone operate load-test`: starts the load tester, if Ragstone runs from a clone.

The load tester (`benchmarks/load`) is not part of the installed package.
"""

from __future__ import annotations

import importlib
import sys
from pathlib import Path

import typer

import ragstone
from ragstone.cli.output import complain

CLONE = Path(ragstone.__file__).resolve().parents[2]
FORWARDED = {"allow_extra_args": True, "ignore_unknown_options": True}
NOT_HERE_CODE = 1
NOT_HERE = (
    "The load tester is not in the installed package. Clone the repository of Ragstone, run `make setup` there, "
    "and start `ragstone operate load-test` from the clone."
)


def load_test(context: typer.Context) -> None:
    """Send chats at a rising rate and measure the answers.

    The options are those of benchmarks/load; --help lists them.
    """
    run_tester(CLONE, context.args)


def run_tester(clone: Path, arguments: list[str]) -> None:
    """Run the load tester of a clone with the arguments of the command; it ends the process."""
    if not (clone / "benchmarks" / "load" / "command.py").is_file():
        complain(NOT_HERE)
        raise typer.Exit(NOT_HERE_CODE)
    if str(clone) not in sys.path:
        sys.path.append(str(clone))
    tester = importlib.import_module("benchmarks.load.command")
    tester.app(arguments, prog_name="ragstone operate load-test")
