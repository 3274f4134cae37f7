"""Masks secrets and personal data in a whole text or in a stream.

A text is read from left to right. The earliest match wins, at one position the first detector in their
order; `[name]` replaces the part to hide, and reading continues behind it. Each decision reads a bounded
stretch of text, so a stream is masked exactly as the whole text would be.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Mapping, Sequence
from functools import cache

from ragstone.telemetry.custom_patterns import custom_detectors
from ragstone.telemetry.detectors import BEFORE_CHARS, OPEN_CHARS, PERSONAL, SECRETS, Detector, Find

_LAST_DIGIT = 0x1FBF9  # SEGMENTED DIGIT NINE, the last decimal digit of Unicode 16


class Redactor:
    """Masks secrets, personal data and matches of custom patterns.

    Args:
        patterns: Regular expressions of bounded width by the name that replaces their matches.

    Raises:
        ConfigurationError: a name or an expression is not allowed; the message names the reason.
    """

    def __init__(self, patterns: Mapping[str, str] | None = None) -> None:
        self.detectors: tuple[Detector, ...] = (*SECRETS, *custom_detectors(patterns or {}), *PERSONAL)

    def masked(self, text: str) -> str:
        """Mask a whole text: `[email]`, `[card]` and so on replace the matches."""
        plain = _normalised(text)
        detectors = [detector for detector in self.detectors if detector.hint(plain)]
        return _Reading(detectors, text, plain).to(len(text) + 1) if detectors else text


class StreamMask:
    """Masks a text in pieces; the concatenated output equals `Redactor.masked` of the whole text.

    It holds back what further text could turn into a match: mostly the last word or number, at most
    some hundred characters.
    """

    def __init__(self, redactor: Redactor) -> None:
        self._detectors = redactor.detectors
        self._before = ""
        self._held = ""
        self._endless: Detector | None = None

    def feed(self, piece: str) -> str:
        """Add a piece of text and return the masked text that is final."""
        self._held += piece
        self._pass_over_the_endless()
        if not self._held:
            return ""
        text = self._before + self._held
        reading = _Reading(self._detectors, text, _normalised(text), at=len(self._before))
        given = reading.to_what_is_open()
        self._endless = reading.endless
        self._keep(text, reading.at)
        return given

    def finish(self) -> str:
        """Return the rest at the end of the text, and reset the mask for another text."""
        text = self._before + self._held
        rest = _Reading(self._detectors, text, _normalised(text), at=len(self._before)).to(len(text) + 1)
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
    """One pass through a text from position `at`."""

    def __init__(self, detectors: Sequence[Detector], text: str, plain: str, at: int = 0) -> None:
        self._text = text
        self._plain = plain
        self._detectors = detectors
        self._next: list[Find | None] = [detector.find(plain, at) for detector in detectors]
        self.at = at
        self.endless: Detector | None = None

    def to(self, end: int) -> str:
        """Mask all matches that begin before `end`; return the text up to there."""
        parts: list[str] = []
        while self._step(end, parts):
            pass
        parts.append(self._text[self.at : end])
        self.at = max(self.at, min(end, len(self._text)))
        return "".join(parts)

    def to_what_is_open(self) -> str:
        """Mask up to the first position where further text could change the result."""
        given = ""
        while True:
            opens = self._first_open()
            before = self.at
            given += self.to(opens)
            if self.at <= opens or self.at == before:  # a match can reach beyond; search again from there
                return given

    def _first_open(self) -> int:
        start = max(self.at, len(self._plain) - OPEN_CHARS)
        found = (detector.opening.search(self._plain, start) for detector in self._detectors)
        return min((match.start() for match in found if match), default=len(self._text))

    def _step(self, end: int, parts: list[str]) -> bool:
        found, detector = self._first()
        if found is None or found.begin >= end:
            return False
        parts += (self._text[self.at : found.start], f"[{detector.name}]")
        self.at = found.end
        self.endless = detector if detector.tail and found.end == len(self._text) else None
        return True

    def _first(self) -> tuple[Find | None, Detector]:
        first: Find | None = None
        index = 0
        for number, detector in enumerate(self._detectors):
            found = self._next[number]
            if found is not None and found.begin < self.at:
                found = self._next[number] = detector.find(self._plain, self.at)
            if found is not None and (first is None or found.begin < first.begin):
                first, index = found, number
        return first, self._detectors[index]


def _normalised(text: str) -> str:
    """Normalise digits, spaces and hyphens to ASCII; the length is unchanged."""
    return text if text.isascii() else text.translate(_plain_characters())


@cache
def _plain_characters() -> dict[int, str]:
    """Translation table of non-ASCII digits, spaces and hyphens to ASCII."""
    plain = {code: str(unicodedata.decimal(chr(code))) for code in range(128, _LAST_DIGIT + 1) if chr(code).isdecimal()}
    plain |= dict.fromkeys((0xA0, *range(0x2000, 0x200B), 0x202F, 0x3000), " ")
    plain |= dict.fromkeys((*range(0x2010, 0x2016), 0x2212, 0xFF0D), "-")
    return plain | {0xFF20: "@", 0xFF0B: "+", 0xFF0E: ".", 0xFF1A: ":"}
