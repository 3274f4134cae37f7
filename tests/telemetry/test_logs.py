"""Logs: where they go, what they look like, what they never say."""

from __future__ import annotations

import json
import logging
from collections.abc import Iterator

import pytest
import structlog

from ragstone.telemetry.logs import configure_logs


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
