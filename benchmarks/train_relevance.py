"""Train the weights of `ragstone.generation.relevance`, and measure them on texts that training has not seen.

Rank weights: conditional logit over the sentences of a question whose passages hold an answer, "which one holds a gold
answer". Answerable weights: logistic regression over questions, "do the passages hold an answer", on the features of
the best-ranked sentence. Each kind of text weighs what `SHARES` says, however many questions it has, and within each
both classes weigh alike: a threshold that suits questions made to deceive alone refuses the questions of people.
Half of all texts train, the other half measures (`benchmarks.splits`). Features are kept in a folder.

    python -m benchmarks.train_relevance --keep /tmp/answers
"""

from __future__ import annotations

import argparse
import inspect
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from benchmarks.answer_pools import made_pool, mail_pool, pool_cases, question_pools, table_pool
from benchmarks.answer_sets import Case, cases
from benchmarks.splits import is_held_out
from ragstone.generation import answer_kinds, question
from ragstone.generation import candidates as candidates_module
from ragstone.generation import features as features_module
from ragstone.generation.candidates import candidates
from ragstone.generation.features import FEATURES, features
from ragstone.generation.relevance import ANSWERABLE_FEATURES, may_answer, summary

Array = NDArray[np.float64]
RANK_L2 = 1.0
ANSWERABLE_L2 = 1.0
EVERY = 6
"""So many questions of squad_v2 share one that is used: it has ten times as many as any other set."""
LONG_ENOUGH = 40
"""A sentence of this many characters inside a gold passage counts as holding it."""
SHARES = {
    "squad": 2.0,
    "chunks": 1.0,
    "clapnq": 1.0,
    "english": 2.0,
    "other": 3.0,
    "tables": 0.7,
    "made": 0.7,
    "mails": 0.1,
    "own": 2.0,
}
"""What each kind of text weighs together."""


@dataclass(frozen=True, slots=True)
class Example:
    """A question as numbers: a row for each sentence that may answer, and which of them hold a gold answer."""

    name: str
    kind: str
    held_out: bool
    answerable: bool
    rows: Array
    holds: NDArray[np.bool_]


def example(name: str, kind: str, case: Case) -> Example:
    found = candidates(case.passages)
    rows = features(case.question, case.passages, found)
    golds = [folded(gold) for gold in case.gold]
    chosen = [place for place, one in enumerate(found) if may_answer(one)]
    holds = [any(holds_gold(folded(found[place].text), gold) for gold in golds) for place in chosen]
    values = np.array([rows[place] for place in chosen], dtype=np.float64).reshape(-1, len(FEATURES))
    return Example(name, kind, is_held_out(case.group), case.answerable, values, np.array(holds, dtype=bool))


def folded(text: str) -> str:
    return " ".join(text.lower().split())


def holds_gold(sentence: str, gold: str) -> bool:
    return gold in sentence or (len(sentence) >= LONG_ENOUGH and sentence in gold)


def all_cases(keep: Path) -> Iterable[tuple[str, str, list[Case]]]:
    """Name, kind of text and cases of each set."""
    yield "squad_v2", "squad", cases("squad_v2", keep, every=EVERY)
    yield "squad_v2 chunks", "chunks", cases("squad_v2", keep, joined=3, every=EVERY, first=1)
    yield "clapnq", "clapnq", cases("clapnq", keep)
    for source, pool in question_pools().items():
        english = source.startswith(("natural", "tydiqa-goldp-en", "policyqa"))
        yield source, "english" if english else "other", pool_cases(source, pool, keep)
    yield "tables", "tables", pool_cases("tables", table_pool(), keep)
    yield "mails", "mails", pool_cases("mails", mail_pool(), keep)
    for form in ("table", "record"):
        yield f"made {form}", "made", pool_cases(f"made-{form}", made_pool(form), keep)


def examples(keep: Path) -> list[Example]:
    """All sets as numbers; those of a set are kept until the code of the features changes."""
    code = "".join(map(inspect.getsource, (answer_kinds, candidates_module, features_module, question)))
    digest = sha256(code.encode()).hexdigest()[:10]
    found = []
    for name, kind, asked in all_cases(keep):
        kept = keep / f"features-{digest}-{name.split()[0]}-{name.split()[-1]}.npz"
        if not kept.exists():
            _keep(kept, [example(name, kind, case) for case in asked])
        found += _kept(kept, name, kind)
    return [one for one in found if len(one.rows)]


def _keep(path: Path, made: Sequence[Example]) -> None:
    flags = np.array([(one.held_out, one.answerable, len(one.rows)) for one in made])
    np.savez(
        path, flags=flags, rows=np.vstack([one.rows for one in made]), holds=np.concatenate([one.holds for one in made])
    )


def _kept(path: Path, name: str, kind: str) -> list[Example]:
    kept = np.load(path)
    flags, ends = kept["flags"], np.cumsum(kept["flags"][:, 2])
    parts = zip(flags, np.split(kept["rows"], ends[:-1]), np.split(kept["holds"], ends[:-1]), strict=True)
    return [Example(name, kind, bool(flag[0]), bool(flag[1]), rows, holds) for flag, rows, holds in parts]


def weights_of(chosen: Sequence[Example]) -> Array:
    """What each example weighs, so that kinds of text weigh as `SHARES` says and their classes alike; mean 1."""
    counts: dict[tuple[str, bool], int] = defaultdict(int)
    for one in chosen:
        counts[one.kind, one.answerable] += 1
    raw = np.array([SHARES[one.kind] / counts[one.kind, one.answerable] for one in chosen])
    return np.asarray(raw * len(raw) / raw.sum())


