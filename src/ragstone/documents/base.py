"""The parser port: bytes in, canonical Markdown out; and the limits of a parse."""

from __future__ import annotations

import contextlib
import math
import resource
import signal
from dataclasses import dataclass
from typing import Literal, Protocol

from ragstone.errors import ParserLimit
from ragstone.vocabulary import PageSpan

LimitName = Literal[
    "max_memory_bytes",
    "max_cpu_s",
    "max_wall_s",
    "max_expanded_bytes",
    "max_archive_entries",
    "max_pages",
    "max_text_chars",
]

MAX_OPEN_FILES = 64  # a parser reads from memory; only imports open files
MAX_WRITTEN_BYTES = 16 << 20  # for byte-code of imports and the worker's stderr
ALARM_GRACE_S = 5  # the parent's timeout comes first; the alarm ends workers without a parent

_SETTING_PREFIX = "RAGSTONE_PARSER__"


def limit_reached(limits: ParserLimits, name: LimitName) -> ParserLimit:
    """Error of an exceeded limit, with its value and the name of its setting."""
    match name:
        case "max_memory_bytes":
            what = f"Parsing needs more memory than the {_mebibytes(limits.max_memory_bytes)} allowed"
        case "max_cpu_s":
            what = f"Parsing took more than the {limits.max_cpu_s:g} s of CPU time allowed"
        case "max_wall_s":
            what = f"Parsing took longer than the {limits.max_wall_s:g} s allowed"
        case "max_expanded_bytes":
            what = f"The file unpacks to more than the {_mebibytes(limits.max_expanded_bytes)} allowed"
        case "max_archive_entries":
            what = f"The file contains more than the {limits.max_archive_entries} archive entries allowed"
        case "max_pages":
            what = f"The document has more than the {limits.max_pages} pages, slides or sheets allowed"
        case "max_text_chars":
            what = f"The document's text is longer than the {limits.max_text_chars} characters allowed"
    return ParserLimit(f"{what}. Split the document, or raise {_SETTING_PREFIX}{name.upper()} if you trust it.")


def limit_process(limits: ParserLimits) -> None:
    """Limit this process permanently: address space, files, and no core dumps."""
    _limit("RLIMIT_AS", limits.max_memory_bytes)
    _limit("RLIMIT_NOFILE", MAX_OPEN_FILES)
    _limit("RLIMIT_FSIZE", MAX_WRITTEN_BYTES)
    _limit("RLIMIT_CORE", 0)


def limit_next_parse(limits: ParserLimits) -> None:
    """Send SIGXCPU after `max_cpu_s` of CPU time from now, and SIGALRM a little after `max_wall_s`.

    Both signals end the process, even inside C code.
    """
    usage = resource.getrusage(resource.RUSAGE_SELF)
    _limit("RLIMIT_CPU", math.ceil(usage.ru_utime + usage.ru_stime + limits.max_cpu_s), keep_hard=True)
    signal.setitimer(signal.ITIMER_REAL, limits.max_wall_s + ALARM_GRACE_S)


def end_parse_limit() -> None:
    """Stop the alarm of `limit_next_parse`."""
    signal.setitimer(signal.ITIMER_REAL, 0)


def _limit(name: str, value: int, *, keep_hard: bool = False) -> None:
    which = getattr(resource, name, None)
    if which is None:
        return
    _, hard = resource.getrlimit(which)
    soft = value if hard == resource.RLIM_INFINITY else min(value, hard)
    with contextlib.suppress(OSError, ValueError):  # macOS has RLIMIT_AS but refuses to set it
        resource.setrlimit(which, (soft, hard if keep_hard else soft))


def _mebibytes(size_bytes: int) -> str:
    return f"{size_bytes / (1 << 20):g} MiB"


@dataclass(frozen=True, slots=True)
class ParserLimits:
    """Resource limits of one parse. Reaching a limit ends only that parse."""

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
    empty if the format has none. `warnings` are sentences about content that was lost,
    for example pages that hold only images.
    """

    text: str
    media_type: str
    title: str | None = None
    pages: tuple[PageSpan, ...] = ()
    warnings: tuple[str, ...] = ()


class Parser(Protocol):
    """Parses one file into a `ParsedDocument`."""

    async def parse(self, content: bytes, *, name: str, media_type: str | None = None) -> ParsedDocument:
        """Parse `content`; `name` is its file name, `media_type` a hint.

        Raises:
            Unsupported: no reader exists for its format.
            UnreadableDocument: empty, encrypted, corrupt, or beyond a limit.
        """
        ...
