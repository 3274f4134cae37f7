"""Readers of JSON, JSON Lines and Jupyter notebooks to Markdown."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from ragstone.documents.canonical import MarkdownDraft, fenced, markdown_title
from ragstone.documents.encodings import decode
from ragstone.documents.sheets import cell_text, markdown_table, one_line
from ragstone.errors import UnreadableDocument

MAX_INLINE_CHARS = 200  # longer values read better as paragraphs than in a list or table
MAX_TABLE_COLUMNS = 30
RECORD_NAMES = ("title", "name", "heading", "question", "id", "_id", "key")

_NOT_JSON = "The file is not valid JSON and was read as plain text."


def read_json(content: bytes, *, lines: bool) -> MarkdownDraft:
    """Read objects as lists of `path.to.key: value`, nested ones under headings, and similar records as a table.

    A file that is not valid JSON (comments, truncated) is read as plain text, with a warning.
    """
    decoded = decode(content)
    try:
        data = (
            [json.loads(line) for line in decoded.text.splitlines() if line.strip()] if lines else _loaded(decoded.text)
        )
        markdown = "\n\n".join(_blocks(data))
    except (ValueError, RecursionError):
        return MarkdownDraft((decoded.text,), warnings=(*decoded.warnings, _NOT_JSON))
    title = data.get("title") or data.get("name") if isinstance(data, dict) else None
    return MarkdownDraft((markdown,), title=title if isinstance(title, str) else None, warnings=decoded.warnings)


def read_notebook(content: bytes) -> MarkdownDraft:
    """Read text cells unchanged, code cells as fences, and text output below its cell."""
    decoded = decode(content)
    try:
        notebook = _loaded(decoded.text)
        cells = notebook["cells"]
        language = notebook.get("metadata", {}).get("kernelspec", {}).get("language") or "python"
        blocks = [block for cell in cells for block in _cell_blocks(cell, str(language))]
    except (ValueError, RecursionError, KeyError, TypeError, AttributeError) as error:
        raise UnreadableDocument(
            "The notebook is damaged or older than version 4; save it again in Jupyter."
        ) from error
    markdown = "\n\n".join(blocks)
    title = notebook.get("metadata", {}).get("title")
    return MarkdownDraft((markdown,), title=title if isinstance(title, str) else markdown_title(markdown))


def _loaded_lines(text: str) -> list[object]:
    return [json.loads(line) for line in text.split("\n") if line.strip()]


def _loaded(text: str) -> Any:  # noqa: ANN401 - any JSON value
    return json.loads(text.lstrip("\ufeff"))


def _blocks(data: object) -> Iterator[str]:
    match data:
        case dict():
            nested = {key: value for key, value in data.items() if isinstance(value, dict | list) and value}
            yield from _listed({key: value for key, value in data.items() if key not in nested})
            for key, value in nested.items():
                yield f"## {one_line(key)}"
                yield from _table(value) or _listed(value)
        case list():
            yield from _table(data) or _records(data)
        case _:
            yield _shown(data)


def _records(data: Sequence[object]) -> Iterator[str]:
    for number, record in enumerate(data, start=1):
        if isinstance(record, dict):
            yield f"## {_record_name(record) or f'Record {number}'}"
            yield from _listed(record)
        else:
            yield from _listed({str(number): record})


def _record_name(record: Mapping[str, object]) -> str | None:
    names = (record.get(key) for key in RECORD_NAMES)
    return next(
        (one_line(str(name))[:MAX_INLINE_CHARS] for name in names if isinstance(name, str | int) and name), None
    )


def _table(data: object) -> list[str]:
    """One table if `data` is a list of flat records with similar keys; else an empty list."""
    if not isinstance(data, list) or len(data) < 2 or not all(isinstance(record, dict) and record for record in data):
        return []
    columns = list(dict.fromkeys(key for record in data for key in record))
    values = [value for record in data for value in record.values()]
    is_flat = all(not isinstance(value, dict | list) and len(str(value)) <= MAX_INLINE_CHARS for value in values)
    if len(columns) > MAX_TABLE_COLUMNS or not is_flat or len(values) * 2 < len(columns) * len(data):
        return []
    rows = [[cell_text(record.get(column)) for column in columns] for record in data]
    return [markdown_table([[cell_text(column) for column in columns], *rows])]


def _listed(data: object) -> Iterator[str]:
    """Leaf values as list items; a long value as a paragraph below its path."""
    items: list[str] = []
    for path, value in _leaves(data, ""):
        shown = _shown(value)
        if len(shown) <= MAX_INLINE_CHARS and "\n" not in shown:
            items.append(f"- {path}: {shown}" if path else f"- {shown}")
            continue
        if items:
            yield "\n".join(items)
            items = []
        yield f"{path}:\n\n{shown}" if path else shown
    if items:
        yield "\n".join(items)


def _leaves(data: object, path: str) -> Iterator[tuple[str, object]]:
    match data:
        case dict() if data:
            for key, value in data.items():
                yield from _leaves(value, f"{path}.{one_line(key)}" if path else one_line(key))
        case list() if data and any(
            isinstance(value, dict | list) or len(str(value)) > MAX_INLINE_CHARS for value in data
        ):
            for number, value in enumerate(data, start=1):
                yield from _leaves(value, f"{path}[{number}]")
        case list() if data:
            yield path, ", ".join(_shown(value) for value in data)
        case _:
            yield path, data


def _shown(value: object) -> str:
    match value:
        case None:
            return "null"
        case bool():
            return str(value).lower()
        case dict() | list():
            return "empty"
        case _:
            return str(value).strip()


def _cell_blocks(cell: Mapping[str, Any], language: str) -> Iterator[str]:
    source = _joined(cell["source"])
    if cell["cell_type"] == "code":
        if source.strip():
            yield fenced(source, language)
        for output in cell.get("outputs", ()):
            text = _joined(output.get("text") or output.get("data", {}).get("text/plain", ""))
            if text.strip():
                yield fenced(text, "text")
    else:
        yield source


def _joined(lines: str | list[str]) -> str:
    return lines if isinstance(lines, str) else "".join(lines)
