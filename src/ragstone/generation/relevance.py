"""The relevance model: the probability that a sentence answers a question, from its words.

A logistic model over 22 features that a person can check, trained on open question sets by
`benchmarks/train_relevance.py`; docs/citations.md has its results on articles it has not
seen. It needs no network and no model file: 8 passages take milliseconds.
"""

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Mapping, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass
from typing import Literal

from ragstone.documents.sentences import Kind, Sentence, sentences
from ragstone.embedding.sparse import STOPWORDS, terms
from ragstone.generation.facts import MONTHS, Facts, content_terms, facts, opposed
from ragstone.vocabulary import Passage

QuestionKind = Literal["date", "number", "person", "place", "reason", "thing"]

# "What happens when …" does not ask for a date, nor "the man who …" for a person: the word must begin or end a part.
_BEGINS = r"(?:^\W*|[,;:] |\b(?:and|or|but|since|until|by|to|from|for|of|in|with|at) )"
_ASKS_DATE = re.compile(
    rf"{_BEGINS}when\b|\bwhen\W*$|\b(?:in )?(?:what|which) (?:year|date|day|month|decade|century)\b", re.IGNORECASE
)
_ASKS_NUMBER = re.compile(
    r"\bhow (?:many|much|often)\b|\bhow (?=(?:long|far|old|large|big|tall|high|deep|wide|fast|heavy)\b)"
    r"|\b(?:what|which) (?=(?:percent|percentage|number|amount|fraction|proportion|size|price|cost|age|population)\b)",
    re.IGNORECASE,
)
_ASKS_PERSON = re.compile(rf"{_BEGINS}who\b|\bwho\W*$|\bwhose\b|\bwhom\b", re.IGNORECASE)
_ASKS_PLACE = re.compile(
    rf"{_BEGINS}where\b|\bwhere\W*$|\b(?:in )?(?:what|which) (?:city|country|state|place|region|town|continent)\b",
    re.IGNORECASE,
)
_ASKS_REASON = re.compile(
    r"\bwhy\b|\b(?:what|which) (?:is |was |were |are )?(?:the )?(?:reason|cause|purpose)\b", re.IGNORECASE
)
_ASKS: dict[QuestionKind, re.Pattern[str]] = {
    "date": _ASKS_DATE,
    "number": _ASKS_NUMBER,
    "person": _ASKS_PERSON,
    "place": _ASKS_PLACE,
    "reason": _ASKS_REASON,
}
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
_NO_FOCUS = "is|are|was|were|do|does|did|has|have|had|can|could|will|would|should|may|might|must|of|kind|type|other"
_FOCUS = re.compile(rf"\b(?:what|which) (?!(?:{_NO_FOCUS})\b)([a-z]+)")


@dataclass(frozen=True, slots=True)
class Question:
    """The parts of a question.

    `ordered` are its content terms without the words that say what is asked for ("how
    many"), since no answer repeats those; `weights` how rare each is among the sentences;
    `focus` the word after what or which, `""` if none.
    """

    text: str
    asks: QuestionKind
    ordered: tuple[str, ...]
    weights: dict[str, float]
    facts: Facts
    focus: str


def read(text: str, sentences: Sequence[Facts]) -> Question:
    """Analyse a question; the weight of a term is its idf over `sentences`, as in BM25."""
    asks, rest = _asks(text)
    content = content_terms(rest)
    ordered = tuple(dict.fromkeys(term for term in terms(rest) if term in content))
    counts = Counter(term for sentence in sentences for term in sentence.terms & content)
    weights = {term: math.log(1 + (len(sentences) - counts[term] + 0.5) / (counts[term] + 0.5)) for term in ordered}
    focus = _FOCUS.search(rest.lower())
    return Question(text, asks, ordered, weights, facts(rest), "".join(terms(focus[1])[:1]) if focus else "")


def holds_kind(asked: Question, lower: str, stated: Facts) -> bool | None:
    """Whether a sentence holds, beyond the question's words, the kind of thing asked for; `None` if any thing may do.

    `lower` is the sentence in lower case, `stated` its facts.
    """
    match asked.asks:
        case "date":
            return any(found not in asked.text.lower() for found in _DATE.findall(lower))
        case "number":
            new = bool(set(stated.numbers) - set(asked.facts.numbers)) or "half" in lower or "hundred" in lower
            return new and bool(_NUMBER.search(lower))
        case "person" | "place":
            return bool(set(stated.names) - set(asked.facts.names) - asked.facts.terms)
        case "reason":
            return bool(_REASON.search(lower))
        case "thing":
            return None


def _asks(text: str) -> tuple[QuestionKind, str]:
    """The kind of thing asked for, and the question without the words that say so."""
    for kind, pattern in _ASKS.items():
        if found := pattern.search(text):
            return kind, f"{text[: found.start()]} {text[found.end() :]}"
    return "thing", text


