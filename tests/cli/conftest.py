"""Fixtures: the command line with its own data directory, in this process."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from ragstone.cli.main import app

Cli = Callable[..., Result]

# No model, so that a command takes a fraction of a second; the index is the default one.
SMALL = {"RAGSTONE_EMBEDDING__MODEL": "hashing", "RAGSTONE_PARSER__PROCESSES": "1", "RAGSTONE_DEBUG": None}

LEAVE = """# Leave

Employees have 28 days of paid leave per year. Unused days expire on 31 March.

## Parental leave

Parents may take up to 14 months of parental leave.
"""
NOTICE = "# Notice\n\nThe notice period is six weeks to the end of a quarter.\n"


def command_line(data_dir: Path) -> Cli:
    def run(*arguments: str | Path, stdin: str | bytes | None = None, **environment: str) -> Result:
        runner = CliRunner(env={**SMALL, **environment})
        return runner.invoke(app, ["--data-dir", str(data_dir), *map(str, arguments)], input=stdin)

    return run


def write_handbook(folder: Path) -> Path:
    folder.mkdir()
    (folder / "leave.md").write_text(LEAVE, encoding="utf-8")
    (folder / "notice.md").write_text(NOTICE, encoding="utf-8")
    return folder


@pytest.fixture
def handbook(tmp_path: Path) -> Path:
    """Two small documents."""
    return write_handbook(tmp_path / "handbook")


@pytest.fixture
def cli(tmp_path: Path) -> Cli:
    """Runs a command on a fresh data directory."""
    return command_line(tmp_path / "data")


@pytest.fixture(scope="package")
def filled(tmp_path_factory: pytest.TempPathFactory) -> Cli:
    """Runs a command on a data directory with the handbook in it; for commands that only read."""
    folder = tmp_path_factory.mktemp("filled")
    run = command_line(folder / "data")
    result = run("ingest", write_handbook(folder / "handbook"))
    assert result.exit_code == 0, result.output
    return run
