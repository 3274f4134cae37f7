"""Output: it cannot control a terminal, and its JSON is stable for scripts."""

from __future__ import annotations

import io
import json
import re
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime

import pytest

from ragstone.cli.output import one_line, plain, safe, say_json, say_table
from ragstone.vocabulary import Document, DocumentState, Scope

HOSTILE = "a\x1b[2J\x07b\x9b31mc\u202egpj.exe\r\x00"


@contextmanager
def stdout_as(stream: io.TextIOBase) -> Iterator[None]:
    original, sys.stdout = sys.stdout, stream
    try:
        yield
    finally:
        sys.stdout = original


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def test_control_and_direction_characters_are_shown_not_sent():
    assert safe(HOSTILE) == r"a\x1b[2J\x07b\x9b31mc\u202egpj.exe\r\x00"


def test_text_of_any_language_line_ends_and_tabs_stay():
    text = "Ünïcode हिन्दी 漢字 \U0001f600\n\tindented"
    assert safe(text) == text


def test_half_a_surrogate_pair_of_a_file_name_can_be_written():
    assert safe("caf\udce9.txt").encode("utf-8") == rb"caf\udce9.txt"


def test_one_line_cuts_at_a_word():
    assert one_line("one\n two\tthree four", max_chars=14) == "one two three…"
    assert one_line("short") == "short"
    assert one_line("withoutanyblank", max_chars=8) == "without…"


def test_json_holds_the_fields_of_the_vocabulary(capsys):
    moment = datetime(2026, 1, 2, tzinfo=UTC)
    document = Document(
        "d1", Scope(), "text:n", "N", "text/plain", "f", 1, DocumentState.READY, 1, moment, moment, metadata={"a": True}
    )
    say_json([document])
    [read] = json.loads(capsys.readouterr().out)
    assert read["scope"] == {"tenant": "default", "collection": "default"}
    assert (read["state"], read["created_at"], read["metadata"]) == ("ready", "2026-01-02T00:00:00+00:00", {"a": True})
    assert set(read) == set(Document.__slots__)


def test_json_is_exact_and_harmless_at_once(capsys):
    say_json({"text": HOSTILE + "ü"})
    written = capsys.readouterr().out
    assert json.loads(written)["text"] == HOSTILE + "ü"
    assert "ü" in written
    assert not set("\x1b\x07\x9b\u202e\r\x00") & set(written)


def test_json_stays_valid_where_stdout_knows_no_unicode():
    raw = io.BytesIO()
    stream = io.TextIOWrapper(raw, encoding="ascii")
    with stdout_as(stream):
        say_json(["ü漢"])
        stream.flush()
    assert json.loads(raw.getvalue()) == ["ü漢"]


def test_what_has_no_place_in_the_vocabulary_is_refused():
    with pytest.raises(TypeError, match="bytes has no JSON form"):
        plain(b"raw")


def test_a_table_in_a_pipe_is_tab_separated_and_never_cut(capsys):
    say_table(("ID", "TITLE"), [("1", "long " * 60 + "\nsecond\tline"), (2, HOSTILE)])
    lines = capsys.readouterr().out.splitlines()
    assert [line.count("\t") for line in lines] == [1, 1, 1]
    assert lines[1].endswith("long second line")
    assert "\x1b" not in lines[2]


def test_a_table_on_a_narrow_terminal_shows_all_and_takes_markup_literally(monkeypatch):
    monkeypatch.setenv("COLUMNS", "30")
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setenv("NO_COLOR", "1")
    terminal = Terminal()
    with stdout_as(terminal):
        say_table(("ID", "TITLE"), [("1", "[red]not red[/red] and a title longer than the line :smile:" + HOSTILE)])
    shown = terminal.getvalue()
    assert all(len(re.sub(r"\x1b\[\d*m", "", line)) <= 30 for line in shown.splitlines())
    assert "[red]not red[/red]" in shown
    assert ":smile:" in shown.replace("\n", "").replace(" ", "")
    assert "\x1b[2J" not in shown
    assert "\x1b[3" not in shown, "NO_COLOR"
