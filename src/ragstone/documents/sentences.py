"""Sentence splitter: cuts Markdown into sentences with exact spans; `text[start:end]` is the sentence.

The end of a heading, list item, table row or line of code always ends a sentence; within
prose, the end marks of Latin, CJK, Indic and Arabic scripts do. A sentence neither begins
nor ends with white space, and excludes Markdown's leading marks (`#`, `-`, `>`, `1.`).
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

Kind = Literal["prose", "heading", "item", "row", "code"]

_FENCE = re.compile(r"[ \t>]*(?P<mark>`{3,}|~{3,})")
_HEADING = re.compile(r"[ \t>]*#{1,6}[ \t]+")
_ITEM = re.compile(r"[ \t>]*(?:[-*+•]|\d{1,3}[.)])[ \t]+")
_QUOTE = re.compile(r"[ \t]*(?:>[ \t]?)+")
_ROW = re.compile(r"[ \t>]*\|.*\|[ \t]*$")
_RULE = re.compile(r"[ \t|:=*_-]*$")

_CLOSERS = r"[\"'”’»)\]*_]*"
_MARKERS = r"(?:[ ]?(?:\[\d{1,3}(?:\s?,\s?\d{1,3})*\]|【\d{1,3}】)[.]?)*"
_END = re.compile(
    rf"(?P<latin>[.!?…]+{_CLOSERS}{_MARKERS}(?=\s|$))"
    rf"|(?:[。！？｡．]+[”’』」）》]*{_MARKERS})"
    rf"|(?:[।॥۔؟]+{_CLOSERS}{_MARKERS})"
)
_LAST_WORD = re.compile(r"(?:\w+\.)*\w+$")
_KNOWN = (
    "adj adm al approx apr art asst assoc aug ave bd blvd brig bros ca cap capt cf ch chap cmdr col comdr co corp cpl "
    "dec dept dist div dr ed eds eq esp est etc ex feb fig figs fr ft gen gov govt hon hr hrs inc incl insp jan jr jul "
    "jun lt ltd maj mar max messrs min misc mgr mr mrs ms mt mts no nos nov oct op orig p para pl pp pres prof pt rd "
    "ref refs rep rev rs sec sen sens sep sept sgt sp sq sr st supt tab tel univ v viz vol vols vs e.g i.e u.s u.k u.n "
    "a.m p.m d.c ph.d b.a m.a m.sc b.sc bzw ca d.h evtl ggf inkl nr s.o u.a usw vgl z.b"
)
_ABBREVIATIONS = frozenset(_KNOWN.split())
# Abbreviations that often end a sentence: a capital letter after them is a boundary.
_KNOWN_TO_END = "etc inc ltd co corp jr sr a.m p.m ph.d usw al"
_ENDING_ABBREVIATIONS = frozenset(_KNOWN_TO_END.split())


@dataclass(frozen=True, slots=True)
class Sentence:
    """A sentence, `text[start:end]`, and the kind of the line that contains it."""

    start: int
    end: int
    kind: Kind


def sentences(text: str) -> tuple[Sentence, ...]:
    """Cut `text` into sentences in reading order; between them there are only marks and white space."""
    pieces = [_trimmed(text, piece) for block in _blocks(text) for piece in _pieces(text, *block)]
    return tuple(piece for piece in pieces if piece.start < piece.end)


def _pieces(text: str, start: int, end: int, kind: Kind) -> Iterator[Sentence]:
    if kind in ("prose", "item"):
        for stop in _stops(text, start, end):
            yield Sentence(start, stop, kind)
            start = stop
    yield Sentence(start, end, kind)


def _trimmed(text: str, sentence: Sentence) -> Sentence:
    piece = text[sentence.start : sentence.end]
    end = sentence.end - (len(piece) - len(piece.rstrip()))
    return Sentence(min(end, sentence.start + len(piece) - len(piece.lstrip())), end, sentence.kind)


def _blocks(text: str) -> Iterator[tuple[int, int, Kind]]:
    """Units to be cut at end marks: lines of prose join the item or the prose above them."""
    held: tuple[int, int, Kind] | None = None
    for start, end, kind in _marked_lines(text):
        if kind == "prose" and held is not None and held[2] in ("prose", "item"):
            held = (held[0], end, held[2])
            continue
        if held is not None:
            yield held
        held = None if kind is None else (start, end, kind)
    if held is not None:
        yield held


def _marked_lines(text: str) -> Iterator[tuple[int, int, Kind | None]]:
    """Each line without its leading marks, and its kind; `None` for blank lines, rules and fences."""
    fence = ""
    for start, end in _lines(text):
        line = text[start:end]
        if mark := _FENCE.match(line):
            fence = _next_fence(fence, mark["mark"])
            yield start, end, None
        elif fence:
            yield start, end, "code"
        else:
            skip, kind = _kind(line)
            yield start + skip, end, kind


def _kind(line: str) -> tuple[int, Kind | None]:
    """Length of the leading mark of a line, and the kind that it indicates."""
    if _RULE.match(line):
        return 0, None
    if heading := _HEADING.match(line):
        return heading.end(), "heading"
    if item := _ITEM.match(line):
        return item.end(), "item"
    if _ROW.match(line):
        return 0, "row"
    quote = _QUOTE.match(line)
    return quote.end() if quote else 0, "prose"


def _next_fence(fence: str, mark: str) -> str:
    """The fence that is open after a line that begins with `mark`."""
    if not fence:
        return mark
    return "" if fence[0] == mark[0] and len(mark) >= len(fence) else fence


def _lines(text: str) -> Iterator[tuple[int, int]]:
    start = 0
    while start < len(text):
        end = text.find("\n", start)
        end = len(text) if end < 0 else end
        yield start, end
        start = end + 1


def _stops(text: str, start: int, end: int) -> Iterator[int]:
    for match in _END.finditer(text, start, end):
        if match["latin"] is None or not _goes_on(text, start, match, end):
            yield match.end()


def _goes_on(text: str, start: int, match: re.Match[str], end: int) -> bool:
    """Whether the sentence continues: the mark belongs to an abbreviation, initial or number, or lower case follows."""
    following = text[match.end() : min(end, match.end() + 80)].lstrip()[:2].lstrip("\"'“‘(*_")
    if not following:
        return False
    if match["latin"][0] != "." or match["latin"].startswith(".."):
        return following[0].islower()
    if following[0].islower():
        return True
    found = _LAST_WORD.search(text, max(start, match.start() - 20), match.start())
    word = found[0] if found else ""
    if word.lower() in _ENDING_ABBREVIATIONS:
        return not following[0].isupper()
    return word.lower() in _ABBREVIATIONS or (len(word) == 1 and word.isupper() and word != "I")
