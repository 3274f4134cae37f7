"""`ragstone evaluate answers`: asks questions whose answers are known, and grades the answers."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

from ragstone.cli.command import ExitCode
from ragstone.cli.main import app
from tests.cli.conftest import SMALL

QUESTIONS = [
    {
        "id": "1",
        "kind": "number",
        "corpus": "handbook",
        "question": "How many days of paid leave do employees have?",
        "answerable": True,
        "gold": [{"document": "leave.md", "strings": ["28 days of paid leave"]}],
    },
    {
        "id": "2",
        "kind": "follow-up",
        "corpus": "handbook",
        "question": "And to the end of what?",
        "history": ["How long is the notice period?"],
        "answerable": True,
        "gold": [{"document": "notice.md", "strings": ["quarter"]}],
    },
    {
        "id": "3",
        "kind": "unanswerable",
        "corpus": "handbook",
        "question": "Who won the chess world championship in 1972?",
        "answerable": False,
        "gold": [],
    },
    {
        "id": "4",
        "kind": "number",
        "corpus": "elsewhere",
        "question": "How high is the tower?",
        "answerable": True,
        "gold": [{"document": "tower.md", "strings": ["metres"]}],
    },
]


@pytest.fixture
def known(tmp_path: Path) -> Path:
    file = tmp_path / "known.jsonl"
    file.write_text("".join(json.dumps(row) + "\n" for row in QUESTIONS), encoding="utf-8")
    return file


def test_grades_are_shown_by_kind_with_their_shares(cli, handbook, known):
    result = cli("evaluate", "answers", "--questions", known, "--documents", f"handbook={handbook}")
    assert result.exit_code == ExitCode.OK, result.output
    kinds, measures = result.stdout.split("\n\n")
    assert kinds.splitlines()[0].split("\t") == [
        "KIND", "QUESTIONS", "ANSWERED", "PARTLY", "WRONG", "CLOSEST", "REFUSED",
    ]  # fmt: skip
    assert "number\t1\t1\t0\t0\t0\t0" in kinds
    assert "follow-up\t1\t1\t0\t0\t0\t0" in kinds
    assert "answered\t1.000\t0.342-1.000\t2/2" in measures
    assert "unanswerable, not answered\t1.000\t0.207-1.000\t1/1" in measures
    assert "1 questions were left out" in result.stderr


def test_json_has_each_answer_with_its_grade(cli, handbook, known):
    result = cli("evaluate", "answers", "--questions", known, "--documents", f"handbook={handbook}", "--json")
    found = json.loads(result.stdout)
    assert {row["id"]: row["grade"] for row in found["rows"]}["2"] == "answered"
    assert found["shares"]["answered"]["hits"] == 2
    assert found["kinds"]["number"] == {"answered": 1}
    row = next(row for row in found["rows"] if row["id"] == "1")
    assert "28 days" in row["text"]
    assert row["citations"][0]["source"].endswith("leave.md")


def test_documents_that_were_ingested_stay_in_a_named_data_directory(cli, handbook, known):
    cli("evaluate", "answers", "--questions", known, "--documents", f"handbook={handbook}")
    known.write_text(json.dumps(QUESTIONS[0]), encoding="utf-8")
    again = cli("evaluate", "answers", "--questions", known)
    assert "number\t1\t1" in again.stdout


def test_without_a_data_directory_nothing_stays(handbook, known, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    arguments = ["evaluate", "answers", "--questions", str(known)]
    result = CliRunner(env=SMALL).invoke(app, [*arguments, "--documents", f"handbook={handbook}"])
    assert "answered\t1.000" in result.stdout, result.output
    assert not (tmp_path / "data").exists()
    assert CliRunner(env=SMALL).invoke(app, arguments).exit_code == ExitCode.USAGE


@pytest.mark.parametrize(
    ("arguments", "code", "sentence"),
    [
        (["--documents", "handbook"], ExitCode.USAGE, "CORPUS=PATH"),
        (["--documents", "handbook=nowhere"], ExitCode.NOT_FOUND, "nowhere"),
        (["--documents", "Hand book=."], ExitCode.USAGE, "not a collection name"),
        ([], ExitCode.NOT_FOUND, "elsewhere"),
    ],
)
def test_what_cannot_be_evaluated_is_said(cli, known, arguments, code, sentence):
    result = cli("evaluate", "answers", "--questions", known, *arguments)
    assert result.exit_code == code
    assert sentence in result.stderr
