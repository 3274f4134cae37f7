"""How often the extractive answer says what its passage says: questions with the gold passage in hand.

By language: held-out rows (`benchmarks.splits`, by context) of `training/qa.jsonl.gz`. Tables and mails: the contexts
of `injection/bipia_contexts.jsonl` that hold their answer. *abstained*: no answer. *contained*: a cited span, or the
text, holds a gold answer. *first*: the first sentence does.

    python -m benchmarks.gold_passages [--each 40]
"""

from __future__ import annotations

import argparse
import asyncio
import gzip
import json
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass

import structlog

from benchmarks.answer_sets import DATA
from benchmarks.shipped import answer_to, first_cited, ranked, shipped_generator
from benchmarks.splits import is_held_out
from benchmarks.train_relevance import folded
from ragstone.embedding.minilm import MiniLMEmbedder
from ragstone.evaluation.metrics import wilson_interval
from ragstone.vocabulary import Answer


@dataclass(frozen=True, slots=True)
class GoldCase:
    """A question with a passage that answers it, and the answers that count; `group` names a line of the table."""

    group: str
    question: str
    passage: str
    gold: tuple[str, ...]

    def holds(self, text: str) -> bool:
        """Whether a text holds a gold answer."""
        return any(folded(gold) in folded(text) for gold in self.gold)


def by_language(each: int) -> Iterator[GoldCase]:
    """The first `each` held-out rows of every language."""
    seen: dict[str, int] = defaultdict(int)
    with gzip.open(DATA / "training" / "qa.jsonl.gz", "rt", encoding="utf-8") as lines:
        for row in map(json.loads, lines):
            if seen[row["lang"]] < each and is_held_out(row["context"]):
                seen[row["lang"]] += 1
                gold = tuple(answer["text"] for answer in row["answers"] if answer["text"].strip())
                yield GoldCase(f"language {row['lang']}", row["question"], row["context"], gold)


def tables_and_mails(each: int) -> Iterator[GoldCase]:
    """The contexts whose answer stands in them, literally; at most `each` of a kind."""
    seen: dict[str, int] = defaultdict(int)
    with (DATA / "injection" / "bipia_contexts.jsonl").open(encoding="utf-8") as lines:
        for row in map(json.loads, lines):
            if row["task"] not in ("table", "email") or seen[row["task"]] == each:
                continue
            case = GoldCase(row["task"], row["question"].removeprefix("Q: "), row["context"], (str(row["ideal"]),))
            if case.holds(row["context"]):
                seen[row["task"]] += 1
                yield case


async def report(cases: list[GoldCase]) -> None:
    generator, found, embedder = shipped_generator(), defaultdict(list), MiniLMEmbedder.load()
    for case in cases:
        passages = await ranked(embedder, case.question, {"gold": case.passage})
        answer = await answer_to(generator, case.question, passages)
        found[case.group].append(marks(case, answer))
    embedder.close()
    print(f"{'group':18} {'n':>5} {'abstained':>10} {'contained':>10} {'95 %':>12} {'first':>6}")
    for group in sorted(found):
        silent, held, first = (sum(column) for column in zip(*found[group], strict=True))
        n, (low, high) = len(found[group]), wilson_interval(held, len(found[group]))
        print(f"{group:18} {n:5} {silent / n:10.3f} {held / n:10.3f} {f'{low:.3f}-{high:.3f}':>12} {first / n:6.3f}")


def marks(case: GoldCase, answer: Answer) -> tuple[bool, bool, bool]:
    """Abstained, contained, first."""
    if answer.abstained:
        return True, False, False
    first = first_cited(answer)
    held = case.holds(answer.text) or any(case.holds(citation.quote) for citation in answer.citations)
    return False, held, first is not None and case.holds(first.quote)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--each", type=int, default=200, help="questions of each language and kind, at most")
    options = parser.parse_args()
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(40))
    asyncio.run(report([*by_language(options.each), *tables_and_mails(options.each)]))


if __name__ == "__main__":
    main()
