"""Draws docs/architecture.svg from the code: floors from pyproject.toml, packages and arrows from the imports.

    make picture

A row is a floor of the import contract, a box a package with its modules and lines. An arrow leads to a package that
is imported. Left out are arrows to the lowest floor, which most packages use, and those that other arrows imply.
"""

from __future__ import annotations

import tomllib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from html import escape
from pathlib import Path

import grimp

REPOSITORY = Path(__file__).resolve().parent.parent
SOURCE = REPOSITORY / "src" / "ragstone"
PICTURE = REPOSITORY / "docs" / "architecture.svg"
PACKAGE = "ragstone"

# Lengths in pixels of the picture at its own size.
WIDTH = 1120
MARGIN = 28
BOX_WIDTH = 172
BOX_HEIGHT = 50
GAP_X = 26
GAP_Y = 34
NOTE_HEIGHT = 24
BEND = 0.55
"""How far down an arrow goes straight, as a share of its height."""

SHAPES = """
.name { font-weight: 600; font-size: 15px } .size { font-size: 12px }
.arrow { fill: none; stroke-width: 1.1 }
text { font-family: system-ui, "Segoe UI", "DejaVu Sans", sans-serif; text-anchor: middle }
"""
LIGHT = """
.paper { fill: #ffffff } .row { fill: #f1f4f8 } .box { fill: #ffffff; stroke: #8593a6 }
.name { fill: #1b2430 } .size { fill: #566374 } .arrow { stroke: #7a8ca5 } .head { fill: #7a8ca5 }
"""
DARK = """
.paper { fill: #14181e } .row { fill: #1b2129 } .box { fill: #262e39; stroke: #5f6e82 }
.name { fill: #e8edf3 } .size { fill: #a9b5c4 } .arrow { stroke: #72859f } .head { fill: #72859f }
"""
HEAD = """<defs>
<marker id="head" viewBox="0 0 8 8" refX="7" refY="4" markerWidth="7" markerHeight="7" orient="auto">
<path class="head" d="M0 0L8 4L0 8z"/></marker>
</defs>"""
NOTE = "An arrow is an import. Not drawn: imports of the lowest floor, and those that other arrows imply."
STYLE = f"{SHAPES}{LIGHT}@media (prefers-color-scheme: dark) {{{DARK}}}\n"


@dataclass(frozen=True, slots=True)
class Box:
    """A package on its floor; `x` and `y` are those of its upper left corner."""

    name: str
    modules: int
    lines: int
    purpose: str
    x: float = 0.0
    y: float = 0.0


def floors() -> list[list[str]]:
    """The packages of each floor, the uppermost first, as the first import contract has them."""
    settings = tomllib.loads((REPOSITORY / "pyproject.toml").read_text(encoding="utf-8"))
    layers = settings["tool"]["importlinter"]["contracts"][0]["layers"]
    return [[name.strip() for name in layer.split("|")] for layer in layers]


def files(package: str) -> list[Path]:
    """The modules of a package, or the module of that name."""
    single = SOURCE / f"{package}.py"
    return [single] if single.is_file() else sorted((SOURCE / package).rglob("*.py"))


def box(package: str) -> Box:
    """What there is to say about a package: lines as wc counts them, and the first line of its docstring."""
    sources = [file.read_text(encoding="utf-8") for file in files(package)]
    purpose = sources[0].strip().removeprefix('"""').split('"""')[0].split("\n")[0]
    return Box(package, len(sources), sum(source.count("\n") for source in sources), purpose)


def imports() -> dict[str, set[str]]:
    """Which packages each package imports, also inside functions."""
    graph = grimp.build_graph(PACKAGE, cache_dir=None)
    names = {name for floor in floors() for name in floor}
    found: dict[str, set[str]] = {name: set() for name in names}
    for module in graph.modules:
        for imported in graph.find_modules_directly_imported_by(module):
            one, other = _package(module), _package(imported)
            if one != other and {one, other} <= names:
                found[one].add(other)
    return found


def _package(module: str) -> str:
    return f"{module}.".split(".")[1]


def needed(arrows: Mapping[str, set[str]]) -> list[tuple[str, str]]:
    """The arrows that no chain of others replaces, sorted."""

    @cache
    def below(name: str) -> frozenset[str]:
        return frozenset(arrows[name]).union(*(below(other) for other in arrows[name]))

    return sorted(
        (one, other)
        for one, others in arrows.items()
        for other in others
        if not any(other in below(third) for third in others - {other})
    )


