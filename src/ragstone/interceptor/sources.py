"""Sources as the reader sees them: markers in the text, a list at its end, annotations beside it.

A marker such as [2] names the passage with that number. The list is Markdown that any
client shows, and that is taken out again when the client sends the answer back, since a
model that sees lists of sources begins to write its own. Titles come from documents, so
nothing in them is taken for Markdown, HTML or an address.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote

from ragstone.generation.markers import Marker, markers
from ragstone.generation.prompts import one_line
from ragstone.vocabulary import Citation, Passage

Linker = Callable[[Passage], str | None]
"""Makes the address of a passage's document; None where there is none."""

HEADING = "\n\n**Sources**\n"
MAX_TITLE_CHARS = 120  # about one line
MAX_SCANNED_CHARS = 250_000  # an answer has some thousand, the longest models' about so many; the rest is not looked at
INDENT = 3  # more spaces than these before it, and a line is code: CommonMark 4.4
UNTITLED = "Untitled"

# Backslashes take away the meaning of these. Client-side plug-ins make links of addresses and HTML of directives
# whatever the backslashes; a space inside stops them.
_SPECIAL = re.compile(r"[\\`*_\[\]<>&$|~^]|:(?=\w)")
_ADDRESS = re.compile(r"(?P<before>:|\bwww)(?=//|\.)|(?=@)", re.IGNORECASE)
_PRIVATE_USE = re.compile("[\ue000-\uf8ff]")  # LibreChat's own citations
_TARGET = re.compile(r"https?://[^/]|/(?!/)", re.IGNORECASE)
_URL_CHARS = "%/:?#@!$&'*+,;=-._~"
_LINE = re.compile(
    r"\[\d{1,3}\] (?:\[(?:\\.|[^\\\[\]\n])+\]\([^\s()<>]+\)|(?:\\.|:(?!\w|//)|[^\\`*_\[\]<>&$|~^:\n])+)(?:\n|\Z)"
)
_LINE_NUMBER = re.compile(r"^\[(\d{1,3})\]", re.MULTILINE)


@dataclass(frozen=True, slots=True)
class ChatSource:
    """Passage `number` of an answer, and where it is from; `start`/`end` is its span in the document."""

    number: int
    title: str
    page: int | None
    heading: str
    url: str | None
    document_id: str
    version: int
    start: int
    end: int


def own_url(passage: Passage) -> str | None:
    """The URL that a passage's document has by itself; None where its source is no URL."""
    return passage.source if passage.source.startswith(("https://", "http://")) else None


def sources_of(passages: Sequence[Passage], link: Linker) -> tuple[ChatSource, ...]:
    """The source of each passage, numbered from 1 in their order."""
    return tuple(_source(number, passage, link(passage)) for number, passage in enumerate(passages, start=1))


def _source(number: int, passage: Passage, url: str | None) -> ChatSource:
    chunk = passage.chunk
    return ChatSource(
        number=number,
        title=one_line(passage.title),
        page=chunk.page_first,
        heading=one_line(" > ".join(chunk.heading_path)),
        url=_safe_url(url),
        document_id=chunk.document_id,
        version=chunk.version,
        start=chunk.start,
        end=chunk.end,
    )


def cited(text: str, count: int) -> tuple[int, ...]:
    """The passages among the `count` that a text cites, in the order of their first markers."""
    numbers = (number for marker in _citing(text[:MAX_SCANNED_CHARS]) for number in marker.numbers)
    return tuple(dict.fromkeys(number for number in numbers if 1 <= number <= count))


def source_list(sources: Sequence[ChatSource], cited: Collection[int]) -> str:
    """The end of an answer that cites these numbers; nothing where it cites none."""
    lines = [_line(source) for source in sources if source.number in cited]
    return HEADING + "\n".join(lines) if lines else ""


def without_source_list(text: str) -> str:
    """`text` without the list that `source_list` put at its end; any other text stays as it is."""
    return _parted(text)[0]


