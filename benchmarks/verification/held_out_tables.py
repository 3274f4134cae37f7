"""Held-out kinds of statements about a table: a cell restated (true), and cells of another column or row (false).

Building the check and training its model never look at this module: see `held_out`. The tables are made here: what a
cell says is known, and the open texts hold few tables.
"""

from __future__ import annotations

import random
from collections.abc import Iterator
from dataclasses import dataclass

from benchmarks.verification.cases import Case, Source

EVERY = 6
"""One passage in so many brings a table."""


@dataclass(frozen=True, slots=True)
class _Theme:
    """A table: its title, its first column, the rows' names, and two columns with their statement and values."""

    title: str
    head: str
    names: tuple[str, ...]
    columns: tuple[str, str]
    says: tuple[str, str]
    low: tuple[int, int]
    high: tuple[int, int]


_THEMES = (
    _Theme(
        "Fuel in March", "Ship", ("Bo", "Freya", "Njord", "Sif", "Idun"), ("Litres", "Trips"),
        ("{name} used {value} litres", "{name} made {value} trips"), (400, 3), (990, 29),
    ),
    _Theme(
        "Staff of the branches", "Branch", ("Aachen", "Graz", "Leuven", "Turku", "Porto"), ("Employees", "Apprentices"),
        ("{name} has {value} employees", "{name} has {value} apprentices"), (40, 2), (300, 19),
    ),
    _Theme(
        "Limits of the plans", "Plan", ("Basic", "Team", "Studio", "Campus"), ("Seats", "Projects"),
        ("The {name} plan includes {value} seats", "The {name} plan allows {value} projects"), (2, 50), (40, 900),
    ),
    _Theme(
        "Harvest by field", "Field", ("Mill field", "Long acre", "North slope", "River bend"), ("Tonnes", "Hectares"),
        ("{name} yielded {value} tonnes", "{name} covers {value} hectares"), (11, 2), (95, 9),
    ),
    _Theme(
        "Response times", "Endpoint", ("`/login`", "`/search`", "`/export`", "`/health`"),
        ("Median (ms)", "Timeout (s)"),
        ("The median of {name} is {value} ms", "{name} times out after {value} s"), (12, 2), (700, 60),
    ),
    _Theme(
        "Species counted in the reserve", "Species", ("Lynx", "Otter", "Heron", "Badger"), ("2021", "2023"),
        ("In 2021, {value} were counted of the species {name}", "In 2023, {value} were counted of the species {name}"),
        (3, 41), (40, 99),
    ),
)  # fmt: skip


def table_cases(source: Source, place: int, random_: random.Random) -> Iterator[Case]:
    """Statements about a made table, for one passage in `EVERY`; `place` chooses the theme."""
    if source.language != "en" or place % EVERY:
        return
    theme = _THEMES[place // EVERY % len(_THEMES)]
    rows = _rows(theme, random_)
    text = _markdown(theme, rows)
    name, *values = random_.choice(rows)
    column = random_.randrange(2)
    value = values[column]
    wrong_row = random_.choice([row for row in rows if row[0] != name])[1 + column]
    plain = name.replace("`", "")
    cell, says = theme.columns[column], theme.says[column]
    for kind, true, claim in (
        ("table cell as a statement", True, says.format(name=plain, value=value)),
        ("table cell named by its column", True, f"{theme.head} {plain}: {cell} {value}"),
        ("table cell of another column", False, says.format(name=plain, value=values[1 - column])),
        ("table cell of another row", False, says.format(name=plain, value=wrong_row)),
    ):
        yield Case(kind, true, f"{claim}.", text, theme.title, "en")


def _rows(theme: _Theme, random_: random.Random) -> list[tuple[str, str, str]]:
    """All values of a table differ, so that a cell of another row or column is false."""
    first = random_.sample(range(theme.low[0], theme.high[0]), len(theme.names))
    rest = [value for value in range(theme.low[1], theme.high[1]) if value not in first]
    second = random_.sample(rest, len(theme.names))
    return [(name, str(one), str(two)) for name, one, two in zip(theme.names, first, second, strict=True)]


def _markdown(theme: _Theme, rows: list[tuple[str, str, str]]) -> str:
    head = f"| {theme.head} | {theme.columns[0]} | {theme.columns[1]} |\n|---|---:|---:|"
    return "\n".join((f"## {theme.title}", "", head, *(f"| {' | '.join(row)} |" for row in rows)))
