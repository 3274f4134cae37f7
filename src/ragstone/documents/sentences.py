"""Sentence splitter: cuts Markdown into sentences with exact spans; `text[start:end]` is the sentence.

The end of a heading, list item, table row or line of code always ends a sentence; within
prose, the end marks of Latin, CJK, Indic and Arabic scripts do. A sentence neither begins
nor ends with white space, and excludes Markdown's leading marks (`#`, `-`, `>`, `1.`).
"""

from __future__ import annotations

import re
from bisect import bisect_right
from collections.abc import Iterator
from dataclasses import dataclass, replace
from itertools import pairwise
from typing import Literal

Kind = Literal["prose", "heading", "item", "row", "code"]

_FENCE = re.compile(r"[ \t>]*(?P<mark>`{3,}|~{3,})")
_HEADING = re.compile(r"[ \t>]*#{1,6}[ \t]+")
_ITEM = re.compile(
    r"[ \t>]*(?:[-*+•‣◦▪●○■□➢✓·]|\d{1,3}[.)]|\((?:\d{1,3}|[a-zA-Z]|[ivx]{2,4})\)|(?:[a-zA-Z]|[ivx]{2,4})\))[ \t]+"
)
_DASH_ITEM = re.compile(r"[ \t>]*[–—][ \t]+")  # no item within a paragraph, where a line may break before a dash
_QUOTE = re.compile(r"[ \t]*(?:>[ \t]?)+")
_LINE_OF_QUOTE = re.compile(r"(?P<break>[ \t]*\n)[ \t]*(?:>[ \t]?)+")
_ROW = re.compile(r"[ \t>]*\|.*\|[ \t]*$")
_RULE = re.compile(r"[ \t|:=*_-]*$")
_UNDERLINE = re.compile(r" {0,3}(?:={3,}|-{3,})[ \t]*$")
_TARGET = re.compile(
    r" {0,3}\[[^\[\]\n]{1,200}\]:[ \t]*(?:<[^<>\s]*>|(?=[^\s\[]*?[/.#])[^\s\[]+)(?:[ \t]+[\"'(].*)?[ \t]*$"
)
_FURTHER_NUMBER = re.compile(r"[ \t>]*(?!1[.)])\d")  # a list within a paragraph begins with 1, says CommonMark
_COMPARED = re.compile(r"[ \t]*>=?[ \t]?[-+]?\d")  # "> 16 bar" below a line without a quote mark
_FIELD = re.compile(r"[^\W\d_][\w .()/-]{0,40}: +\S")

