"""The reading of the best candidates by two models: which one answers, and whether one does.

The words rank (`generation.relevance`); then a judge reads the best sentences with the question, and a matcher tells
how far the words of the question find their like in them. `benchmarks/train_reading.py` trains the weights;
docs/citations.md has their results on documents that they have not seen.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

from ragstone.generation.candidates import SentenceCandidate
from ragstone.generation.features import readable
from ragstone.generation.question import content_words
from ragstone.generation.relevance import Relevance, distinct, dot
from ragstone.vocabulary import Passage

if TYPE_CHECKING:
    from ragstone.inference.matching import Match

READ = 4
"""So many of the best candidates the models read, in some 120 ms on two cores. Eight take nearly twice as long, and
change next to nothing on the questions that trained the weights."""
READ_WEIGHTS = {"words": 0.62, "judge": 0.76, "whole": 3.67, "mean": 1.74}
"""What the log odds of the words, those of the judge, and the token matches weigh together, as log odds."""
READ_FEATURES = ("bias", "words", "margin", "judge", "mean")
"""What tells whether there is an answer, once the models have read: the log odds of the words, by how much the best
sentence exceeds the second, and what the models say of the best."""
READ_ANSWERABLE_WEIGHTS = {"bias": -4.10, "words": 0.23, "margin": 0.87, "judge": 0.34, "mean": 3.52}
READABLE = 0.5
"""The share of Latin letters from which tokens are matched: the vocabulary is English. Below it, words decide."""
MOST_MARGIN, MARGIN_ALONE = 2.0, 1.5
"""The largest margin that counts, and that of a sentence which is the only one, in log odds. In a small collection
hardly any other sentence has a word of the question, and that says nothing of the first. On the questions that trained
the weights neither changes what is answered."""
LEAST = 0.0025
"""A probability nearer to 0 or 1 counts as this far from it: log odds of 6."""


class AnswerJudge(Protocol):
    """A model that reads a question with a sentence; it blocks, and may be used from several threads."""

    def answers(self, question: str, candidates: Sequence[str]) -> list[float]:
        """Log odds that each sentence answers the question; the context of a sentence stands in a line above it."""
        ...


class Matcher(Protocol):
    """A model that matches the words of a question with texts; it blocks, and may be used from several threads."""

    def matches(self, question: str, words: Sequence[tuple[int, int]], texts: Sequence[str]) -> list[Match]:
        """One match for each text, which is as for `AnswerJudge.answers`; `words` are spans of the question."""
        ...


@dataclass(frozen=True, slots=True)
class Models:
    """The models that read the best candidates with the question."""

    judge: AnswerJudge
    matcher: Matcher


@dataclass(frozen=True, slots=True)
class Read:
    """A candidate that the models have read: the log odds of its words, of the judge and of all, and its match."""

    candidate: SentenceCandidate
    words: float
    judge: float
    match: Match

    @property
    def odds(self) -> float:
        """The log odds by all."""
        values = (self.words, self.judge, self.match.whole, self.match.mean)
        return dot(tuple(READ_WEIGHTS), READ_WEIGHTS, values)


def reread(question: str, passages: Sequence[Passage], found: Relevance, models: Models) -> Relevance:
    """Let the models read the best candidates: it changes their order, and whether there is an answer.

    A question in a script that the models cannot read changes nothing.

    Raises:
        ModelUnavailable: a model failed.
    """
    best, rest = found.ranked[:READ], found.ranked[READ:]
    if not best or readable(question) < READABLE:
        return found
    seen = sorted(read_best(question, passages, found, models), key=lambda one: -one.odds)
    ranked = ((one.candidate, one.odds) for one in seen)
    below = ((one, seen[-1].odds + min(odds - best[-1][1], 0.0)) for one, odds in rest)
    apart = [value for _, value in distinct([(one.candidate, one.odds) for one in seen])]
    row = answer_row(found.answerable, apart, seen[0].judge, seen[0].match.mean)
    odds = dot(READ_FEATURES, READ_ANSWERABLE_WEIGHTS, row)
    return Relevance((*ranked, *below), 1 / (1 + math.exp(-odds)))


def read_best(question: str, passages: Sequence[Passage], found: Relevance, models: Models) -> list[Read]:
    """The best candidates as the models read them, in the order of their words.

    Raises:
        ModelUnavailable: a model failed.
    """
    before = {(one.passage, one.place): one.text for one, _ in found.ranked if one.kind == "prose"}
    best = found.ranked[:READ]
    texts = [_with_context(passages, one, before) for one, _ in best]
    opinions = models.judge.answers(question, texts)
    matches = models.matcher.matches(question, content_words(question), texts)
    return [
        Read(one, odds, opinion, match) for (one, odds), opinion, match in zip(best, opinions, matches, strict=True)
    ]


def answer_row(by_words: float, odds: Sequence[float], judge: float, mean: float) -> tuple[float, ...]:
    """The values of `READ_FEATURES`.

    Args:
        by_words: The probability that there is an answer, by the words alone.
        odds: The log odds of the candidates that were read and say different things, descending, at least one.
        judge: The judge's log odds of the best candidate.
        mean: The mean match of the best candidate.
    """
    margin = min(odds[0] - odds[1], MOST_MARGIN) if len(odds) > 1 else MARGIN_ALONE
    words = math.log(max(by_words, LEAST) / max(1 - by_words, LEAST))
    return 1.0, words, margin, judge, mean


def _with_context(passages: Sequence[Passage], one: SentenceCandidate, before: Mapping[tuple[int, int], str]) -> str:
    """The sentence in one line, below a line of title, headings, lead and the sentence before."""
    names = " > ".join(part for part in (passages[one.passage].title, *one.context.splitlines()) if part)
    last = before.get((one.passage, one.place - 1), "") if one.kind == "prose" else ""
    context = " ".join(": ".join(part for part in (names, last) if part).split())
    sentence = " ".join(one.text.split())
    return f"{context}\n{sentence}" if context else sentence
