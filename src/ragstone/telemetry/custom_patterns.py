r"""Custom patterns of an operator: parser of a safe subset of regular expressions.

The subset has characters, classes, groups, `|`, `?`, `{n}`, `{m,n}` and `\b`, and no `*`, `+`, look-around or
reference. So each match has a maximum width, and the parser counts the ways to match before it accepts a pattern.
It also derives a pattern for every prefix of a match, so that a stream is masked before a match is complete.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, replace

from ragstone.errors import ConfigurationError
from ragstone.telemetry.detectors import Detector, opening_pattern

MAX_PATTERNS = 50
MAX_PATTERN_CHARS = 500
MAX_WIDTH = 128  # characters of a match; a stream holds back as many
MIN_WIDTH = 2
MAX_WAYS = 1000  # ways to match at one position: bounds the work for a hostile text
_NAME = re.compile(r"[a-z][a-z0-9_]{0,31}")
_ATOM = re.compile(r"\\[bBdDsSwW]|\\[^\w\s]|\\[tnr]|\[\^?\]?(?:\\.|[^\]\\])+\]|[^\\\[\](){}|*+?^$]")
_TIMES = re.compile(r"\{(\d{1,3})(?:,(\d{1,3}))?\}|\?")


@dataclass(frozen=True, slots=True)
class _Part:
    r"""A parsed piece of an expression.

    `inner` is the source without `\b`; `opening` matches each beginning of a match; `least` and `most` are widths in
    characters; `ways` counts the ways to match.
    """

    source: str
    inner: str
    opening: str
    least: int
    most: int
    ways: int


def custom_detectors(patterns: Mapping[str, str]) -> list[Detector]:
    """Create the detectors of custom patterns.

    Raises:
        ConfigurationError: a name or an expression is not allowed; the message names the reason.
    """
    if len(patterns) > MAX_PATTERNS:
        raise ConfigurationError(f"There are {len(patterns)} custom patterns; at most {MAX_PATTERNS} are allowed.")
    return [_detector(name, pattern) for name, pattern in patterns.items()]


def _detector(name: str, pattern: str) -> Detector:
    if not _NAME.fullmatch(name):
        raise ConfigurationError(
            f"{name[:40]!r} is not a valid pattern name. Use lower-case letters, digits and _, such as customer_number."
        )
    if len(pattern) > MAX_PATTERN_CHARS:
        raise _refused(name, f"it is longer than {MAX_PATTERN_CHARS} characters")
    part, at = _alternatives(name, pattern, 0)
    if at < len(pattern):
        raise _refused(name, f"the ) at character {at + 1} has no opening (")
    if part.ways > MAX_WAYS:
        raise _refused(name, f"it can match in more than {MAX_WAYS} ways at one position. Use {{n}} instead of {{m,n}}")
    if part.least < MIN_WIDTH or part.most > MAX_WIDTH:
        raise _refused(
            name, f"a match has {part.least} to {part.most} characters; {MIN_WIDTH} to {MAX_WIDTH} are allowed"
        )
    try:
        whole = re.compile(part.source)
        opening = opening_pattern(part.opening)
    except re.error as error:
        raise _refused(name, str(error)) from error
    return Detector(name=name, whole=whole, opening=opening, hint=whole.search)


def _refused(name: str, why: str) -> ConfigurationError:
    return ConfigurationError(f"The pattern {name!r} is not allowed: {why}. Correct RAGSTONE_PRIVACY__PATTERNS.")


def _alternatives(name: str, pattern: str, at: int) -> tuple[_Part, int]:
    """Parse the alternatives from `at` to the end of their group."""
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
    """Parse one character, class or group."""
    if pattern[at] == "(":
        begin = at + 3 if pattern.startswith("(?:", at) else at + 1
        inside, end = _alternatives(name, pattern, begin)
        if end >= len(pattern):
            raise _refused(name, f"the ( at character {at + 1} has no closing )")
        return replace(inside, source=f"(?:{inside.source})", inner=f"(?:{inside.inner})"), end + 1
    atom = _ATOM.match(pattern, at)
    if not atom:
        raise _refused(name, f"{pattern[at]!r} at character {at + 1} is not allowed; instead of + write {{1,20}}")
    source = atom.group()
    if source in (r"\b", r"\B"):  # the next character decides it
        return _Part(source, "", "", 0, 0, 1), atom.end()
    return _Part(source, source, f"{source}?", 1, 1, 1), atom.end()


def _repeated(name: str, part: _Part, pattern: str, at: int) -> tuple[_Part, int]:
    times = _TIMES.match(pattern, at)
    if not times:
        return part, at
    least, most = (0, 1) if times.group() == "?" else (int(times[1]), int(times[2] or times[1]))
    if least > most or most < 1 or most > MAX_WIDTH or part.most == 0:
        raise _refused(name, f"{times.group()} at character {at + 1} is not an allowed repetition")
    again = _Part(
        part.source + times.group(),
        part.inner + times.group(),
        f"(?:{part.inner}){{0,{most - 1}}}(?:{part.opening})",
        least * part.least,
        most * part.most,
        min((most - least + 1) * part.ways**most, 10 * MAX_WAYS),
    )
    return again, times.end()