def placed() -> dict[str, Box]:
    """All boxes: each floor in a row, in the middle."""
    boxes = {}
    for number, floor in enumerate(floors()):
        row_width = len(floor) * (BOX_WIDTH + GAP_X) - GAP_X
        for place, name in enumerate(floor):
            plain = box(name)
            x = (WIDTH - row_width) / 2 + place * (BOX_WIDTH + GAP_X)
            y = MARGIN + number * (BOX_HEIGHT + GAP_Y)
            boxes[name] = Box(plain.name, plain.modules, plain.lines, plain.purpose, x, y)
    return boxes


def rounded(lines: int) -> str:
    """A number of lines as people say it, so that the picture does not change with each line: `2.1k`."""
    return f"{max(lines, 50) / 1000:.1f}k"


def total() -> str:
    """The size of the whole package, with the two modules that stand on no floor: `__init__` and `__main__`."""
    sources = [file.read_text(encoding="utf-8") for file in SOURCE.rglob("*.py")]
    return f"In all: {len(sources)} modules, {rounded(sum(source.count(chr(10)) for source in sources))} lines."


def drawn_box(this: Box) -> str:
    """A box with its name and size; its purpose shows where the pointer rests."""
    middle = this.x + BOX_WIDTH / 2
    modules = "1 module" if this.modules == 1 else f"{this.modules} modules"
    return (
        f"<g><title>{escape(this.purpose)}</title>"
        f'<rect class="box" x="{this.x:g}" y="{this.y:g}" width="{BOX_WIDTH}" height="{BOX_HEIGHT}" rx="7"/>'
        f'<text class="name" x="{middle:g}" y="{this.y + 21:g}">{this.name}</text>'
        f'<text class="size" x="{middle:g}" y="{this.y + 39:g}">{modules} · {rounded(this.lines)} lines</text></g>'
    )


def drawn_arrow(one: Box, other: Box, *, leaves: float, arrives: float) -> str:
    """A curve from the lower edge of one box to the upper edge of another; places are shares of the width."""
    x1, y1 = one.x + BOX_WIDTH * leaves, one.y + BOX_HEIGHT
    x2, y2 = other.x + BOX_WIDTH * arrives, other.y - 2
    bend = max(GAP_Y, (y2 - y1)) * BEND
    path = f"M{x1:.1f} {y1:.1f}C{x1:.1f} {y1 + bend:.1f} {x2:.1f} {y2 - bend:.1f} {x2:.1f} {y2:.1f}"
    return f'<path class="arrow" d="{path}" marker-end="url(#head)"/>'


def drawn_arrows(boxes: Mapping[str, Box]) -> Iterator[str]:
    """Arrows that leave or reach a box at places of their own, in the order of where they come from and go to."""
    lowest = set(floors()[-1])
    arrows = needed({one: others - lowest for one, others in imports().items()})
    for one, other in arrows:
        leaving = sorted((end for start, end in arrows if start == one), key=lambda name: boxes[name].x)
        arriving = sorted((start for start, end in arrows if end == other), key=lambda name: boxes[name].x)
        leaves = (leaving.index(other) + 1) / (len(leaving) + 1)
        arrives = (arriving.index(one) + 1) / (len(arriving) + 1)
        yield drawn_arrow(boxes[one], boxes[other], leaves=leaves, arrives=arrives)


def picture() -> str:
    """The whole SVG."""
    boxes = placed()
    height = 2 * MARGIN + len(floors()) * (BOX_HEIGHT + GAP_Y) - GAP_Y + NOTE_HEIGHT
    size = f'viewBox="0 0 {WIDTH} {height}" width="{WIDTH}" height="{height}"'
    rows = [
        f'<rect class="row" x="10" y="{y - 9:g}" width="{WIDTH - 20}" height="{BOX_HEIGHT + 18}" rx="10"/>'
        for y in sorted({each.y for each in boxes.values()})
    ]
    return "\n".join(
        [
            f'<svg xmlns="http://www.w3.org/2000/svg" {size}>',
            "<title>The packages of Ragstone: imports go down only</title>",
            f"<style>{STYLE}</style>",
            HEAD,
            f'<rect class="paper" width="{WIDTH}" height="{height}"/>',
            *rows,
            *drawn_arrows(boxes),
            *(drawn_box(each) for each in boxes.values()),
            f'<text class="size" x="{WIDTH / 2:g}" y="{height - MARGIN / 2:g}">{NOTE} {total()}</text>',
            "</svg>",
            "",
        ]
    )


def main() -> None:
    """Write the picture."""
    PICTURE.write_text(picture(), encoding="utf-8")


if __name__ == "__main__":
    main()
