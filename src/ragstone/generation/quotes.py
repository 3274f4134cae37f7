"""Verbatim quotes: where a sentence stands in a passage, whatever its line breaks, Markdown marks and table marks.

Both texts are folded the same way, and each folded character keeps its place in the original:

- white space, line breaks, soft hyphens and the hyphens of broken words vanish; between two words one space stays;
- Markdown's marks vanish: ticks, emphasis, links, what begins a line; `|` and `·` part cells alike;
- quotes and dashes have one form, ligatures and full-width letters their letters.

Figures, signs, operators and the text of code stay, so that two texts fold alike only if they say the same.
"""

from __future__ import annotations

import re
import unicodedata
from array import array
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from html import unescape

from ragstone.documents.inline import TAGS
from ragstone.embedding.sparse import UNSPACED

MAX_PLACES = 50
"""Places of a short sentence that are looked at: one of the first is as good as any."""

MARGIN_CHARS = 40
"""What is read before a quote, to see whether it denies the quote."""

_LETTER = r"[^\W\d_]"
_ADDRESS = r"(?:https?|ftp|file)://[^\s()<>]{1,2000}"
_PIECE = re.compile(
    # First what is quick to exclude: letters, and the space between two words of ASCII.
    r"(?=[^A-Za-z0-9.,'\"/=?+@$%^{}])(?! (?<=[A-Za-z0-9_] )[A-Za-z0-9_])(?:"
    r"(?P<fence>^[ \t>]*(?:`{3,}|~{3,})[^\n]*$)"
    r"|(?P<lead>^[ \t]*(?:#{1,6}[ \t]+|>[ \t]?(?![ \t]*\d)|[-*+•][ \t]+)+)"
    r"|(?P<rule>^[ \t]*\|?[ \t]*:?-{3,}[-:| \t]*$)"
    r"|(?P<block>\n[ \t]*\n\s*)"
    rf"|(?P<broken>(?<={_LETTER})[-\u2010][ \t]*\n[ \t]*(?={_LETTER}))"
    rf"|(?P<hyphen>(?<={_LETTER})[-\u2010](?={_LETTER}))"
    r"|(?P<wrapped>(?<=\w-)[ \t]*\n[ \t]*(?=\w))"
    r"|(?P<space>\s+)"
    r"|(?P<escaped>\\[!-/:-@\[-`{-~])"
    r"|(?P<ticks>`+)"
    r"|(?P<stars>\*+|_+|~~)"
    rf"|(?P<shown> ?\({_ADDRESS}\))"
    rf"|(?P<auto><(?={_ADDRESS}>))"
    r"|(?P<target>\]\([^()\n]{0,2000}(?:\([^()\n]{0,200}\)[^()\n]{0,200}){0,3}\))"
    r"|(?P<image>!\[[^\[\]\n]{0,500}\]\([^()\n]{0,2000}\))"
    r"|(?P<reference>\]\[(?!\s?\d{1,3}\s?\])[^\[\]\n]{1,200}\])"
    r"|(?P<opening>\[(?=[^\[\]\n]{0,500}\](?:\(|\[(?!\s?\d))))"
    r"|(?P<raised><sup(?: [^<>\n]{0,200})?>(?=[-+\u2212]?\d))"
    rf"|(?P<tag></?(?:{'|'.join(sorted(TAGS))})(?: [^<>\n]{{0,200}})?/?>)"
    r"|(?P<entity>&(?:[a-zA-Z]{2,10}|#\d{1,6}|#x[0-9a-fA-F]{1,5});)"
    r"|(?P<cells>[|·])"
    r"|(?P<soft>[\u00ad\u200b-\u200d\u2060\ufeff])"
    rf"|(?P<other>(?![{UNSPACED}])[^\x00-\x7f]))",
    re.MULTILINE,
)
_REPLACED = {"space", "block", "other", "entity", "cells", "escaped", "raised"}
_CODE_MARK = re.compile(r"(?P<fence>^[ \t>]*(?:`{3,}|~{3,})[^\n]*$)|(?P<ticks>`+)|\n[ \t]*\n", re.MULTILINE)
_RUN = re.compile(r"(?P<kept>\\.|(?<!\w)__[A-Za-z0-9]+(?:_[A-Za-z0-9]+){0,9}__(?!\w))|(?P<run>\*+|_+|~~)|\n[ \t]*\n")
_MARKER = re.compile(r"[ ]?[\[【]\s?\d{1,3}(?:\s?[,;]\s?\d{1,3}){0,20}\s?[\]】]")
_ALIKE = str.maketrans(
    {
        **dict.fromkeys("\u2018\u2019\u201a\u201b\u2032\u02bc\u00b4", "'"),
        **dict.fromkeys("\u201c\u201d\u201e\u201f\u2033\u00ab\u00bb", '"'),
        **dict.fromkeys("\u2010\u2011\u2012\u2013\u2014\u2015\u2212", "-"),
        "\u2026": "...",
    }
)
_AROUND = "*_`~"
_STOPS = tuple(".!?。！？।")
_FORMS = re.compile("[\ufb00-\ufb06\uff01-\uff5e]")
"""Ligatures and full-width characters; other compatible forms, such as a raised 2, mean something."""
_SPACELESS = re.compile(f"[{UNSPACED}]")
_CLOSING = ".!?。！？।…:;, "
_OPENING_SIGNS = frozenset("<>≤≥≈~±+-*$€£¥#@")
_CUT_UNIT = re.compile(r"[ ]?(?:[%°‰]|(?:thousand|million|billion|trillion)\b|[*/^×]\s?\d)", re.IGNORECASE)
_DENIES = re.compile(
    r"(?:\bnot|n't|\bno|\bnever|\bneither|\bnor|\bwithout|\bwhether|\bif|\bunless|\bdenied|\bdenies|\bfalse that"
    r"|\bmay|\bmight|\bcould|\bshould|\bhardly|\bfailed to|\brefused to|\bnicht|\bkein\w{0,2}|\bpas|[不没沒未非])"
    r"(?: [^\s,;:.!?]+){0,3} ?$",
    re.IGNORECASE,
)

