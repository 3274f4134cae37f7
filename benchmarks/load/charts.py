"""Line and bar charts as inline SVG: pure functions from numbers to text, without scripts.

Colours are classes of the page's style sheet, so a chart follows light and dark mode. Each chart has
a title and a description for screen readers; the page also shows the numbers as a table.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from html import escape

WIDTH, HEIGHT = 760, 240  # units of the view box; the page scales them
LEFT, RIGHT, TOP, BOTTOM = 56, 84, 12, 30  # room for the numbers, the names at the end of lines, and the seconds
TICKS = 4
NAME_GAP = 15  # least distance of two names at the right, in units

Value = float | None


@dataclass(frozen=True, slots=True)
class Series:
    """Named series: the class of its colour and a value per moment, None where it is missing."""

    name: str
    colour: str
    values: Sequence[Value]


@dataclass(frozen=True, slots=True)
class Axes:
    """Axes of a chart over time: `moments` in seconds, `unit` of the values, `top` of the value axis."""

    title: str
    about: str
    moments: Sequence[float]
    end_s: float
    unit: str
    top: float

    def x(self, moment_s: float) -> float:
        """Horizontal position of a moment."""
        return LEFT + (WIDTH - LEFT - RIGHT) * moment_s / self.end_s

    def y(self, value: float) -> float:
        """Vertical position of a value."""
        return HEIGHT - BOTTOM - (HEIGHT - TOP - BOTTOM) * value / self.top


def axes(title: str, about: str, moments: Sequence[float], end_s: float, unit: str, most: float) -> Axes:
    """Create axes whose top is a round number at or above `most`."""
    return Axes(title, about, moments, end_s, unit, round_up(most))


def round_up(most: float) -> float:
    """Round up to 1, 2, 4, 5, 8 or 10 times a power of ten, so that quarters of it are round too."""
    if most <= 0 or not math.isfinite(most):
        return 1.0
    power = 10.0 ** math.floor(math.log10(most))
    return next(step * power for step in (1, 2, 4, 5, 8, 10) if step * power >= most * 0.999999)


def lines(base: Axes, series: Sequence[Series]) -> str:
    """Line chart; each line has its name at its end and a labelled dot per moment."""
    parts = [part for one in series for part in _line(base, one)]
    return _picture(base, [*parts, *_names(base, series)])


def bars(base: Axes, series: Series) -> str:
    """Bar chart; each moment is the middle of its bar."""
    step = base.moments[1] - base.moments[0] if len(base.moments) > 1 else base.end_s
    width = max(2.0, base.x(step) - base.x(0.0) - 2.0)
    parts = []
    for moment, value in zip(base.moments, series.values, strict=True):
        if value:
            y = base.y(value)
            parts.append(
                f'<rect class="{series.colour} fill" x="{base.x(moment) - width / 2:.1f}" y="{y:.1f}" '
                f'width="{width:.1f}" height="{HEIGHT - BOTTOM - y:.1f}" rx="2">'
                f"<title>{moment:.1f} s: {number(value)} {escape(series.name)}</title></rect>"
            )
    return _picture(base, parts)


def number(value: float) -> str:
    """Format a value with three significant digits."""
    if value >= 100 or value == int(value):
        return f"{value:,.0f}"
    return f"{value:.3g}"


def _line(base: Axes, series: Series) -> list[str]:
    parts = []
    for run in _runs(base, series.values):
        if len(run) > 1:
            path = " ".join(f"{x:.1f},{y:.1f}" for x, y in run)
            parts.append(f'<polyline class="{series.colour} line" points="{path}"/>')
    for moment, value in zip(base.moments, series.values, strict=True):
        if value is not None:
            words = f"{moment:.1f} s: {series.name} {number(value)} {base.unit}"
            parts.append(
                f'<circle class="{series.colour} dot" cx="{base.x(moment):.1f}" cy="{base.y(value):.1f}" r="2.5">'
                f"<title>{escape(words)}</title></circle>"
            )
    return parts


def _runs(base: Axes, values: Sequence[Value]) -> list[list[tuple[float, float]]]:
    """Points of a line, split where a value is missing."""
    runs: list[list[tuple[float, float]]] = [[]]
    for moment, value in zip(base.moments, values, strict=True):
        if value is None:
            runs.append([])
        else:
            runs[-1].append((base.x(moment), base.y(value)))
    return runs


def _names(base: Axes, series: Sequence[Series]) -> list[str]:
    """Name of each line beside its last value, moved apart where they would overlap."""
    ends = []
    for one in series:
        last = next((value for value in reversed(one.values) if value is not None), None)
        if last is not None:
            ends.append((base.y(last), one))
    parts, lowest = [], HEIGHT - BOTTOM + 4.0
    for y, one in sorted(ends, key=lambda end: -end[0]):
        lowest = min(y + 4.0, lowest)
        place = f'x="{WIDTH - RIGHT + 20}" y="{lowest:.1f}"'
        mark = f'x="{WIDTH - RIGHT + 6}" y="{lowest - 8:.1f}"'
        parts.append(f'<rect class="{one.colour} fill" {mark} width="10" height="4" rx="2"/>')
        parts.append(f'<text class="name" {place}>{escape(one.name)}</text>')
        lowest -= NAME_GAP
    return parts


def _picture(base: Axes, parts: Sequence[str]) -> str:
    title, about = escape(base.title), escape(base.about)
    # An id has no blanks and is unique on the page.
    name = "".join(character for character in base.title.lower() if character.isalnum())
    return (
        f'<svg viewBox="0 0 {WIDTH} {HEIGHT}" role="img" aria-labelledby="{name}-title {name}-about">'
        f'<title id="{name}-title">{title}</title><desc id="{name}-about">{about}</desc>'
        + "".join(_grid(base))
        + "".join(parts)
        + "</svg>"
    )


def _grid(base: Axes) -> list[str]:
    parts = []
    for step in range(TICKS + 1):
        value, moment = base.top * step / TICKS, base.end_s * step / TICKS
        y, x = base.y(value), base.x(moment)
        unit = f" {base.unit}" if step == TICKS else ""
        anchor = "start" if step == 0 else "middle"
        parts.append(f'<line class="grid" x1="{LEFT}" x2="{WIDTH - RIGHT}" y1="{y:.1f}" y2="{y:.1f}"/>')
        parts.append(
            f'<text class="tick" x="{LEFT - 6}" y="{y + 4:.1f}" text-anchor="end">{number(value)}{unit}</text>'
        )
        parts.append(
            f'<text class="tick" x="{x:.1f}" y="{HEIGHT - 8}" text-anchor="{anchor}">{number(moment)} s</text>'
        )
    return parts
