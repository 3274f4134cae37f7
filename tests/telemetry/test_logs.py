"""Logs: where they go, what they look like, what they never say."""

from __future__ import annotations

import contextlib
import io
import json
import logging
import secrets
from collections.abc import Iterator
from types import SimpleNamespace

import pytest
import structlog

from ragstone.telemetry.logs import configure_logs, leave_logs_to_the_host


@pytest.fixture(autouse=True)
def restored_logging() -> Iterator[None]:
    root = logging.getLogger()
    handlers, level = list(root.handlers), root.level
    yield
    root.handlers, root.level = handlers, level
    structlog.reset_defaults()


def lines(capsys: pytest.CaptureFixture[str]) -> list[dict[str, object]]:
    captured = capsys.readouterr()
    assert captured.out == "", "stdout belongs to the answer of a command"
    return [json.loads(line) for line in captured.err.splitlines()]


def test_an_event_is_one_json_line_on_stderr(capsys):
    configure_logs("info", json=True)
    structlog.get_logger().info("ingest.done", document="d1", chunks=3)
    [event] = lines(capsys)
    assert (event["event"], event["document"], event["chunks"], event["level"]) == ("ingest.done", "d1", 3, "info")
    assert str(event["timestamp"]).endswith("Z")


def test_the_logs_of_libraries_come_out_in_the_same_form(capsys):
    configure_logs("info", json=True)
    logging.getLogger("uvicorn.error").info("Started on port %d", 8000)
    [event] = lines(capsys)
    assert (event["event"], event["level"]) == ("Started on port 8000", "info")


def test_events_below_the_level_are_dropped(capsys):
    configure_logs("warning", json=True)
    structlog.get_logger().info("quiet")
    logging.getLogger("anything").info("quiet")
    assert lines(capsys) == []


def test_what_is_named_like_a_secret_is_masked_and_token_counts_are_not(capsys):
    configure_logs("info", json=True)
    structlog.get_logger().info("asked", answer_api_key="sk-1", Authorization="Bearer x", max_tokens=5)
    [event] = lines(capsys)
    assert (event["answer_api_key"], event["Authorization"], event["max_tokens"]) == ("[hidden]", "[hidden]", 5)


def test_a_file_name_cannot_steer_the_terminal(capsys):
    configure_logs("info", json=False)
    structlog.get_logger().info("ingest.failed", source="a\x1b[2Jb\u202egpj.exe")
    error = capsys.readouterr().err
    assert "ingest.failed" in error
    assert "\\u001b[2J" in error
    assert "\x1b" not in error
    assert "\u202e" not in error


def test_a_traceback_shows_no_local_variables(capsys):
    configure_logs("info", json=False)
    document_text = "the text of a document"
    try:
        int("no number")
    except ValueError:
        structlog.get_logger().exception("worker.failed", size=len(document_text))
    error = capsys.readouterr().err
    assert "ValueError: invalid literal" in error
    assert document_text not in error


def test_configuring_twice_does_not_double_the_lines(capsys):
    configure_logs("info", json=True)
    configure_logs("info", json=True)
    structlog.get_logger().info("once")
    assert len(lines(capsys)) == 1


CANARY = "sk-canary-0123456789abcdef"


@pytest.mark.parametrize("as_json", [True, False])
def test_every_text_of_an_event_is_masked_however_deep_it_lies(capsys, as_json):
    configure_logs("debug", json=as_json)
    value = {
        "a": [{"b": ("x@example.org", {CANARY})}],
        CANARY: 1,
        "api_key": ["k"],
        "object": SimpleNamespace(k=CANARY),
    }
    structlog.get_logger().debug(f"asked {CANARY}", error=ValueError(CANARY), value=value, data=CANARY.encode())
    error = capsys.readouterr().err
    assert "canary" not in error
    assert "example.org" not in error
    assert error.count("[secret]") == 6
    assert "[hidden]" in error


@pytest.mark.parametrize("as_json", [True, False])
def test_tracebacks_are_masked_with_their_causes_and_those_of_libraries_too(capsys, as_json):
    configure_logs("debug", json=as_json)
    try:
        try:
            raise KeyError(CANARY)  # noqa: TRY301 — its cause
        except KeyError as cause:
            raise ValueError("for someone@example.org") from cause
    except ValueError:
        structlog.get_logger().exception("worker.failed")
        logging.getLogger("foreign").exception("of %s", CANARY)
    error = capsys.readouterr().err
    assert error.count("ValueError: for [email]") == 2
    assert error.count("[secret]") == 3
    assert "canary-0" not in error


