"""What becomes of a file name."""

from __future__ import annotations

import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ragstone.errors import InvalidInput
from ragstone.http.file_names import MAX_NAME_CHARS, safe_name


@pytest.mark.parametrize(
    ("given_name", "kept"),
    [
        ("report.pdf", "report.pdf"),
        ("../../etc/passwd", "passwd"),
        ("/etc/passwd", "passwd"),
        ("C:\\Users\\me\\report.pdf", "report.pdf"),
        ("a\0b.md", "ab.md"),
        ("a\r\nX-Evil: 1.md", "a X-Evil: 1.md"),
        ("invoice\u202efdp.exe", "invoicefdp.exe"),
        ("cafe\u0301.md", "café.md"),
        (".env", "env"),
        ("Bericht für März.md", "Bericht für März.md"),
        ("%2e%2e%2fx.md", "%2e%2e%2fx.md"),
    ],
)
def test_a_name_keeps_what_people_read(given_name: str, kept: str):
    assert safe_name(given_name) == kept


@pytest.mark.parametrize("name", ["", ".", "..", "/", "a/", "\0", "\u200b", " \t\n"])
def test_a_name_of_nothing_is_refused(name: str):
    with pytest.raises(InvalidInput, match="usable name"):
        safe_name(name)


def test_a_long_name_keeps_its_suffix():
    short = safe_name("x" * 4096 + ".docx")
    assert len(short) == MAX_NAME_CHARS
    assert short.endswith(".docx")


@given(st.text(max_size=400))
def test_no_name_gets_through_with_a_folder_or_a_control_character(name: str):
    try:
        kept = safe_name(name)
    except InvalidInput:
        return
    assert 0 < len(kept) <= MAX_NAME_CHARS
    assert not {"/", "\\"} & set(kept)
    assert not any(unicodedata.category(character).startswith("C") for character in kept)
    assert not kept.startswith(".")
    assert safe_name(kept) == kept
