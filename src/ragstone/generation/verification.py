"""The check of one claim against one passage: a quote, borne out, doubtful or contradicted.

1. A claim that is a verbatim span of the passage is **quoted** (`ragstone.generation.quotes`).
2. The one to three adjoining sentences that cover most of the claim's terms are its evidence. Terms that stand only
   elsewhere in the passage, its title or headings count half: a "he" or "it" may refer to them.
3. If a rule objects (`ragstone.generation.objections`), the claim is **contradicted** where the evidence is near,
   and doubtful otherwise.
4. If the evidence covers too little, or the claim adds words that the passage does not have, it is **doubtful**.
5. What is left is **borne out**, if the judge agrees where there is one.

The rules read canonical text; they know no synonyms, and doubt a free paraphrase rather than trust it.
`benchmarks/verification` measures the check; the figures are in docs/citations.md.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Protocol

from ragstone.documents import inline
from ragstone.documents.sentences import sentences
from ragstone.embedding.sparse import STOPWORDS, UNSPACED
from ragstone.generation.canonical import canonical
from ragstone.generation.evidence import support_pair
from ragstone.generation.facts import Facts, content_terms, facts, merged
from ragstone.generation.objections import SOFT, Objection, has_subject_of_another, objections
from ragstone.generation.quotes import find_quote, fold, without_markers
from ragstone.generation.tables import Row, rows, speaks_of_another
from ragstone.generation.wording import Wording
from ragstone.vocabulary import Verdict

if TYPE_CHECKING:
    from ragstone.inference.judge import Support

COVERAGE_FLOOR = 0.6
"""The share of a claim's terms that its evidence must hold to be borne out."""

UNSPACED_FLOOR = 0.92
"""The floor in scripts without spaces: their terms are pairs of letters, and another word changes few of them.

There, terms that stand only around the evidence do not count.
"""

PARAPHRASE_BELOW = 0.9
"""A claim whose evidence holds a smaller share of its terms is a paraphrase, of which the judge must be surer."""

SUPPORTED_AT = 0.25
PARAPHRASE_SUPPORTED_AT = 0.7
"""The judge's probability from which a claim is borne out: of other claims, and of paraphrases.

`benchmarks.verification.thresholds` fits them on documents that training may read; docs/citations.md has what they
accept of documents and kinds that neither has seen.
"""

CONTRADICTED_AT = 0.75
"""The share of a claim's terms other than figures that the evidence must hold for an objection to be a contradiction.

Of `MANY_TERMS` one may be missing whatever its share: it may be the one that is objected to.
"""

COPIED_AT = 0.8
"""The share of a claim's terms in one sentence from which the claim is held against that sentence alone, too."""

MANY_TERMS = 3

CONFLICT = 0.3
"""The factor of the score where a rule objects."""

MAX_SPAN_SENTENCES = 3
SENTENCE_COST = 0.03
"""The coverage that each further sentence of the evidence must add."""

SENTENCES_BEFORE = 3
"""Sentences before the evidence in which a name or figure still counts as near."""

MAX_ADDED = 2
"""Words in a row that the passage does not have, at most; more is an addition, not another wording."""


_SOURCE = r"the (?:text|source|passage|document|documentation|context)s?"
_FRAME = re.compile(
    rf"\W*(?:(?:according to|(?:as (?:stated|noted|described|mentioned) )?in) {_SOURCE},"
    rf"|{_SOURCE} (?:says?|states?|notes?|explains?|mentions?)(?: that)?"
    r"|(?:please )?note that|as (?:stated|noted|mentioned),) ",
    re.IGNORECASE,
)
"""What introduces a statement as the source's, and states nothing itself."""

_UNSPACED = re.compile(f"[{UNSPACED}]")


@dataclass(frozen=True, slots=True)
class Verification:
    """What the check found about a claim: `passage_text[start:end]` is the quote or the evidence.

    `score` in [0, 1] says how far it supports the claim. `objections` are the rules that objected.
    """

    verdict: Verdict
    score: float
    start: int
    end: int
    objections: tuple[Objection, ...] = ()

    @property
    def verified(self) -> bool:
        """Whether the claim is quoted or borne out."""
        return self.verdict in (Verdict.QUOTED, Verdict.BORNE_OUT)


@dataclass(frozen=True, slots=True)
class Examination:
    """What the rules found; `pair` are claim and evidence for the judge, where the rules do not decide.

    `coverage` is the share of the claim's terms that the evidence holds.
    """

    by_rules: Verification
    pair: tuple[str, str] | None = None
    coverage: float = 1.0


class Judge(Protocol):
    """A model that says how far evidence supports a claim; it blocks, and may be used from several threads."""

    def supports(self, pairs: Sequence[tuple[str, str]]) -> list[Support]:
        """The probabilities of each pair (claim, evidence)."""
        ...


def settle(examined: Sequence[Examination], judge: Judge | None) -> list[Verification]:
    """The verdicts: those of the rules, and of the judge where the rules leave it open. One call for all."""
    asked = [one.pair for one in examined if one.pair]
    opinions = iter(judge.supports(asked)) if judge and asked else None
    return [_judged(one, next(opinions)) if one.pair and opinions else one.by_rules for one in examined]


