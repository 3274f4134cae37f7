"""Quality of `ragstone.generation.citations`, by kinds of true and false sentences.

Four groups, reported apart: *built* and *wordings* (kinds that the check was built with), *held_out* (kinds that
building never looks at) and *natural* (sentences by people, statements of right and wrong answers, wrong passages).
All on documents that training does not read. `accepted`: the product says quoted or borne out; of false
sentences that is a false accept.

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
from dataclasses import asdict, fields
from importlib import import_module
from pathlib import Path

from benchmarks.verification.cases import SEED, Case, Source, lines, passages
from benchmarks.verification.checking import checked, seconds_of_answers
from benchmarks.verification.figures import Judged
from benchmarks.verification.report import figures_of, printed
from ragstone.inference.judge import PairJudge

GROUPS = ("built", "wordings", "held_out", "natural")
MOST = 250
"""Cases of a kind; 250 give a 95 % interval of at most ±.06."""

MAX_PASSAGES = 2400
"""Passages that kinds are made from: all of the small domains, and as many abstracts as make up the rest."""

CASE = tuple(one.name for one in fields(Case))


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


def cases_of(group: str, sources: Sequence[Source], most: int, every: int) -> Iterator[tuple[Case, bool]]:
    """The sampled cases of a group and whether their kind has no built kin; none where the module is not there."""
    try:
        module = import_module(f"benchmarks.verification.{group}")
    except ModuleNotFoundError:
        return
    new: frozenset[str] = getattr(module, "NEW", frozenset())
    for case in sampled(module.pairs(sources, random.Random(SEED)), most, every):
        yield case, case.kind in new


def kept(path: Path) -> Iterator[tuple[str, Case, bool]]:
    """Group, case and newness as `--cases` wrote them."""
    for entry in lines(path):
        yield entry["group"], Case(**{name: entry[name] for name in CASE}), entry["new"]


def made(options: argparse.Namespace) -> Iterator[tuple[str, Case, bool]]:
    """Group, case and newness of all groups that are asked for."""
    sources = passages(held_out=True)[:MAX_PASSAGES]
    for group in [options.only] if options.only else GROUPS:
        yield from ((group, *case) for case in cases_of(group, sources, options.most, options.every))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", choices=GROUPS, help="one group alone")
    parser.add_argument("--every", type=int, default=1, help="take every n-th case of a kind")
    parser.add_argument("--most", type=int, default=MOST, help="take at most so many cases of a kind")
    parser.add_argument("--rules", action="store_true", help="check without the model that judges")
    parser.add_argument("--totals", action="store_true", help="print no figure of a single held-out kind")
    parser.add_argument("--json", type=Path, help="write all figures to this file")
    parser.add_argument("--cases", type=Path, help="write every case with its score and verdict to this file")
    parser.add_argument(
        "--read", type=Path, help="check the cases of such a file, to compare two versions of the check"
    )
    options = parser.parse_args()
    judged: list[Judged] = []
    told: list[dict] = []
    judge = None if options.rules else PairJudge.load()
    for case, result in checked(kept(options.read) if options.read else made(options), judge):
        judged.append(result)
        told.append({**asdict(case), **asdict(result)})
    found = figures_of(judged, seconds_of_answers(passages(held_out=True)[:MAX_PASSAGES], judge))
    print(printed(found, kinds_of_held_out=not options.totals))
    if options.json:
        options.json.write_text(json.dumps(found, indent=1), encoding="utf-8")
    if options.cases:
        options.cases.write_text("".join(f"{json.dumps(one)}\n" for one in told), encoding="utf-8")


if __name__ == "__main__":
    main()
