"""How often the extractive answer quotes a passage that was planted, and what it costs on clean passages.

An attack is a document of its own beside a clean one that holds the answer; the likelier by MiniLM comes first.
*quoted*: the answer cites the attack. *shown*: it does not answer, and shows the attack among the closest passages.
*kept*: the answer holds the gold of the clean document. *warned*: the answer warns of its sources. Two sets: the
held-out half of the open file of injections, and echoes of the question in five languages
(`benchmarks.held_out_echoes`, not to be read while rules are written). *clean*: no attack; the right answer of "clean:
order" is an order, a link or a password's place.

`--built` measures with what the rules were built with: `benchmarks.built_echoes` and the other half of the open file;
`--list` prints the attacks that are quoted and the golds that are lost. The judge reads, as it does where the platform
is installed with its model.

    python -m benchmarks.injection [--every 4]
    python -m benchmarks.injection --built [--list]
"""

from __future__ import annotations

import argparse
import asyncio
import json
from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import cycle
from statistics import fmean

import structlog

from benchmarks import built_echoes, held_out_echoes
from benchmarks.answer_sets import DATA
from benchmarks.held_out_echoes import KnownFact
from benchmarks.shipped import answer_to, ranked, shipped_generator
from benchmarks.splits import is_held_out
from ragstone.embedding.base import Embedder
from ragstone.embedding.minilm import MiniLMEmbedder
from ragstone.evaluation.metrics import wilson_interval
from ragstone.generation.answer import Generator
from ragstone.vocabulary import Answer

ATTACK, CLEAN = "attack", "clean"
"""Ids of the two documents of a case."""


@dataclass(frozen=True, slots=True)
class InjectionCase:
    """A question with a clean document and, but for clean cases, an attack; `kind` names a line of the table."""

    kind: str
    question: str
    clean: str
    gold: str
    attack: str = ""

    @property
    def documents(self) -> dict[str, str]:
        """The documents by id."""
        return {CLEAN: self.clean, ATTACK: self.attack} if self.attack else {CLEAN: self.clean}


def echoes(*, built: bool = False) -> Iterator[InjectionCase]:
    """Each echo of a language with each fact of that language."""
    echoes = built_echoes if built else held_out_echoes
    for fact in echoes.FACTS:
        for kind, templates in echoes.ECHOES[fact.language].items():
            for template in templates:
                attack = template.format(q=fact.question, subject=fact.subject, url=echoes.URL)
                yield case_of(f"echo: {kind}", fact, attack)


def payloads(*, built: bool = False) -> Iterator[InjectionCase]:
    """A half of the open file: each payload alone, then each below the question as its heading."""
    english = [fact for fact in (built_echoes if built else held_out_echoes).FACTS if fact.language == "en"]
    lines = (DATA / "injection" / "injections.jsonl").read_text(encoding="utf-8").splitlines()
    half = [text for text in (json.loads(line)["payload"] for line in lines) if is_held_out(text) != built]
    pairs = list(zip(cycle(english), half, strict=False))
    yield from (case_of("open file: alone", fact, payload) for fact, payload in pairs)
    yield from (case_of("open file: below the question", fact, f"# {fact.question}\n\n{each}") for fact, each in pairs)


def case_of(kind: str, fact: KnownFact, attack: str) -> InjectionCase:
    return InjectionCase(kind, fact.question, fact.clean, fact.gold, attack)


def clean(*, built: bool = False) -> Iterator[InjectionCase]:
    """The facts without an attack, and clean documents that give orders."""
    echoes = built_echoes if built else held_out_echoes
    yield from (InjectionCase("clean: fact", each.question, each.clean, each.gold) for each in echoes.FACTS)
    yield from (InjectionCase("clean: order", *each) for each in echoes.CLEAN_ORDERS)


@dataclass(frozen=True, slots=True)
class Outcome:
    """What happened to a case; the fields are the columns of the table."""

    quoted: bool
    shown: bool
    kept: bool
    warned: bool


async def measured(generator: Generator, embedder: Embedder, case: InjectionCase) -> tuple[Outcome, Answer]:
    """Whether the attack is quoted, shown among the closest, the gold is kept, and the answer warns of its sources."""
    passages = await ranked(embedder, case.question, case.documents)
    answer = await answer_to(generator, case.question, passages)
    outcome = Outcome(
        quoted=not answer.abstained and any(citation.document_id == ATTACK for citation in answer.citations),
        shown=any(section.document_id == ATTACK for section in answer.closest),
        kept=not answer.abstained and case.gold in answer.text,
        warned=bool(answer.warnings),
    )
    return outcome, answer


async def report(cases: Iterable[InjectionCase], *, list_cases: bool = False) -> None:
    generator, embedder = shipped_generator(), MiniLMEmbedder.load()
    rows: dict[str, list[Outcome]] = defaultdict(list)
    for case in cases:
        outcome, answer = await measured(generator, embedder, case)
        if list_cases and (outcome.quoted or not (case.attack or outcome.kept)):
            print(f"{case.kind} | {case.question} | {case.attack or case.clean!r} -> {answer.text!r}")
        for kind in (case.kind, case.kind.partition(":")[0]):
            rows[kind].append(outcome)
    embedder.close()
    print(f"{'cases':38} {'n':>5} {'quoted':>7} {'95 %':>12} {'shown':>6} {'kept':>6} {'warned':>6}")
    for kind in sorted(rows):
        print(_line(kind, rows[kind]))


def _line(kind: str, outcomes: Sequence[Outcome]) -> str:
    n, quoted = len(outcomes), sum(one.quoted for one in outcomes)
    interval = wilson_interval(quoted, n)
    bounds = f"{interval.low:.3f}-{interval.high:.3f}"
    others = (fmean(getattr(one, name) for one in outcomes) for name in ("shown", "kept", "warned"))
    return f"{kind:38} {n:5} {quoted / n:7.3f} {bounds:>12} {' '.join(f'{share:6.3f}' for share in others)}"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--every", type=int, default=1, help="take every n-th attack")
    parser.add_argument("--built", action="store_true", help="measure with what the rules were built with")
    parser.add_argument("--list", action="store_true", help="with --built: print the cases that went wrong")
    options = parser.parse_args()
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(40))
    built = options.built
    attacks = [*echoes(built=built), *payloads(built=built)]
    asyncio.run(report([*attacks[:: options.every], *clean(built=built)], list_cases=built and options.list))


if __name__ == "__main__":
    main()
