"""Whether a passage bears out a sentence, and with which of its words.

The score of a claim against one to three adjoining sentences of a passage is

    coverage · (CONFLICT if they contradict each other else 1)

where `coverage` is the share of the claim's content terms (stems) found there; a term
found only in the passage's title, headings or other sentences counts half, for these say
what a "he" or "it" stands for. They contradict each other if

- a figure, unit or month of the claim is not there;
- a name of the claim is nowhere in the passage, or two names have changed places;
- one of them negates what the other states, or says the opposite word (rise, fall).

No model, no network: it cannot know that two different words mean the same, and so
doubts a free paraphrase rather than trust it. Measured in `benchmarks/verification.py`;
the numbers are in docs/citations.md.
"""

from __future__ import annotations

from dataclasses import dataclass

from ragstone.documents.sentences import sentences
from ragstone.embedding.sparse import terms
from ragstone.generation.facts import Facts, facts, merged

VERIFIED_AT = 0.6
"""The score from which a claim counts as borne out: see the table in docs/citations.md."""

CONFLICT = 0.3
"""What a contradiction leaves of the score: at most half of `VERIFIED_AT`."""

MAX_SPAN_SENTENCES = 3
SENTENCE_COST = 0.03
"""A longer quote has to bear out this much more, for each sentence."""

NEAR_COPY = 0.9
"""Two texts that share this many terms and swap two names state different things."""

_OPPOSED = (
    "increase decrease, rise fall, rose fell, high low, higher lower, more less, most least, first last, before "
    "after, begin end, began ended, start stop, open close, win lose, won lost, large small, larger smaller, "
    "largest smallest, north south, northern southern, east west, eastern western, early late, earlier later, above "
    "below, upper lower, left right, old new, older newer, oldest newest, long short, longer shorter, longest "
    "shortest, allow forbid, allowed forbidden, enable disable, accept reject, import export, positive negative, "
    "male female, maximum minimum, always never, all none, mutable immutable, public private, success failure, true "
    "false, activate inhibit, promote prevent, improve worsen, gain loss, stronger weaker, better worse, best "
    "worst, buy sell, inside outside, internal external, upregulate downregulate, with without, possible "
    "impossible, safe unsafe"
)
_PAIRS = [entry.split() for entry in _OPPOSED.split(",")]
OPPOSITES = {frozenset(terms(left)[:1]) | frozenset(terms(right)[:1]) for left, right in _PAIRS}


@dataclass(frozen=True, slots=True)
class Verification:
    """How far `passage_text[start:end]` bears a claim out: `score` in [0, 1]."""

    score: float
    start: int
    end: int


class Evidence:
    """A passage, read once and asked about many claims."""

    def __init__(self, text: str, context: str = "") -> None:
        """`context`: title, headings and whatever else names what the text is about."""
        self.text = text
        units = sentences(text)
        self._spans = [(unit.start, unit.end) for unit in units]
        self._facts = [facts(text[unit.start : unit.end]) for unit in units]
        self._around = merged([facts(context), *self._facts]) if units else facts(context)

    def verify(self, claim: str) -> Verification:
        """The span that covers most of `claim`; of equals one without a contradiction, then the earlier.

        A contradiction does not make another span better: what the nearest words deny is
        not borne out by words further away.
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
    """The share of the claim's terms in the span, those that are only around it counting half."""
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


def opposed(claim: frozenset[str], span: frozenset[str]) -> bool:
    """Whether one says the opposite word of the other, and not the same word as well."""
    mine, theirs = claim - span, span - claim
    return any(pair & mine and pair & theirs for pair in OPPOSITES)


def _swapped(claim: Facts, span: Facts) -> bool:
    """The names of what is otherwise a copy come in an order that the span does not have."""
    if len(claim.terms & span.terms) < NEAR_COPY * len(claim.terms):
        return False
    following = iter(span.names)
    return not all(name in following for name in claim.names if name in span.names)
