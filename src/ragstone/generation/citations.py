"""Citations: each claim of an answer, checked against the passages that its markers name.

What the check of one claim finds is in `ragstone.generation.verification`.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from ragstone.documents.inline import plain_text
from ragstone.documents.sentences import sentences
from ragstone.generation.verification import Evidence, Judge, Verification, settle
from ragstone.vocabulary import Citation, Passage

_MARKERS = re.compile(r"(?:[ ]?\[\d{1,3}\])+")
_STOPS = tuple(".!?。！？।")
_NUMBER = re.compile(r"\d+")


@dataclass(frozen=True, slots=True)
class Claim:
    """The claim `text[start:end]` of an answer, with the markers that follow it."""

    start: int
    end: int
    markers: tuple[int, ...]


def claims(text: str) -> tuple[Claim, ...]:
    """The claims of an answer in order: its sentences, split again at markers inside them.

    Code, headings and the head of a table are no claims, nor is text without a letter or digit, nor what says that
    something was left out.
    """
    return tuple(
        claim
        for unit in sentences(text)
        if unit.kind not in ("code", "heading") and not unit.header and not text.startswith("…", unit.start)
        for claim in _within(text, unit.start, unit.end)
    )


def cite(text: str, passages: Sequence[Passage], judge: Judge | None = None) -> tuple[tuple[Citation, ...], int]:
    """Check each claim of an answer against the passages its markers name; blocks while the judge works.

    Returns:
        The citations in the order of the text, and how many claims carry no marker.
    """
    evidence: dict[int, Evidence] = {}
    cited: list[tuple[Claim, int]] = []
    uncited = 0
    for claim in claims(text):
        known = [marker for marker in claim.markers if 1 <= marker <= len(passages)]
        uncited += not known
        cited += [(claim, marker) for marker in known]
        evidence |= {marker: _evidence(passages[marker - 1]) for marker in known if marker not in evidence}
    examined = [
        evidence[marker].examine(_without_name(text[one.start : one.end], passages[marker - 1]))
        for one, marker in cited
    ]
    checked = settle(examined, judge)
    found = (
        _citation(claim, marker, passages[marker - 1], result)
        for (claim, marker), result in zip(cited, checked, strict=True)
    )
    return tuple(found), uncited


def cited_as(sentence: str, marker: int) -> str:
    """One sentence with its marker before the full stop."""
    text = " ".join(_MARKERS.sub("", sentence).split())
    stop = text[-1:] if text.endswith(_STOPS) else ""
    return f"{text[: len(text) - len(stop)].rstrip()} [{marker}]{stop or '.'}"


def _within(text: str, start: int, end: int) -> Iterator[Claim]:
    """The claims of one sentence: what stands before each group of markers, and the rest."""
    for group in _MARKERS.finditer(text, start, end):
        if _says_something(text[start : group.start()]):
            yield Claim(start, _with_stop(text, group.end(), end), tuple(map(int, _NUMBER.findall(group[0]))))
        start = _with_stop(text, group.end(), end)
        start += len(text[start:end]) - len(text[start:end].lstrip(" ,;"))
    if _says_something(text[start:end]):
        yield Claim(start, end, ())


def _with_stop(text: str, place: int, end: int) -> int:
    """`place`, moved behind the full stop that closes the sentence after its marker."""
    return end if not _says_something(text[place:end]) else place


def _says_something(text: str) -> bool:
    return any(letter.isalnum() for letter in text)


def _without_name(said: str, passage: Passage) -> str:
    """A claim like `Pump P-7 › specs — weight: 41 kg` without the title and headings of the passage before the dash."""
    before, dash, rest = said.partition(" — ")
    names = {passage.title, *(name for heading in passage.chunk.headings for name in heading.path)}
    return rest if dash and names.issuperset(map(plain_text, before.split(" › "))) else said


def _evidence(passage: Passage) -> Evidence:
    chunk = passage.chunk
    return Evidence(chunk.text, passage.title, chunk.heading_path, chunk.table_header)


def _citation(claim: Claim, marker: int, passage: Passage, checked: Verification) -> Citation:
    chunk = passage.chunk
    return Citation(
        marker=marker,
        document_id=chunk.document_id,
        version=chunk.version,
        title=passage.title,
        source=passage.source,
        heading_path=chunk.heading_path_at(chunk.start + checked.start),
        page=chunk.page_at(chunk.start + checked.start),
        start=chunk.start + checked.start,
        end=chunk.start + checked.end,
        quote=chunk.text[checked.start : checked.end],
        answer_start=claim.start,
        answer_end=claim.end,
        verdict=checked.verdict,
        score=round(checked.score, 4),
    )
