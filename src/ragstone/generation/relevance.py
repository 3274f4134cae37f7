"""The relevance model: the odds that a sentence answers a question, and the probability that any does.

Two logistic models over the features of `generation.features`, trained on open question sets in fifteen languages by
`benchmarks/train_relevance.py`; docs/citations.md has their results on texts that they have not seen. They need no
network and no model file: 8 passages take milliseconds.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from ragstone.generation.aims import asks_for_aim, only_aims
from ragstone.generation.candidates import SentenceCandidate
from ragstone.generation.facts import content_terms, facts
from ragstone.generation.features import FEATURES, asks_back, asks_the_same, features
from ragstone.generation.injection import no_answer
from ragstone.generation.question import Question, read
from ragstone.vocabulary import Passage

HEADING_ASKS = 2.5
"""Log odds for a sentence below a heading that asks the question; by hand, as the open sets have no headings."""
AIMS_ONLY = 4.0
"""Log odds against a sentence that says what was examined and not what was found; chosen on abstracts of SciFact."""
_IN_CONTEXT = FEATURES.index("covered_context")
_NEAR = tuple(FEATURES.index(name) for name in ("covered", "covered_context", "covered_nearby"))
_MISSING = tuple(FEATURES.index(name) for name in ("date_missing", "number_missing"))

SUMMARY = ("odds", "margin", "likely")
"""What the answerable model reads beside the features of the best sentence: its odds, by how much they exceed those of
the second, and the share of the odds that it has among all sentences."""
ANSWERABLE_FEATURES = (*FEATURES, *SUMMARY)


Ranked = Sequence[tuple[SentenceCandidate, float]]
"""Sentences with their log odds of answering, descending."""


@dataclass(frozen=True, slots=True)
class Relevance:
    """What the words show: each candidate with its rank value, best first, and whether there is an answer at all."""

    ranked: tuple[tuple[SentenceCandidate, float], ...]
    answerable: float


def relevance(
    question: str, passages: Sequence[Passage], found: Sequence[SentenceCandidate], extra: Sequence[float] = ()
) -> Relevance:
    """Rank the candidates found in `passages`, and judge whether the best one answers.

    `extra` is added to the odds of each candidate, for what the words of the question do not say.
    The words of a heading count for the sentences below it. Headings, header rows and questions are no answers, nor is
    what `injection.no_answer` finds, nor a sentence without a word of the question in it, above it or beside it.

    Returns:
        Candidates by descending odds (natural logarithm) of answering, ties in reading
        order, and the probability in [0, 1] that the question has an answer in them.
    """
    asked = read(question, [])
    if not asked.ordered:  # signs alone ask nothing
        return Relevance((), 0.0)
    places = [
        place
        for place, one in enumerate(found)
        if may_answer(one) and not no_answer(asked, one) and not _opposite_above(asked, one)
    ]
    rows = features(question, passages, found)
    places = [place for place in places if any(rows[place][at] for at in _NEAR)]
    if not places:
        return Relevance((), 0.0)
    lifted = zip(_asked_above(asked, rows, found), _aims_only(asked, found), strict=True)
    above = [above - below for above, below in lifted]
    more = [a + b for a, b in zip(extra or [0.0] * len(rows), above, strict=True)]
    odds = {place: dot(FEATURES, RANK_WEIGHTS, rows[place]) + more[place] for place in places}
    order = sorted(places, key=lambda place: -odds[place])
    apart = distinct([(found[place], odds[place]) for place in order])
    whole = (*rows[order[0]], *summary([value - more[order[0]] for _, value in apart]))
    answers = dot(ANSWERABLE_FEATURES, ANSWERABLE_WEIGHTS, whole) + above[order[0]]
    answerable = 1 / (1 + math.exp(-answers))
    return Relevance(tuple((found[place], odds[place]) for place in order), answerable)


def distinct(ranked: Ranked) -> Ranked:
    """The candidates that say different things, the best of each: a document that was ingested twice casts no doubt."""
    seen: dict[frozenset[str], tuple[SentenceCandidate, float]] = {}
    for one, odds in ranked:
        seen.setdefault(content_terms(one.text), (one, odds))
    return list(seen.values())


def _asked_above(asked: Question, rows: Sequence[Sequence[float]], found: Sequence[SentenceCandidate]) -> list[float]:
    """What to add to the odds of sentences below a heading that asks the question; 0 for the others.

    It counts as far as `features` let the heading count, and only for sentences that hold what was asked for.
    """
    return [
        HEADING_ASKS
        if row[_IN_CONTEXT] > 0 and not any(row[place] for place in _MISSING) and asks_the_same(asked, one.heading)
        else 0.0
        for row, one in zip(rows, found, strict=True)
    ]


def _aims_only(asked: Question, found: Sequence[SentenceCandidate]) -> list[float]:
    """What to take from the odds of sentences that only say what was examined; 0 where the question asks for that."""
    exempt = asks_for_aim(asked.text)
    return [AIMS_ONLY * (not exempt and one.kind != "code" and only_aims(one.text)) for one in found]


def _opposite_above(asked: Question, one: SentenceCandidate) -> bool:
    """Whether the heading above a sentence asks the question with or without a negator, unlike the question."""
    return asks_the_same(asked, one.heading) and facts(one.heading).negates != asked.facts.negates


def may_answer(one: SentenceCandidate) -> bool:
    """Whether a sentence states anything by its form: it is no heading, header row or question."""
    return one.kind != "heading" and not one.header and not asks_back(one.text)


def summary(odds: Sequence[float]) -> tuple[float, float, float]:
    """The values of `SUMMARY` from the odds of all sentences, descending, at least one."""
    best = odds[0]
    margin = best - odds[1] if len(odds) > 1 else ALONE
    return best / 10, min(margin, ALONE) / 3, 1 / sum(math.exp(one - best) for one in odds)


ALONE = 5.0
"""The margin of a sentence that is the only one, in log odds."""


def dot(names: Sequence[str], weights: Mapping[str, float], row: Sequence[float]) -> float:
    """The sum of the values of a row, each by the weight of its name."""
    return sum(weights[name] * value for name, value in zip(names, row, strict=True))


# Trained by `benchmarks/train_relevance.py`; do not change by hand.
RANK_WEIGHTS = {
    "bias": 0.00,
    "covered": 1.10,
    "covered_context": 2.32,
    "covered_nearby": -0.84,
    "covered_passage": 0.30,
    "rarest_missing": 0.27,
    "rarest_nowhere": 0.00,
    "terms_missing": -3.64,
    "together": 0.43,
    "date_found": 1.98,
    "date_hint": -0.34,
    "date_missing": -1.64,
    "number_found": 0.89,
    "number_hint": -0.15,
    "number_missing": -0.74,
    "name_found": 0.87,
    "name_missing": -0.27,
    "reason_found": 0.39,
    "reason_missing": -0.39,
    "manner_found": 1.71,
    "manner_hint": -1.24,
    "polar_covered": 0.46,
    "subject_first": 0.95,
    "focus_missing": -0.45,
    "names_missing": 0.75,
    "names_elsewhere": 0.61,
    "figures_missing": -1.26,
    "negation_differs": -0.21,
    "opposite_word": 0.21,
    "says_more": -0.60,
    "restates": -0.53,
    "short": -0.45,
    "words": 0.97,
    "row": 1.03,
    "item": 0.30,
    "code": -0.86,
    "opens": 0.39,
    "first_passage": 0.64,
    "passage_score": 3.24,
    "cosine": 3.82,
    "language_differs": -0.14,
    "unread": 0.00,
    "share_of_best": 1.77,
}
ANSWERABLE_WEIGHTS = {
    "bias": -1.22,
    "covered": 0.72,
    "covered_context": 0.82,
    "covered_nearby": -0.33,
    "covered_passage": -0.14,
    "rarest_missing": 0.42,
    "rarest_nowhere": -0.35,
    "terms_missing": -1.50,
    "together": 0.06,
    "date_found": -0.21,
    "date_hint": 0.40,
    "date_missing": 0.23,
    "number_found": 0.13,
    "number_hint": 0.38,
    "number_missing": -0.20,
    "name_found": 0.28,
    "name_missing": -0.01,
    "reason_found": -0.06,
    "reason_missing": 0.07,
    "manner_found": 2.01,
    "manner_hint": 0.34,
    "polar_covered": 1.67,
    "subject_first": -0.29,
    "focus_missing": 0.28,
    "names_missing": -0.27,
    "names_elsewhere": 0.34,
    "figures_missing": -0.66,
    "negation_differs": -1.23,
    "opposite_word": 0.25,
    "says_more": -0.04,
    "restates": 0.96,
    "short": 0.20,
    "words": -0.84,
    "row": 0.48,
    "item": -0.47,
    "code": 0.00,
    "opens": 0.01,
    "first_passage": 0.05,
    "passage_score": -1.54,
    "cosine": 3.69,
    "language_differs": -0.38,
    "unread": 1.24,
    "share_of_best": -0.22,
    "odds": 2.04,
    "margin": -0.31,
    "likely": 1.28,
}
