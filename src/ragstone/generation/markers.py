"""The filter between an answerer and the reader: it lets through text, and markers that cite a given passage.

`MarkerFilter` reads a stream of pieces, however it is cut. Text passes unchanged.
`[1, 2]` and `【1】【2】` become `[1][2]`; a marker that points to no passage is removed,
with the space before it, and counted. Code, fenced or inline, keeps its brackets.

It is also the boundary against injected instructions to leak or to fetch:

- no Markdown image or link passes, its text does (`](` and `]:` always get a space);
- `<` before a tag with attributes, or one that loads, gets a space and is text;
- an address passes as plain text, and only if it stands verbatim in a passage, so that
  it carries nothing the model was told to add. This holds inside code too, since what
  is code depends on who renders it.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

REMOVED_ADDRESS = "(address removed)"
MAX_HELD_CHARS = 2_000
"""Held text longer than this is released as it is: no marker is that long."""

_LABEL = r"\[(?P<{0}>(?:[^\[\]\n]|\[[^\[\]\n]*\])*)\]"
_TARGET = r"\((?P<{0}>(?:[^()\n]|\([^()\n]*\))*)\)"
_SCHEMES = r"(?:https?|ftp|file)://|javascript:|data:\w+/|www\.|//(?=\w[\w-]*\.)"
_ADDRESS = rf"(?:{_SCHEMES})[^\s<>\[\]\"'`|\\^{{}}]+"
_LOADING = "a|area|audio|base|button|embed|form|iframe|img|input|link|math|meta|object|script|source|style|svg|video"
_MARKER = r"[\[【][ ]?\d{1,3}(?:[ ]?[,;][ ]?\d{1,3})*[ ]?[\]】]"
_CODE = r"(?P<code>(?P<tick>`+)(?!`)[^\n]*?(?<!`)(?P=tick)(?!`))"
_PERHAPS_MARKER = re.compile(r"[\[【][\d,; ]*\Z")
_CONSTRUCT = re.compile(
    rf"{_CODE}"
    rf"|(?P<image>!{_LABEL.format('alt')}{_TARGET.format('picture')})"
    rf"|(?P<link>{_LABEL.format('label')}{_TARGET.format('target')})"
    rf"|(?P<marker>[ ]?(?:{_MARKER})+(?!\())"
    rf"|(?P<generic></?(?!(?:{_LOADING})\b)[a-z](?:\w|[&*',]|::)*>)"
    r"|(?P<tag><(?=[a-z/!?]))"
    r"|(?P<join>\](?=[(:]))"
    rf"|(?P<address>{_ADDRESS})",
    re.IGNORECASE,
)
# In code `a[0]:` and `f[0](x)` stay; what would define or follow a link to elsewhere does not.
_IN_CODE = re.compile(
    rf"(?P<join>(?<=\])(?=\([^()\n]{{0,200}}[/:\\&])|^[ \t>]*!?\[[^\[\]\n]{{0,200}}\](?=:))|(?P<address>{_ADDRESS})",
    re.IGNORECASE | re.MULTILINE,
)
_FENCE = re.compile(r"[ ]{0,3}(?P<ticks>`{3,}(?=[^`\n]*\n)|~{3,})[^\n]*\n")
_PERHAPS_FENCE = re.compile(r"[ ]{0,3}(?:`+[^`\n]*|~+[^\n]*)?\Z")
# Where a construct begins, or, at the end of what has come, may begin.
_OPENING = re.compile(
    rf"[ ]?[\[【]|!\[|[\]<`]|{_SCHEMES}"
    r"|(?:[ !]|//?|(?:h|ht|htt|https?|f|ft|ftp|fi|fil|file)(?::/?)?|d|da|dat|data(?::\w*)?|w{1,3}|j|ja\w{0,8}:?)\Z"
    r"|//\w[\w-]*\Z",
    re.IGNORECASE,
)
_PERHAPS_GENERIC = re.compile(r"</?(?:[a-z](?:\w|[&*',]|::?)*)?\Z", re.IGNORECASE)
_TRAILING = ".,;:!?)*_"
_NUMBER = re.compile(r"\d+")
_CITING_OPENS = re.compile(r"[\[【]|`+")
_CITING = re.compile(
    rf"{_CODE}|(?P<link>{_LABEL.format('label')}{_TARGET.format('target')})|(?P<marker>(?:{_MARKER})+(?!\())"
)


@dataclass(frozen=True, slots=True)
class Marker:
    """`text[start:end]` is one marker or several in a row, with the space before; it cites `numbers`."""

    start: int
    end: int
    numbers: tuple[int, ...]


def markers(text: str) -> Iterator[Marker]:
    """The markers of a whole text in order, also those without a passage. Code and links have none."""
    for start, end in _outside_fences(text):
        place = start
        while opening := _CITING_OPENS.search(text, place, end):
            at = opening.start()
            found = None if _is_escaped(text, opening) else _CITING.match(text, at, min(end, at + MAX_HELD_CHARS))
            if found and found.lastgroup == "marker":
                spaced = at > place and text[at - 1] == " "
                yield Marker(at - spaced, found.end(), tuple(map(int, _NUMBER.findall(found[0]))))
            place = (found or opening).end()


def _is_escaped(text: str, opening: re.Match[str]) -> bool:
    return opening[0][0] == "`" and text[max(0, opening.start() - 1) : opening.start()] == "\\"


def _outside_fences(text: str) -> Iterator[tuple[int, int]]:
    """The spans of a text outside of fenced code: the whole text, or single lines."""
    if "```" not in text and "~~~" not in text:
        yield 0, len(text)
        return
    fence, start = "", 0
    while start < len(text):
        end = text.find("\n", start) + 1 or len(text)
        if fence:
            fence = "" if _closes(text[start:end], fence) else fence
        elif opened := _FENCE.match(text, start):
            fence = opened["ticks"]
        else:
            yield start, end
        start = end


def _closes(line: str, fence: str) -> bool:
    mark = line.strip(" \t\n")
    indent = len(line) - len(line.lstrip(" "))
    return indent <= 3 and len(mark) >= len(fence) and set(mark) == {fence[0]}


class MarkerFilter:
    """Filters one answer as it streams; `removed` counts the markers without a passage."""

    def __init__(self, passage_texts: Sequence[str]) -> None:
        self.removed = 0
        self._passages = passage_texts
        self._held = ""
        self._last = "\n"
        self._fence = ""

    def feed(self, piece: str) -> str:
        """Take a piece, and return the text that is final."""
        self._held += piece
        return self._release(final=False)

    def finish(self) -> str:
        """Return the rest. Call it once, after the last piece."""
        return self._release(final=True)

    def _release(self, *, final: bool) -> str:
        released = []
        while self._held:
            step = self._line_of_code(final=final) if self._fence else self._step(final=final)
            if step is None:
                break
            length, text = step
            self._last, self._held = self._held[length - 1], self._held[length:]
            released.append(text)
        return "".join(released)

    def _step(self, *, final: bool) -> tuple[int, str] | None:
        """The number of held characters that are final, and their replacement; `None` to wait for more."""
        held = self._held
        if self._last == "\n":
            if fence := _FENCE.match(held):
                self._fence = fence["ticks"]
                return fence.end(), fence[0]
            if not final and _PERHAPS_FENCE.match(held):
                return None
        line_end = held.find("\n") + 1 or len(held)
        opening = _OPENING.search(held, 0, line_end)
        plain = opening.start() if opening else line_end
        return (plain, held[:plain]) if plain else self._construct(final=final)

    def _construct(self, *, final: bool) -> tuple[int, str] | None:
        """As `_step`, where a construct may begin at the first held character."""
        held = self._held
        certain = final or "\n" in held or len(held) > MAX_HELD_CHARS
        if not certain and _PERHAPS_GENERIC.match(held):
            return None
        found = None if (self._last == "\\" and held[0] == "`") else _CONSTRUCT.match(held)
        if found and not certain and _PERHAPS_MARKER.match(held, found.end()):
            return None
        if found and (certain or found.end() < len(held)):
            return found.end(), self._rewritten(found)
        if certain or (len(held) > 1 and held[0] in "]<"):
            return self._literal_length(), held[: self._literal_length()]
        return None

    def _literal_length(self) -> int:
        """The characters that begin no construct: one, or all backticks of a run that opens no code (CommonMark)."""
        return 1 if self._last == "\\" else max(1, len(self._held) - len(self._held.lstrip("`")))

    def _line_of_code(self, *, final: bool) -> tuple[int, str] | None:
        """One line inside a fence, with the fence closed if that is what the line does."""
        end = self._held.find("\n") + 1 or len(self._held)
        line = self._held[:end]
        if not (final or line.endswith("\n") or len(line) > MAX_HELD_CHARS):
            return None
        if _closes(line, self._fence):
            self._fence = ""
        return end, self._code(line)

    def _rewritten(self, found: re.Match[str]) -> str:
        match found.lastgroup:
            case "code":
                return self._code(found[0])
            case "image":
                return self._nested(found["alt"]) or " "
            case "link":
                return self._link(found["label"], found["target"])
            case "marker":
                return self._marker(found)
            case "tag" | "join":
                return found[0] + " "
            case "address":
                return self._address(found[0])
            case _:
                return found[0]

    def _code(self, code: str) -> str:
        return _IN_CODE.sub(
            lambda found: found[0] + " " if found["join"] is not None else self._address(found[0]), code
        )

    def _marker(self, found: re.Match[str]) -> str:
        numbers = [int(number) for number in _NUMBER.findall(found[0])]
        kept = [number for number in numbers if 1 <= number <= len(self._passages)]
        self.removed += len(numbers) - len(kept)
        space = " " if kept and found[0].startswith(" ") else ""
        apart = " " if self._held.startswith(":", found.end()) else ""
        return space + "".join(f"[{number}]" for number in dict.fromkeys(kept)) + apart

    def _link(self, label: str, target: str) -> str:
        text = self._nested(label) or " "
        address = target.partition(" ")[0].strip("<>")
        if re.match(_SCHEMES, address, re.IGNORECASE) and address not in text and self._in_passages(address):
            return f"{text} ({address})"
        return text

    def _nested(self, text: str) -> str:
        inner = MarkerFilter(self._passages)
        cleaned = inner.feed(text) + inner.finish()
        self.removed += inner.removed
        return cleaned

    def _address(self, found: str) -> str:
        address = found.rstrip(_TRAILING)
        return found if self._in_passages(address) else REMOVED_ADDRESS + found[len(address) :]

    def _in_passages(self, address: str) -> bool:
        return any(address in text for text in self._passages)