MAX_SENTENCE_CHARS = 300
_SAID = (
    r"(?:suggest|claim|believ|argu|alleg|thought|think|said|say|hypothes|propos|hope|fear|report|assum)\w{0,5} that\b"
)
_CONDITION = re.compile(
    rf"^\s?(?:if|unless|provided|wenn|falls|si|如果|若|假如)\b|\baccording to\b|\b{_SAID}", re.IGNORECASE
)
_CONDITION_BEHIND = re.compile(r",? ?(?:if|unless|except|provided|only if|wenn|falls|sauf si)\b", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Folded:
    """`original` as quotes are compared: `text[i]` comes from `original[places[i]]`."""

    original: str
    text: str
    places: Sequence[int]

    def span(self, start: int, end: int) -> tuple[int, int]:
        """The span of the original behind `text[start:end]`, with the marks around it and the stop behind it."""
        first, last = self.places[start], self.places[end - 1] + 1
        least = self.places[start - 1] + 1 if start else 0
        most = self.places[end] if end < len(self.places) else len(self.original)
        while first > least and self.original[first - 1] in _AROUND:
            first -= 1
        while last < most and self.original[last] in _AROUND:
            last += 1
        return first, last + (self.original[last : last + 1] in _STOPS)


def fold(text: str, *, markdown: bool = True) -> Folded:
    """Fold `text`, in linear time; without `markdown` all marks are letters.

    A blank line becomes a line break, which no quote crosses.
    """
    kept: list[str] = []
    places = array("l")
    last, is_spaced = "", False
    for piece, place, step in _pieces(text, markdown=markdown):
        if piece == " ":
            is_spaced = _is_wordlike(last)
        elif piece:
            if is_spaced and _is_wordlike(piece[0]):
                kept.append(" ")
                places.append(place - 1)
            is_spaced = False
            kept.append(piece)
            places.extend(range(place, place + len(piece)) if step else [place] * len(piece))
            last = piece[-1]
    return Folded(text, "".join(kept), places)


def find_quote(claim: str, passage: Folded) -> tuple[int, int] | None:
    """The span of the original passage that `claim` quotes, or nothing.

    A quote is whole words, and keeps its signs and units. Words are no quote where the passage denies or doubts them
    just before. The first letter may differ in case, the last mark may be missing.
    """
    bare = without_markers(claim)
    for sought in dict.fromkeys(fold(bare, markdown=markdown).text for markdown in (True, False)):
        found = _found(sought.strip(_CLOSING + "|\n"), passage)
        if found:
            return passage.span(*found)
    return None


def without_markers(claim: str) -> str:
    """`claim` without its citation markers."""
    return _MARKER.sub("", claim)


def _found(sought: str, passage: Folded) -> tuple[int, int] | None:
    """The place of folded words in the folded passage."""
    if not any(letter.isalnum() for letter in sought):
        return None
    for form in dict.fromkeys((sought, sought[0].swapcase() + sought[1:])):
        start = -1
        for _ in range(MAX_PLACES):
            start = passage.text.find(form, start + 1)
            if start < 0:
                break
            if _is_whole(passage.text, start, start + len(form)):
                return start, start + len(form)
    return None


def _is_whole(text: str, start: int, end: int) -> bool:
    """Whether the span is whole words with their signs and units, which the words before do not deny."""
    before, after = text[max(0, start - MARGIN_CHARS) : start], text[end : end + MARGIN_CHARS]
    first, last = text[start], text[end - 1]
    if before and (_are_joined(before[-1], first) or before[-1] in _OPENING_SIGNS):
        return False
    if after and _are_joined(last, after[0]):
        return False
    if first.isdigit() and before[-1:] in (".", ",") and before[-2:-1].isdigit():
        return False
    if last.isdigit() and (_CUT_UNIT.match(after) or (after[:1] in (".", ",") and after[1:2].isdigit())):
        return False
    return not _DENIES.search(before) and not _is_conditional(text, start, end)


def _is_conditional(text: str, start: int, end: int) -> bool:
    """Whether the rest of the sentence makes the quote a condition's consequence, or another's word."""
    stops = [
        text.rfind(stop, max(0, start - MAX_SENTENCE_CHARS), start) for stop in (". ", ".", "!", "?", "。", "\n", "|")
    ]
    head = text[max(0, start - MAX_SENTENCE_CHARS, *(stop + 1 for stop in stops)) : start]
    return bool(_CONDITION.search(head) or _CONDITION_BEHIND.match(text[end : end + MARGIN_CHARS]))


def _are_joined(left: str, right: str) -> bool:
    """Whether two neighbouring characters belong to one word."""
    if _SPACELESS.match(left) or _SPACELESS.match(right):
        return False
    return (left.isalnum() or left == "_") and (right.isalnum() or right == "_")


def _is_wordlike(letter: str) -> bool:
    return (letter.isalnum() or letter == "_") and not _SPACELESS.match(letter)


def _pieces(text: str, *, markdown: bool) -> Iterator[tuple[str, int, bool]]:
    """Folded text, the place of its original, and whether its letters stand there one by one."""
    code = _code(text) if markdown else bytearray(b"\1" * (len(text) + 1))
    marks = _emphasis(text, code)
    end, brackets = 0, 0
    for found in _PIECE.finditer(text):
        if end < found.start():
            yield text[end : found.start()], end, True
        start, end, kind = found.start(), found.end(), found.lastgroup or ""
        if kind in _REPLACED:
            yield _replaced(kind, found[0], in_code=bool(code[start])), start, False
        elif kind == "opening" and not code[start]:
            brackets += 1
        elif kind in ("target", "reference") and brackets and not code[start]:
            brackets -= 1
        elif _is_letter(kind, in_code=bool(code[start]), is_mark=bool(marks[start]), markdown=markdown):
            yield found[0], start, True
    if end < len(text):
        yield text[end:], end, True


def _code(text: str) -> bytearray:
    """1 for each character of code: between equal runs of ticks in a paragraph, or between fences."""
    inside = bytearray(len(text) + 1)
    opened: dict[str, int] = {}
    fence = -1
    for found in _CODE_MARK.finditer(text):
        if fence >= 0:
            if found["fence"]:
                inside[fence : found.start()] = b"\1" * (found.start() - fence)
                fence = -1
        elif found["fence"]:
            fence, opened = found.end(), {}
        elif not found["ticks"]:
            opened = {}
        elif (start := opened.pop(found[0], -1)) >= 0:
            inside[start : found.start()] = b"\1" * (found.start() - start)
            opened = {}
        else:
            opened[found[0]] = found.end()
    return inside


def _emphasis(text: str, code: bytearray) -> bytearray:
    """1 where a run of `*`, `_` or `~~` begins that marks emphasis: it stands at a word, and has a partner."""
    marks = bytearray(len(text) + 1)
    opened: dict[str, int] = {}
    for found in _RUN.finditer(text):
        if found["kept"]:
            continue
        if not found["run"]:
            opened = {}
        elif not code[found.start()]:
            before, after = text[found.start() - 1 : found.start()], text[found.end() : found.end() + 1]
            opens, closes = _flanks(found[0], before, after)
            if closes and found[0] in opened:
                marks[opened.pop(found[0])] = marks[found.start()] = 1
            elif opens:
                opened[found[0]] = found.start()
    return marks


def _flanks(run: str, before: str, after: str) -> tuple[bool, bool]:
    """Whether a run can open, and can close, emphasis (CommonMark); `2*3` and `a_b` are no emphasis."""
    if before.isalnum() and after.isalnum() and (run[0] == "_" or before.isdigit() or after.isdigit()):
        return False, False
    spaced_before, spaced_after = not before.strip(), not after.strip()
    opens = not spaced_after and (after.isalnum() or spaced_before or not before.isalnum())
    closes = not spaced_before and (before.isalnum() or spaced_after or not after.isalnum())
    return opens, closes


def _is_letter(kind: str, *, in_code: bool, is_mark: bool, markdown: bool) -> bool:
    """Whether what looks like a mark is a part of the text."""
    match kind:
        case "ticks":
            return not markdown
        case "stars":
            return not is_mark
        case "tag" | "shown" | "auto" | "opening" | "image":
            return in_code
        case _:
            return kind in ("target", "reference")


def _replaced(kind: str, whole: str, *, in_code: bool) -> str:
    match kind:
        case "space":
            return " "
        case "block":
            return "\n"
        case "other":
            return _letters(whole)
        case "entity":
            return whole if in_code else unescape(whole)
        case "escaped":
            return whole if in_code else whole[1]
        case "raised":
            return whole if in_code else "^"
        case _:
            return whole if in_code else "|"


def _letters(found: str) -> str:
    """Quotes, dashes, ligatures and accented letters in one form."""
    letters = found.translate(_ALIKE)
    return "".join(unicodedata.normalize("NFKD" if _FORMS.match(one) else "NFD", one) for one in letters)
