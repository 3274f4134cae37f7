"""`ragstone interceptor`: settings as arguments, keys from files only."""

from __future__ import annotations

import json
import sqlite3
from pathlib import Path

import pytest

from ragstone.cli.command import ExitCode
from ragstone.tenants.settings import SETTINGS

KEY = "sk-canary-41d09e"


def answer(cli, *arguments, **options):
    result = cli("interceptor", *arguments, "--json", **options)
    assert result.exit_code == ExitCode.OK, result.output
    return json.loads(result.stdout)


@pytest.fixture
def key_file(tmp_path: Path) -> Path:
    file = tmp_path / "key.txt"
    file.write_text(f"{KEY}\n", encoding="ascii")
    return file


def test_settings_are_changed_one_by_one_and_reset(cli):
    answer(cli, "set", "rollout_percent=10", "upstream_url=https://models.example.com/v1")
    changed = answer(cli, "set", "budget_s=2", 'models={"house": "gpt"}', 'plain_models=["titles"]', "enabled=false")
    assert changed["settings"]["rollout_percent"] == 10
    assert answer(cli, "show") == changed
    assert (changed["settings"]["models"], changed["settings"]["enabled"]) == ({"house": "gpt"}, False)
    assert cli("interceptor", "reset").exit_code == ExitCode.OK
    shown = cli("interceptor", "show", "--json")
    assert json.loads(shown.stdout)["settings"]["rollout_percent"] == 100
    assert "has no settings of its own" in shown.stderr


def test_what_show_lists_is_what_set_takes(cli):
    pipeline = '{"organization": "org", "pipeline": "aip", "filters": [{"a": ["b"]}], "rerank": true}'
    before = answer(cli, "set", f"pipeline={pipeline}", "knowledge=both", "upstream_url=https://models.example.com/v1")
    lines = cli("interceptor", "show").stdout.splitlines()[1:]
    shown = [f"{name}={value}" for name, value in (line.split("\t") for line in lines)]
    assert len(shown) == len(SETTINGS)
    assert answer(cli, "set", *shown) == before
    assert answer(cli, "set", "pipeline=null", "knowledge=index", "upstream_url=null")["settings"]["pipeline"] is None


def test_a_key_comes_from_a_file_or_stdin_and_is_shown_nowhere(cli, key_file, tmp_path):
    url = "upstream_url=https://models.example.com/v1"
    first = cli("interceptor", "set", url, "--upstream-key-file", key_file, "--librechat-key-file", "-", stdin="j" * 32)
    assert first.exit_code == ExitCode.OK, first.output
    shown = cli("interceptor", "show")
    assert "key: upstream\tset 20" in shown.stdout
    assert "key: librechat\tset 20" in shown.stdout
    audit = cli("accounts", "audit")
    assert "keys_set=librechat,upstream" in audit.stdout
    assert KEY not in first.output + shown.output + audit.output
    rows = sqlite3.connect(tmp_path / "data" / "ragstone.db").execute("SELECT settings, keys FROM interceptors")
    assert KEY not in repr(rows.fetchall())
    assert answer(cli, "set", "--forget-key", "upstream")["keys_set"].keys() == {"librechat"}


def test_another_tenant_has_its_own(cli):
    assert cli("accounts", "tenants", "create", "acme").exit_code == ExitCode.OK
    answer(cli, "set", "limit=3", "--tenant", "acme")
    assert answer(cli, "show", "-t", "acme")["settings"]["limit"] == 3
    assert answer(cli, "show")["settings"]["limit"] == 8


def test_a_tenant_begins_with_the_settings_of_the_installation_but_not_with_its_servers(cli):
    environment = {
        "RAGSTONE_INTERCEPTOR__UPSTREAM_URL": "http://localhost:11434/v1",
        "RAGSTONE_INTERCEPTOR__LIMIT": "5",
    }
    changed = answer(cli, "set", "rollout_percent=10", **environment)["settings"]
    assert (changed["limit"], changed["rollout_percent"], changed["upstream_url"]) == (5, 10, None)


@pytest.mark.parametrize(
    ("arguments", "code"),
    [
        (["set", "limit"], ExitCode.USAGE),
        (["set", "telepathy=1"], ExitCode.USAGE),
        (["set", "limit=many"], ExitCode.USAGE),
        (["set", "limit=51"], ExitCode.USAGE),
        (["set", "pipeline=7"], ExitCode.USAGE),
        (["set", 'pipeline={"x": 1}'], ExitCode.USAGE),
        (["set", "knowledge=pipeline"], ExitCode.USAGE),
        (["set", "upstream_url=http://models.example.com"], ExitCode.USAGE),
        (["set", "models=" + "[" * 100_000], ExitCode.USAGE),
        (["set", "--forget-key", "master"], ExitCode.USAGE),
        (["set", "--upstream-key-file", "/nonexistent"], ExitCode.USAGE),
        (["set", "--upstream-key-file", "/"], ExitCode.USAGE),
        (["set", "limit=1", "-t", "nobody"], ExitCode.NOT_FOUND),
        (["show", "-t", "nobody"], ExitCode.NOT_FOUND),
        (["reset", "-t", "nobody"], ExitCode.NOT_FOUND),
    ],
    ids=lambda value: str(value)[:60],
)
def test_what_cannot_be_is_said_in_a_sentence(cli, arguments, code):
    result = cli("interceptor", *arguments)
    assert result.exit_code == code, result.output
    assert len(result.stderr.splitlines()) == 1


@pytest.mark.parametrize("content", [b"", b"\xff\xfe", b"k" * 20_000, b"two words"])
def test_a_file_that_holds_no_key_is_refused_without_being_quoted(cli, tmp_path, content: bytes):
    file = tmp_path / "key"
    file.write_bytes(content)
    result = cli("interceptor", "set", "--upstream-key-file", file)
    assert result.exit_code == ExitCode.USAGE
    assert not content or content.decode(errors="replace") not in result.output
