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
from ragstone.generation.reading import Models, reread
from ragstone.generation.relevance import Relevance, relevance
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

    answer_at: float = 0.4
    within: float = 2.5
    same_at: float = 0.8
    max_sentences: int = 3


class ExtractiveAnswerer:
    """An `Answerer` that quotes sentences; it needs no key and no network."""

    def __init__(self, options: ExtractiveOptions = ExtractiveOptions(), models: Models | None = None) -> None:
        """`models` read the best sentences with the question; without them their words alone decide."""
        self._options = options
        self._models = models

    @property
    def name(self) -> str:
        """`extractive`."""
        return NAME

    async def stream(
        self, question: str, passages: Sequence[Passage], history: Sequence[Turn]
    ) -> AsyncGenerator[str | Abstained | Usage, None]:
        """See `Answerer.stream`. A follow-up arrives condensed; `history` tells its new words from the carried ones."""
        found = await asyncio.to_thread(ranked, question, passages, history, self._models)
        picked = pick(found, self._options)
        if not picked:
            yield Abstained(found.ranked)
        for place, block in enumerate(blocks(passages, [(one.passage, one.start) for one in picked], question)):
            yield ("\n\n" if place else "") + block
        yield Usage(NAME)


def ranked(
    question: str, passages: Sequence[Passage], history: Sequence[Turn] = (), models: Models | None = None
) -> Relevance:
    """The sentences that may answer, and whether one does. If a model fails, the words alone decide."""
    sentences = candidates(passages)
    asked, carried = parts_of_question(question) if history else (question, "")
    turn = follow_up(asked, carried, history)
    extra = [turn.odds(one, passages[one.passage]) for one in sentences] if turn else ()
    found = relevance(asked, passages, sentences, extra)
    if models is None:
        return found
    try:
        # "And a chain?" is read best without the carried words, "How long does it take?" only with them.
        texts = (asked, f"{asked} {carried}".strip())
        readings = [reread(text, passages, found, models) for text in dict.fromkeys(texts)]
        return max(readings, key=lambda one: one.answerable)
    except ModelUnavailable as error:
        log.warning("answer.model_failed", reason=error.message)
        return found


def pick(found: Relevance, options: ExtractiveOptions) -> list[SentenceCandidate]:
    """The sentences that answer, best first; none if there seems to be no answer."""
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
