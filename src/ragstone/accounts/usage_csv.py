"""The ledger as CSV (RFC 4180), for spreadsheets and accountants."""

from __future__ import annotations

import csv
import io
from collections.abc import AsyncGenerator, AsyncIterator, Iterable, Sequence
from dataclasses import astuple, fields
from datetime import datetime

from ragstone.accounts.usage import UsageRecord
from ragstone.accounts.usage_sums import UsageSum

FORMULA_STARTS = ("=", "+", "-", "@", "\t", "\r")
"""What makes a spreadsheet run a cell (OWASP, CSV Injection); an apostrophe before it makes it text."""
LINES_AT_ONCE = 100


def csv_cell(value: object) -> object:
    """A value that no spreadsheet takes for a formula."""
    if value is None:
        return ""
    if isinstance(value, datetime):
        return value.isoformat()
    if isinstance(value, str) and value.startswith(FORMULA_STARTS):
        return f"'{value}"
    return value


def sums_csv(sums: Iterable[UsageSum]) -> str:
    """All totals, with a line of names first."""
    return _lines([_names(UsageSum), *(astuple(each) for each in sums)])


async def records_csv(records: AsyncIterator[UsageRecord]) -> AsyncGenerator[str, None]:
    """The rows in pieces of many lines, with a line of names first."""
    rows: list[Sequence[object]] = [_names(UsageRecord)]
    async for record in records:
        rows.append(astuple(record))
        if len(rows) == LINES_AT_ONCE:
            yield _lines(rows)
            rows = []
    yield _lines(rows)


def _names(kind: type[UsageRecord | UsageSum]) -> list[str]:
    return [field.name for field in fields(kind)]


def _lines(rows: Iterable[Sequence[object]]) -> str:
    text = io.StringIO()
    csv.writer(text).writerows([csv_cell(value) for value in row] for row in rows)
    return text.getvalue()