def without_markers(text: str, numbers: Collection[int]) -> str:
    """`text` without the markers of these numbers, and the space before them, up to `MAX_SCANNED_CHARS`."""
    kept, place = [], 0
    for marker in _citing(text[:MAX_SCANNED_CHARS]):
        others = [number for number in marker.numbers if number not in numbers]
        if len(others) < len(marker.numbers):
            space = " " if others and text[marker.start] == " " else ""
            kept += [text[place : marker.start], space, *(f"[{number}]" for number in others)]
            place = marker.end
    return "".join((*kept, text[place:]))


def without_sources(text: str) -> str:
    """An earlier answer without our list, and without the markers that it explains."""
    said, numbers = _parted(text)
    return without_markers(said, numbers) if numbers else text


def listed(text: str) -> frozenset[int]:
    """The numbers in our list at the end of a text."""
    return _parted(text)[1]


def url_citations(text: str, citations: Sequence[Citation], sources: Sequence[ChatSource]) -> list[dict[str, Any]]:
    """The citations as OpenAI's API has them: each sentence and the address of what bears it out."""
    linked = {source.number: source for source in sources if source.url}
    spans = ((one.marker, one.answer_start, one.answer_end) for one in citations)
    return [
        _annotation(linked[number], start, min(end, len(text)))
        for number, start, end in dict.fromkeys(spans)
        if number in linked and 0 <= start < min(end, len(text))
    ]


def marker_annotations(text: str, sources: Sequence[ChatSource]) -> list[dict[str, Any]]:
    """As `url_citations`, for an answer whose sentences are not checked: the spans are those of the markers."""
    linked = {source.number: source for source in sources if source.url}
    return [
        _annotation(linked[number], marker.start + (text[marker.start] == " "), marker.end)
        for marker in _citing(text)
        for number in dict.fromkeys(marker.numbers)
        if number in linked
    ]


def _citing(text: str) -> Iterator[Marker]:
    """The markers of a text, but for what names a reference: `[1]: …` at the start of a line."""
    return (marker for marker in markers(text) if not _names_a_reference(text, marker))


def _names_a_reference(text: str, marker: Marker) -> bool:
    if not text.startswith(":", marker.end):
        return False
    before = text[max(0, marker.start - INDENT - 1) : marker.start].rstrip(" ")
    return before.endswith("\n") or (not before and marker.start <= INDENT)


def _parted(text: str) -> tuple[str, frozenset[int]]:
    """What comes before our list at the end of a text, and the numbers in it."""
    begin = text.rfind(HEADING)
    if begin < 0:
        return text, frozenset()
    first = place = begin + len(HEADING)
    end = len(text.rstrip())
    while line := _LINE.match(text, place, end):
        place = line.end()
    if place == first or place < end:
        return text, frozenset()
    return text[:begin], frozenset(int(number) for number in _LINE_NUMBER.findall(text, first))


def _line(source: ChatSource) -> str:
    label = _label(source.title) + (f", p. {source.page}" if source.page is not None else "")
    return f"[{source.number}] [{label}]({source.url})" if source.url else f"[{source.number}] {label}"


def _label(title: str) -> str:
    """A title that is nothing but text wherever it is shown."""
    text = one_line(_PRIVATE_USE.sub("", title))
    cut = text if len(text) <= MAX_TITLE_CHARS else text[: MAX_TITLE_CHARS - 1].rstrip() + "…"
    return _SPECIAL.sub(r"\\\g<0>", _ADDRESS.sub(r"\g<before> ", cut)) or UNTITLED


def _safe_url(url: str | None) -> str | None:
    """An address that cannot end the link early; None for what a browser would run rather than open."""
    return quote(url, safe=_URL_CHARS, errors="replace") if url and _TARGET.match(url) else None


def _annotation(source: ChatSource, start: int, end: int) -> dict[str, Any]:
    cited = {"url": source.url, "title": source.title or UNTITLED, "start_index": start, "end_index": end}
    return {"type": "url_citation", "url_citation": cited}
