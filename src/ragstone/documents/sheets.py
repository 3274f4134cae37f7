"""Readers of CSV and workbooks: sheets to Markdown tables."""

from __future__ import annotations

import csv
from collections.abc import Iterable, Sequence
from datetime import date, datetime, time, timedelta
from io import BytesIO, StringIO

import python_calamine as calamine

from ragstone.documents.base import ParserLimits, limit_reached
from ragstone.documents.canonical import MarkdownDraft
from ragstone.documents.encodings import decode
from ragstone.errors import EncryptedDocument, UnreadableDocument

SNIFF_CHARS = 16_384
DELIMITERS = ",;\t|"
MAX_FIELD_CHARS = 1 << 20  # csv's own limit, 128 KiB, is too small for exported articles

Cell = object  # str, int, float, bool, date, datetime, time, timedelta or None


def read_csv(content: bytes) -> MarkdownDraft:
    """Read CSV into one Markdown table; the first row is its header. The delimiter is detected."""
    decoded = decode(content)
    csv.field_size_limit(MAX_FIELD_CHARS)
    try:
        rows = list(csv.reader(StringIO(decoded.text, newline=""), delimiter=_delimiter(decoded.text)))
    except csv.Error as error:
        raise UnreadableDocument(f"The table cannot be read ({error}); export it again as CSV.") from error
    return MarkdownDraft((table_block(rows),), warnings=decoded.warnings)


def read_workbook(content: bytes, limits: ParserLimits) -> MarkdownDraft:
    """Read each sheet as a page: its name as a heading, then its rows as a table.

    Values are the saved ones; formulas are not computed.
    """
    if content.startswith(b"PK"):
        from ragstone.documents.archive import opened_archive

        opened_archive(content, limits).close()
    try:
        with calamine.load_workbook(BytesIO(content)) as workbook:
            return _workbook(workbook, limits)
    except calamine.PasswordError as error:
        raise EncryptedDocument("The workbook is protected by a password; save a copy without one.") from error
    except calamine.CalamineError as error:
        raise UnreadableDocument("The workbook is damaged; open it in its own program and save it again.") from error


def _workbook(workbook: calamine.CalamineWorkbook, limits: ParserLimits) -> MarkdownDraft:
    if len(workbook.sheet_names) > limits.max_pages:
        raise limit_reached(limits, "max_pages")
    parts: list[str] = []
    unread: list[str] = []
    for name in workbook.sheet_names:
        try:
            rows = workbook.get_sheet_by_name(name).to_python(skip_empty_area=True)
        except calamine.CalamineError:  # a chart or macro sheet, or a damaged one
            unread.append(name)
            rows = []
        block = table_block(rows)
        parts.append(f"## {one_line(name)}\n\n{block}" if block else "")
    if unread and not any(parts):
        raise UnreadableDocument("No sheet of the workbook can be read; open it in its own program and save it again.")
    warnings = tuple(f"The sheet {name!r} could not be read and was left out." for name in unread)
    return MarkdownDraft(tuple(parts), paged=True, warnings=warnings)


def table_block(rows: Iterable[Sequence[Cell]]) -> str:
    """Markdown of a grid: leading rows of a single cell are titles, the rest is one table.

    Empty rows and columns are dropped, and short rows are padded. A single column becomes a list.
    """
    filled = [cells for row in rows if any(cells := [cell_text(cell) for cell in row])]
    width = max(map(len, filled), default=0)
    used = [column for column in range(width) if any(column < len(row) and row[column] for row in filled)]
    grid = [[row[column] if column < len(row) else "" for column in used] for row in filled]
    if len(used) == 1:
        return "\n".join(f"- {row[0]}" for row in grid)
    titles: list[str] = []
    while len(grid) > 1 and sum(map(bool, grid[0])) == 1:
        titles.append(next(filter(None, grid.pop(0))))
    return "\n\n".join([*titles, *([markdown_table(grid)] if grid else [])])


def markdown_table(grid: Sequence[Sequence[str]]) -> str:
    """A Markdown table of a rectangular grid of cell texts; the first row is the header."""
    lines = [f"| {' | '.join(row)} |" for row in grid]
    rule = f"| {' | '.join('---' for _ in grid[0])} |"
    return "\n".join([lines[0], rule, *lines[1:]])


def cell_text(cell: Cell) -> str:
    """Readable form of a value on one line, with pipes escaped."""
    match cell:
        case None:
            return ""
        case bool():
            return "TRUE" if cell else "FALSE"
        case float() if cell.is_integer() and abs(cell) < 1e15:
            return str(int(cell))
        case float():
            return f"{cell:.12g}"
        case datetime() if cell.time() == time():
            return cell.date().isoformat()
        case datetime():
            return cell.isoformat(sep=" ", timespec="seconds")
        case date() | time() | timedelta():
            return str(cell)
        case _:
            return one_line(str(cell)).replace("|", "\\|")


def one_line(text: str) -> str:
    """`text` with each run of white space replaced by one space."""
    return " ".join(text.split())


def _delimiter(text: str) -> str:
    """The delimiter that splits the most lines of the sample into the same number (above one) of fields."""
    sample = text[:SNIFF_CHARS].splitlines()
    lines = sample[:-1] if len(text) > SNIFF_CHARS else sample
    return max(DELIMITERS, key=lambda delimiter: _regularity(lines, delimiter))


def _regularity(lines: Sequence[str], delimiter: str) -> tuple[float, int]:
    widths = [len(row) for row in csv.reader(lines, delimiter=delimiter) if row]
    if not widths or max(widths) == 1:
        return (0.0, 0)
    usual = max(set(widths), key=lambda width: (widths.count(width), width))
    return (widths.count(usual) / len(widths), usual) if usual > 1 else (0.0, max(widths))
