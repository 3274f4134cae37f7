"""How well the installed judge does on development rows: `python -m benchmarks.training.measure --data FOLDER`.

Prints, for each task, the area under the ROC curve, and for "supports" the recall and the false accepts of each kind
at `--at`. The rows come from `prepare.py`; training has not read their texts.
"""

from __future__ import annotations

import argparse
import json
import time
from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from ragstone.inference.judge import PairJudge


def main() -> None:
    """Measure and print."""
    arguments = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    arguments.add_argument("--data", type=Path, required=True)
    arguments.add_argument("--model", type=Path)
    arguments.add_argument("--at", type=float, default=0.5)
    arguments.add_argument("--every", type=int, default=1, help="take every so manieth row")
    chosen = arguments.parse_args()
    with (chosen.data / "dev.jsonl").open(encoding="utf-8") as file:
        rows = [json.loads(line) for line in file][:: chosen.every]
    judge = PairJudge.load(chosen.model, threads=1)
    supports(judge, [row for row in rows if row["task"] == "supports"], chosen.at)
    answers(judge, [row for row in rows if row["task"] == "answers"])
    speed(judge)


def supports(judge: PairJudge, rows: Sequence[dict], at: float) -> None:
    """Supported against not: together, edits alone, each kind, each language."""
    found = judge.supports([(row["a"], row["b"]) for row in rows])
    scores = np.array([one.supported for one in found])
    true = np.array([row["label"] == 1 for row in rows])
    edited = np.array([row["kind"].startswith("edit ") for row in rows])
    for name, part in (("all", edited | True), ("edits", edited), ("written by people", ~edited)):
        print(f"supports, {name}: {line(scores[part], true[part], at)}")
    for field in ("lang", "kind"):
        groups = grouped(rows, field)
        for value, places in sorted(groups.items(), key=lambda item: -len(item[1])):
            print(f"  {value:45s} {line(scores[places], true[places], at)}")
    print("calibration, supported: share of true rows by tenth of the probability")
    for tenth in range(10):
        inside = (scores >= tenth / 10) & (scores < (tenth + 1) / 10 + (tenth == 9))
        print(f"  {tenth / 10:.1f}: {true[inside].mean() if inside.any() else 0:.2f} of {inside.sum()}")


def answers(judge: PairJudge, rows: Sequence[dict]) -> None:
    """Answering sentences against others: together, each language, each source of negatives."""
    scores = np.array([judge.answers(row["a"], [row["b"]])[0] for row in rows])
    true = np.array([row["label"] == 1 for row in rows])
    print(f"answers: {line(scores, true, 0.0)}")
    for language, places in grouped(rows, "lang").items():
        print(f"  {language:45s} {line(scores[places], true[places], 0.0)}")
    kinds = grouped([{"kind": row["kind"].split()[0]} for row in rows], "kind")
    for kind, places in kinds.items():
        print(f"  {kind:45s} accepted {(scores[places] > 0).mean():.2f} of {len(places)}")
    questions = grouped(rows, "a")
    both = [places for places in questions.values() if true[places].any() and not true[places].all()]
    first = [true[places][scores[places].argmax()] for places in both]
    print(f"  best sentence of its question first: {np.mean(first):.3f} of {len(both)}")


def grouped(rows: Sequence[dict], field: str) -> dict[str, list[int]]:
    """Places of rows by the value of a field."""
    groups: dict[str, list[int]] = defaultdict(list)
    for place, row in enumerate(rows):
        groups[row[field]].append(place)
    return groups


def line(scores: np.ndarray, true: np.ndarray, at: float) -> str:
    """AUC, recall and false accepts at a threshold."""
    ranks = scores.argsort().argsort()
    positives, negatives = int(true.sum()), int((~true).sum())
    pairs = positives * negatives
    area = (ranks[true].sum() - positives * (positives - 1) / 2) / pairs if pairs else float("nan")
    recall = (scores[true] > at).mean() if positives else float("nan")
    false = (scores[~true] > at).mean() if negatives else float("nan")
    return f"AUC {area:.3f} recall {recall:.3f} of {positives} false accepts {false:.3f} of {negatives}"


def speed(judge: PairJudge) -> None:
    """Milliseconds of eight candidates of some 70 tokens with the question."""
    question = "How long is the pressure kept at 16 bar during the test of the pump?"
    text = (
        "Handbook > Tests: The pump is tested in the hall.\nThe pressure is kept at 16 bar for thirty minutes, and the "
    )
    text += "housing must not leak or change its shape by more than a millimetre in any direction."
    judge.answers(question, [text] * 8)
    started, busy = time.perf_counter(), time.process_time()
    for _ in range(10):
        judge.answers(question, [text] * 8)
    wall, cpu = time.perf_counter() - started, time.process_time() - busy
    print(f"eight candidates: {100 * wall:.0f} ms, {100 * cpu:.0f} ms of processor time")


if __name__ == "__main__":
    main()
