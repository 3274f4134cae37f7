"""Statements about the cells of a table."""

from __future__ import annotations

import pytest

from ragstone.generation.tables import rows
from ragstone.generation.verification import Evidence
from ragstone.vocabulary import Verdict

SHIPS = """\
Fuel in May:

| Ship | Litres | Hours |
| --- | ---: | ---: |
| Al | 850 | 31 |
| Bo | 900 | 40 |
| Cy | 31 | 12 |
"""


def verdict(claim, text=SHIPS, header=""):
    return Evidence(text, "Fleet", table_header=header).verify(claim).verdict


def test_a_row_reads_as_a_sentence():
    assert [row.sentence for row in rows(SHIPS)][1] == "Ship: Bo; Litres: 900; Hours: 40"


def test_a_table_that_goes_on_has_the_header_from_before():
    assert rows("| Bo | 900 |\n", "| Ship | Litres |\n| --- | --- |")[0].sentence == "Ship: Bo; Litres: 900"


def test_a_table_without_header_and_a_second_table_keep_apart():
    text = "| a | b |\n| --- | --- |\n| 1 | 2 |\n\nText.\n\n| 3 | 4 |\n"
    assert [row.header for row in rows(text)] == [("a", "b"), ()]


@pytest.mark.parametrize(
    "claim", ["Ship: Bo · Litres: 900 · Hours: 40 [1].", "Bo · 900 · 40 [1].", "| Bo | 900 | 40 |"]
)
def test_a_row_is_quoted_with_and_without_its_header(claim):
    assert verdict(claim) is Verdict.QUOTED


@pytest.mark.parametrize(
    "claim",
    ["The ship Bo used 900 litres.", "Bo took 40 hours.", "Al used 850 litres in 31 hours.", "Litres of Cy: 31"],
)
def test_a_true_statement_about_a_cell_is_borne_out(claim):
    assert verdict(claim) is Verdict.BORNE_OUT


@pytest.mark.parametrize(
    "claim",
    [
        pytest.param("The ship Bo used 850 litres.", id="another row"),
        pytest.param("The ship Al used 900 litres.", id="another ship"),
        pytest.param("The ship Bo used 40 litres.", id="another column"),
        pytest.param("The ship Al used 31 litres.", id="a figure of another row and column"),
        pytest.param("The ship Bo used 950 litres.", id="no cell at all"),
    ],
)
def test_a_statement_with_another_cell_is_not(claim):
    assert not Evidence(SHIPS, "Fleet").verify(claim).verified


def test_a_part_of_a_header_that_a_chunk_repeats_is_quoted():
    assert verdict("Ship · Litres", "| Bo | 900 |", "| Ship | Litres |\n| --- | --- |") is Verdict.QUOTED
