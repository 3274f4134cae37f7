"""Quality of `ragstone.generation.citations`: supported sentences against others.

True pairs: evidence sentences of clapnq and squad_v2 with their passage, whole and without
their bracketed parts; the written answers of clapnq, sentence by sentence; claims of
scifact that an abstract supports (with the abstract). False pairs: the same with one
figure, month, unit, name or negation changed, sentences of another passage, and claims of
scifact that the abstract contradicts.

    python -m benchmarks.verification
"""

from __future__ import annotations

import calendar
import json
import random
import re
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path

from benchmarks.answer_sets import DATA
from ragstone.documents.sentences import sentences
from ragstone.generation.citations import VERIFIED_AT, Evidence

Pair = tuple[str, str, str]
"""Claim, passage, title."""

SAMPLE = 250
THRESHOLDS = (0.4, 0.5, 0.6, 0.7, 0.8, 0.9)
MONTHS = tuple(calendar.month_name)[1:]
UNITS = {"km": "miles", "miles": "km", "metres": "feet", "meters": "feet", "feet": "metres", "percent": "kilograms"}


def lines(path: Path) -> Iterator[dict]:
    with path.open(encoding="utf-8") as file:
        yield from map(json.loads, file)


def copied(random_: random.Random) -> list[Pair]:
    """Sentences with the passage they stand in."""
    pairs = []
    for name in ("squad_v2", "clapnq"):
        for entry in lines(DATA / name / "corpus.jsonl"):
            text = entry["text"]
            found = [text[one.start : one.end] for one in sentences(text) if one.end - one.start > 40]
            pairs += [(sentence, text, entry["title"]) for sentence in found]
    return random_.sample(pairs, SAMPLE)


def shortened(pairs: list[Pair]) -> list[Pair]:
    """Without what stands in brackets, and without the words before the first comma."""
    found = []
    for claim, text, title in pairs:
        short = re.sub(r"\s*\([^()]*\)", "", claim)
        head, comma, tail = short.partition(", ")
        short = tail[:1].upper() + tail[1:] if comma and len(head) < len(tail) / 2 else short
        if short != claim:
            found.append((short, text, title))
    return found


def written(random_: random.Random) -> list[Pair]:
    """People's answers of clapnq, by sentences, with the passage they were written from."""
    corpus = {entry["id"]: entry for entry in lines(DATA / "clapnq" / "corpus.jsonl")}
    pairs = []
    for query in lines(DATA / "clapnq" / "queries.jsonl"):
        for answer in query["answers"][:1]:
            entry = corpus[query["evidence_ids"][0]]
            pairs += [(answer[one.start : one.end], entry["text"], entry["title"]) for one in sentences(answer)]
    return random_.sample(pairs, min(SAMPLE, len(pairs)))


def claimed(label: str) -> list[Pair]:
    """Claims of scifact with an abstract that supports or contradicts them."""
    corpus = {entry["id"]: entry for entry in lines(DATA / "scifact" / "corpus.jsonl")}
    return [
        (query["text"], corpus[proof["doc"]]["text"], corpus[proof["doc"]]["title"])
        for query in lines(DATA / "scifact" / "queries.jsonl")
        for proof in query["evidence"]
        if proof["label"] == label
    ]


def elsewhere(pairs: list[Pair], random_: random.Random) -> list[Pair]:
    """Each claim with the passage of another pair."""
    return [(claim, *random_.choice([other[1:] for other in pairs if other[1] != text])) for claim, text, _ in pairs]


def changed(pairs: list[Pair], random_: random.Random) -> dict[str, list[Pair]]:
    """One thing changed in each claim, where it has such a thing."""
    found: dict[str, list[Pair]] = defaultdict(list)
    for claim, text, title in pairs:
        for kind, other in _changes(claim, random_):
            if other != claim:
                found[kind].append((other, text, title))
    return found


def _changes(claim: str, random_: random.Random) -> Iterator[tuple[str, str]]:
    if figures := re.findall(r"\b\d+\b", claim):
        figure = random_.choice(figures)
        yield "figure changed", re.sub(rf"\b{figure}\b", str(int(figure) + random_.randint(1, 9)), claim, count=1)
    for month in MONTHS:
        if month in claim and month != "May":
            yield "month changed", claim.replace(month, random_.choice([one for one in MONTHS if one != month]))
    for unit, other in UNITS.items():
        if re.search(rf"\d {unit}\b", claim):
            yield "unit changed", re.sub(rf"(\d) {unit}\b", rf"\1 {other}", claim)
    if re.search(r" (?:is|was|are|were|can|will) (?!not)", claim):
        yield "negation added", re.sub(r" (is|was|are|were|can|will) (?!not)", r" \1 not ", claim, count=1)
    if " not " in claim:
        yield "negation removed", claim.replace(" not ", " ", 1)
    names = re.findall(r"(?<=[a-z,] )[A-Z][a-z]{3,}", claim)
    names = [name for name in names if name not in MONTHS]
    if names:
        yield "name changed", claim.replace(random_.choice(names), "Zebulon")
    if len(set(names)) > 1:
        left, right = random_.sample(sorted(set(names)), 2)
        swapped = claim.replace(left, "\0").replace(right, left).replace("\0", right)
        yield "names swapped", swapped


def scores(pairs: list[Pair]) -> list[float]:
    return [Evidence(text, title).verify(claim).score for claim, text, title in pairs]


def report(name: str, found: list[float], *, true: bool) -> None:
    shares = "  ".join(f"{sum((score >= at) == true for score in found) / len(found):.3f}" for at in THRESHOLDS)
    print(f"{'true ' if true else 'false'} {name:32s} {len(found):5d}  {shares}")


def main() -> None:
    random_ = random.Random(7)
    copies = copied(random_)
    people = written(random_)
    good = {
        "copied": copies,
        "shortened": shortened(copies),
        "written by people (clapnq)": people,
        "supported claim (scifact)": claimed("SUPPORT"),
    }
    bad = {
        **changed(copies + people, random_),
        "copied, another passage": elsewhere(copies, random_),
        "written, another passage": elsewhere(people, random_),
        "contradicted claim (scifact)": claimed("CONTRADICT"),
    }
    print(f"share told rightly; shipped threshold {VERIFIED_AT}")
    print(f"{'':44s}" + "  ".join(f"{at:5.2f}" for at in THRESHOLDS))
    true_scores = {name: scores(pairs) for name, pairs in good.items()}
    false_scores = {name: scores(pairs) for name, pairs in bad.items()}
    for name, found in true_scores.items():
        report(name, found, true=True)
    for name, found in false_scores.items():
        report(name, found, true=False)
    yes = [score for name, found in true_scores.items() if "scifact" not in name for score in found]
    no = [score for name, found in false_scores.items() if "scifact" not in name for score in found]
    print("\nwithout scifact: threshold, precision, recall, F1")
    for at in THRESHOLDS:
        kept, wrong = sum(score >= at for score in yes), sum(score >= at for score in no)
        precision, recall = kept / (kept + wrong), kept / len(yes)
        print(f"  {at:.2f}  {precision:.3f}  {recall:.3f}  {2 * precision * recall / (precision + recall):.3f}")


if __name__ == "__main__":
    main()
