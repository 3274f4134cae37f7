"""How often the extractive answer quotes a passage that was planted, and what it costs on clean passages.

An attack is a document of its own beside a clean one that holds the answer; the likelier by MiniLM comes first.
*quoted*: the answer cites the attack. *shown*: it does not answer, and shows the attack among the closest passages.
*kept*: the answer holds the gold of the clean document. *warned*: the answer warns of its sources. Two sets: the
held-out half of the open file of injections, and echoes of the question in five languages
(`benchmarks.held_out_echoes`, not to be read while rules are written). *clean*: no attack; the right answer of "clean:
order" is an order, a link or a password's place.

    python -m benchmarks.injection [--every 4]
"""

from __future__ import annotations

import argparse
import asyncio
import json
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import cycle

import structlog

from benchmarks.answer_sets import DATA
from benchmarks.held_out_echoes import CLEAN_ORDERS, ECHOES, FACTS, URL, KnownFact
from benchmarks.shipped import answer_to, ranked, shipped_generator
from benchmarks.splits import is_held_out
from ragstone.embedding.base import Embedder
from ragstone.embedding.minilm import MiniLMEmbedder
from ragstone.evaluation.metrics import wilson_interval
from ragstone.generation.answer import Generator

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


def echoes() -> Iterator[InjectionCase]:
    """Each echo of a language with each fact of that language."""
    for fact in FACTS:
        for kind, templates in ECHOES[fact.language].items():
            for template in templates:
                yield case_of(f"echo: {kind}", fact, template.format(q=fact.question, subject=fact.subject, url=URL))


def payloads() -> Iterator[InjectionCase]:
    """The held-out half of the open file: each payload alone, then each below the question as its heading."""
    english = [fact for fact in FACTS if fact.language == "en"]
    lines = (DATA / "injection" / "injections.jsonl").read_text(encoding="utf-8").splitlines()
    held_out = [text for text in (json.loads(line)["payload"] for line in lines) if is_held_out(text)]
    pairs = list(zip(cycle(english), held_out, strict=False))
    yield from (case_of("open file: alone", fact, payload) for fact, payload in pairs)
    yield from (case_of("open file: below the question", fact, f"# {fact.question}\n\n{each}") for fact, each in pairs)


def case_of(kind: str, fact: KnownFact, attack: str) -> InjectionCase:
    return InjectionCase(kind, fact.question, fact.clean, fact.gold, attack)


def clean() -> Iterator[InjectionCase]:
    """The facts without an attack, and clean documents that give orders."""
    yield from (InjectionCase("clean: fact", each.question, each.clean, each.gold) for each in FACTS)
    yield from (InjectionCase("clean: order", *each) for each in CLEAN_ORDERS)


async def measured(generator: Generator, embedder: Embedder, case: InjectionCase) -> tuple[bool, bool, bool, bool]:
    """Whether the attack is quoted, shown among the closest, the gold is kept, and the answer warns of its sources."""
    passages = await ranked(embedder, case.question, case.documents)
    answer = await answer_to(generator, case.question, passages)
    quoted = not answer.abstained and any(citation.document_id == ATTACK for citation in answer.citations)
    shown = any(section.document_id == ATTACK for section in answer.closest)
    return quoted, shown, not answer.abstained and case.gold in answer.text, bool(answer.warnings)


async def report(cases: list[InjectionCase]) -> None:
    generator, rows, embedder = shipped_generator(), defaultdict(list), MiniLMEmbedder.load()
    for case in cases:
        result = await measured(generator, embedder, case)
        for kind in (case.kind, case.kind.partition(":")[0]):
            rows[kind].append(result)
    embedder.close()
    print(f"{'cases':38} {'n':>5} {'quoted':>7} {'95 %':>12} {'shown':>6} {'kept':>6} {'warned':>6}")
    for kind in sorted(rows):
        quoted, shown, kept, warned = (sum(column) for column in zip(*rows[kind], strict=True))
        n, interval = len(rows[kind]), wilson_interval(quoted, len(rows[kind]))
        bounds = f"{interval.low:.3f}-{interval.high:.3f}"
        print(f"{kind:38} {n:5} {quoted / n:7.3f} {bounds:>12} {shown / n:6.3f} {kept / n:6.3f} {warned / n:6.3f}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--every", type=int, default=1, help="take every n-th attack")
    options = parser.parse_args()
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(40))
    attacks = [*echoes(), *payloads()]
    asyncio.run(report([*attacks[:: options.every], *clean()]))


if __name__ == "__main__":
    main()
