"""Tables of a passage: their rows as sentences, and whether a statement speaks of another row or column."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

from ragstone.generation.canonical import canonical
from ragstone.generation.facts import content_terms
from ragstone.generation.quotes import without_markers

_LINE = re.compile(r"^[ \t>]*\|(?P<cells>.*)\|[ \t]*$", re.MULTILINE)
_BETWEEN = re.compile(r"(?<!\\)\|")
_RULE = re.compile(r"[ \t|:-]*-[ \t|:-]*$")
_SEPARATOR = re.compile(r"\s*[|·]\s*")
_MARKS = re.compile(r"[*`]+")


@dataclass(frozen=True, slots=True)
class Row:
    """A row at `start` of its text. `header` has a name for each cell, or is empty."""

    start: int
    cells: tuple[str, ...]
    header: tuple[str, ...] = ()

    @property
    def sentence(self) -> str:
        """The row as words: "Ship: Bo; Litres: 900"."""
        if not self.header:
            return "; ".join(self.cells)
        return "; ".join(
            f"{name}: {cell}" if name else cell for name, cell in zip(self.header, self.cells, strict=True)
        )

    def holds(self, claim: str) -> bool:
        """Whether `claim` lists cells of the row, each alone or behind its column's name."""
        known = {_folded(cell) for cell in self.cells}
        known |= {_folded(f"{name}: {cell}") for name, cell in zip(self.header, self.cells, strict=False)}
        listed = [_folded(one) for one in _SEPARATOR.split(without_markers(claim).strip(" |·.")) if one.strip()]
        return len(listed) > 1 and all(one in known for one in listed)


def rows(text: str, header: str = "") -> list[Row]:
    """The rows of all tables of `text` without their headers; `header` continues a table from before."""
    lines = [(found.start(), found.end(), _cells(found["cells"])) for found in _LINE.finditer(text)]
    names = next((_cells(found["cells"]) for found in _LINE.finditer(header)), ())
    found_rows, last_end = [], 0
    for (start, end, cells), following in pairwise([*lines, (len(text), 0, ())]):
        if text[last_end:start].strip():
            names = ()
        last_end = end
        line_below = text[end + 1 : following[0] + 1] if following[0] == end + 1 else ""
        if _RULE.match(text[start:end]):
            continue
        if line_below and _RULE.match(text[following[0] : following[1]]):
            names = cells
        else:
            found_rows.append(Row(start, cells, names if len(names) == len(cells) else ()))
    return found_rows


def speaks_of_another(claim: str, spoken: Sequence[Row], others: Sequence[Row]) -> bool:
    """Whether the claim holds a value of another row or column than those it names.

    `spoken` are the rows that are compared with it, `others` all rows of the passage.
    """
    words = _words(without_markers(claim))
    return (
        _uses_a_row_that_it_does_not_name(words, spoken, others)
        or any(_names_another_row(words, row, spoken, others) for row in spoken)
        or any(_names_another_column(words, row) for row in spoken)
    )


def _uses_a_row_that_it_does_not_name(words: frozenset[str], spoken: Sequence[Row], others: Sequence[Row]) -> bool:
    """It holds a figure of a row whose name it does not hold, while it names a row."""
    if not any(_key(row) & words for row in others):
        return False
    return any(not _key(row) & words for row in spoken if _key(row) and _figures(row) & words)


def _names_another_row(words: frozenset[str], row: Row, spoken: Sequence[Row], others: Sequence[Row]) -> bool:
    """For some column it holds the value of another row, and none of these rows."""
    left = words - frozenset().union(*(_words(cell) for one in spoken for cell in one.cells))
    for column in range(len(row.cells)):
        here = [_words(one.cells[column]) for one in spoken if column < len(one.cells)]
        there = [_words(one.cells[column]) for one in others if one not in spoken and one.header == row.header]
        if not any(value & words for value in here) and any(value and value <= left for value in there):
            return True
    return False


def _key(row: Row) -> frozenset[str]:
    """The words of the first cell without a figure: the row's name."""
    return next((words for cell in row.cells if not _has_digit(cell) and (words := _words(cell))), frozenset())


def _figures(row: Row) -> frozenset[str]:
    return frozenset().union(*(_words(cell) for cell in row.cells if _has_digit(cell)))


def _has_digit(cell: str) -> bool:
    return any(letter.isdigit() for letter in cell)


def _names_another_column(words: frozenset[str], row: Row) -> bool:
    """It names the column of one figure of the row, and holds the figure of another."""
    names = [_words(name) for name in row.header]
    own = [name - frozenset().union(*names[:at], *names[at + 1 :]) for at, name in enumerate(names)]
    figures = [at for at, cell in enumerate(row.cells) if _has_digit(cell)]
    named = {at for at in figures if at < len(own) and own[at] & words}
    stated = {at for at in figures if (value := _words(row.cells[at])) and value <= words}
    return bool(named - stated) and bool(stated - named)


def _words(text: str) -> frozenset[str]:
    return content_terms(canonical(_MARKS.sub("", text)))


def _cells(line: str) -> tuple[str, ...]:
    return tuple(cell.strip().replace("\\|", "|") for cell in _BETWEEN.split(line))


def _folded(text: str) -> str:
    return " ".join(_MARKS.sub("", text).split()).rstrip(".")
