"""The pages for operators name only commands, options and settings that exist."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from ragstone.settings import Settings, env_example
from tests.cli.test_help import ALL_COMMANDS

DOCS = Path(__file__).parents[2] / "docs"
PAGES = ["troubleshooting.md", "operate.md", "cli.md"]
GROUPS = {f"RAGSTONE_{name.upper()}__" for name in Settings.model_fields}
TOPICS = [
    "Install",
    "Ingest",
    "Retrieval",
    "Citations",
    "Accounts",
    "Interceptor",
    "LibreChat",
    "Vectorize",
    "Upstream circuits",
    "Redis and PostgreSQL",
]


def text(page: str) -> str:
    return (DOCS / page).read_text(encoding="utf-8")


def named(page: str) -> list[list[str]]:
    """The words of each `ragstone …` between back ticks."""
    return [line.split() for line in re.findall(r"`ragstone ((?!…)[^`\n]+)`", text(page))]


def command_of(words: list[str]) -> str | None:
    """The longest command that the words begin with; a group alone is its `list`."""
    words = words[2:] if words[0] == "--data-dir" else words
    for length in (3, 2, 1):
        path = " ".join(words[:length])
        for known in (path, f"{path} list"):
            if known in ALL_COMMANDS:
                return known
    return None


@pytest.mark.parametrize("page", PAGES)
def test_each_command_that_a_page_names_exists_with_its_options(page):
    assert named(page)
    for words in named(page):
        command = command_of(words) if words != ["--data-dir", "FOLDER", "…"] else "doctor"
        assert command, words
        known = {option for parameter in ALL_COMMANDS[command].params for option in parameter.opts}
        known |= {option for parameter in ALL_COMMANDS[command].params for option in parameter.secondary_opts}
        asked = {word.rstrip(",") for word in words if word.startswith("--")}
        assert asked <= known | {"--data-dir", "--help"}, words


@pytest.mark.parametrize("page", PAGES)
def test_each_setting_that_a_page_names_exists(page):
    known = set(re.findall(r"RAGSTONE_[A-Z0-9_]+", env_example())) | {"RAGSTONE_DEBUG"} | GROUPS
    assert set(re.findall(r"RAGSTONE_[A-Z0-9_]+", text(page))) - known == set()


def test_troubleshooting_has_each_topic_as_symptom_cause_and_command():
    sections = dict(re.findall(r"^## ([^\n]+)\n(.*?)(?=^## |\Z)", text("troubleshooting.md"), re.MULTILINE | re.DOTALL))
    for topic in TOPICS:
        rows = [line for line in sections[topic].splitlines() if line.startswith("|")]
        assert rows[0] == "| symptom | cause | command |", topic
        assert len(rows) > 6, topic
        assert all(row.count(" | ") == 2 for row in (rows[0], *rows[2:])), topic
