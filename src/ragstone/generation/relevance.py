"""How likely a sentence answers a question, from what the words alone show.

A logistic model over a handful of features that a person can check, trained on open
question sets by `benchmarks/train_relevance.py`; what it reaches on articles it has not
seen is in docs/citations.md. No network, no model file: 8 passages take milliseconds.
"""

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from ragstone.documents.sentences import Kind, sentences
from ragstone.embedding.sparse import STOPWORDS, terms
from ragstone.generation.facts import MONTHS, Facts, content_terms, facts, merged
from ragstone.generation.verification import opposed
from ragstone.vocabulary import Passage

ADJACENT_TERMS = 3
"""Two question terms stand together in a sentence if they are at most this many terms apart."""

SHORT_WORDS = 5

_ASKS_DATE = re.compile(r"\bwhen\b|\b(?:what|which|in what|in which) (?:year|date|day|month|decade|century)\b")
_ASKS_NUMBER = re.compile(
    r"\bhow (?:many|much|long|far|old|large|big|tall|high|deep|wide|fast|often|heavy)\b"
    r"|\b(?:what|which) (?:percent|percentage|number|amount|fraction|proportion|size|price|cost|population|age)\b"
)
_ASKS_PERSON = re.compile(r"\bwho\b|\bwhose\b|\bwhom\b")
_ASKS_PLACE = re.compile(
    r"\bwhere\b|\b(?:what|which|in what|in which) (?:city|country|state|place|region|town|continent)\b"
)
_ASKS_REASON = re.compile(r"\bwhy\b|\b(?:what|which) (?:is |was |were |are )?(?:the )?(?:reason|cause|purpose)\b")
_DATE = re.compile(
    rf"\b(?:1\d{{3}}|20\d\d)(?:s|\b)|\b\d{{1,2}}(?:st|nd|rd|th) century|\b(?:{'|'.join(MONTHS)})\b|\bago\b"
)
_NUMBER = re.compile(
    r"\d|\b(?:two|three|four|five|six|seven|eight|nine|ten|eleven|twelve|dozen|hundred|thousand|million|billion|half)\b"
)
_REASON = re.compile(
    r"\bbecause\b|\bdue to\b|\bsince\b|\bso that\b|\bin order to\b|\bas a result\b|\btherefore\b|\breason\b|\bto \w+"
    r"|\bcause|\bled to\b|\bfor \w+ing\b"
)
_IS_DEFINED = re.compile(r"^(?:what|who) (?:is|are|was|were|does|do) ")


@dataclass(frozen=True, slots=True)
class Candidate:
    """A sentence that may answer: `passages[passage].chunk.text[start:end]`."""

    passage: int
    place: int
    start: int
    end: int
    kind: Kind
    text: str


@dataclass(frozen=True, slots=True)
class Question:
    """A question, taken apart."""

    text: str
    ordered: tuple[str, ...]
    facts: Facts
    weights: dict[str, float]
    asks: str


FEATURES = (
    "bias",
    "covered",
    "covered_nearby",
    "covered_passage",
    "rarest_missing",
    "together",
    "type_found",
    "type_missing",
    "names_missing",
    "names_missing_passage",
    "figures_missing",
    "negation_differs",
    "opposite_word",
    "says_more",
    "short",
    "words",
    "heading",
    "listed",
    "defines",
    "first_passage",
    "passage_rank",
    "share_of_best",
)
"""What each weight is for; `features` gives the values in this order."""


@dataclass(frozen=True, slots=True)
class Scored:
    """A candidate and the probability that it answers."""

    candidate: Candidate
    probability: float


class _Unit:
    """A sentence with what was read in it."""

    __slots__ = ("candidate", "facts", "length", "lower", "places")

    def __init__(self, candidate: Candidate) -> None:
        self.candidate = candidate
        self.facts = facts(candidate.text)
        self.lower = candidate.text.lower()
        ordered = [term for term in terms(candidate.text) if term not in STOPWORDS]
        self.length = len(ordered)
        self.places = {term: place for place, term in reversed(list(enumerate(ordered)))}


def candidates(passages: Sequence[Passage]) -> list[Candidate]:
    """Every sentence of every passage, passages in their order."""
    return [
        Candidate(number, place, unit.start, unit.end, unit.kind, passage.chunk.text[unit.start : unit.end])
        for number, passage in enumerate(passages)
        for place, unit in enumerate(sentences(passage.chunk.text))
    ]


def relevance(question: str, passages: Sequence[Passage]) -> list[Scored]:
    """The probability that each sentence answers, in the order of `candidates`."""
    found = candidates(passages)
    rows = features(question, passages, found)
    return [Scored(candidate, probability(row)) for candidate, row in zip(found, rows, strict=True)]


def probability(row: Sequence[float]) -> float:
    """The logistic model's word on one row of features."""
    return 1 / (1 + math.exp(-sum(weight * value for weight, value in zip(WEIGHTS, row, strict=True))))


