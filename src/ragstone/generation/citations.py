"""Citations: each claim of an answer, checked against the passages that its markers name.

The score of a claim against one to three adjoining sentences of a passage is

    coverage · (CONFLICT if they contradict each other else 1)

where `coverage` is the share of the claim's content terms (stems) found in those sentences. A
term found only in the passage's title, headings or other sentences counts half: it may be what a
"he" or "it" refers to. They contradict each other if

- a figure, unit or month of the claim is not there;
- a name of the claim is nowhere in the passage, or two names have changed places;
- one of them negates what the other states, or has the opposite word (rise, fall).

The check uses no model and no network. It does not know synonyms, and so doubts a free
paraphrase rather than trusts it. `benchmarks/verification.py` measures it; the numbers
are in docs/citations.md.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from ragstone.documents.sentences import sentences
from ragstone.generation.facts import Facts, facts, merged, opposed
from ragstone.vocabulary import Citation, Passage, Verdict

VERIFIED_AT = 0.6
"""The score from which a claim counts as verified: see the table in docs/citations.md."""

CONFLICT = 0.3
"""The factor of the score where the texts contradict each other: it leaves at most half of `VERIFIED_AT`."""

MAX_SPAN_SENTENCES = 3
SENTENCE_COST = 0.03
"""The coverage that each further sentence of a quote must add."""

NEAR_COPY = 0.9
"""Two texts that share this many terms and swap two names state different things."""

_MARKERS = re.compile(r"(?:[ ]?\[\d{1,3}\])+")
_NUMBER = re.compile(r"\d+")


@dataclass(frozen=True, slots=True)
class Claim:
    """The claim `text[start:end]` of an answer, with the markers that follow it."""

    start: int
    end: int
    markers: tuple[int, ...]


def claims(text: str) -> tuple[Claim, ...]:
    """The claims of an answer in order: its sentences, split again at markers inside them.

    Code and headings are no claims, nor is text without a letter or digit.
    """
    return tuple(
        claim
        for unit in sentences(text)
        if unit.kind not in ("code", "heading")
        for claim in _within(text, unit.start, unit.end)
    )


def cite(text: str, passages: Sequence[Passage]) -> tuple[tuple[Citation, ...], int]:
    """Check each claim of an answer against the passages its markers name.

    Returns:
        The citations in the order of the text, and how many claims carry no marker.
    """
    evidence: dict[int, Evidence] = {}
    found: list[Citation] = []
    uncited = 0
    for claim in claims(text):
        known = [marker for marker in claim.markers if 1 <= marker <= len(passages)]
        uncited += not known
        for marker in known:
            passage = passages[marker - 1]
            if marker not in evidence:
                evidence[marker] = Evidence(passage.chunk.text, _context(passage))
            found.append(_citation(text, claim, marker, passage, evidence[marker]))
    return tuple(found), uncited


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


def _context(passage: Passage) -> str:
    chunk = passage.chunk
    return "\n".join((passage.title, *chunk.heading_path, chunk.table_header))


def _citation(text: str, claim: Claim, marker: int, passage: Passage, evidence: Evidence) -> Citation:
    chunk = passage.chunk
    checked = evidence.verify(text[claim.start : claim.end])
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
        verdict=Verdict.BORNE_OUT if checked.score >= VERIFIED_AT else Verdict.DOUBTFUL,
        score=round(checked.score, 4),
    )


@dataclass(frozen=True, slots=True)
class Verification:
    """How far `passage_text[start:end]` supports a claim: `score` in [0, 1]."""

    score: float
    start: int
    end: int


class Evidence:
    """A passage whose sentences are read once, to check many claims against."""

    def __init__(self, text: str, context: str = "") -> None:
        """`context` is the passage's title, headings and other text that names its subject."""
        self.text = text
        units = sentences(text)
        self._spans = [(unit.start, unit.end) for unit in units]
        self._facts = [facts(text[unit.start : unit.end]) for unit in units]
        self._around = merged([facts(context), *self._facts]) if units else facts(context)

    def verify(self, claim: str) -> Verification:
        """The span that covers most of `claim`; among equals one without a contradiction, then the earlier.

        A contradiction does not make another span better: where the nearest sentence denies
        the claim, a sentence further away does not support it.
        """
        stated = facts(claim)
        best = Verification(0.0, *(self._spans[0] if self._spans else (0, 0)))
        best_value = (0.0, False)
        for first, last in self._windows(stated):
            span = merged(self._facts[first : last + 1])
            covered = coverage(stated, span, self._around)
            agrees = not contradicts(stated, span, self._around)
            value = (covered - SENTENCE_COST * (last - first), agrees)
            if value > best_value:
                best_value = value
                score = covered if agrees else covered * CONFLICT
                best = Verification(score, self._spans[first][0], self._spans[last][1])
        return best

    def _windows(self, stated: Facts) -> list[tuple[int, int]]:
        """Runs of one to three sentences whose first and last share a term with the claim."""
        sharing = [place for place, unit in enumerate(self._facts) if unit.terms & stated.terms]
        return [
            (first, last)
            for length in range(MAX_SPAN_SENTENCES)
            for first in sharing
            for last in sharing
            if last - first == length
        ]


def coverage(claim: Facts, span: Facts, around: Facts) -> float:
    """The share of the claim's terms that the span holds; terms that are only around it count half."""
    if not claim.terms:
        return 0.0
    here = len(claim.terms & span.terms)
    nearby = len((claim.terms - span.terms) & around.terms)
    return (here + nearby / 2) / len(claim.terms)


def contradicts(claim: Facts, span: Facts, around: Facts) -> bool:
    """Whether one states what the other excludes."""
    return (
        _figures_differ(claim, span)
        or not claim.months <= span.months
        or not set(claim.names) <= _words(around)
        or _negation_differs(claim, span)
        or opposed(claim.terms, span.terms)
        or _swapped(claim, span)
    )


def _figures_differ(claim: Facts, span: Facts) -> bool:
    for figure, units in claim.numbers.items():
        if figure not in span.numbers:
            return True
        known = span.numbers[figure] - {""}
        if (units - {""}) and known and not units & known:
            return True
    return False


def _words(around: Facts) -> set[str]:
    return set(around.names) | around.terms


def _negation_differs(claim: Facts, span: Facts) -> bool:
    """One negates a term that the other states."""
    if claim.negates and not span.negates:
        return True
    shared = claim.terms & span.terms
    return bool((claim.negated ^ span.negated) & shared)


def _swapped(claim: Facts, span: Facts) -> bool:
    """The names of what is otherwise a copy come in an order that the span does not have."""
    if len(claim.terms & span.terms) < NEAR_COPY * len(claim.terms):
        return False
    following = iter(span.names)
    return not all(name in following for name in claim.names if name in span.names)