ADJACENT_TERMS = 3
"""Two question terms stand together in a sentence if they are at most this many terms apart."""

SHORT_WORDS = 5

UNRELATED_COSINE = 0.3
RELATED_COSINE = 0.6
"""Medians of the open sets, for the eighth passage and for the best one of an answerable question. Where the
dense leg did not answer, words decide: a passage gets a cosine between the two, by its share of the question."""


_TAGS_ONLY = re.compile(r"\s*(?:</?[A-Za-z][^<>]*>\s*)+")


@dataclass(frozen=True, slots=True)
class SentenceCandidate:
    """A sentence that may answer: `passages[passage].chunk.text[start:end]`."""

    passage: int
    place: int
    start: int
    end: int
    kind: Kind
    text: str


FEATURES = (
    "bias",
    "covered",
    "covered_nearby",
    "covered_passage",
    "rarest_missing",
    "terms_missing",
    "together",
    "type_found",
    "type_missing",
    "focus_missing",
    "names_missing",
    "names_elsewhere",
    "figures_missing",
    "negation_differs",
    "opposite_word",
    "says_more",
    "short",
    "words",
    "first_passage",
    "passage_score",
    "cosine",
    "share_of_best",
)
"""What each weight is for; `features` gives the values in this order.

`covered` is the share of the question's terms, weighted by their rarity among the
passages, that the sentence holds; `covered_nearby` what its neighbours and headings add,
`covered_passage` what the rest of the passage adds; `rarest_missing` the weight of the
rarest term that the passage does not hold; `focus_missing`: the word after what or which.
"""


@dataclass(frozen=True, slots=True)
class Relevance:
    """What the words show: each candidate with its rank value, best first, and whether there is an answer at all."""

    ranked: tuple[tuple[SentenceCandidate, float], ...]
    answerable: float


class _Unit:
    """A sentence with what was read in it."""

    __slots__ = ("candidate", "facts", "length", "lower", "places", "words")

    def __init__(self, candidate: SentenceCandidate) -> None:
        self.candidate = candidate
        self.facts = facts(candidate.text)
        self.words = _words(self.facts)
        self.lower = candidate.text.lower()
        ordered = [term for term in terms(candidate.text) if term not in STOPWORDS]
        self.length = len(ordered)
        self.places = {term: place for place, term in reversed(list(enumerate(ordered)))}


def candidates(passages: Sequence[Passage]) -> list[SentenceCandidate]:
    """Every sentence of every passage, passages in their order; lines of nothing but HTML tags are none."""
    return [
        SentenceCandidate(number, place, unit.start, unit.end, unit.kind, passage.chunk.text[unit.start : unit.end])
        for number, passage in enumerate(passages)
        for place, unit in enumerate(_saying_something(passage.chunk.text))
    ]


def _saying_something(text: str) -> list[Sentence]:
    return [unit for unit in sentences(text) if not _TAGS_ONLY.fullmatch(text, unit.start, unit.end)]


def relevance(
    question: str, passages: Sequence[Passage], found: Sequence[SentenceCandidate], extra: Sequence[float] = ()
) -> Relevance:
    """Rank the candidates found in `passages`, and judge whether the best one answers.

    `extra` is added to the odds of each candidate, for what the words of the question do not say.
    The words of a heading count for the sentences below it. A heading itself is no answer.

    Returns:
        Candidates by descending odds (natural logarithm) of answering, ties in reading
        order, and the probability in [0, 1] that the question has an answer in them.
    """
    rows = features(question, passages, found)
    odds = [_dot(RANK_WEIGHTS, row) + more for row, more in zip(rows, extra or [0.0] * len(rows), strict=True)]
    order = sorted((place for place, one in enumerate(found) if one.kind != "heading"), key=lambda place: -odds[place])
    answerable = 1 / (1 + math.exp(-_dot(ANSWERABLE_WEIGHTS, rows[order[0]]))) if order else 0.0
    return Relevance(tuple((found[place], odds[place]) for place in order), answerable)


def features(question: str, passages: Sequence[Passage], found: Sequence[SentenceCandidate]) -> list[tuple[float, ...]]:
    """One row for each candidate, in the order of `FEATURES`."""
    units = [_Unit(candidate) for candidate in found]
    asked = read(question, [unit.facts for unit in units])
    surroundings = [_Surroundings(passage, passages) for passage in passages]
    for unit in units:
        surroundings[unit.candidate.passage].add(unit)
    rows = [_row(asked, unit, surroundings[unit.candidate.passage]) for unit in units]
    best = max((row[1] for row in rows), default=0.0) or 1.0
    return [(*row, row[1] / best) for row in rows]


