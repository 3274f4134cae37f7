"""Output of commands: safe text, tables and JSON.

Documents and file names are untrusted: control and direction characters are written as
escapes, and square brackets are not markup. Tables are aligned on a terminal; in a pipe
they are tab-separated lines, never cut, for `cut`, `awk` and `grep`.
"""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Mapping, Sequence
from dataclasses import fields, is_dataclass
from datetime import datetime
from enum import Enum
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from rich.console import Console

# C0 but newline and tab, DEL, C1, direction marks and overrides, line separators, surrogates.
_UNSAFE = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069\ud800-\udfff]")
ELLIPSIS = "…"


def safe(text: str) -> str:
    r"""Escape the characters that control a terminal: ESC becomes `\x1b`."""
    return _UNSAFE.sub(lambda match: ascii(match[0])[1:-1], text)


def one_line(text: str, *, max_chars: int | None = None) -> str:
    """Safe text with white space as single blanks, cut at a word with an ellipsis."""
    line = " ".join(safe(text).split())
    if max_chars is None or len(line) <= max_chars:
        return line
    head = line[:max_chars]
    return (head.rpartition(" ")[0] or head[:-1]) + ELLIPSIS


def say(text: str = "", *, end: str = "\n") -> None:
    """Write safe text to stdout."""
    sys.stdout.write(safe(text) + end)


def complain(text: str) -> None:
    """Write safe text to stderr: problems and progress."""
    sys.stderr.write(safe(text) + "\n")


def say_json(value: object) -> None:
    """Write one value as JSON: dataclasses become objects with their field names."""
    text = json.dumps(plain(value), ensure_ascii=not _speaks_utf8(), indent=2)
    sys.stdout.write(_UNSAFE.sub(lambda match: f"\\u{ord(match[0]):04x}", text) + "\n")


def plain(value: object) -> object:
    """Convert dataclasses, enums, dates and mappings to JSON types.

    Raises:
        TypeError: the type of the value has no JSON form.
    """
    match value:
        case Enum():
            return value.value
        case None | bool() | int() | float() | str():
            return value
        case datetime():
            return value.isoformat()
        case Mapping():
            return {str(key): plain(item) for key, item in value.items()}
        case list() | tuple():
            return [plain(item) for item in value]
        case frozenset():
            return sorted((plain(item) for item in value), key=str)
    if is_dataclass(value):
        return {field.name: plain(getattr(value, field.name)) for field in fields(value)}
    raise TypeError(f"{type(value).__name__} has no JSON form")


def say_table(columns: Sequence[str], rows: Sequence[Sequence[object]]) -> None:
    """Write rows: aligned on a terminal, tab-separated with a header line elsewhere."""
    if not sys.stdout.isatty():
        for row in [columns, *rows]:
            say("\t".join(one_line(str(cell)) for cell in row))
        return
    from rich.table import Table
    from rich.text import Text

    table = Table(box=None, header_style="bold", pad_edge=False, padding=(0, 2, 0, 0))
    for number, column in enumerate(columns):
        table.add_column(Text(column), overflow="fold", no_wrap=number == 0)  # the first is the row's id
    for row in rows:
        table.add_row(*(Text(safe(str(cell))) for cell in row))
    console().print(table)


def console(*, stderr: bool = False) -> Console:
    """Rich console without markup; it respects NO_COLOR and the width of the terminal."""
    from rich.console import Console

    return Console(stderr=stderr, markup=False, highlight=False, emoji=False)


def _speaks_utf8() -> bool:
    return (sys.stdout.encoding or "").lower().replace("-", "") == "utf8"
