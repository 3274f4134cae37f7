"""The port of parsing: bytes in, canonical Markdown out."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

from ragstone.vocabulary import PageSpan


@dataclass(frozen=True, slots=True)
class ParserLimits:
    """What one parse may use. Reaching a limit ends that parse, nothing else."""

    max_memory_bytes: int = 1 << 30
    max_cpu_s: float = 60.0
    max_wall_s: float = 90.0
    max_expanded_bytes: int = 256 << 20
    max_archive_entries: int = 10_000
    max_pages: int = 5_000
    max_text_chars: int = 50_000_000


@dataclass(frozen=True, slots=True)
class ParsedDocument:
    r"""Canonical Markdown of one file.

    `text` is NFC-normalised, has `\n` line ends, no invisible or control characters
    but newline and tab, and is not blank. `pages` (1-based, ascending, disjoint) is
    empty where the format has none. `warnings` are sentences about what was lost,
    for example pages that hold only images.
    """

    text: str
    media_type: str
    title: str | None = None
    pages: tuple[PageSpan, ...] = ()
    warnings: tuple[str, ...] = ()


class Parser(Protocol):
    """Turns one file into a `ParsedDocument`."""

    async def parse(self, content: bytes, *, name: str, media_type: str | None = None) -> ParsedDocument:
        """Read `content`, called `name` by its owner; `media_type` is a hint only.

        Raises:
            Unsupported: no parser reads it.
            UnreadableDocument: empty, encrypted, corrupt, or beyond a limit.
        """
        ...
