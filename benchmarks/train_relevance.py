"""Train the two weight rows of `ragstone.generation.relevance`, and measure them on unseen articles.

Rank weights: logistic regression over sentences of answerable questions, "does it hold a
gold answer". Answerable weights: the same over questions, "is there an answer", on the
features of the best-ranked sentence, both classes weighted alike. Newton's method, L2.
Articles are split in two: each half is measured with the weights of the other. The
weights that ship are trained on all of it.

    python -m benchmarks.train_relevance --keep /tmp/answers
"""

from __future__ import annotations

import argparse
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from benchmarks.answer_sets import Case, cases
from ragstone.generation.relevance import FEATURES, candidates, features

Array = NDArray[np.float64]
RANK_L2 = 1.0
ANSWERABLE_L2 = 2.0
CLAPNQ_WEIGHT = 10
"""How often a question of clapnq counts: it has 314, and squad_v2 twice 3,695, half of them made to deceive."""
LONG_ENOUGH = 40
"""A sentence of this many characters inside a gold passage counts as holding it."""


@dataclass(frozen=True, slots=True)
class Example:
    """A question as numbers: a row for each sentence, and which of them hold a gold answer."""

    group: str
    answerable: bool
    rows: Array
    holds: NDArray[np.bool_]


def example(case: Case) -> Example:
    found = candidates(case.passages)
    golds = [folded(gold) for gold in case.gold]
    holds = [any(holds_gold(folded(candidate.text), gold) for gold in golds) for candidate in found]
    rows = np.array(features(case.question, case.passages, found), dtype=np.float64)
    return Example(case.group, case.answerable, rows, np.array(holds))


def folded(text: str) -> str:
    return " ".join(text.lower().split())


def holds_gold(sentence: str, gold: str) -> bool:
    return gold in sentence or (len(sentence) >= LONG_ENOUGH and sentence in gold)


def logistic(rows: Array, labels: Array, weights: Array, l2: float) -> Array:
    """Maximum a posteriori weights by 30 steps of Newton's method."""
    found: Array = np.zeros(rows.shape[1])
    for _ in range(30):
        expected = 1 / (1 + np.exp(-rows @ found))
        gradient = rows.T @ (weights * (expected - labels)) + l2 * found
        curvature = (rows * (weights * expected * (1 - expected))[:, None]).T @ rows + l2 * np.eye(rows.shape[1])
        found -= np.linalg.solve(curvature, gradient)
    return np.asarray(found)


def train(examples: list[Example]) -> tuple[Array, Array]:
    """Rank weights and answerable weights."""
    useful = [one for one in examples if one.answerable and one.holds.any()]
    rows = np.vstack([one.rows for one in useful])
    rank = logistic(rows, np.concatenate([one.holds for one in useful]).astype(float), np.ones(len(rows)), RANK_L2)
    best = np.stack([best_row(one, rank) for one in examples])
    labels = np.array([float(one.answerable) for one in examples])
    share = labels.mean()
    return rank, logistic(best, labels, np.where(labels > 0, 0.5 / share, 0.5 / (1 - share)), ANSWERABLE_L2)


def best_row(one: Example, rank: Array) -> Array:
    return np.asarray(one.rows[int(np.argmax(one.rows @ rank))])


def measure(name: str, examples: list[Example], rank: Array, answerable: Array) -> None:
    """One line: how often the best and the best three hold the answer, and how well answerable is told."""
    known = [one for one in examples if one.answerable]
    order = [np.argsort(-(one.rows @ rank), kind="stable") for one in known]
    top1 = np.mean([one.holds[best[0]] for one, best in zip(known, order, strict=True)])
    top3 = np.mean([one.holds[best[:3]].any() for one, best in zip(known, order, strict=True)])
    odds = np.array([best_row(one, rank) @ answerable for one in examples])
    labels = np.array([one.answerable for one in examples])
    wins = (odds[labels][:, None] > odds[~labels][None, :]).mean()
    answered, abstained = (odds[labels] >= 0).mean(), (odds[~labels] < 0).mean()
    print(
        f"{name:34s} top1 {top1:.3f}  top3 {top3:.3f}  AUC {wins:.3f}  "
        f"answered {answered:.3f}  abstained {abstained:.3f}  balanced {(answered + abstained) / 2:.3f}"
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--keep", type=Path, default=Path("/tmp/ragstone-answers"))
    keep = parser.parse_args().keep
    squad = [example(case) for case in cases("squad_v2", keep)]
    chunks = [example(case) for case in cases("squad_v2", keep, joined=3)]
    clapnq = [example(case) for case in cases("clapnq", keep)]
    groups = sorted({one.group for one in squad})
    halves = [[one for one in squad if groups.index(one.group) % 2 == half] for half in (0, 1)]
    long_halves = [[one for one in chunks if groups.index(one.group) % 2 == half] for half in (0, 1)]
    open_halves = [clapnq[0::2], clapnq[1::2]]
    for here, there in ((0, 1), (1, 0)):
        rank, answerable = train(halves[here] + long_halves[here] + CLAPNQ_WEIGHT * open_halves[here])
        measure(f"squad_v2 half {there}, trained on {here}", halves[there], rank, answerable)
        measure("  in chunks of 500 tokens", long_halves[there], rank, answerable)
        measure(f"clapnq half {there}, trained on {here}", open_halves[there], rank, answerable)
    rank, answerable = train(squad + chunks + CLAPNQ_WEIGHT * clapnq)
    measure("squad_v2, seen", squad, rank, answerable)
    measure("  in chunks of 500 tokens, seen", chunks, rank, answerable)
    measure("clapnq, seen", clapnq, rank, answerable)
    for name, weights in (("RANK_WEIGHTS", rank), ("ANSWERABLE_WEIGHTS", answerable)):
        print(f"{name} = {{")
        for feature, weight in zip(FEATURES, weights, strict=True):
            print(f'    "{feature}": {weight:.2f},')
        print("}")


if __name__ == "__main__":
    main()