_CLOSERS = r"[\"'”’»)\]*_]*(?:[ \u00a0\u202f][»›])?"
_UNMARKED = "\u0e00-\u0eff"  # Thai and Lao put spaces between sentences and clauses, and no marks
MIN_UNMARKED_CHARS = 40
"""A clause of Thai or Lao that is shorter stays with the next one; by hand."""
_MARKERS = r"(?:[ ]?(?:\[\d{1,3}(?:\s?,\s?\d{1,3})*\]|【\d{1,3}】)[.]?)*"
_END = re.compile(
    rf"(?P<latin>[.!?…]+{_CLOSERS}{_MARKERS}(?=\s|$))"
    rf"|(?:[。！？｡．]+[”’』」）》]*{_MARKERS})"
    rf"|(?:[।॥۔؟։።፧။។]+{_CLOSERS}{_MARKERS})"
    rf"|(?P<unmarked>(?<=[{_UNMARKED}])[ ]+(?=[{_UNMARKED}]))"
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
_SINGLE = re.compile(r"[ \u00a0\u202f][A-Za-z]\.")
_SPELT = re.compile(r"\b[a-z]\.[ \u00a0\u202f][A-Za-z]$")
_CODE_SPAN = re.compile(r"`[^`]+`|</?[A-Za-z][^<>]*>")
_MONTHS = "januar februar märz april mai juni juli august september oktober november dezember jahrhundert"
_AFTER_ORDINAL = frozenset(_MONTHS.split())
_NEXT_WORD = re.compile(r"\s*([^\W\d_]+)")
# Abbreviations that often end a sentence: a capital letter after them is a boundary.
_KNOWN_TO_END = "etc inc ltd co corp jr sr a.m p.m ph.d usw al"
_ENDING_ABBREVIATIONS = frozenset(_KNOWN_TO_END.split())


@dataclass(frozen=True, slots=True)
class Sentence:
    """A sentence, `text[start:end]`, and the kind of the line that contains it.

    `header`: it is the row that names the columns of a table.
    """

    start: int
    end: int
    kind: Kind
    header: bool = False


def sentences(text: str) -> tuple[Sentence, ...]:
    """Cut `text` into sentences in reading order; between them there are only marks and white space."""
    pieces = [_trimmed(text, piece) for block in _blocks(text) for piece in _pieces(text, *block)]
    return tuple(piece for piece in pieces if piece.start < piece.end)


def _pieces(text: str, start: int, end: int, kind: Kind) -> Iterator[Sentence]:
    if kind in ("prose", "item"):
        quoted = ">" in text[text.rfind("\n", 0, start) + 1 : start]
        for stop in _stops(text, start, end):
            yield Sentence(start, stop, kind)
            start = _after_quote_mark(text, stop, quoted=quoted)
    yield Sentence(start, end, kind, header=kind == "row" and _heads_table(text, end))


def _heads_table(text: str, end: int) -> bool:
    """Whether the line below separates a table's head from its rows."""
    below = text.find("\n", end) + 1
    return below > 0 and _is_delimiter(text[below : (text.find("\n", below) + 1 or len(text) + 1) - 1])


def _after_quote_mark(text: str, place: int, *, quoted: bool) -> int:
    """`place`, moved behind the marks of a quote where a new line begins there."""
    found = _LINE_OF_QUOTE.match(text, place)
    return found.end() if found and (quoted or not _COMPARED.match(text, found.end("break"))) else place


def _trimmed(text: str, sentence: Sentence) -> Sentence:
    piece = text[sentence.start : sentence.end]
    end = sentence.end - (len(piece) - len(piece.rstrip()))
    return replace(sentence, start=min(end, sentence.start + len(piece) - len(piece.lstrip())), end=end)


def _blocks(text: str) -> Iterator[tuple[int, int, Kind]]:
    """Units to be cut at end marks: lines of prose join the item or the prose above them."""
    held: tuple[int, int, Kind] | None = None
    for start, end, kind, joins in _Lines(text).units():
        if joins and held is not None:
            held = (held[0], end, held[2])
            continue
        if held is not None:
            yield held
        held = None if kind is None else (start, end, kind)
    if held is not None:
        yield held


class _Lines:
    """The lines of a text; what a line is depends on those beside it."""

    def __init__(self, text: str) -> None:
        self._text = text
        self._fence = ""
        self._above: Kind | None = None  # the kind of the line above; `None` also after a blank line
        self._quoted = False  # whether the line above has a quote mark
        self._line_above = ""
        self._in_table = False

    def units(self) -> Iterator[tuple[int, int, Kind | None, bool]]:
        """Each line without its leading marks, its kind, and whether it goes on with the one above.

        The kind is `None` for what says nothing: blank lines, rules, fences, and targets of links.
        """
        spans = [*_lines(self._text), (len(self._text), len(self._text))]
        for (start, end), (after, after_end) in pairwise(spans):
            line, below = self._text[start:end], self._text[after:after_end]
            skip, kind = self._kind(line, below)
            joins = kind == "prose" and self._above in ("prose", "item") and not _is_field(line, self._line_above)
            yield start + skip, end, kind, joins
            self._above = self._above if joins else kind
            self._line_above = line
            self._quoted = bool(_QUOTE.match(line))

    def _kind(self, line: str, below: str) -> tuple[int, Kind | None]:
        """Length of the leading mark of a line, and the kind that it indicates."""
        if mark := _FENCE.match(line):
            self._fence, self._in_table = _next_fence(self._fence, mark["mark"]), False
            return 0, None
        if self._fence:
            return 0, "code"
        if _RULE.match(line):
            self._in_table = self._in_table and bool(line.strip())
            return 0, None
        if heading := _HEADING.match(line):
            return heading.end(), "heading"
        if self._is_cells(line, below):
            return 0, "row"
        return self._text_kind(line, below)

    def _is_cells(self, line: str, below: str) -> bool:
        """Whether the line is a row of a table; a row needs no outer marks below a row of `---`."""
        begins = "|" in line and _is_delimiter(below)
        self._in_table = begins or (self._in_table and "|" in line)
        return self._in_table or bool(_ROW.match(line))

    def _text_kind(self, line: str, below: str) -> tuple[int, Kind | None]:
        if _TARGET.match(line):
            return 0, None
        item = _ITEM.match(line) or (_DASH_ITEM.match(line) if self._above != "prose" else None)
        if item and not (self._above == "prose" and _FURTHER_NUMBER.match(line)):
            return item.end(), "item"
        if self._above is None and _UNDERLINE.match(below):
            return 0, "heading"
        quote = _QUOTE.match(line)
        if not quote or (self._above == "prose" and not self._quoted and _COMPARED.match(line)):
            return 0, "prose"
        return quote.end(), "prose"


def _is_field(line: str, above: str) -> bool:
    """Whether this line and the one above both are like `Name: value`, as in the head of a mail."""
    return bool(_FIELD.match(line) and _FIELD.match(above))


def _is_delimiter(line: str) -> bool:
    """Whether the line separates a table's head from its rows: `| --- | :-: |`."""
    return "|" in line and "-" in line and bool(_RULE.match(line))


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
    code = _code_spans(text, start, end)
    for match in _END.finditer(text, start, end):
        at = bisect_right(code, match.start())
        if at % 2 or (match["latin"] is not None and _goes_on(text, start, match, end)):
            continue
        if match["unmarked"] is None or match.start() - start >= MIN_UNMARKED_CHARS:
            start = match.end()
            yield start


def _code_spans(text: str, start: int, end: int) -> list[int]:
    """Begin and end of each code span and HTML tag in turn; no sentence ends within one."""
    return [place for found in _CODE_SPAN.finditer(text, start, end) for place in found.span()]


def _goes_on(text: str, start: int, match: re.Match[str], end: int) -> bool:
    """Whether the sentence continues: the mark belongs to an abbreviation, initial or number, or lower case follows."""
    rest = text[match.end() : min(end, match.end() + 80)]
    following = rest.lstrip()[:2].lstrip("\"'“‘(*_")
    if not following:
        return False
    if not text[start : match.start()].strip():  # an ellipsis that begins the sentence
        return True
    if match["latin"][0] != "." or match["latin"].startswith(".."):
        return following[0].islower()
    if following[0].islower():
        return True
    before = text[max(start, match.start() - 20) : match.start()]
    return _abbreviates(before, rest, starts_upper=following[0].isupper())


def _abbreviates(before: str, rest: str, *, starts_upper: bool) -> bool:
    """Whether the full stop between the two belongs to the last word `before`."""
    found = _LAST_WORD.search(before)
    word = found[0] if found else ""
    if word.lower() in _ENDING_ABBREVIATIONS:
        return not starts_upper or rest.lstrip().startswith("(")
    if word.isdigit():
        following = _NEXT_WORD.match(rest)
        return following is not None and len(word) <= 2 and following[1].lower() in _AFTER_ORDINAL
    if len(word) == 1 and (_SINGLE.match(rest) or _SPELT.search(before)):  # both stops of "e. g.", of "z. B."
        return True
    return word.lower() in _ABBREVIATIONS or (len(word) == 1 and word.isupper() and word != "I")