def features(question: str, passages: Sequence[Passage], found: Sequence[Candidate]) -> list[tuple[float, ...]]:
    """One row for each candidate, in the order of `FEATURES`."""
    units = [_Unit(candidate) for candidate in found]
    asked = _question(question, units)
    contexts = [facts("\n".join((passage.title, *passage.chunk.heading_path))) for passage in passages]
    wholes = [
        merged([contexts[number], *(unit.facts for unit in units if unit.candidate.passage == number)])
        for number in range(len(passages))
    ]
    rows = []
    for place, unit in enumerate(units):
        number = unit.candidate.passage
        around = [other for other in units[max(0, place - 1) : place + 2] if other.candidate.passage == number]
        near = merged([contexts[number], *(other.facts for other in around)])
        rows.append(_row(asked, unit, near, wholes[number]))
    best = max((row[1] for row in rows), default=0.0) or 1.0
    return [(*row, row[1] / best) for row in rows]


def _question(text: str, units: Sequence[_Unit]) -> Question:
    ordered = tuple(dict.fromkeys(term for term in terms(text) if term in content_terms(text)))
    counts = Counter(term for unit in units for term in unit.facts.terms if term in ordered)
    weights = {term: math.log(1 + (len(units) - counts[term] + 0.5) / (counts[term] + 0.5)) for term in ordered}
    return Question(text, ordered, facts(text), weights, _asks(text.lower()))


def _asks(lower: str) -> str:
    for kind, pattern in _ASKS.items():
        if pattern.search(lower):
            return kind
    return ""


_ASKS = {
    "date": _ASKS_DATE,
    "number": _ASKS_NUMBER,
    "person": _ASKS_PERSON,
    "place": _ASKS_PLACE,
    "reason": _ASKS_REASON,
}


def _row(asked: Question, unit: _Unit, near: Facts, whole: Facts) -> tuple[float, ...]:
    own = unit.facts
    covered = _share(asked, own.terms)
    nearby = _share(asked, near.terms)
    everywhere = _share(asked, whole.terms)
    found = _type_found(asked, unit)
    names = set(asked.facts.names)
    new = len(own.terms - asked.facts.terms)
    return (
        1.0,
        covered,
        nearby - covered,
        everywhere - nearby,
        _rarest_missing(asked, whole.terms),
        _together(asked, unit),
        float(found is True),
        float(found is False),
        _missing(names, set(near.names) | near.terms),
        _missing(names, set(whole.names) | whole.terms),
        _missing(set(asked.facts.numbers) | asked.facts.months, set(near.numbers) | near.months),
        float(asked.facts.negates != own.negates),
        float(opposed(asked.facts.terms, own.terms)),
        min(new, 8) / 8,
        float(unit.length < SHORT_WORDS),
        math.log(1 + unit.length) / 4,
        float(unit.candidate.kind == "heading"),
        float(unit.candidate.kind in ("item", "row", "code")),
        _defines(asked, unit),
        float(unit.candidate.passage == 0),
        1 / (1 + unit.candidate.passage),
    )


def _share(asked: Question, there: Iterable[str]) -> float:
    total = sum(asked.weights.values())
    return sum(asked.weights.get(term, 0.0) for term in set(there)) / total if total else 0.0


def _rarest_missing(asked: Question, there: frozenset[str]) -> float:
    """The share of the question's weight on its weightiest term that is not there."""
    total = sum(asked.weights.values())
    return max((weight for term, weight in asked.weights.items() if term not in there), default=0.0) / (total or 1.0)


def _together(asked: Question, unit: _Unit) -> float:
    """The share of neighbouring question terms that are neighbours in the sentence too."""
    pairs = list(zip(asked.ordered, asked.ordered[1:], strict=False))
    near = sum(
        abs(unit.places[left] - unit.places[right]) <= ADJACENT_TERMS
        for left, right in pairs
        if left in unit.places and right in unit.places
    )
    return near / len(pairs) if pairs else 0.0


def _type_found(asked: Question, unit: _Unit) -> bool | None:
    """Whether the sentence holds, beyond the question's words, the kind of thing asked for; `None`: any thing."""
    match asked.asks:
        case "date":
            return any(found not in asked.text.lower() for found in _DATE.findall(unit.lower))
        case "number":
            return bool(_NUMBER.search(unit.lower)) and bool(
                set(unit.facts.numbers) - set(asked.facts.numbers) or "half" in unit.lower or "hundred" in unit.lower
            )
        case "person" | "place":
            return bool(set(unit.facts.names) - set(asked.facts.names) - asked.facts.terms)
        case "reason":
            return bool(_REASON.search(unit.lower))
        case _:
            return None


def _missing(wanted: set[str] | frozenset[str], there: set[str]) -> float:
    return len(wanted - there) / len(wanted) if wanted else 0.0


def _defines(asked: Question, unit: _Unit) -> float:
    """For "what is X": the sentence begins with X."""
    if not _IS_DEFINED.match(asked.text.lower()) or not asked.ordered:
        return 0.0
    return float(unit.places.get(asked.ordered[0], 99) <= 1)


# Trained by `benchmarks/train_relevance.py`; do not change by hand.
WEIGHTS = (
    -4.0,
    4.0,
    1.0,
    0.5,
    -1.0,
    1.0,
    0.8,
    -0.8,
    -0.5,
    -0.5,
    -0.3,
    -0.2,
    -0.2,
    0.5,
    -0.5,
    0.5,
    -2.0,
    0.0,
    0.5,
    0.5,
    0.5,
    1.5,
)
