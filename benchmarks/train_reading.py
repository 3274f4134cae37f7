"""Train what the models' reading weighs in `ragstone.generation.reading`: READ_WEIGHTS and READ_ANSWERABLE_WEIGHTS.

Rank weights: conditional logit over the candidates that the models read, "which one stands in a gold block". Answerable
weights: logistic regression over questions, "does the first one stand in a gold block". Questions are those of
`benchmarks/questions/dev.jsonl` without a history, of the collections of a data directory (see the README there). A
collection weighs by the root of its number of questions. Articles of squad_v2 are left out: the judge was trained on
those that training may read, and would seem better than it is.

    python -m benchmarks.train_reading --data-dir .questions
"""

from __future__ import annotations

import argparse
import asyncio
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import structlog
from numpy.typing import NDArray

from benchmarks.train_relevance import logistic
from ragstone.cli.command import opened, scope_of
from ragstone.cli.evaluate import gold_documents
from ragstone.evaluation.answers import gold_blocks, read_questions
from ragstone.generation.candidates import SentenceCandidate, candidates
from ragstone.generation.features import readable
from ragstone.generation.reading import READ_FEATURES, READ_WEIGHTS, READABLE, Models, answer_row, read_best
from ragstone.generation.relevance import relevance
from ragstone.inference.judge import PairJudge
from ragstone.inference.matching import TokenMatcher
from ragstone.vocabulary import Passage, Query

Array = NDArray[np.float64]
QUESTIONS = Path(__file__).parent / "questions" / "dev.jsonl"
RANK_L2, ANSWERABLE_L2 = 0.3, 1.0
STEPS, STEP = 4_000, 0.05


@dataclass(frozen=True, slots=True)
class Asked:
    """A question as numbers: a row of `READ_WEIGHTS` for each candidate that was read, and which hold the answer."""

    name: str
    answerable: bool
    by_words: float
    rows: Array
    holds: NDArray[np.bool_]


def of_case(
    name: str, question: str, passages: Sequence[Passage], holds: Callable[[SentenceCandidate], bool], models: Models
) -> Iterator[Asked]:
    """The question as the models read it; nothing if they cannot read it or no sentence may answer."""
    found = relevance(question, passages, candidates(passages))
    if found.ranked and readable(question) >= READABLE:
        seen = read_best(question, passages, found, models)
        rows = np.array([[one.words, one.judge, one.match.whole, one.match.mean] for one in seen])
        marks = np.array([holds(one.candidate) for one in seen])
        yield Asked(name, bool(marks.any()), found.answerable, rows, marks)


async def of_collections(data_dir: Path, models: Models) -> list[Asked]:
    """Questions about the collections of a data directory."""
    made: list[Asked] = []
    async with opened(data_dir) as services:
        for asked in read_questions(QUESTIONS):
            if asked.history:
                continue
            scope = scope_of(asked.corpus)
            blocks = gold_blocks(asked, await gold_documents(services, scope, [asked]))
            passages = (await services.answers.retriever.search(scope, Query(asked.question))).passages

            def holds(
                one: SentenceCandidate, passages: Sequence[Passage] = passages, blocks: Sequence = blocks
            ) -> bool:
                chunk = passages[one.passage].chunk
                return any(
                    block.meets(chunk.document_id, chunk.start + one.start, chunk.start + one.end) for block in blocks
                )

            made += of_case(asked.corpus, asked.question, passages, holds, models)
    return made


def weights_of(chosen: Sequence[Asked]) -> Array:
    """What each question weighs; mean 1."""
    counts = Counter((one.name, one.answerable) for one in chosen)
    raw = np.array([counts[one.name, one.answerable] ** -0.5 for one in chosen])
    return np.asarray(raw / raw.mean())


def rank_weights(chosen: Sequence[Asked]) -> Array:
    """Conditional logit by gradient descent on scaled rows."""
    chosen = [one for one in chosen if one.answerable]
    weights, scale = weights_of(chosen), np.concatenate([one.rows for one in chosen]).std(axis=0)
    found: Array = np.zeros(len(READ_WEIGHTS))
    for _ in range(STEPS):
        slope = RANK_L2 * found
        for one, weight in zip(chosen, weights, strict=True):
            odds = (one.rows / scale) @ found
            likely = np.exp(odds - odds.max())
            gold = likely * one.holds
            slope = slope + weight * ((likely / likely.sum() - gold / gold.sum()) @ (one.rows / scale))
        found = found - STEP * slope / len(chosen)
    return np.asarray(found / scale)


def answerable_weights(chosen: Sequence[Asked], rank: Array) -> Array:
    """Logistic regression on the values of `READ_FEATURES`; the bias is not drawn to 0."""
    odds = [one.rows @ rank for one in chosen]
    best = [int(np.argmax(each)) for each in odds]
    rows = np.array(
        [
            answer_row(one.by_words, sorted(each, reverse=True), *one.rows[at][[1, 3]])
            for one, each, at in zip(chosen, odds, best, strict=True)
        ]
    )
    labels = np.array([float(one.holds[at]) for one, at in zip(chosen, best, strict=True)])
    mean, scale = rows.mean(axis=0), rows.std(axis=0)
    mean[0], scale[0] = 0.0, 1.0
    found = logistic((rows - mean) / scale, labels, weights_of(chosen), ANSWERABLE_L2) / scale
    found[0] -= float(found[1:] @ mean[1:])
    return np.asarray(found)


def main() -> None:
    """Read all questions, train, and print the weights."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data-dir", type=Path, required=True, help="where the collections of the questions are")
    chosen = parser.parse_args()
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(40))
    models = Models(PairJudge.load(), TokenMatcher.load())
    asked = asyncio.run(of_collections(chosen.data_dir, models))
    rank = rank_weights(asked)
    print(dict(zip(READ_WEIGHTS, rank.round(2).tolist(), strict=True)))
    print(dict(zip(READ_FEATURES, answerable_weights(asked, rank).round(2).tolist(), strict=True)))


if __name__ == "__main__":
    main()
