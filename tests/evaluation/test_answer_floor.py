"""Answers have a floor: known questions about the small documents, asked through the platform as shipped."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from ragstone.cli.command import ExitCode
from ragstone.cli.main import app

FOLDER = Path(__file__).resolve().parents[2] / "benchmarks" / "questions"
CORPUS = "documents"
AT_LEAST = {"answered": 0.69, "answered, or the gold block shown": 0.91, "unanswerable, not answered": 0.7}
AT_MOST = {"wrong": 0.06}
"""A little below, and above, what was measured on 30 November 2026."""


@pytest.fixture(scope="module")
def shares(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """The measured shares by name, of the questions that may be looked at."""
    folder = tmp_path_factory.mktemp("floor")
    ours = {name: None for name in os.environ if name.startswith("RAGSTONE_")}
    arguments = ["--data-dir", str(folder / "data"), "evaluate", "answers", "--json"]
    questions = ["--questions", str(FOLDER / "dev.jsonl"), "--documents", f"{CORPUS}={FOLDER / 'documents'}"]
    result = CliRunner(env=ours).invoke(app, [*arguments, *questions])
    assert result.exit_code == ExitCode.OK, result.output
    found: dict[str, Any] = json.loads(result.stdout)["shares"]
    return {name: each["hits"] / each["total"] for name, each in found.items()}


@pytest.mark.parametrize("name", AT_LEAST)
def test_as_many_are_answered_as_were(shares: dict[str, float], name: str):
    assert shares[name] >= AT_LEAST[name]


@pytest.mark.parametrize("name", AT_MOST)
def test_no_more_are_wrong_than_were(shares: dict[str, float], name: str):
    assert shares[name] <= AT_MOST[name]
