"""Units: names and symbols of one unit."""

from __future__ import annotations

import pytest

from ragstone.generation.units import needs_figure, units_of


@pytest.mark.parametrize(
    "forms",
    [
        "km|kilometre|kilometres|kilometer|Kilometers",
        "%|percent|per cent|pct",
        "km²|km2|sq km|sq. km|square kilometres",
        "km/h|kph|kilometres per hour|kilometers an hour",
        "mph|miles per hour",
        "MB|megabyte|megabytes",
        "µg|\u03bcg|mcg|microgram",
        "°C|degrees Celsius",
        "$|dollars|USD|US dollars",
    ],
)
def test_all_forms_of_a_unit_give_that_unit(forms):
    assert len({units_of(form) for form in forms.split("|")}) == 1
    assert units_of(forms.split("|")[0])


@pytest.mark.parametrize("pair", ["mW MW", "MB Mb", "km mi", "mg kg", "ms min", "m2 m3", "hours minutes", "$ €"])
def test_other_units_are_other_units(pair):
    left, right = pair.split()
    assert units_of(left).isdisjoint(units_of(right))


def test_a_name_may_have_two_units():
    assert units_of("pounds") == {"lb", "£"}


def test_what_is_no_unit_has_none():
    assert not units_of("harbour")
    assert not units_of("")


def test_short_forms_are_units_behind_a_figure_alone():
    assert needs_figure("m")
    assert needs_figure("second")
    assert not needs_figure("kilometres")
