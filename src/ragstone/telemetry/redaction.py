"""Hides secrets and personal data in text, whole or as it streams.

A text is read from left to right. Of what begins first, or of several at one place the first in the
order of the shapes, the part to hide becomes `[name]`, and reading goes on behind it. Each decision
looks at a bounded stretch only: that is why a stream can be masked as exactly as a whole text.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Mapping, Sequence
from functools import cache

from ragstone.telemetry.custom_patterns import own_shapes
from ragstone.telemetry.detectors import BEFORE_CHARS, OPEN_CHARS, PERSONAL, SECRETS, Find, Shape

_LAST_DIGIT = 0x1FBF9  # SEGMENTED DIGIT NINE, the last decimal digit of Unicode 16


class Redactor:
    """Hides secrets, personal data and what `patterns` name.

    Args:
        patterns: Regular expressions by the name that stands for what they match. They are of bounded width.

    Raises:
        ConfigurationError: a name or an expression is none that can be used; the message says why.
    """

    def __init__(self, patterns: Mapping[str, str] | None = None) -> None:
        self.shapes: tuple[Shape, ...] = (*SECRETS, *own_shapes(patterns or {}), *PERSONAL)

    def masked(self, text: str) -> str:
        """The text with `[email]`, `[card]` and so on in the place of what is hidden."""
        plain = _normalised(text)
        shapes = [shape for shape in self.shapes if shape.hint(plain)]
        return _Reading(shapes, text, plain).to(len(text) + 1) if shapes else text


class StreamMask:
    """Masks a text that comes in pieces: all it gives together is what `masked` gives for the whole text.

    It holds back only what more text could turn into something to hide: mostly the last word or number,
    never more than some hundred characters.
    """

    def __init__(self, redactor: Redactor) -> None:
        self._shapes = redactor.shapes
        self._before = ""
        self._held = ""
        self._endless: Shape | None = None

    def feed(self, piece: str) -> str:
        """What can be given to the reader now that `piece` has come."""
        self._held += piece
        self._pass_over_the_endless()
        if not self._held:
            return ""
        text = self._before + self._held
        reading = _Reading(self._shapes, text, _normalised(text), at=len(self._before))
        given = reading.to_what_is_open()
        self._endless = reading.endless
        self._keep(text, reading.at)
        return given

    def finish(self) -> str:
        """The rest, at the end of the text; the mask can be used for another text then."""
        text = self._before + self._held
        rest = _Reading(self._shapes, text, _normalised(text), at=len(self._before)).to(len(text) + 1)
        self._before, self._held, self._endless = "", "", None
        return rest

    def _pass_over_the_endless(self) -> None:
        if self._endless is None or self._endless.tail is None:
            return
        match = self._endless.tail.match(_normalised(self._held))
        end = match.end() if match else 0
        if end < len(self._held):
            self._endless = None
        self._keep(self._before + self._held, len(self._before) + end)

    def _keep(self, text: str, at: int) -> None:
        self._before, self._held = text[max(0, at - BEFORE_CHARS) : at], text[at:]


class _Reading:
    """One passage through a text, from `at` on."""

    def __init__(self, shapes: Sequence[Shape], text: str, plain: str, at: int = 0) -> None:
        self._text = text
        self._plain = plain
        self._shapes = shapes
        self._next: list[Find | None] = [shape.find(plain, at) for shape in shapes]
        self.at = at
        self.endless: Shape | None = None

    def to(self, end: int) -> str:
        """Read everything that begins before `end`."""
        parts: list[str] = []
        while self._step(end, parts):
            pass
        parts.append(self._text[self.at : end])
        self.at = max(self.at, min(end, len(self._text)))
        return "".join(parts)

    def to_what_is_open(self) -> str:
        """Read up to the first place from which more text may change what is seen."""
        given = ""
        while True:
            opens = self._first_open()
            before = self.at
            given += self.to(opens)
            if self.at <= opens or self.at == before:  # what was hidden may reach beyond; look again from there
                return given

    def _first_open(self) -> int:
        start = max(self.at, len(self._plain) - OPEN_CHARS)
        found = (shape.opening.search(self._plain, start) for shape in self._shapes)
        return min((match.start() for match in found if match), default=len(self._text))

    def _step(self, end: int, parts: list[str]) -> bool:
        found, shape = self._first()
        if found is None or found.begin >= end:
            return False
        parts += (self._text[self.at : found.start], f"[{shape.name}]")
        self.at = found.end
        self.endless = shape if shape.tail and found.end == len(self._text) else None
        return True

    def _first(self) -> tuple[Find | None, Shape]:
        first: Find | None = None
        whose = 0
        for number, shape in enumerate(self._shapes):
            found = self._next[number]
            if found is not None and found.begin < self.at:
                found = self._next[number] = shape.find(self._plain, self.at)
            if found is not None and (first is None or found.begin < first.begin):
                first, whose = found, number
        return first, self._shapes[whose]


def _normalised(text: str) -> str:
    """As long as `text`; where it is ASCII, itself."""
    return text if text.isascii() else text.translate(_plain_characters())


@cache
def _plain_characters() -> dict[int, str]:
    """Digits of every script, spaces and hyphens, each by the ASCII character that means the same."""
    plain = {code: str(unicodedata.decimal(chr(code))) for code in range(128, _LAST_DIGIT + 1) if chr(code).isdecimal()}
    plain |= dict.fromkeys((0xA0, *range(0x2000, 0x200B), 0x202F, 0x3000), " ")
    plain |= dict.fromkeys((*range(0x2010, 0x2016), 0x2212, 0xFF0D), "-")
    return plain | {0xFF20: "@", 0xFF0B: "+", 0xFF0E: ".", 0xFF1A: ":"}
