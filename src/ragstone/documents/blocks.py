"""Markdown block parser: finds headings, paragraphs, list items, tables and code fences.

It implements the part of CommonMark 0.31 (and of GitHub's tables) that chunking needs:
where a block begins and ends. Blocks are disjoint and ascending, neither begin nor end
with white space, and together contain all of the text except white space. Time is linear
in the length of a line: no pattern here backtracks over it twice.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from html import unescape
from typing import Literal

Kind = Literal["heading", "paragraph", "item", "table", "fence"]

MAX_HEADING_CHARS = 300  # a longer paragraph above a dashed line is not a heading

_HEADING = re.compile(r" {0,3}(#{1,6})(?=[ \t]|$)")
_UNDERLINE = re.compile(r" {0,3}(?:(=+)|-+)[ \t]*$")
_FENCE = re.compile(r"(?P<lead>[ \t>]*)(?P<marks>`{3,}(?=[^`]*$)|~{3,})")
_FENCE_END = re.compile(r"[ \t>]*(?P<marks>`{3,}|~{3,})[ \t]*$")
_ITEM = re.compile(r"[ \t]*(?:[-*+]|\d{1,9}[.)])(?:[ \t]+|$)")
_INTERRUPTING_ITEM = re.compile(r"[ \t]*(?:[-*+]|1[.)])[ \t]+\S")
_UNDERLINE_OR_ITEM = re.compile(rf"(?:{_UNDERLINE.pattern})|{_INTERRUPTING_ITEM.pattern}")
_CELL = re.compile(r":?-+:?")
_INDENTED = re.compile(r" {4}| {0,3}\t")


@dataclass(frozen=True, slots=True)
class Block:
    """A block, `text[start:end]`; a heading also has its level, and its title without markup."""

    kind: Kind
    start: int
    end: int
    level: int = 0
    title: str = ""


@dataclass(frozen=True, slots=True)
class _Line:
    start: int
    text: str


def blocks(text: str) -> Iterator[Block]:
    """Yield the blocks of `text` in reading order; time is linear in its length."""
    lines = _lines(text)
    at = _front_matter(lines)
    if at:
        yield _block("paragraph", lines[:at])
    in_list = False
    while at < len(lines):
        if not lines[at].text.strip():
            at += 1
            continue
        block, end = _next_block(lines, at, in_list=in_list)
        in_list = block.kind == "item" or (in_list and lines[at].text[0] in " \t")
        yield block
        at = end


def _lines(text: str) -> list[_Line]:
    lines, start = [], 0
    for part in text.split("\n"):
        lines.append(_Line(start, part))
        start += len(part) + 1
    return lines


def _block(kind: Kind, lines: Sequence[_Line], level: int = 0, title: str = "") -> Block:
    first, last = lines[0], lines[-1]
    start = first.start + len(first.text) - len(first.text.lstrip())
    return Block(kind, start, last.start + len(last.text.rstrip()), level, title)


def _front_matter(lines: Sequence[_Line]) -> int:
    """Number of lines of YAML front matter, between `---` lines at the start; 0 without one."""
    if lines[0].text.rstrip() != "---":
        return 0
    ends = (at for at, line in enumerate(lines[1:200], 1) if line.text.rstrip() in ("---", "..."))
    return next(ends, -1) + 1


def _next_block(lines: Sequence[_Line], at: int, *, in_list: bool) -> tuple[Block, int]:
    """The block that begins on line `at`, and the number of the line after it."""
    line = lines[at].text
    if heading := _HEADING.match(line):
        title = line[heading.end() :].strip()
        if len(title) <= MAX_HEADING_CHARS:
            return _block("heading", lines[at : at + 1], len(heading[1]), _plain(_without_closing(title))), at + 1
    if _is_rule(line):
        return _block("paragraph", lines[at : at + 1]), at + 1
    if (fence := _FENCE.match(line)) and (in_list or not _INDENTED.match(line)):
        end = _end_of_fence(lines, at, fence)
        return _block("fence", lines[at:end]), end
    if "|" in line and at + 1 < len(lines) and _is_delimiter(lines[at + 1].text):
        end = _end_of_run(lines, at + 2, _INTERRUPTING_ITEM)
        return _block("table", lines[at:end]), end
    return _text_block(lines, at)


def _text_block(lines: Sequence[_Line], at: int) -> tuple[Block, int]:
    """A list item, a paragraph, or an underlined heading, and the number of the line after it."""
    line = lines[at].text
    if _ITEM.match(line):
        end = _end_of_run(lines, at + 1, _ITEM)
        return _block("item", lines[at:end]), end
    if line.lstrip().startswith(">") or _INDENTED.match(line):
        end = _end_of_run(lines, at + 1, _INTERRUPTING_ITEM)
        return _block("paragraph", lines[at:end]), end
    end = _end_of_run(lines, at + 1, _UNDERLINE_OR_ITEM)
    underline = _UNDERLINE.match(lines[end].text) if end < len(lines) else None
    if not underline:
        return _block("paragraph", lines[at:end]), end
    title = " ".join(line.text.strip() for line in lines[at:end])
    if len(title) > MAX_HEADING_CHARS:
        return _block("paragraph", lines[at : end + 1]), end + 1
    return _block("heading", lines[at : end + 1], 1 if underline[1] else 2, _plain(title)), end + 1


def _end_of_run(lines: Sequence[_Line], at: int, stop: re.Pattern[str]) -> int:
    """The first line from `at` on that is blank, begins another block, or matches `stop`."""
    while at < len(lines):
        line = lines[at].text
        if not line.strip() or _HEADING.match(line) or stop.match(line) or _FENCE.match(line) or _is_rule(line):
            break
        if "|" in line and at + 1 < len(lines) and _is_delimiter(lines[at + 1].text):
            break
        at += 1
    return at


def _end_of_fence(lines: Sequence[_Line], at: int, fence: re.Match[str]) -> int:
    """The line after the closing fence; an unclosed fence ends with its quote or with the text."""
    quoted = ">" in fence["lead"]
    for below in range(at + 1, len(lines)):
        line = lines[below].text
        if quoted and not line.lstrip().startswith(">"):
            return below
        end = _FENCE_END.match(line)
        if end and end["marks"].startswith(fence["marks"]):
            return below + 1
    return len(lines)


def _is_rule(line: str) -> bool:
    marks = line.replace(" ", "").replace("\t", "")
    return len(marks) >= 3 and marks[0] in "*-_" and marks == marks[0] * len(marks) and not _INDENTED.match(line)


def _is_delimiter(line: str) -> bool:
    """Whether the line is the delimiter row of a table: `| --- | :-: |`."""
    if "|" not in line or "-" not in line or not set(line) <= set("|:- \t"):
        return False
    cells = line.strip().removeprefix("|").removesuffix("|").split("|")
    return all(_CELL.fullmatch(cell.strip()) for cell in cells)


def _without_closing(title: str) -> str:
    """The title of `Heading ##` without the closing marks."""
    bare = title.rstrip("#")
    return bare.rstrip() if not bare or bare[-1] in " \t" else title


_CODE = re.compile(r"(`+)(.+?)\1")
_LINK = re.compile(r"!?\[([^\]]*)\](?:\([^)]*\)|\[[^\]]*\])")
_TAG = re.compile(r"</?[A-Za-z][^>]*>")
_EMPHASIS = re.compile(r"(\*{1,3}|~~)(?=\S)(.+?)(?<=\S)\1|(?<!\w)(_{1,3})(?=\S)(.+?)(?<=\S)\3(?!\w)")
_ESCAPE = re.compile(r"\\([!-/:-@\[-`{-~])")


def _plain(title: str) -> str:
    """Title without Markdown markup; code spans keep their content unchanged."""
    parts, start = [], 0
    for code in _CODE.finditer(title):
        parts += [_plain_words(title[start : code.start()]), code[2].strip()]
        start = code.end()
    return " ".join("".join([*parts, _plain_words(title[start:])]).split())


def _plain_words(words: str) -> str:
    words = _TAG.sub("", _LINK.sub(r"\1", words))
    for _ in range(2):  # emphasis within emphasis
        words = _EMPHASIS.sub(lambda match: match[2] or match[4], words)
    return unescape(_ESCAPE.sub(r"\1", words))
