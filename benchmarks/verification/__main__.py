"""Quality of `ragstone.generation.citations`, by kinds of true and false sentences.

Three groups, reported apart: *built* (kinds that the check was built with), *held_out* (kinds that building never looks
at) and *natural* (sentences by people, statements of right and wrong answers, wrong passages). All on documents that
training does not read. `accepted`: the product says quoted or borne out; of false sentences that is a false accept.

    python -m benchmarks.verification                          # everything
    python -m benchmarks.verification --most 60                # at most 60 cases a kind, in a few minutes
    python -m benchmarks.verification --only held_out --totals # totals alone, which builders may see
    python -m benchmarks.verification --json figures.json
"""

from __future__ import annotations

import argparse
import json
import random
import zlib
from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence
from importlib import import_module
from pathlib import Path

from benchmarks.verification.cases import SEED, Case, Source, passages
from benchmarks.verification.checking import check, seconds_of_answers
from benchmarks.verification.figures import Judged
from benchmarks.verification.report import figures_of, printed

GROUPS = ("built", "held_out", "natural")
MOST = 250
"""Cases of a kind; 250 give a 95 % interval of at most ±.06."""

MAX_PASSAGES = 2400
"""Passages that kinds are made from: all of the small domains, and as many abstracts as make up the rest."""


def sampled(cases: Iterator[Case], most: int, every: int) -> list[Case]:
    """Every n-th case of a kind, and of these a fixed random choice of `most`, in the order in which they came."""
    seen: Counter[str] = Counter()
    kinds: dict[str, list[Case]] = defaultdict(list)
    for case in cases:
        seen[case.kind] += 1
        if seen[case.kind] % every == 0 or every == 1:
            kinds[case.kind].append(case)
    return [one for kind, found in kinds.items() for one in _chosen(kind, found, most)]


def _chosen(kind: str, found: list[Case], most: int) -> list[Case]:
    places = sorted(random.Random(SEED + zlib.crc32(kind.encode())).sample(range(len(found)), min(most, len(found))))
    return [found[place] for place in places]


def cases_of(group: str, sources: Sequence[Source], most: int, every: int) -> list[Case]:
    """The sampled cases of a group; empty where its module is not there."""
    try:
        module = import_module(f"benchmarks.verification.{group}")
    except ModuleNotFoundError:
        return []
    return sampled(module.pairs(sources, random.Random(SEED)), most, every)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", choices=GROUPS, help="one group alone")
    parser.add_argument("--every", type=int, default=1, help="take every n-th case of a kind")
    parser.add_argument("--most", type=int, default=MOST, help="take at most so many cases of a kind")
    parser.add_argument("--totals", action="store_true", help="print no figure of a single held-out kind")
    parser.add_argument("--json", type=Path, help="write all figures to this file")
    parser.add_argument("--cases", type=Path, help="write every case with its verdict to this file, to read by eye")
    options = parser.parse_args()
    sources = passages(held_out=True)[:MAX_PASSAGES]
    judged: list[Judged] = []
    told: list[dict] = []
    for group in [options.only] if options.only else GROUPS:
        for case in cases_of(group, sources, options.most, options.every):
            judged.append(check(case, group))
            told.append({"kind": case.kind, "claim": case.claim, "text": case.text, "verdict": judged[-1].verdict})
    found = figures_of(judged, seconds_of_answers(sources))
    print(printed(found, kinds_of_held_out=not options.totals))
    if options.json:
        options.json.write_text(json.dumps(found, indent=1), encoding="utf-8")
    if options.cases:
        options.cases.write_text("".join(f"{json.dumps(one)}\n" for one in told), encoding="utf-8")


if __name__ == "__main__":
    main()
