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
        "Ada Pumps Inc. (NASDAQ: PUMP) sells pumps.",
        "Hard fruit, e. g. Apples, z. B. Birnen, keeps well.",
        "Am 3. Oktober 1990 war es so.",
        "Call `bus.stop. Now()` twice.",
        "It takes 400\nhours.",
    ],
)
def test_a_full_stop_inside_a_sentence_does_not_end_it(text):
    assert cut(text) == [text]


def test_each_script_ends_its_sentences_its_own_way():
    assert cut("这是第一句。这是第二句！") == ["这是第一句。", "这是第二句！"]
    assert cut("हिन्दी वाक्य। दूसरा वाक्य।") == ["हिन्दी वाक्य।", "दूसरा वाक्य।"]
    assert cut("هل هذا صحيح؟ نعم.") == ["هل هذا صحيح؟", "نعم."]
    assert cut("یہ ایک ہے۔ یہ دو ہے۔") == ["یہ ایک ہے۔", "یہ دو ہے۔"]
    assert cut("Il dit « Oui. » Puis il part.") == ["Il dit « Oui. »", "Puis il part."]
    long, short = "เปลี่ยนซีลปั๊มทุกสี่ร้อยชั่วโมงและตรวจสอบแรงดัน", "แล้วจดบันทึกไว้"
    assert cut(f"{long} {short} {short}") == [long, f"{short} {short}"]


def test_an_abbreviation_that_may_end_a_sentence_ends_it_before_a_capital():
    assert cut("It was sold to Ada Pumps Inc. The price is not known.") == [
        "It was sold to Ada Pumps Inc.",
        "The price is not known.",
    ]


def kinds(text):
    return [(one.kind, text[one.start : one.end]) for one in sentences(text)]


def test_a_table_without_outer_marks_has_a_head_and_rows():
    assert kinds("Ship | Port\n--- | ---\nBo | Lund\n\nBo | Lund is no row.") == [
        ("row", "Ship | Port"),
        ("row", "Bo | Lund"),
        ("prose", "Bo | Lund is no row."),
    ]


def test_the_row_that_names_the_columns_is_known():
    text = "| Ship | Port |\n|---|---|\n| Bo | Lund |"
    assert [text[one.start : one.end] for one in sentences(text) if one.header] == ["| Ship | Port |"]


def test_bullets_letters_and_numbers_begin_items():
    assert [kind for kind, _ in kinds("• one\n– two\n(a) three\nb) four\n12. five")] == ["item"] * 5
    assert kinds("It holds about\n12. More is too much.") == [
        ("prose", "It holds about\n12."),
        ("prose", "More is too much."),
    ]


def test_a_sign_is_no_quote_mark_where_a_line_breaks_before_it():
    assert kinds("Stop the pump at\n> 16 bar at once.") == [("prose", "Stop the pump at\n> 16 bar at once.")]
    assert kinds("> A quote.\n> 16 bar.") == [("prose", "A quote."), ("prose", "16 bar.")]


def test_fields_are_units_and_targets_of_links_are_none():
    assert cut("From: Ana\nTo: Bo\nSubject: The lamp\n\n[lamp]: https://a.example/lamp") == [
        "From: Ana",
        "To: Bo",
        "Subject: The lamp",
    ]


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
