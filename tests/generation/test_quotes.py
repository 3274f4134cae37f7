"""Where a sentence stands in a passage word for word, whatever its line breaks and marks."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ragstone.generation.quotes import find_quote, fold

CODE = """\
# Wildcards

The glob `**/*.md` matches every Markdown file below the folder.

The decorator passes `*args` and `**kwargs` to the function `__init__`.

The area is 3 * 4 * 5 = 60 square metres.
"""


def quoted(claim, passage):
    found = find_quote(claim, fold(passage))
    return found and passage[slice(*found)]


@pytest.mark.parametrize(
    ("claim", "passage"),
    [
        pytest.param("It carries 8 trains a day [1].", "It carries 8\ntrains  a\u00a0day.", id="white space"),
        pytest.param("The installation costs 5 euros.", "The instal-\nlation costs 5 euros.", id="broken word"),
        pytest.param("The installation is new.", "The instal\u00adlation is new.", id="soft hyphen"),
        pytest.param("A 24-hour shift", "a 24-\nhour shift", id="hyphen of a number"),
        pytest.param("The state-of-the-art crane", "The state-of-theart crane", id="lost hyphen"),
        pytest.param(
            "If the pressure > 16 bar, stop.", "If the pressure\n> 16 bar, stop.", id="sign at a line's start"
        ),
        pytest.param("It is “quick” – and cheap", 'It is "quick" - and cheap.', id="quotes and dashes"),
        pytest.param("Bold words and a link.", "**Bold** words and a [link](http://x.y/z_(a)).", id="marks"),
        pytest.param("See the page (http://x.y/z).", "See the [page](http://x.y/z).", id="link written out"),
        pytest.param("Bo · 900 · Kiel [1].", "| Bo | 900 | Kiel |", id="cells"),
        pytest.param(
            "The decorator passes *args and **kwargs to the function __init__.", CODE, id="code without ticks"
        ),
        pytest.param("The glob `**/*.md` matches every Markdown file below the folder.", CODE, id="code"),
        pytest.param("The area is 3 * 4 * 5 = 60 square metres.", CODE, id="operators"),
        pytest.param("价格是三百元。", "价格是\n三百元。", id="no spaces between words"),
        pytest.param("- A new pump [1].", "Buy:\n\n- A new pump\n- A seal", id="item of a list"),
        pytest.param(
            "It makes 10^6 m of H2O.", "It makes 10<sup>6</sup> m of H<sub>2</sub>O.", id="raised and lowered"
        ),
        pytest.param(
            "See the book and the list \\[1\\].", "See the [book][b] and the list [1].", id="reference and bracket"
        ),
        pytest.param("Before and after.", "Before ![a map](map.png) and after.", id="picture"),
        pytest.param("AT&T says so", "AT&amp;T says so", id="entity"),
        pytest.param("A first office", "a \ufb01rst office", id="ligature"),
    ],
)
def test_a_quote_is_found_whatever_its_breaks_and_marks(claim, passage):
    assert quoted(claim, passage)


@pytest.mark.parametrize(
    ("claim", "passage"),
    [
        pytest.param("If the pressure 16 bar, stop.", "If the pressure > 16 bar, stop.", id="sign lost"),
        pytest.param("16 bar", "The pressure is > 16 bar", id="sign cut off"),
        pytest.param("The area is 3 4 5 = 60 square metres.", CODE, id="operator lost"),
        pytest.param("The glob /.md matches every Markdown file below the folder.", CODE, id="code altered"),
        pytest.param("The decorator passes args and kwargs to the function init.", CODE, id="marks of code lost"),
        pytest.param("It needs version 3.1", "It needs version 3.10.", id="figure cut"),
        pytest.param("It costs 5", "It costs 5 million.", id="scale cut off"),
        pytest.param("It costs 638", "It costs 8638.", id="figure cut at the front"),
        pytest.param("106 units", "10<sup>6</sup> units", id="raised figure"),
        pytest.param("The plan was approved", "It is not true that the plan was approved.", id="denied before"),
        pytest.param("the ferry leaves", "If it storms, the ferry leaves.", id="condition before"),
        pytest.param("The ferry leaves", "The ferry leaves unless it storms.", id="condition behind"),
        pytest.param("The bridge is unsafe", "Engineers suggested that the bridge is unsafe.", id="another's word"),
        pytest.param("The type is Vec<u8>", "The type is Vec<u16>", id="type"),
        pytest.param("A title A text", "A title\n\nA text", id="two paragraphs"),
        pytest.param("[1].", "anything", id="nothing said"),
    ],
)
def test_what_is_altered_is_no_quote(claim, passage):
    assert not quoted(claim, passage)


def test_the_span_is_exact_and_takes_in_the_marks_around_it():
    assert quoted("Bold words", "So: **Bold** words. More.") == "**Bold** words."
    assert quoted("args is a tuple", "Here `*args` is a tuple.") is None
    assert quoted("The function __init__", CODE.replace("to the", "to.\n\nThe")) == "The function `__init__`."


@given(st.text(alphabet="ab1 \n*_`|[]()<>-\\.>#~é中&;", max_size=60))
def test_a_whole_text_is_a_quote_of_itself_or_says_nothing(text):
    folded = fold(text)
    assert len(folded.text) == len(folded.places)
    assert list(folded.places) == sorted(folded.places)
    if "\n" not in text and (found := find_quote(text, folded)):
        assert 0 <= found[0] < found[1] <= len(text)


@pytest.mark.parametrize("mark", ["`", "*a", "[a](b", "|", "<b ", "\\", "](", "a-\n", "- - ", "\n\n", "> "])
def test_marks_without_end_are_read(mark):
    text = mark * (100_000 // len(mark))
    assert find_quote("a b c", fold(text)) is None
