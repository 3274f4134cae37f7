"""The files that other programs read keep what they promise: hooks, the workflow, the change log."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

REPOSITORY = Path(__file__).resolve().parent.parent
PINNED = re.compile(r"[\w./-]+@[0-9a-f]{40} # v\d+(\.\d+)+")


def read(name: str) -> str:
    return (REPOSITORY / name).read_text(encoding="utf-8")


def test_each_hook_runs_a_command_of_make_check():
    checks = re.findall(r"^\t@\$\(BIN\)/(.+)$", read("Makefile").split("\ncheck: ")[1], re.MULTILINE)
    hooks = re.findall(r"entry: \.venv/bin/(.+)", read(".pre-commit-config.yaml"))
    assert hooks
    assert not [hook for hook in hooks if not any(f"{check} ".startswith(f"{hook} ") for check in checks)]


def test_the_hooks_fetch_nothing():
    assert set(re.findall(r"repo: (\S+)", read(".pre-commit-config.yaml"))) == {"local"}


def test_the_workflow_runs_what_ci_runs_and_pins_its_actions():
    workflow = read(".github/workflows/ci.yml")
    assert re.findall(r"run: (.+)", workflow) == [".ci/run"]
    actions = re.findall(r"uses: (.+)", workflow)
    assert actions
    assert not [action for action in actions if not PINNED.fullmatch(action)]


def test_hypothesis_has_one_profile():
    own = re.compile(r"@settings\([^)]*(deadline|suppress_health_check|derandomize)")
    assert not [path.name for path in (REPOSITORY / "tests").rglob("*.py") if own.search(path.read_text("utf-8"))]


def test_the_change_log_has_the_version_of_the_package():
    version = tomllib.loads(read("pyproject.toml"))["project"]["version"]
    headings = re.findall(r"^## (.+)$", read("CHANGELOG.md"), re.MULTILINE)
    assert headings[0] == "Unreleased"
    assert re.fullmatch(rf"{re.escape(version)} \(\d{{4}}-\d\d-\d\d\)", headings[1])
