"""`ragstone models`: what was found on this machine, one word of consent, and where the choice is kept."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from ragstone.cli.command import ExitCode
from ragstone.wiring.local_model import FILE
from tests.cli.conftest import Cli, write_handbook

LIST = {"object": "list", "data": [{"id": "llama3.2:latest", "object": "model", "owned_by": "library"}]}
ANSWER = (
    'data: {"choices": [{"index": 0, "delta": {"content": "Six weeks [1]."}, "finish_reason": "stop"}]}\n\n'
    "data: [DONE]\n\n"
)


class _Ollama(BaseHTTPRequestHandler):
    """The two routes of an Ollama that are used."""

    def do_GET(self) -> None:
        self._send("application/json", json.dumps(LIST))

    def do_POST(self) -> None:
        self.rfile.read(int(self.headers.get("content-length", 0)))
        self._send("text/event-stream", ANSWER)

    def _send(self, kind: str, text: str) -> None:
        self.send_response(200)
        self.send_header("content-type", kind)
        self.send_header("content-length", str(len(text.encode())))
        self.end_headers()
        self.wfile.write(text.encode())

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002  # the name of the base class
        """Log nothing."""


@contextmanager
def ollama() -> Iterator[str]:
    """An Ollama on a free port; yields the port."""
    with ThreadingHTTPServer(("127.0.0.1", 0), _Ollama) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        try:
            yield str(server.server_address[1])
        finally:
            server.shutdown()


PORTS = "RAGSTONE_ANSWER__LOCAL_PORTS"


def test_what_was_found_is_listed_and_nothing_of_it_is_used(cli: Cli):
    with ollama() as port:
        result = cli("models", **{PORTS: port})
        listed = json.loads(cli("models", "--json", **{PORTS: port}).stdout)
    assert "llama3.2:latest" in result.stdout
    assert "Ollama" in result.stdout
    assert "quote the documents" in result.stdout
    assert listed["found"] == [
        {"name": "llama3.2:latest", "server": "Ollama", "base_url": f"http://127.0.0.1:{port}/v1"}
    ]
    assert listed["in_use"]["provider"] == "extractive"


def test_where_no_server_runs_it_says_so(cli: Cli):
    result = cli("models", **{PORTS: "0"})
    assert result.exit_code == ExitCode.OK
    assert "No model server" in result.stderr


def test_ask_suggests_a_model_until_there_is_a_choice(cli: Cli, tmp_path: Path):
    cli("ingest", write_handbook(tmp_path / "handbook"))
    question = "How long is the notice period?"
    with ollama() as port:
        first = cli("ask", question, **{PORTS: port})
        cli("models", "use", "none", **{PORTS: port})
        second = cli("ask", question, **{PORTS: port})
    assert first.stderr.count("ragstone models use llama3.2:latest") == 1
    assert "six weeks" in first.stdout
    assert "models use" not in second.stderr


def test_one_word_of_consent_and_the_model_answers(cli: Cli, tmp_path: Path):
    pytest.importorskip("openai", reason="the extra `openai` is not installed")
    cli("ingest", write_handbook(tmp_path / "handbook"))
    with ollama() as port:
        assert cli("models", "use", "llama3.2:latest", **{PORTS: port}).exit_code == ExitCode.OK
        listed = cli("models", **{PORTS: port})
        used = json.loads(cli("ask", "How long is the notice period?", "--json", **{PORTS: port}).stdout)
        settled = cli(
            "ask", "How long is the notice period?", "--json", RAGSTONE_ANSWER__PROVIDER="extractive", **{PORTS: port}
        )
    assert "yes" in listed.stdout
    assert (used["usage"]["model"], used["text"]) == ("llama3.2:latest", "Six weeks [1].")
    assert json.loads(settled.stdout)["usage"]["model"] == "extractive"


def test_auto_is_consent_too_and_does_without_where_there_is_none(cli: Cli, tmp_path: Path):
    pytest.importorskip("openai", reason="the extra `openai` is not installed")
    cli("ingest", write_handbook(tmp_path / "handbook"))
    auto = {"RAGSTONE_ANSWER__PROVIDER": "auto"}
    with ollama() as port:
        used = json.loads(cli("ask", "How long is the notice period?", "--json", **auto, **{PORTS: port}).stdout)
    alone = json.loads(cli("ask", "How long is the notice period?", "--json", **auto, **{PORTS: "0"}).stdout)
    assert (used["usage"]["model"], alone["usage"]["model"]) == ("llama3.2:latest", "extractive")


def test_a_name_that_no_server_offers_is_refused_with_those_that_exist(cli: Cli):
    with ollama() as port:
        result = cli("models", "use", "gpt\x1b[2J", **{PORTS: port})
    assert result.exit_code == ExitCode.NOT_FOUND
    assert "llama3.2:latest" in result.stderr
    assert "\x1b" not in result.stderr


@pytest.mark.parametrize("content", ["{", "[]", '{"model": "m", "base_url": "http://evil.example/v1"}', "[" * 99999])
def test_a_choice_that_was_tampered_with_is_refused(cli: Cli, tmp_path: Path, content: str):
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / FILE).write_text(content, encoding="utf-8")
    result = cli("models", **{PORTS: "0"})
    assert result.exit_code == ExitCode.CONFIGURATION
    assert "ragstone models use" in result.stderr


def test_doctor_lists_what_it_found(cli: Cli):
    with ollama() as port:
        result = cli("doctor", **{PORTS: port})
    assert "local models: llama3.2:latest (Ollama)" in result.stdout
