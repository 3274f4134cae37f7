"""Plain text, Markdown and source code: kept as they are."""

from __future__ import annotations

import re

from ragstone.documents.canonical import MarkdownDraft
from ragstone.documents.encodings import decode

_FRONT_MATTER = re.compile(r"\A---\s*\n(.*?)\n(?:---|\.\.\.)\s*\n", re.DOTALL)
_FRONT_TITLE = re.compile(r"^title\s*:\s*(.+)$", re.MULTILINE)
_FIRST_HEADING = re.compile(r"^#\s+(.+?)\s*#*$|^(\S[^\n]*)\n=+\s*$", re.MULTILINE)
_TITLE_WITHIN_CHARS = 20_000  # a heading further down is not the document's title


def read_markdown(content: bytes) -> MarkdownDraft:
    """Markdown as it is; its title is that of the front matter, else the first heading of level one."""
    decoded = decode(content)
    return MarkdownDraft((decoded.text,), title=markdown_title(decoded.text), warnings=decoded.warnings)


def read_plain(content: bytes) -> MarkdownDraft:
    """Text as it is, without a title."""
    decoded = decode(content)
    return MarkdownDraft((decoded.text,), warnings=decoded.warnings)


def read_code(content: bytes, *, language: str) -> MarkdownDraft:
    """Source code in one fence, so that its comments are not taken for headings."""
    decoded = decode(content)
    return MarkdownDraft((fenced(decoded.text, language),), warnings=decoded.warnings)


def fenced(code: str, language: str) -> str:
    """A code block whose fence is longer than any run of backticks in it."""
    longest = max((len(run) for run in re.findall("`{3,}", code)), default=2)
    fence = "`" * (longest + 1)
    return f"{fence}{language}\n{code.strip(chr(10))}\n{fence}"


def markdown_title(text: str) -> str | None:
    """The title a Markdown text gives itself, without markup."""
    start = text[:_TITLE_WITHIN_CHARS].replace("\r\n", "\n").lstrip("\ufeff")
    front = _FRONT_MATTER.match(start)
    if front and (title := _FRONT_TITLE.search(front[1])):
        return title[1].strip().strip("\"'")
    heading = _FIRST_HEADING.search(start, front.end() if front else 0)
    return re.sub(r"[*_`]|\{#.*\}$|\[(.*?)\]\(.*?\)", r"\1", heading[1] or heading[2]) if heading else None
