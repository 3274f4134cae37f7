"""The extractive answerer: quotes the sentences that answer best, each with what belongs to it and its marker."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import takewhile

from ragstone.generation.base import Abstained
from ragstone.generation.blocks import blocks
from ragstone.generation.candidates import SentenceCandidate, candidates
from ragstone.generation.facts import Facts, content_terms, facts
from ragstone.generation.follow_up import follow_up
from ragstone.generation.relevance import relevance
from ragstone.vocabulary import Passage, Turn, Usage, parts_of_question

NAME = "extractive"
SAME_QUESTION = 0.8
"""The share of common words from which a heading asks the question; by hand, as the open sets have no headings."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ExtractiveOptions:
    """The thresholds and the length of an answer; chosen with `benchmarks/extractive_answers.py`.

    `answer_at`: the probability that there is an answer, from which one is given.
    `within`: how much lower than the best, in log odds, a further sentence may be.
    `same_at`: the share of common terms from which two sentences count as one.
    """

    answer_at: float = 0.45
    within: float = 1.5
    same_at: float = 0.8
    max_sentences: int = 3


class ExtractiveAnswerer:
    """An `Answerer` that quotes sentences; it needs no key and no network."""

    def __init__(self, options: ExtractiveOptions = ExtractiveOptions()) -> None:
        self._options = options

    @property
    def name(self) -> str:
        """`extractive`."""
        return NAME

    async def stream(
        self, question: str, passages: Sequence[Passage], history: Sequence[Turn]
    ) -> AsyncGenerator[str | Abstained | Usage, None]:
        """See `Answerer.stream`. A follow-up arrives condensed; `history` tells its new words from the carried ones."""
        picked = await asyncio.to_thread(pick, question, passages, self._options, history)
        if not picked:
            yield Abstained()
        for place, block in enumerate(blocks(passages, [(one.passage, one.start) for one in picked], question)):
            yield ("\n\n" if place else "") + block
        yield Usage(NAME)


def pick(
    question: str, passages: Sequence[Passage], options: ExtractiveOptions, history: Sequence[Turn] = ()
) -> list[SentenceCandidate]:
    """The sentences that answer, best first; none if there seems to be no answer.

    If a heading asks the question, the sentences below it answer.
    """
    sentences = candidates(passages)
    if opening := section_opening(question, sentences):
        return opening[: options.max_sentences]
    asked, carried = parts_of_question(question) if history else (question, "")
    turn = follow_up(asked, carried, history)
    extra = [turn.odds(one, passages[one.passage]) for one in sentences] if turn else ()
    found = relevance(asked, passages, sentences, extra)
    if not found.ranked or found.answerable < options.answer_at:
        return []
    best = found.ranked[0][1]
    chosen: list[SentenceCandidate] = []
    for candidate, odds in found.ranked:
        if odds < best - options.within or len(chosen) == options.max_sentences:
            break
        if not any(_same(candidate, other, options.same_at) for other in chosen):
            chosen.append(candidate)
    return chosen


def section_opening(question: str, found: Sequence[SentenceCandidate]) -> list[SentenceCandidate]:
    """The sentences below the first heading that repeats the question, up to the next heading.

    Both have the same content words, but for a fifth at most, and agree in negation.
    Empty where there is no such heading.
    """
    asked = facts(question)
    for place, heading in enumerate(found):
        if heading.kind == "heading" and _alike(asked, facts(heading.text)):
            below = takewhile(partial(_below, heading), found[place + 1 :])
            if opening := [one for one in below if one.kind in ("prose", "item")]:
                return opening
    return []


def _below(heading: SentenceCandidate, one: SentenceCandidate) -> bool:
    return one.passage == heading.passage and one.kind != "heading"


def _alike(asked: Facts, heading: Facts) -> bool:
    shared, either = asked.terms & heading.terms, asked.terms | heading.terms
    return bool(either) and len(shared) >= SAME_QUESTION * len(either) and asked.negates == heading.negates


def _same(one: SentenceCandidate, other: SentenceCandidate, same_at: float) -> bool:
    mine, theirs = content_terms(one.text), content_terms(other.text)
    return len(mine & theirs) >= same_at * max(1, min(len(mine), len(theirs)))
