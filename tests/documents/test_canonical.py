"""Canonical text: it has all visible characters and no invisible ones."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ragstone.documents.base import ParserLimits
from ragstone.documents.canonical import MarkdownDraft, canonical_text, finish
from ragstone.errors import EmptyDocument, ParserLimit


@pytest.mark.parametrize(
    ("raw", "canonical"),
    [
        ("a\r\nb\rc\u2028d\x0ce", "a\nb\nc\nd\ne"),
        ("cafe\u0301", "café"),
        ("zero\u200bwidth soft\u00adhyphen \ufeffmark", "zerowidth softhyphen mark"),
        ("\u202eevil\u202c \u2066x\u2069 \x00\x1b[31m", "evil x [31m"),
        ("no\u00a0break \u2009thin", "no break  thin"),
        ("hi\U000e0049\U000e0067\U000e006e\U000e006f", "hi"),
        ("a" + "\ufe0f\U000e0101\U000e0102" * 5, "a\ufe0f"),
        ("a\U000e0101b\ufe00 葛\U000e0101", "ab 葛\U000e0101"),
        ("\ud800 alone", "\ufffd alone"),
        ("\n\n  \n    indented code\n\n", "    indented code"),
        ("\ttab\tstays", "\ttab\tstays"),
    ],
)
def test_invisible_characters_go_and_visible_ones_stay(raw: str, canonical: str):
    assert canonical_text(raw) == canonical


@pytest.mark.parametrize(
    "text",
    [
        "\u0645\u06cc\u200c\u062e\u0648\u0627\u0647\u0645",  # Persian: non-joiner inside a word
        "\u0915\u094d\u200d\u0937",  # Hindi: half form
        "\U0001f468\u200d\U0001f469\u200d\U0001f467",  # a family
        "\u2764\ufe0f\u200d\U0001f525",  # heart on fire
    ],
)
def test_joiners_stay_where_a_script_or_an_emoji_needs_them(text: str):
    assert canonical_text(text) == text


def test_joiners_go_between_latin_letters():
    assert canonical_text("pass\u200dword\u200c s\U0001f468\u200dx") == "password s\U0001f468x"


@given(st.text())
def test_canonical_text_is_a_fixed_point(text: str):
    once = canonical_text(text)
    assert canonical_text(once) == once


def test_each_page_span_cuts_out_its_page_and_blank_pages_have_none():
    document = finish(MarkdownDraft(("one\r\n", " \n", "three"), paged=True), media_type="x", limits=ParserLimits())
    assert document.text == "one\n\nthree"
    assert [(page.number, document.text[page.start : page.end]) for page in document.pages] == [
        (1, "one"),
        (3, "three"),
    ]


def test_invisible_text_alone_is_an_empty_document():
    with pytest.raises(EmptyDocument):
        finish(MarkdownDraft(("\u200b\u202e \n",)), media_type="x", limits=ParserLimits())


def test_text_beyond_the_limit_names_the_setting():
    with pytest.raises(ParserLimit, match="RAGSTONE_PARSER__MAX_TEXT_CHARS"):
        finish(MarkdownDraft(("12345", "67890")), media_type="x", limits=ParserLimits(max_text_chars=9))
