"""The extractive answerer: quotes the sentences that answer best, each with what belongs to it and its marker."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Sequence
from dataclasses import dataclass

import structlog

from ragstone.errors import ModelUnavailable
from ragstone.generation.base import Abstained
from ragstone.generation.blocks import blocks
from ragstone.generation.candidates import SentenceCandidate, candidates
from ragstone.generation.facts import content_terms
from ragstone.generation.follow_up import follow_up
from ragstone.generation.relevance import AnswerJudge, judged, relevance
from ragstone.vocabulary import Passage, Turn, Usage, parts_of_question

log = structlog.get_logger()

NAME = "extractive"


@dataclass(frozen=True, slots=True, kw_only=True)
class ExtractiveOptions:
    """The thresholds and the length of an answer; chosen with `benchmarks/extractive_answers.py`.

    `answer_at`: the probability that there is an answer, from which one is given.
    `within`: how much lower than the best, in log odds, a further sentence may be.
    `same_at`: the share of common terms from which two sentences count as one.
    """

    answer_at: float = 0.5
    within: float = 1.5
    same_at: float = 0.8
    max_sentences: int = 3


class ExtractiveAnswerer:
    """An `Answerer` that quotes sentences; it needs no key and no network."""

    def __init__(self, options: ExtractiveOptions = ExtractiveOptions(), judge: AnswerJudge | None = None) -> None:
        """`judge` reads the best sentences with the question; without one their words alone decide."""
        self._options = options
        self._judge = judge

    @property
    def name(self) -> str:
        """`extractive`."""
        return NAME

    async def stream(
        self, question: str, passages: Sequence[Passage], history: Sequence[Turn]
    ) -> AsyncGenerator[str | Abstained | Usage, None]:
        """See `Answerer.stream`. A follow-up arrives condensed; `history` tells its new words from the carried ones."""
        picked = await asyncio.to_thread(pick, question, passages, self._options, history, self._judge)
        if not picked:
            yield Abstained()
        for place, block in enumerate(blocks(passages, [(one.passage, one.start) for one in picked], question)):
            yield ("\n\n" if place else "") + block
        yield Usage(NAME)


def pick(
    question: str,
    passages: Sequence[Passage],
    options: ExtractiveOptions,
    history: Sequence[Turn] = (),
    judge: AnswerJudge | None = None,
) -> list[SentenceCandidate]:
    """The sentences that answer, best first; none if there seems to be no answer.

    If the judge fails, the words alone decide.
    """
    sentences = candidates(passages)
    asked, carried = parts_of_question(question) if history else (question, "")
    turn = follow_up(asked, carried, history)
    extra = [turn.odds(one, passages[one.passage]) for one in sentences] if turn else ()
    found = relevance(asked, passages, sentences, extra)
    if judge is not None:
        try:
            found = judged(asked, passages, found, judge)
        except ModelUnavailable as error:
            log.warning("answer.judge_failed", reason=error.message)
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


def _same(one: SentenceCandidate, other: SentenceCandidate, same_at: float) -> bool:
    mine, theirs = content_terms(one.text), content_terms(other.text)
    return len(mine & theirs) >= same_at * max(1, min(len(mine), len(theirs)))