def _judged(examined: Examination, opinion: Support) -> Verification:
    needed = PARAPHRASE_SUPPORTED_AT if examined.coverage < PARAPHRASE_BELOW else SUPPORTED_AT
    verdict = Verdict.BORNE_OUT if opinion.supported >= needed else Verdict.DOUBTFUL
    return replace(examined.by_rules, verdict=verdict, score=opinion.supported)


@dataclass(frozen=True, slots=True)
class _Unit:
    """One sentence or row of the passage."""

    start: int
    end: int
    facts: Facts
    row: Row | None


class Evidence:
    """A passage that is read once, to check many claims against."""

    def __init__(self, text: str, title: str = "", headings: Sequence[str] = (), table_header: str = "") -> None:
        """`table_header` are the header rows of a table that begins before the passage."""
        context = "\n".join((title, *headings))
        self.text = text
        self._title = title
        self._folded = fold(text)
        self._above = fold(f"{table_header}\n\n{context}")
        self._rows = rows(text, table_header)
        self._units = list(self._read())
        self._context = facts(f"{context}\n{table_header}")
        self._around = merged([self._context, *(unit.facts for unit in self._units)])
        self._around_words = frozenset(self._around.words)
        self._wording = Wording(" ".join([title, *(self._spoken(unit) for unit in self._units)]))

    def verify(self, claim: str, judge: Judge | None = None) -> Verification:
        """Check one claim; without a judge by the rules alone."""
        return settle([self.examine(claim)], judge)[0]

    def examine(self, claim: str) -> Examination:
        """Check `claim` by the rules; the judge is asked where they do not decide."""
        if quoted := self._quoted(claim):
            return Examination(Verification(Verdict.QUOTED, 1.0, *quoted))
        nearest = self._nearest(facts(claim))
        if nearest is None:
            return Examination(Verification(Verdict.DOUBTFUL, 0.0, *self._first()))
        restated = self._restated(self._without_frame(claim), *nearest)
        stated = facts(restated)
        if stated != facts(claim):
            claim, nearest = restated, self._nearest(stated) or nearest
        first, last = nearest
        covered = self._covered(stated, first, last)
        found = tuple(
            dict.fromkeys((*self._objections(claim, stated, first, last), *self._of_copied(claim, stated, first, last)))
        )
        verdict = self._verdict(stated, covered, found, near=is_near(stated, self._terms(first, last)))
        score = covered * CONFLICT if found else covered
        checked = Verification(verdict, score, self._units[first].start, self._units[last].end, found)
        # The rules know rows and columns of a table; the judge reads a row as loose words, and doubts it.
        is_row = first == last and self._units[first].row is not None
        is_open = verdict is Verdict.BORNE_OUT and not is_row and not self._is_repeated(claim, first, last)
        is_open = is_open or (covered >= floor_of(stated) and found == (Objection.ELSEWHERE,))
        return Examination(checked, self._pair(claim) if is_open else None, covered)

    def _pair(self, claim: str) -> tuple[str, str]:
        return support_pair(
            inline.plain_text(without_markers(claim)), [self._spoken(unit) for unit in self._units], self._title
        )

    def _restated(self, claim: str, first: int, last: int) -> str:
        """The claim in the wording of these sentences, and first of all of the one that holds most of its terms."""
        stated = facts(claim)
        _, place = max((self._covered(stated, at, at), -at) for at in range(first, last + 1))
        claim = self._wording.restated(inline.plain_text(without_markers(claim)), self._spoken(self._units[-place]))
        if first == last:
            return claim
        return self._wording.restated(claim, " ".join(map(self._spoken, self._units[first : last + 1])))

    def _without_frame(self, claim: str) -> str:
        """The claim without "According to the text," where the passage does not say so itself."""
        frame = _FRAME.match(claim)
        return claim[frame.end() :] if frame and frame[0].strip().casefold() not in self.text.casefold() else claim

    def _is_repeated(self, claim: str, first: int, last: int) -> bool:
        """Whether these sentences state the claim word for word, but for figures, contractions and wording."""
        spoken = " ".join(map(self._spoken, self._units[first : last + 1]))
        return find_quote(canonical(claim), fold(canonical(spoken))) is not None

    def _spoken(self, unit: _Unit) -> str:
        return unit.row.sentence if unit.row else inline.plain_text(self._of(unit))

    def _of(self, unit: _Unit) -> str:
        return self.text[unit.start : unit.end]

    def _read(self) -> Iterator[_Unit]:
        by_start = {row.start: row for row in self._rows}
        for unit in sentences(self.text):
            row = by_start.get(self.text.rfind("\n", 0, unit.start) + 1) if unit.kind == "row" else None
            yield _Unit(unit.start, unit.end, facts(row.sentence if row else self.text[unit.start : unit.end]), row)

    def _first(self) -> tuple[int, int]:
        return (self._units[0].start, self._units[0].end) if self._units else (0, 0)

    def _quoted(self, claim: str) -> tuple[int, int] | None:
        """The span that the claim quotes; for a quote of the headings or of a table's header, the first sentence."""
        if found := find_quote(claim, self._folded):
            return found
        for unit in self._units:
            if unit.row and unit.row.holds(claim):
                return unit.start, unit.end
        return self._first() if self._units and find_quote(claim, self._above) else None

    def _verdict(self, stated: Facts, covered: float, found: tuple[Objection, ...], *, near: bool) -> Verdict:
        if found:
            return Verdict.CONTRADICTED if near and set(found) - SOFT else Verdict.DOUBTFUL
        if covered < floor_of(stated) or self._adds(stated):
            return Verdict.DOUBTFUL
        return Verdict.BORNE_OUT

    def _adds(self, stated: Facts) -> bool:
        """Whether the claim has a run of words that stand nowhere in the passage."""
        run = 0
        for word in stated.words:
            if word in STOPWORDS:
                continue
            terms = content_terms(word)
            run = run + 1 if terms and not terms & self._around.terms and word not in self._around_words else 0
            if run > MAX_ADDED:
                return True
        return False

    def _nearest(self, stated: Facts) -> tuple[int, int] | None:
        """First and last sentence of the span that covers most; among equals one without objection, then the earlier.

        An objection does not make another span better: where the nearest sentence denies
        the claim, a sentence further away does not support it.
        """
        best, best_value = None, 0.0
        for first, last in self._windows(stated):
            value = self._covered(stated, first, last) - SENTENCE_COST * (last - first)
            if value > best_value or (
                value == best_value and best and self._agrees_better((first, last), best, stated)
            ):
                best, best_value = (first, last), value
        return best

    def _agrees_better(self, new: tuple[int, int], old: tuple[int, int], stated: Facts) -> bool:
        return not any(self._objections("", stated, *new)) and any(self._objections("", stated, *old))

    def _covered(self, stated: Facts, first: int, last: int) -> float:
        return coverage(stated, self._terms(first, last), self._around.terms)

    def _terms(self, first: int, last: int) -> frozenset[str]:
        return frozenset().union(*(unit.facts.terms for unit in self._units[first : last + 1]))

    def _objections(self, claim: str, stated: Facts, first: int, last: int) -> Iterator[Objection]:
        span = merged(unit.facts for unit in self._units[first : last + 1])
        near = merged(
            [self._context, *(unit.facts for unit in self._units[max(0, first - SENTENCES_BEFORE) : last + 2])]
        )
        spoken = [unit.row for unit in self._units[first : last + 1] if unit.row]
        for found in objections(stated, span, near, self._context):
            if not spoken or found is not Objection.ORDER:  # a table has the order of its columns
                yield found
        if spoken and speaks_of_another(claim, spoken, self._rows):
            yield Objection.CELL

    def _of_copied(self, claim: str, stated: Facts, first: int, last: int) -> Iterator[Objection]:
        """Objections of the one sentence that the claim nearly copies: its neighbours may hold what was exchanged."""
        best, place = max((self._covered(stated, at, at), -at) for at in range(first, last + 1))
        added = stated.terms & self._terms(first, last) - self._terms(-place, -place)
        if first < last and best >= COPIED_AT and len(added) <= MAX_ADDED:
            found = self._objections(claim, stated, -place, -place)
            yield from (one for one in found if one is not Objection.ELSEWHERE)
        if first < last and has_subject_of_another(claim, self._units[-place].facts, self._context):
            yield Objection.SUBJECT

    def _windows(self, stated: Facts) -> Iterator[tuple[int, int]]:
        """Runs of one to three sentences whose first and last share a term with the claim, short ones first."""
        sharing = {place for place, unit in enumerate(self._units) if unit.facts.terms & stated.terms}
        for length in range(MAX_SPAN_SENTENCES):
            yield from ((first, first + length) for first in sorted(sharing) if first + length in sharing)


def floor_of(claim: Facts) -> float:
    """The coverage that this claim needs."""
    return UNSPACED_FLOOR if is_unspaced(claim) else COVERAGE_FLOOR


def is_unspaced(claim: Facts) -> bool:
    """Whether most terms are of a script without spaces between words."""
    return sum(bool(_UNSPACED.match(term)) for term in claim.terms) > len(claim.terms) / 2


def is_near(claim: Facts, span: frozenset[str]) -> bool:
    """Whether the span is about what the claim is about, so that an objection is a contradiction."""
    words = frozenset(term for term in claim.terms if not term[0].isdigit())
    missing = len(words - span)
    return missing <= (1 - CONTRADICTED_AT) * len(words) or (missing == 1 and len(words) >= MANY_TERMS)


def coverage(claim: Facts, span: frozenset[str], around: frozenset[str]) -> float:
    """The share of the claim's terms that the span holds; terms that are only around it count half, if of words."""
    if not claim.terms:
        return 0.0
    here = len(claim.terms & span)
    nearby = 0 if is_unspaced(claim) else len((claim.terms - span) & around)
    return (here + nearby / 2) / len(claim.terms)
