"""`ragstone doctor`: every part looked at, every fault with its remedy, no secret shown."""

from __future__ import annotations

import json
import socket
import sqlite3

import pytest

from ragstone.cli.command import ExitCode

PARTS = {
    "settings",
    "versions",
    "data directory",
    "database",
    "parsers",
    "embedding model",
    "search index",
    "language model",
    "server",
}


def checks(result) -> dict[str, dict[str, str]]:
    return {check["name"]: check for check in json.loads(result.stdout)["checks"]}


def test_a_fresh_data_directory_is_in_order(cli):
    result = cli("doctor", "--json", RAGSTONE_SERVER__PORT="0")
    found = checks(result)
    assert set(found) == PARTS
    assert {name: check for name, check in found.items() if check["state"] != "ok"} == {}
    assert result.exit_code == ExitCode.OK


def test_the_index_holds_what_the_database_has(cli, handbook):
    job = json.loads(cli("ingest", handbook, "--json").stdout)
    found = checks(cli("doctor", "--json", RAGSTONE_SERVER__PORT="0"))
    assert found["database"]["found"].startswith(f"2 documents, {job['chunks']} chunks")
    assert found["search index"]["state"] == "ok"
    assert str(job["chunks"]) in found["search index"]["found"]


def test_settings_are_listed_with_their_origin_and_without_secrets(cli, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / ".env").write_text("RAGSTONE_RETRIEVAL__LIMIT=5\n", encoding="utf-8")
    secret = "s3cret" * 6
    environment = {
        "RAGSTONE_SERVER__PORT": "0",
        "RAGSTONE_SERVER__API_KEYS": f"{secret},{secret}2",
        "RAGSTONE_ANSWER__BASE_URL": "http://user:pa55@127.0.0.1:9/v1",
    }
    plain, as_json = cli("doctor", **environment), cli("doctor", "--json", **environment)
    assert secret not in plain.output + as_json.output
    assert "pa55" not in plain.output + as_json.output
    assert "RAGSTONE_RETRIEVAL__LIMIT=5  from .env" in plain.stdout
    assert "RAGSTONE_DATA_DIR" in plain.stdout
    found = {setting["variable"]: setting for setting in json.loads(as_json.stdout)["settings"]}
    assert found["RAGSTONE_SERVER__PORT"]["origin"] == "environment"
    assert found["RAGSTONE_DATA_DIR"]["origin"] == "--data-dir"
    assert found["RAGSTONE_SERVER__API_KEYS"]["value"] == "(set, hidden),(set, hidden)"
    assert found["RAGSTONE_CHAT__MEMORY_TOKENS"]["origin"] == "default"


def test_a_misspelt_variable_is_pointed_out(cli):
    check = checks(cli("doctor", "--json", RAGSTONE_ANSWER__MODLE="x", RAGSTONE_SERVER__PORT="0"))["settings"]
    assert (check["state"], check["mend"]) == ("warning", "Did you mean RAGSTONE_ANSWER__MODEL?")


def test_a_setting_that_cannot_be_used_ends_with_its_name(cli):
    result = cli("doctor", RAGSTONE_SERVER__PORT="many")
    assert result.exit_code == ExitCode.CONFIGURATION
    assert "RAGSTONE_SERVER__PORT" in result.stderr


def test_a_port_in_use_is_broken_with_a_way_out(cli):
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        result = cli("doctor", "--json", RAGSTONE_SERVER__PORT=str(other.getsockname()[1]))
    check = checks(result)["server"]
    assert result.exit_code == ExitCode.FAILED
    assert check["state"] == "broken"
    assert "RAGSTONE_SERVER__PORT" in check["mend"]


def test_a_server_open_to_the_network_without_keys_is_broken(cli):
    check = checks(cli("doctor", "--json", RAGSTONE_SERVER__HOST="0.0.0.0", RAGSTONE_SERVER__PORT="0"))["server"]
    assert check["state"] == "broken"
    assert "RAGSTONE_SERVER__API_KEYS" in check["mend"]


def test_a_missing_model_is_broken_and_the_other_parts_are_still_looked_at(cli, tmp_path):
    environment = {
        "RAGSTONE_EMBEDDING__MODEL": "minilm",
        "RAGSTONE_EMBEDDING__MODEL_FOLDER": str(tmp_path / "nowhere"),
        "RAGSTONE_SERVER__PORT": "0",
    }
    result = cli("doctor", "--json", **environment)
    found = checks(result)
    assert result.exit_code == ExitCode.FAILED
    assert found["embedding model"]["state"] == "broken"
    assert "RAGSTONE_EMBEDDING__MODEL_FOLDER" in found["embedding model"]["mend"]
    assert found["server"]["state"] == found["database"]["state"] == "ok"


def test_a_database_of_a_newer_version_is_broken_with_a_way_out(cli, tmp_path):
    cli("documents")
    with sqlite3.connect(tmp_path / "data" / "ragstone.db") as connection:
        connection.execute("UPDATE alembic_version SET version_num = '9999'")
    connection.close()
    result = cli("doctor", "--json", RAGSTONE_SERVER__PORT="0")
    assert result.exit_code == ExitCode.FAILED
    assert "newer version" in checks(result)["database"]["mend"]
    assert cli("documents").exit_code == ExitCode.CONFIGURATION


def test_a_language_model_that_cannot_be_reached_is_broken(cli):
    environment = {
        "RAGSTONE_ANSWER__PROVIDER": "openai",
        "RAGSTONE_ANSWER__MODEL": "m",
        "RAGSTONE_ANSWER__BASE_URL": "http://127.0.0.1:9/v1",
        "RAGSTONE_SERVER__PORT": "0",
    }
    pytest.importorskip("openai", reason="the extra `openai` is not installed")
    check = checks(cli("doctor", "--json", **environment))["language model"]
    assert check["state"] == "broken"
    assert "RAGSTONE_ANSWER__BASE_URL" in check["mend"]


def test_a_data_directory_that_is_a_file_is_broken(cli, tmp_path):
    (tmp_path / "data").write_text("a file", encoding="utf-8")
    result = cli("doctor", "--json", RAGSTONE_SERVER__PORT="0")
    assert checks(result)["data directory"]["state"] == "broken"
    assert result.exit_code == ExitCode.FAILED
