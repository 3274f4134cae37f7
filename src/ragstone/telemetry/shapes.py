"""What is looked for in text, and how a shape is described."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass

BEFORE_CHARS = 16
"""How far before its first character a shape looks, at most."""

OPEN_CHARS = 600
"""The width of an opening, at most; that of an e-mail address with its longest names is the largest."""


@dataclass(frozen=True, slots=True)
class Find:
    """A place in a text: `begin` is where it was recognised, `start` to `end` what is hidden."""

    begin: int
    start: int
    end: int


def to_the_end(_text: str, _start: int, end: int) -> int:
    """The check of a shape that needs none."""
    return end


@dataclass(frozen=True, slots=True, kw_only=True)
class Shape:
    """Something to hide.

    Args:
        name: What stands in its place, in brackets.
        whole: Matches it, in bounded width; the group `hide`, if there is one, is what is hidden.
        opening: Matches, at the end of a text only, whatever more text might turn into a match of `whole`, or might
            make longer or undo. It may match more than that, and is of bounded width.
        hint: Whether a text may have it; quick, and never wrongly no.
        check: Where what is hidden ends, given text, start and end; -1: it is nothing to hide.
        tail: What an endless shape goes on with behind `whole`, however long.
    """

    name: str
    whole: re.Pattern[str]
    opening: re.Pattern[str]
    hint: Callable[[str], object]
    check: Callable[[str, int, int], int] = to_the_end
    tail: re.Pattern[str] | None = None

    def find(self, text: str, at: int) -> Find | None:
        """The first one that begins at `at` or later; what is before `at` is looked at as well."""
        while match := self.whole.search(text, at):
            start, end = match.span("hide" if "hide" in self.whole.groupindex else 0)
            end = self.check(text, start, end)
            if end >= 0:
                return Find(match.start(), start, self._go_on(text, end))
            at = match.start() + 1
        return None

    def _go_on(self, text: str, end: int) -> int:
        rest = self.tail.match(text, end) if self.tail else None
        return rest.end() if rest else end


def beginnings(*words: str) -> str:
    """An expression for every beginning of the words, the whole ones included."""
    return "|".join(_beginnings(word) for word in words)


def _beginnings(word: str) -> str:
    rest = f"(?:{_beginnings(word[1:])})?" if len(word) > 1 else ""
    return re.escape(word[0]) + rest


def at_the_end(*openings: str, flags: int = 0) -> re.Pattern[str]:
    """An expression for any of the openings at the end of a text."""
    return re.compile(rf"(?:{'|'.join(openings)})\Z", flags)


def any_word(words: Sequence[str]) -> str:
    """An expression for the words themselves."""
    return "|".join(re.escape(word) for word in words)
