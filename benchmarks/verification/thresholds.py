"""Fit the thresholds of the check of citations: `python -m benchmarks.verification.thresholds`.

It reads what the judge's training kept back: built edits and rewrites (`built.py`, `wordings.py`) of documentation,
and claims that people wrote about a text, with SciFact's of the half that trains. What the figures of
docs/citations.md are measured on is not read. For each coverage below which a claim is a paraphrase, and each pair of
thresholds of the judge, it prints the share of true and false edits, and of supported and contradicted claims, that
would be accepted, each as a mean over kinds. The values chosen stand in `ragstone.generation.verification`.
"""

from __future__ import annotations

import argparse
import gzip
import json
import random
from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import chain, product
from statistics import fmean

from benchmarks.answer_sets import DATA
from benchmarks.splits import is_held_out
from benchmarks.training.rows import is_kept_back
from benchmarks.verification import built, wordings
from benchmarks.verification.cases import SEED, SETS, Case, Source, lines, passages
from ragstone.generation.verification import Evidence
from ragstone.inference.judge import PairJudge
from ragstone.vocabulary import Verdict

BELOW = (0.75, 0.8, 0.85, 0.9)
NEEDED = (0.2, 0.25, 0.3, 0.4, 0.5)
NEEDED_OF_PARAPHRASES = (0.6, 0.7, 0.8, 0.9)
PARAPHRASES = ("vitaminc-real", "wice", "fever-symmetric")
"""Sets of `training/verify` whose claims people wrote about a text, with claims that the text refutes."""


@dataclass(frozen=True, slots=True)
class Weighed:
    """A case with what the rules found and how far the judge supports it; `coverage` is that of the rules."""

    case: Case
    verdict: Verdict
    coverage: float
    supported: float

    def is_accepted(self, below: float, needed: float, of_paraphrases: float) -> bool:
        """Whether it would be quoted or borne out with these thresholds."""
        if self.verdict is not Verdict.BORNE_OUT:
            return self.verdict is Verdict.QUOTED
        return self.supported >= (of_paraphrases if self.coverage < below else needed)


def main() -> None:
    """Weigh the cases and print the table."""
    arguments = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    arguments.add_argument("--each", type=int, default=40, help="cases of each kind, at most")
    each = arguments.parse_args().each
    made = chain.from_iterable(kinds.pairs(kept_back(), random.Random(SEED)) for kinds in (built, wordings))
    edits = list(weighed(sampled(made, each)))
    written = list(weighed([*sampled(scifact(), 4 * each), *sampled(paraphrases(), 2 * each)]))
    print("below  needed  of paraphrases   true edits  false edits   supported  contradicted")
    for chosen in product(BELOW, NEEDED, NEEDED_OF_PARAPHRASES):
        shares = [*by_kind(edits, *chosen), *by_kind(written, *chosen)]
        print("{:5.2f}  {:6.2f}  {:14.2f}".format(*chosen) + "".join(f"  {share:11.3f}" for share in shares))


def by_kind(found: Sequence[Weighed], below: float, needed: float, of_paraphrases: float) -> tuple[float, float]:
    """The share of true and of false cases that are accepted, as means over kinds."""
    kinds: dict[tuple[bool, str], list[bool]] = defaultdict(list)
    for one in found:
        kinds[one.case.true, one.case.kind].append(one.is_accepted(below, needed, of_paraphrases))
    means = [[fmean(accepted) for (true, _), accepted in kinds.items() if true is side] for side in (True, False)]
    return fmean(means[0] or [0.0]), fmean(means[1] or [0.0])


def weighed(cases: Sequence[Case]) -> Iterator[Weighed]:
    """Each case after rules and judge, which is asked in one call for all."""
    examined = [Evidence(case.text, case.title).examine(case.claim) for case in cases]
    asked = [one.pair for one in examined if one.pair]
    opinions = iter(PairJudge.load().supports(asked))
    for case, one in zip(cases, examined, strict=True):
        found = one.by_rules
        supported = next(opinions).supported if one.pair else 0.0
        yield Weighed(case, Verdict.BORNE_OUT if one.pair else found.verdict, one.coverage, supported)


def sampled(cases: Iterable[Case], each: int) -> list[Case]:
    """At most `each` cases of a kind, the first that come."""
    kept: dict[str, list[Case]] = defaultdict(list)
    for case in cases:
        if len(kept[case.kind]) < each:
            kept[case.kind].append(case)
    return [case for cases_of_kind in kept.values() for case in cases_of_kind]


def kept_back() -> list[Source]:
    """Passages of documentation that the judge was not trained on."""
    return [one for one in passages(held_out=False) if one.domain not in SETS and is_kept_back(one.text)]


def scifact() -> Iterator[Case]:
    """Claims of experts about abstracts of the half that trains, supported and contradicted."""
    corpus = {entry["id"]: entry for entry in lines(DATA / "scifact" / "corpus.jsonl")}
    for query in lines(DATA / "scifact" / "queries.jsonl"):
        for proof in query["evidence"]:
            if not is_held_out(proof["doc"]):
                entry, true = corpus[proof["doc"]], proof["label"] == "SUPPORT"
                yield Case(f"scifact {true}", true, query["text"], entry["text"], entry["title"], "en")


def paraphrases() -> Iterator[Case]:
    """Claims of `PARAPHRASES` in random order."""
    with gzip.open(DATA / "training" / "verify.jsonl.gz", "rt", encoding="utf-8") as file:
        rows = [
            row
            for row in map(json.loads, file)
            if row["source"].split()[0] in PARAPHRASES and is_kept_back(row["premise"])
        ]
    random.Random(SEED).shuffle(rows)
    for row in rows:
        true, source = row["label"] == 1, row["source"].split()[0]
        yield Case(f"{source} {true}", true, row["hypothesis"], row["premise"], "", row["lang"])


if __name__ == "__main__":
    main()
