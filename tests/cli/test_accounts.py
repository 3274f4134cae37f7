"""`ragstone accounts`: tenants, users, keys and the audit log."""

from __future__ import annotations

import json
import sqlite3

import pytest

from ragstone.cli.command import ExitCode
from ragstone.identity.api_keys import well_formed

PASSWORD = "a long password"


def accounts(cli, *arguments: str, stdin: str | None = None):
    return cli("accounts", *arguments, stdin=stdin)


def answer(cli, *arguments: str, stdin: str | None = None):
    result = accounts(cli, *arguments, "--json", stdin=stdin)
    assert result.exit_code == ExitCode.OK, result.output
    return json.loads(result.stdout)


def create_user(cli, email: str, role: str = "owner", tenant: str = "default"):
    arguments = ("users", "create", email, "--role", role, "--tenant", tenant, "--password-stdin")
    return answer(cli, *arguments, stdin=f"{PASSWORD}\n")


def test_the_first_owner_is_made_with_one_command(cli):
    user = create_user(cli, "You@Example.org")
    assert (user["email"], user["role"], user["tenant"]) == ("you@example.org", "owner", "default")
    assert [each["id"] for each in answer(cli, "users")] == [user["id"]]


def test_a_password_is_never_an_argument_and_never_shown(cli):
    create_user(cli, "you@example.org")
    refused = accounts(cli, "users", "create", "me@example.org", "--role", "viewer", stdin=f"{PASSWORD}\n")
    assert refused.exit_code == ExitCode.USAGE
    assert "--password-stdin" in refused.stderr
    assert PASSWORD not in refused.output
    assert len(answer(cli, "users")) == 1


@pytest.mark.parametrize(
    ("arguments", "stdin", "code"),
    [
        (["users", "create", "nobody", "--password-stdin"], PASSWORD, ExitCode.USAGE),
        (["users", "create", "a@b.example", "--password-stdin"], "short", ExitCode.USAGE),
        (["users", "create", "a@b.example", "--role", "king", "--password-stdin"], PASSWORD, ExitCode.USAGE),
        (["users", "create", "a@b.example", "-t", "nobody", "--password-stdin"], PASSWORD, ExitCode.NOT_FOUND),
        (["users", "remove", "a@b.example"], None, ExitCode.NOT_FOUND),
        (["users", "list", "-t", "nobody"], None, ExitCode.NOT_FOUND),
        (["tenants", "create", "Not A Name"], None, ExitCode.USAGE),
        (["tenants", "create", "acme", "--plan", "none"], None, ExitCode.USAGE),
        (["tenants", "show", "nobody"], None, ExitCode.NOT_FOUND),
        (["tenants", "create", "default"], None, ExitCode.FAILED),
        (["tenants", "change", "default", "--suspend"], None, ExitCode.FAILED),
        (["tenants", "remove", "default", "--yes"], None, ExitCode.FAILED),
        (["keys", "create", "--permission", "fly"], None, ExitCode.USAGE),
        (["keys", "create", "--permission", "operate"], None, ExitCode.USAGE),
        (["keys", "create", "--publishable", "--domain", "*"], None, ExitCode.USAGE),
        (["keys", "revoke", "nothing"], None, ExitCode.NOT_FOUND),
    ],
)
def test_what_cannot_be_is_said_in_a_sentence(cli, arguments, stdin, code):
    result = accounts(cli, *arguments, stdin=stdin)
    assert result.exit_code == code, result.output
    assert len(result.stderr.splitlines()) == 1


def test_a_user_is_changed_by_address_or_id(cli):
    create_user(cli, "you@example.org")
    user = create_user(cli, "me@example.org", role="viewer")
    assert answer(cli, "users", "change", "me@example.org", "--role", "editor")["role"] == "editor"
    assert answer(cli, "users", "change", user["id"], "--suspend")["state"] == "suspended"
    assert answer(cli, "users", "change", user["id"], "--resume", "--name", "Me")["name"] == "Me"
    answer(cli, "users", "change", user["id"], "--password-stdin", stdin="another long password\n")
    assert accounts(cli, "users", "remove", "me@example.org").exit_code == ExitCode.OK
    assert accounts(cli, "users", "remove", "you@example.org").exit_code == ExitCode.FAILED  # the last owner


def test_a_user_of_another_tenant_is_not_found(cli):
    answer(cli, "tenants", "create", "acme")
    create_user(cli, "ann@acme.example", tenant="acme")
    assert accounts(cli, "users", "change", "ann@acme.example", "--role", "viewer").exit_code == ExitCode.NOT_FOUND


def test_a_tenant_is_changed_and_removed(cli):
    assert answer(cli, "tenants", "create", "acme", "--name", "Acme")["plan"] == "free"
    changed = answer(cli, "tenants", "change", "acme", "--plan", "paid", "--retention-days", "30", "--suspend")
    assert (changed["plan"], changed["retention_days"], changed["state"]) == ("paid", 30, "suspended")
    assert answer(cli, "tenants", "show", "acme") == changed
    asked = accounts(cli, "tenants", "remove", "acme", stdin="n\n")
    assert asked.exit_code == ExitCode.FAILED
    assert accounts(cli, "tenants", "remove", "acme", "--yes").exit_code == ExitCode.OK
    assert [each["state"] for each in answer(cli, "tenants")] == ["deleting", "active"]


def test_a_key_is_shown_once_on_stdout_alone(cli):
    made = accounts(cli, "keys", "create", "--name", "ci")
    [key] = made.stdout.splitlines()
    assert well_formed(key)
    assert key not in made.stderr
    [listed] = answer(cli, "keys")
    assert key.startswith(listed["start"])
    assert key not in accounts(cli, "keys").output


def test_a_key_is_rotated_and_revoked(cli):
    first = answer(cli, "keys", "create", "--permission", "chat", "--collection", "docs", "--days", "9")
    second = answer(cli, "keys", "rotate", first["record"]["id"], "--overlap-hours", "1")
    assert second["key"] != first["key"]
    assert second["record"]["permissions"] == ["chat"]
    assert second["record"]["collections"] == ["docs"]
    assert accounts(cli, "keys", "revoke", second["record"]["id"]).exit_code == ExitCode.OK
    newest, oldest = answer(cli, "keys")
    assert newest["revoked_at"]
    assert oldest["replaced_by"] == newest["id"]


def test_the_audit_log_lists_changes_and_detects_manipulation(cli, tmp_path):
    create_user(cli, "you@example.org")
    accounts(cli, "keys", "create")
    assert [each["action"] for each in answer(cli, "audit")] == ["key.created", "user.created"]
    assert {each["actor"] for each in answer(cli, "audit")} == {"local"}
    assert accounts(cli, "audit", "verify").stdout == "Whole.\n"
    with sqlite3.connect(tmp_path / "data" / "ragstone.db") as connection:
        connection.execute("DROP TRIGGER audit_log_no_update")
        connection.execute("UPDATE audit_log SET actor = 'somebody' WHERE number = 1")
    connection.close()
    broken = accounts(cli, "audit", "verify")
    assert broken.exit_code == ExitCode.FAILED
    assert "default: record 1: " in broken.stderr