def _dot(weights: Mapping[str, float], row: Sequence[float]) -> float:
    return sum(weights[name] * value for name, value in zip(FEATURES, row, strict=True))


class _Surroundings:
    """The passage around a sentence: the words of its title and headings, its score and cosine."""

    def __init__(self, passage: Passage, passages: Sequence[Passage]) -> None:
        self.units: list[_Unit] = []
        self.heading = _words(facts("\n".join((passage.title, *passage.chunk.heading_path))))
        self.words = self.heading
        self.score = passage.hit.score / (max(other.hit.score for other in passages) or 1.0)
        known = [other.hit.stages["dense"].score for other in passages if "dense" in other.hit.stages]
        dense = passage.hit.stages.get("dense")
        self._cosine = dense.score if dense else min(known, default=None)

    def add(self, unit: _Unit) -> None:
        self.units.append(unit)
        self.words = self.words | unit.words

    def cosine(self, share: float) -> float:
        """Cosine with the question; without one, an estimate from the share of the question's terms."""
        if self._cosine is not None:
            return self._cosine
        return UNRELATED_COSINE + (RELATED_COSINE - UNRELATED_COSINE) * share

    def near(self, unit: _Unit) -> frozenset[str]:
        """Title, headings and the sentences beside `unit`, it included."""
        place = unit.candidate.place
        return self.heading.union(*(other.words for other in self.units[max(0, place - 1) : place + 2]))


def _words(stated: Facts) -> frozenset[str]:
    """Terms, names, figures and months in one set."""
    return stated.terms | set(stated.names) | set(stated.numbers) | stated.months


def _row(asked: Question, unit: _Unit, passage: _Surroundings) -> tuple[float, ...]:
    own = unit.facts
    near = passage.near(unit)
    covered = _share(asked, own.terms)
    nearby = _share(asked, near)
    everywhere = _share(asked, passage.words)
    found = holds_kind(asked, unit.lower, unit.facts)
    names = set(asked.facts.names)
    return (
        1.0,
        covered,
        nearby - covered,
        everywhere - nearby,
        _rarest_missing(asked, passage.words),
        _missing(asked.facts.terms, near),
        _together(asked, unit),
        float(found is True),
        float(found is False),
        float(bool(asked.focus) and asked.focus not in near),
        _missing(names, near),
        _missing(names, unit.words) - _missing(names, near),
        _missing(set(asked.facts.numbers) | asked.facts.months, near),
        float(asked.facts.negates != own.negates),
        float(opposed(asked.facts.terms, own.terms)),
        min(len(own.terms - asked.facts.terms), 8) / 8,
        float(unit.length < SHORT_WORDS),
        math.log(1 + unit.length) / 4,
        float(unit.candidate.passage == 0),
        passage.score,
        passage.cosine(everywhere),
    )


def _share(asked: Question, there: AbstractSet[str]) -> float:
    total = sum(asked.weights.values())
    return sum(weight for term, weight in asked.weights.items() if term in there) / total if total else 0.0


def _rarest_missing(asked: Question, there: AbstractSet[str]) -> float:
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


def _missing(wanted: AbstractSet[str], there: AbstractSet[str]) -> float:
    return len(wanted - there) / len(wanted) if wanted else 0.0


# Trained by `benchmarks/train_relevance.py`; do not change by hand.
RANK_WEIGHTS = {
    "bias": -8.23,
    "covered": 0.96,
    "covered_nearby": 0.52,
    "covered_passage": -2.19,
    "rarest_missing": -0.99,
    "terms_missing": 0.82,
    "together": 1.16,
    "type_found": 0.23,
    "type_missing": -0.77,
    "focus_missing": -0.11,
    "names_missing": 0.11,
    "names_elsewhere": -0.65,
    "figures_missing": -0.45,
    "negation_differs": -0.03,
    "opposite_word": -0.35,
    "says_more": -0.56,
    "short": -0.28,
    "words": 1.37,
    "first_passage": 0.45,
    "passage_score": 4.40,
    "cosine": 2.05,
    "share_of_best": 1.39,
}
ANSWERABLE_WEIGHTS = {
    "bias": -1.38,
    "covered": 0.05,
    "covered_nearby": -2.18,
    "covered_passage": -1.03,
    "rarest_missing": -0.98,
    "terms_missing": -0.38,
    "together": -0.20,
    "type_found": 0.20,
    "type_missing": -0.33,
    "focus_missing": 0.09,
    "names_missing": -0.44,
    "names_elsewhere": -0.17,
    "figures_missing": -0.88,
    "negation_differs": -0.88,
    "opposite_word": -2.06,
    "says_more": -0.40,
    "short": -0.47,
    "words": -0.52,
    "first_passage": 0.22,
    "passage_score": -0.86,
    "cosine": 5.47,
    "share_of_best": 0.57,
}
