"""`ragstone doctor`: it checks every part, names a fix for each fault, and shows no secret."""

from __future__ import annotations

import json
import sqlite3
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import pytest

from ragstone.cli.command import ExitCode
from ragstone.cli.doctor.checks import PARTS, check
from ragstone.settings import Settings
from tests.platforms import small_settings


def checks(result) -> dict[str, dict[str, str]]:
    return {check["name"]: check for check in json.loads(result.stdout)["checks"]}


@pytest.fixture
def settings(tmp_path: Path):
    def with_changes(**changes: object) -> Settings:
        return small_settings(tmp_path / "data", **changes)

    return with_changes


@contextmanager
def http_server(status: int) -> Iterator[str]:
    """A server that answers every GET with `status`."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(status)
            self.send_header("content-length", "0")
            self.end_headers()

        def log_message(self, *_arguments: object) -> None:
            pass

    with HTTPServer(("127.0.0.1", 0), Handler) as listening:
        thread = threading.Thread(target=listening.serve_forever)
        thread.start()
        try:
            yield f"http://127.0.0.1:{listening.server_port}"
        finally:
            listening.shutdown()
            thread.join()


def test_a_filled_data_directory_is_in_order(cli, handbook):
    job = json.loads(cli("ingest", handbook, "--json").stdout)
    result = cli("doctor", "--json", RAGSTONE_SERVER__PORT="0")
    found = checks(result)
    assert set(found) == {"settings", *PARTS}
    assert {name: check for name, check in found.items() if check["state"] != "ok"} == {}
    assert found["database"]["found"].startswith(f"2 documents, {job['chunks']} chunks")
    assert f"{job['chunks']} chunks, as in the database" in found["search index"]["found"]
    assert result.exit_code == ExitCode.OK


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


def test_a_misspelt_variable_is_refused_with_the_nearest_name(cli):
    for wrong, right in (
        ("RAGSTONE_DATADIR", "RAGSTONE_DATA_DIR"),
        ("RAGSTONE_ANSWER__MODLE", "RAGSTONE_ANSWER__MODEL"),
    ):
        refused = cli("doctor", **{wrong: "x"})
        assert refused.exit_code == ExitCode.CONFIGURATION
        assert f"{wrong}: is not a setting; did you mean {right}?" in refused.stderr


def test_an_error_in_the_settings_is_broken_and_shown_with_its_fix(cli):
    secret = {"RAGSTONE_LIBRECHAT__JWT_SECRET": "x" * 31, "RAGSTONE_SERVER__PORT": "0"}
    plain = cli("doctor", "--profile", "production", **secret)
    assert plain.exit_code == ExitCode.FAILED
    assert "ERROR    RAGSTONE_LIBRECHAT__JWT_SECRET: " in plain.stdout
    assert "BROKEN   settings: " in plain.stdout
    relaxed = cli("doctor", "--json", **secret)
    assert relaxed.exit_code == ExitCode.OK
    assert checks(relaxed)["settings"]["state"] == "warning"


def test_deep_compares_the_settings_with_the_database(cli):
    open_to_all = {"RAGSTONE_SERVER__HOST": "0.0.0.0", "RAGSTONE_SERVER__PORT": "0"}
    found = json.loads(cli("doctor", "--deep", "--json", **open_to_all).stdout)
    assert ("database", "RAGSTONE_SERVER__HOST") in {(each["group"], each["variable"]) for each in found["problems"]}
    shallow = json.loads(cli("doctor", "--json", **open_to_all).stdout)
    assert "database" not in {each["group"] for each in shallow["problems"]}


def test_settings_only_is_what_validate_config_says(cli):
    broken = {"RAGSTONE_LIBRECHAT__JWT_SECRET": "x" * 31, "RAGSTONE_SERVER__PORT": "x"}
    for environment in (broken, {}, {"RAGSTONE_INTERCEPTOR__BUDGET_S": "3"}):
        for options in ((), ("--json",), ("--deep", "--json"), ("--profile", "production")):
            alias = cli("operate", "validate-config", *options, **environment)
            doctor = cli("doctor", "--settings-only", *options, **environment)
            assert (alias.exit_code, alias.output) == (doctor.exit_code, doctor.output)


def test_a_missing_model_is_broken_and_the_other_parts_are_still_looked_at(cli, tmp_path):
    environment = {
        "RAGSTONE_EMBEDDING__MODEL": "minilm",
        "RAGSTONE_EMBEDDING__MODEL_FOLDER": str(tmp_path / "nowhere"),
        "RAGSTONE_SERVER__PORT": "0",
    }
    result = cli("doctor", **environment)
    assert result.exit_code == ExitCode.FAILED
    [line] = [line for line in result.stdout.splitlines() if line.startswith("BROKEN   embedding model: ")]
    assert "RAGSTONE_EMBEDDING__MODEL_FOLDER" in line
    assert "ok       server: " in result.stdout
    assert "ok       database: " in result.stdout


async def test_a_port_in_use_is_broken_with_a_way_out(settings):
    with http_server(404) as address:
        found = await check("server", settings(server={"port": int(address.rpartition(":")[2])}))
    assert found.state == "broken"
    assert "RAGSTONE_SERVER__PORT" in found.found


async def test_a_port_that_a_healthy_server_holds_is_in_order(settings):
    with http_server(200) as address:
        found = await check("server", settings(server={"port": int(address.rpartition(":")[2])}))
    assert (found.state, "a server answers" in found.found) == ("ok", True)


async def test_a_server_open_to_the_network_without_an_owner_is_broken(settings):
    found = await check("server", settings(server={"host": "0.0.0.0", "port": 0}))
    assert found.state == "broken"
    assert "ragstone accounts users create" in found.found


async def test_a_database_of_a_newer_version_is_broken_with_a_way_out(settings, tmp_path):
    assert (await check("database", settings())).state == "ok"
    connection = sqlite3.connect(tmp_path / "data" / "ragstone.db")
    connection.execute("UPDATE alembic_version SET version_num = '9999'")
    connection.commit()
    connection.close()
    found = await check("database", settings())
    assert found.state == "broken"
    assert "newer version" in found.found


async def test_a_data_directory_that_is_a_file_is_broken(settings, tmp_path):
    (tmp_path / "data").write_text("a file", encoding="utf-8")
    found = await check("data directory", settings())
    assert found.state == "broken"
    assert "RAGSTONE_DATA_DIR" in found.found


@pytest.mark.parametrize(
    ("status", "state", "hint"), [(200, "ok", "reachable"), (401, "broken", "the key is refused"), (404, "ok", "")]
)
async def test_a_language_model_is_asked_for_its_list_not_for_words(settings, status, state, hint):
    pytest.importorskip("openai", reason="the extra `openai` is not installed")
    with http_server(status) as address:
        found = await check(
            "language model",
            settings(answer={"provider": "openai", "model": "m", "api_key": "k" * 8, "base_url": f"{address}/v1"}),
        )
    assert found.state == state
    assert hint in found.found
    assert "k" * 8 not in found.found


async def test_a_language_model_that_cannot_be_reached_is_broken(settings):
    pytest.importorskip("openai", reason="the extra `openai` is not installed")
    found = await check(
        "language model", settings(answer={"provider": "openai", "model": "m", "base_url": "http://127.0.0.1:9/v1"})
    )
    assert found.state == "broken"
    assert "RAGSTONE_ANSWER__BASE_URL" in found.fix
