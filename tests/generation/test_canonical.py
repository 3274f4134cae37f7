"""Canonical text gives one spelling to what is written in several ways, and keeps what differs apart."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ragstone.generation.canonical import canonical


@pytest.mark.parametrize(
    ("text", "spelt"),
    [
        ("a pressure of\n16   bar", "a pressure of 16 bar"),
        ("\u201cwell\u2013known\u201d \u2018so\u2019", "\"well-known\" 'so'"),
        ("1,500,000 and 1.5 million", "1500000 and 1500000"),
        ("1\u202f500\u00a0000 people", "1500000 people"),
        ("$1.25 billion", "$1250000000"),
        ("twenty-three, fourteen and three hundred", "23, 14 and 300"),
        ("one hundred and five of three million two hundred thousand", "105 of 3200000"),
        ("a hundred", "100"),
        ("a five-year plan", "a 5-year plan"),
        ("the twenty-first century, the third king", "the 21st century, the 3rd king"),
        ("per cent: 5 per cent, five percent, 5 %", "per cent: 5%, 5%, 5%"),
        ("the U.S. and the United States of America", "the US and the US"),
        ("the United Kingdom, the U.K., the United Nations", "the UK, the UK, the UN"),
        ("It isn't what we can't or won't say; they've", "It is not what we can not or will not say; they have"),
        ("on March 5th, 2010", "on 5 March 2010"),
        ("on the 5th of March 2010, on 2010-03-05", "on the 5 March 2010, on 5 March 2010"),
        ("\uff11\uff12 \u0663 km\u00b2 10\u00b2", "12 3 km2 10^2"),
    ],
)
def test_one_spelling(text: str, spelt: str) -> None:
    assert canonical(text) == spelt


@pytest.mark.parametrize(
    "text",
    [
        "Python 3.10 and 3.1",
        "1,5 or 1.50",
        "one of the first-rate third-party, at first",
        "for a second, per second, 30 seconds",
        "a third of them",
        "the hundred thousand",
        "In March 2010 we and us",
        "192.168.1.1, 10-12",
    ],
)
def test_what_is_not_the_same_stays_apart(text: str) -> None:
    assert canonical(text) == text


def test_words_that_make_no_number_together_are_written_one_by_one() -> None:
    assert canonical("two three, two and three, nineteen eighty-four") == "2 3, 2 and 3, 19 84"


@given(st.text(max_size=200))
def test_nothing_changes_the_second_time_but_never_fails(text: str) -> None:
    assert " ".join(canonical(text).split()) == canonical(text)


@pytest.mark.parametrize(
    "unit",
    ["two ", "1,", "1,111", "a", "one hundred and ", "March ", "5 ", " ", "'", "1", "U. ", "5 million ", "twenty-"],
)
def test_a_long_line_is_read_in_linear_time(unit: str) -> None:
    # Quadratic time would be some minutes for each of these.
    assert canonical(unit * (200_000 // len(unit))) is not None