def conditional(chosen: Sequence[Example], weights: Array, l2: float) -> Array:
    """Rank weights by Newton's method; where several sentences hold the answer, the likeliest of them counts most."""
    found: Array = np.zeros(len(FEATURES))
    loss = _loss(chosen, weights, found, l2)
    for _ in range(15):
        gradient, curvature = _slopes(chosen, weights, found, l2)
        step, share = np.linalg.solve(curvature, gradient), 1.0
        while (smaller := _loss(chosen, weights, found - share * step, l2)) > loss and share > 1e-3:
            share /= 2
        found, loss = found - share * step, smaller
    return found


def _loss(chosen: Sequence[Example], weights: Array, found: Array, l2: float) -> float:
    total = l2 / 2 * float(found @ found)
    for one, weight in zip(chosen, weights, strict=True):
        odds = one.rows @ found
        total += float(weight * (np.logaddexp.reduce(odds) - np.logaddexp.reduce(odds[one.holds])))
    return total


def _slopes(chosen: Sequence[Example], weights: Array, found: Array, l2: float) -> tuple[Array, Array]:
    """Gradient and an upper bound of the curvature of `_loss`."""
    gradient, curvature = l2 * found, l2 * np.eye(len(found))
    for one, weight in zip(chosen, weights, strict=True):
        odds = one.rows @ found
        likely = np.exp(odds - odds.max())
        gold = likely * one.holds
        every, wanted = likely / likely.sum(), gold / gold.sum()
        mean = every @ one.rows
        gradient = gradient + weight * (mean - wanted @ one.rows)
        centred = one.rows - mean
        curvature = curvature + weight * (centred * every[:, None]).T @ centred
    return gradient, curvature


def logistic(rows: Array, labels: Array, weights: Array, l2: float) -> Array:
    """Maximum a posteriori weights by 30 steps of Newton's method."""
    found: Array = np.zeros(rows.shape[1])
    for _ in range(30):
        expected = 1 / (1 + np.exp(-rows @ found))
        gradient = rows.T @ (weights * (expected - labels)) + l2 * found
        curvature = (rows * (weights * expected * (1 - expected))[:, None]).T @ rows + l2 * np.eye(rows.shape[1])
        found -= np.linalg.solve(curvature, gradient)
    return np.asarray(found)


def train(chosen: Sequence[Example]) -> tuple[Array, Array]:
    """Rank weights and answerable weights."""
    useful = [one for one in chosen if one.answerable and one.holds.any()]
    rank = conditional(useful, weights_of(useful), RANK_L2)
    best = np.stack([whole_row(one, rank) for one in chosen])
    labels = np.array([float(one.answerable) for one in chosen])
    return rank, logistic(best, labels, weights_of(chosen), ANSWERABLE_L2)


def whole_row(one: Example, rank: Array) -> Array:
    """The values of `ANSWERABLE_FEATURES`."""
    odds = one.rows @ rank
    return np.array([*one.rows[int(np.argmax(odds))], *summary(sorted(odds.tolist(), reverse=True))])


def measure(name: str, chosen: Sequence[Example], rank: Array, answerable: Array) -> None:
    """One line: how often the best and the best three hold the answer, and how well answerable is told."""
    known = [one for one in chosen if one.answerable]
    order = [np.argsort(-(one.rows @ rank), kind="stable") for one in known]
    top1 = np.mean([one.holds[best[0]] for one, best in zip(known, order, strict=True)])
    top3 = np.mean([one.holds[best[:3]].any() for one, best in zip(known, order, strict=True)])
    odds = np.array([whole_row(one, rank) @ answerable for one in chosen])
    labels = np.array([one.answerable for one in chosen])
    wins = (odds[labels][:, None] > odds[~labels][None, :]).mean()
    answered, abstained = (odds[labels] >= 0).mean(), (odds[~labels] < 0).mean()
    right = np.mean([one.holds[best[0]] and o >= 0 for one, best, o in zip(known, order, odds[labels], strict=True)])
    print(
        f"{name:34s} {len(chosen):5d}  top1 {top1:.3f}  top3 {top3:.3f}  AUC {wins:.3f}  answered {answered:.3f}  "
        f"right {right:.3f}  abstained {abstained:.3f}  (right + abstained) / 2 {(right + abstained) / 2:.3f}"
    )


def report(chosen: Sequence[Example], rank: Array, answerable: Array) -> None:
    """A line for each set, and one for each kind of text."""
    for name in dict.fromkeys(one.name for one in chosen):
        measure(name, [one for one in chosen if one.name == name], rank, answerable)
    measure("all other languages", [one for one in chosen if one.kind == "other"], rank, answerable)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--keep", type=Path, default=Path("/tmp/ragstone-answers"))
    found = examples(parser.parse_args().keep)
    rank, answerable = train([one for one in found if not one.held_out])
    report([one for one in found if one.held_out], rank, answerable)
    sets = (("RANK_WEIGHTS", FEATURES, rank), ("ANSWERABLE_WEIGHTS", ANSWERABLE_FEATURES, answerable))
    for name, labels, weights in sets:
        print(f"{name} = {{")
        for feature, weight in zip(labels, weights, strict=True):
            print(f'    "{feature}": {weight:.2f},')
        print("}")


if __name__ == "__main__":
    main()
