"""The sentence splitter for Markdown."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ragstone.documents.sentences import sentences


def cut(text):
    return [text[one.start : one.end] for one in sentences(text)]


@pytest.mark.parametrize(
    "text",
    [
        "Dr. Smith met J. K. Rowling at 5 p.m. in the U.S. Senate.",
        "It cost $3.5 million, i.e. too much, on Jan. 5.",
        "See Fig. 3 and Sec. 2.4 of example.com for details.",
        "Wait... what happened there?",
    ],
)
def test_a_full_stop_inside_a_sentence_does_not_end_it(text):
    assert cut(text) == [text]


def test_each_script_ends_its_sentences_its_own_way():
    assert cut("这是第一句。这是第二句！") == ["这是第一句。", "这是第二句！"]
    assert cut("हिन्दी वाक्य। दूसरा वाक्य।") == ["हिन्दी वाक्य।", "दूसरा वाक्य।"]
    assert cut("هل هذا صحيح؟ نعم.") == ["هل هذا صحيح؟", "نعم."]


def test_a_quotation_and_a_marker_stay_with_their_sentence():
    assert cut('"Stop!" he said. He left. [1][2] Then it rained [3].') == [
        '"Stop!" he said.',
        "He left. [1][2]",
        "Then it rained [3].",
    ]


def test_markdown_lines_are_units_without_their_marks():
    text = (
        "# One. Two\n\n- first. second\n  goes on\n- third\n\n| a | b |\n|---|---|\n| 1. x | y |\n\n> said so. Twice."
    )
    found = [(one.kind, text[one.start : one.end]) for one in sentences(text)]
    assert found == [
        ("heading", "One. Two"),
        ("item", "first. second\n  goes on"),
        ("item", "third"),
        ("row", "| a | b |"),
        ("row", "| 1. x | y |"),
        ("prose", "said so."),
        ("prose", "Twice."),
    ]


def test_code_is_cut_by_lines_only():
    assert cut("Run:\n```sh\nls. pwd\ncd /\n```\nDone.") == ["Run:", "ls. pwd", "cd /", "Done."]


@given(st.text(alphabet='aA1 .!?\n#-|>`[]()。।"', max_size=80))
def test_sentences_are_in_order_and_only_marks_and_space_lie_between(text):
    place = 0
    for one in sentences(text):
        assert place <= one.start < one.end <= len(text)
        assert text[one.start : one.end] == text[one.start : one.end].strip()
        place = one.end