def test_foreign_records_are_masked_at_every_level(capsys):
    configure_logs("debug", json=True)
    logging.getLogger("anything").debug("from %s with %s", "203.0.113.9", {"token": CANARY})
    [event] = lines(capsys)
    assert event["event"] == "from [ip] with {'token': '[secret]'}"


@pytest.mark.parametrize(
    "text", ["a\r\nb", '{"event": "forged"}\n{"level": "x"}', "a\u2028b\u2029c\x85d", "\x1b[2J\x00"]
)
@pytest.mark.parametrize("as_json", [True, False])
def test_whatever_a_text_holds_an_event_stays_one_line(capsys, text, as_json):
    configure_logs("info", json=as_json)
    structlog.get_logger().info("ingest.failed", source=text, nested=[{"a": text}])
    error = capsys.readouterr().err
    assert len(error.splitlines()) == 1
    assert "\x1b" not in error


def test_a_record_that_cannot_be_formatted_is_lost_without_being_shown(capsys):
    configure_logs("info", json=True)
    handler = next(handler for handler in logging.getLogger().handlers if handler.name == "ragstone")
    handler.handle(logging.LogRecord("foreign", logging.INFO, "", 0, "two %d %d", (CANARY,), None))
    [event] = lines(capsys)
    assert event == {"event": "log.lost", "level": "error", "error": "TypeError"}


def test_the_host_of_the_library_gets_masked_events_and_masked_tracebacks(caplog):
    leave_logs_to_the_host()
    try:
        int(CANARY)
    except ValueError:
        structlog.get_logger("ragstone.x").error("it.failed", who="a@example.org", exc_info=True)
    [record] = caplog.records
    assert record.getMessage().startswith("it.failed\nTraceback")
    assert record.who == "[email]"
    assert "canary-0" not in caplog.text
    assert "ValueError: invalid literal for int() with base 10: '[secret]'" in caplog.text


def test_our_own_events_stay_readable(capsys):
    """Values as the events of this code base have them."""
    events: list[dict[str, object]] = [
        {"event": "http.request", "route": "/api/documents/{document_id}", "status": 200, "seconds": 0.0123},
        {"event": "serve.listening", "host": "127.0.0.1", "port": 8000},
        {"event": "submit.done", "job": "8".rjust(32, "0"), "files": 12, "vanished": 0},
        {"event": "ingest.done", "document": secrets.token_hex(16), "version": 3, "chunks": 1234567890},
        {"event": "ingest.failed", "document": "1234567890" * 3 + "12", "code": "unreadable_document", "final": True},
        {"event": "answer.done", "model": "claude-sonnet-4-5-20250929", "outcome": "answered", "citations": 3},
        {
            "event": "chat.model_unconfigured",
            "model": "gpt-4o-2024-08-06",
            "plan": "free",
            "reason": "There is no key.",
        },
        {"event": "callback.tried", "outcome": "retry", "delivery": secrets.token_hex(16), "error": "ConnectTimeout"},
        {"event": "index.incomplete", "missing_chunks": 5, "mend": "run `ragstone rebuild`, or start the server"},
        {"event": "auth.key_in_browser", "principal": "key-" + secrets.token_hex(16), "tenant": "acme"},
        {"event": "parser.died", "returncode": -9, "served": 4711, "request_id": "order-4711_a"},
        {"event": "worker.failed", "chore": "ledger", "retry_in_s": 1.5, "at": "2026-11-21T11:17:06.123456Z"},
        {"event": "Started server process [12345]", "logger": "uvicorn.error"},
    ]
    configure_logs("info", json=True)
    for event in events:
        structlog.get_logger().info(**event)
    for event, line in zip(events, lines(capsys), strict=True):
        assert line == event | {"level": "info", "timestamp": line["timestamp"]}
        assert str(line["timestamp"]).endswith("Z")


def test_a_line_without_a_reader_ends_nothing():
    gone = io.StringIO()
    with contextlib.redirect_stderr(gone):
        configure_logs("info", json=True)
    gone.close()
    structlog.get_logger("ragstone.x").error("it.failed")
