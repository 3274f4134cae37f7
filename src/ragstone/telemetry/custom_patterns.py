r"""Patterns that an operator adds: a part of regular expressions, small enough to be safe by construction.

Characters, classes, groups, `|`, `?`, `{n}` and `{m,n}`, and `\b`. There is no `*`, no `+`, no look-around and no
reference: what matches has a largest width, and the ways to match it are counted before it is used.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, replace

from ragstone.errors import ConfigurationError
from ragstone.telemetry.detectors import Shape, at_the_end

MAX_PATTERNS = 50
MAX_PATTERN_CHARS = 500
MAX_WIDTH = 128  # characters of a match; so many a stream may hold back for it
MIN_WIDTH = 2
MAX_WAYS = 1000  # ways one expression can match at one place: what a hostile text can make it try
_NAME = re.compile(r"[a-z][a-z0-9_]{0,31}")
_ATOM = re.compile(r"\\[bBdDsSwW]|\\[^\w\s]|\\[tnr]|\[\^?\]?(?:\\.|[^\]\\])+\]|[^\\\[\](){}|*+?^$]")
_TIMES = re.compile(r"\{(\d{1,3})(?:,(\d{1,3}))?\}|\?")


@dataclass(frozen=True, slots=True)
class _Part:
    r"""A piece of an expression.

    `inner` is its source without `\b`; `opening` matches each of its beginnings; then its widths, and the ways it
    can match.
    """

    source: str
    inner: str
    opening: str
    least: int
    most: int
    ways: int


def own_shapes(patterns: Mapping[str, str]) -> list[Shape]:
    """The shapes of an operator's patterns.

    Raises:
        ConfigurationError: a name or an expression is none that can be used; the message says why.
    """
    if len(patterns) > MAX_PATTERNS:
        raise ConfigurationError(f"There are {len(patterns)} patterns to hide; {MAX_PATTERNS} are possible.")
    return [_shape(name, pattern) for name, pattern in patterns.items()]


def _shape(name: str, pattern: str) -> Shape:
    if not _NAME.fullmatch(name):
        raise ConfigurationError(
            f"{name[:40]!r} is no name for a pattern to hide. Use small letters, digits and _, such as customer_number."
        )
    if len(pattern) > MAX_PATTERN_CHARS:
        raise _refused(name, f"it is longer than {MAX_PATTERN_CHARS} characters")
    part, at = _alternatives(name, pattern, 0)
    if at < len(pattern):
        raise _refused(name, f"there is no group that the ) at character {at + 1} ends")
    if part.ways > MAX_WAYS:
        raise _refused(name, f"it can match in too many ways at one place; {MAX_WAYS} are possible. Use {{n}} more")
    if part.least < MIN_WIDTH or part.most > MAX_WIDTH:
        raise _refused(
            name, f"what it matches has {part.least} to {part.most} characters; {MIN_WIDTH} to {MAX_WIDTH} are possible"
        )
    try:
        whole = re.compile(part.source)
        opening = at_the_end(part.opening)
    except re.error as error:
        raise _refused(name, str(error)) from error
    return Shape(name=name, whole=whole, opening=opening, hint=whole.search)


def _refused(name: str, why: str) -> ConfigurationError:
    return ConfigurationError(
        f"The pattern {name!r} to hide cannot be used: {why}. Correct RAGSTONE_PRIVACY__PATTERNS."
    )


def _alternatives(name: str, pattern: str, at: int) -> tuple[_Part, int]:
    """The alternatives from `at` to the end of their group."""
    parts: list[_Part] = []
    while True:
        part, at = _sequence(name, pattern, at)
        parts.append(part)
        if at >= len(pattern) or pattern[at] == ")":
            break
        at += 1  # the |
    return (
        _Part(
            "|".join(part.source for part in parts),
            "|".join(part.inner for part in parts),
            "|".join(part.opening for part in parts),
            min(part.least for part in parts),
            max(part.most for part in parts),
            sum(part.ways for part in parts),
        ),
        at,
    )


def _sequence(name: str, pattern: str, at: int) -> tuple[_Part, int]:
    parts: list[_Part] = []
    while at < len(pattern) and pattern[at] not in "|)":
        part, at = _piece(name, pattern, at)
        part, at = _repeated(name, part, pattern, at)
        parts.append(part)
    whole = _Part("", "", "", 0, 0, 1)
    for part in reversed(parts):
        whole = _Part(
            part.source + whole.source,
            part.inner + whole.inner,
            f"(?:{part.inner}(?:{whole.opening})|{part.opening})",
            part.least + whole.least,
            part.most + whole.most,
            part.ways * whole.ways,
        )
    return whole, at


def _piece(name: str, pattern: str, at: int) -> tuple[_Part, int]:
    """One character, class or group."""
    if pattern[at] == "(":
        begin = at + 3 if pattern.startswith("(?:", at) else at + 1
        inside, end = _alternatives(name, pattern, begin)
        if end >= len(pattern):
            raise _refused(name, f"the group that begins at character {at + 1} has no end")
        return replace(inside, source=f"(?:{inside.source})", inner=f"(?:{inside.inner})"), end + 1
    atom = _ATOM.match(pattern, at)
    if not atom:
        raise _refused(name, f"{pattern[at]!r} at character {at + 1} is not possible; instead of + write {{1,20}}")
    source = atom.group()
    if source in (r"\b", r"\B"):  # what comes next decides; so far it may be either
        return _Part(source, "", "", 0, 0, 1), atom.end()
    return _Part(source, source, f"{source}?", 1, 1, 1), atom.end()


def _repeated(name: str, part: _Part, pattern: str, at: int) -> tuple[_Part, int]:
    times = _TIMES.match(pattern, at)
    if not times:
        return part, at
    least, most = (0, 1) if times.group() == "?" else (int(times[1]), int(times[2] or times[1]))
    if least > most or most < 1 or most > MAX_WIDTH or part.most == 0:
        raise _refused(name, f"{times.group()} at character {at + 1} is no number of times that is possible")
    again = _Part(
        part.source + times.group(),
        part.inner + times.group(),
        f"(?:{part.inner}){{0,{most - 1}}}(?:{part.opening})",
        least * part.least,
        most * part.most,
        min((most - least + 1) * part.ways**most, 10 * MAX_WAYS),
    )
    return again, times.end()
