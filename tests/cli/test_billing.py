"""`ragstone accounts plans`, `models` and `usage`."""

from __future__ import annotations

import json

import pytest

from ragstone.cli.command import ExitCode


def accounts(cli, *arguments: str):
    return cli("accounts", *arguments)


def answer(cli, *arguments: str):
    result = accounts(cli, *arguments, "--json")
    assert result.exit_code == ExitCode.OK, result.output
    return json.loads(result.stdout)


def test_a_plan_is_made_changed_and_removed(cli):
    made = answer(cli, "plans", "set", "gold", "--requests-per-hour", "5", "--models", "gpt-4o-mini", "--overage")
    assert (made["requests_per_hour"], made["max_pages"], made["models"]) == (5, None, ["gpt-4o-mini"])
    changed = answer(cli, "plans", "set", "gold", "--requests-per-hour", "none", "--models", "")
    assert (changed["requests_per_hour"], changed["overage"], changed["models"]) == (None, True, [])
    assert accounts(cli, "plans", "remove", "gold").exit_code == ExitCode.OK
    assert [each["id"] for each in answer(cli, "plans")] == ["free", "paid", "unlimited"]


def test_a_model_is_added_changed_and_removed(cli):
    answer(cli, "models", "set", "local", "--provider", "openai", "--name", "qwen", "--base-url", "http://localhost:1")
    changed = answer(cli, "models", "set", "local", "--input-price", "5", "--base-url", "")
    assert (changed["model"], changed["base_url"], changed["input_price"]) == ("qwen", None, 5)
    assert accounts(cli, "models", "remove", "local").exit_code == ExitCode.OK


@pytest.mark.parametrize(
    ("arguments", "code"),
    [
        (["plans", "set", "gold", "--max-pages", "many"], ExitCode.USAGE),
        (["plans", "set", "gold", "--models", "gpt-9"], ExitCode.USAGE),
        (["plans", "remove", "gold"], ExitCode.NOT_FOUND),
        (["models", "set", "new"], ExitCode.USAGE),
        (["models", "remove", "new"], ExitCode.NOT_FOUND),
        (["usage", "--by", "year"], ExitCode.USAGE),
        (["usage", "--since", "yesterday"], ExitCode.USAGE),
    ],
)
def test_what_cannot_be_done_is_said(cli, arguments, code):
    assert accounts(cli, *arguments).exit_code == code


def test_usage_is_summed_for_people_scripts_and_spreadsheets(cli, handbook):
    assert cli("ingest", handbook).exit_code == ExitCode.OK
    assert cli("ask", "How many days of paid leave do employees have?").exit_code == ExitCode.OK
    [total] = answer(cli, "usage", "--by", "month")
    assert (total["tenant"], total["requests"]) == ("default", 3)  # two documents and a question
    lines = accounts(cli, "usage", "--csv", "--by-key").stdout.splitlines()
    assert lines[0].startswith("tenant,period,principal,requests")
    assert lines[1].startswith("default,")
    assert "COST" in accounts(cli, "usage").stdout
    assert answer(cli, "usage", "--tenant", "nobody") == []
