"""Quality of the extractive answerer: answers with the gold span, and abstentions.

- contained: of the answerable questions, those whose answer cites a span that holds a
  gold answer (an abstention counts as a miss);
- abstained: of the unanswerable questions, those that got no answer;
- one line for each threshold; `*` marks the one that ships.

- first: of the answerable questions, those whose answer's first sentence quotes a gold answer.

`--held-out` measures the answerer as shipped on the articles of `benchmarks.splits` that no training has read; balanced
accuracy is the mean of contained and abstained.

The shipped weights have seen the others; `benchmarks.train_relevance` measures the same
weights on articles they have not seen. The time is that of the whole answer: picking,
citations and their check.

    python -m benchmarks.extractive_answers --keep /tmp/answers
"""

from __future__ import annotations

import argparse
import asyncio
import time
from pathlib import Path
from statistics import median, quantiles

import structlog

from benchmarks.answer_sets import Case, cases
from benchmarks.shipped import answer_to, first_cited, shipped_generator
from benchmarks.splits import is_held_out
from benchmarks.train_relevance import folded, holds_gold
from ragstone.evaluation.metrics import wilson_interval
from ragstone.generation.answer import Generator
from ragstone.generation.extractive import ExtractiveAnswerer, ExtractiveOptions
from ragstone.telemetry.metrics import Metrics
from ragstone.vocabulary import Answer

THRESHOLDS = (0.0, 0.3, 0.35, 0.4, 0.45, 0.5, 0.55, 0.6)
SHIPPED = ExtractiveOptions()


async def answers(asked: list[Case], threshold: float) -> tuple[list[Answer], list[float]]:
    """The answer to each question, and the seconds it took."""
    answerer = ExtractiveAnswerer(ExtractiveOptions(answer_at=threshold))
    generator = Generator(answerer=answerer, fallback=answerer, metrics=Metrics())
    given, seconds = [], []
    for case in asked:
        start = time.perf_counter()
        async for event in generator.answer(case.question, case.passages):
            if isinstance(event, Answer):
                given.append(event)
        seconds.append(time.perf_counter() - start)
    return given, seconds


def contained(case: Case, answer: Answer) -> bool:
    """Whether a citation holds a gold answer. Those of an abstention are of the closest passages and do not count."""
    if answer.abstained:
        return False
    quotes = [folded(citation.quote) for citation in answer.citations]
    return any(holds_gold(quote, folded(gold)) for quote in quotes for gold in case.gold)


async def report(name: str, asked: list[Case], *, every: int) -> None:
    asked = asked[::every]
    print(f"{name}: {len(asked)} questions, {sum(case.answerable for case in asked)} answerable")
    for threshold in THRESHOLDS:
        given, seconds = await answers(asked, threshold)
        pairs = list(zip(asked, given, strict=True))
        known = [(case, answer) for case, answer in pairs if case.answerable]
        unknown = [answer for case, answer in pairs if not case.answerable]
        held = sum(contained(case, answer) for case, answer in known) / len(known)
        silent = sum(answer.abstained for answer in unknown) / len(unknown)
        citations = [citation for answer in given for citation in answer.citations]
        checked = sum(citation.verified for citation in citations) / max(1, len(citations))
        per_answer = len(citations) / max(1, sum(not answer.abstained for answer in given))
        print(
            f"  {threshold:.2f}{'*' if threshold == SHIPPED.answer_at else ' '}"
            f" contained {held:.3f}  abstained {silent:.3f}"
            f"  mean {(held + silent) / 2:.3f}  sentences {per_answer:.2f}  verified {checked:.3f}"
            f"  p50 {median(seconds) * 1e3:.1f} ms  p95 {quantiles(seconds, n=20)[-1] * 1e3:.1f} ms"
        )


async def report_held_out(name: str, asked: list[Case]) -> None:
    """One line: the answerer as shipped, on the held-out articles."""
    asked = [case for case in asked if is_held_out(case.group)]
    generator = shipped_generator()
    given = [(case, await answer_to(generator, case.question, case.passages)) for case in asked]
    known = [(case, answer) for case, answer in given if case.answerable]
    held = sum(contained(case, answer) for case, answer in known)
    first = sum(first_holds_gold(case, answer) for case, answer in known)
    silent = sum(answer.abstained for case, answer in given if not case.answerable)
    print(f"{name}, held out: {len(known)} answerable, {len(given) - len(known)} unanswerable")
    for label, hits, total in (
        ("contained", held, len(known)),
        ("gold sentence first", first, len(known)),
        ("abstained", silent, len(given) - len(known)),
        ("abstained, though answerable", sum(answer.abstained for _, answer in known), len(known)),
    ):
        low, high = wilson_interval(hits, total)
        print(f"  {label:30} {hits / max(1, total):.3f}  [{low:.3f}, {high:.3f}]")
    print(f"  balanced accuracy              {(held / len(known) + silent / max(1, len(given) - len(known))) / 2:.3f}")


def first_holds_gold(case: Case, answer: Answer) -> bool:
    citation = None if answer.abstained else first_cited(answer)
    return citation is not None and any(holds_gold(folded(citation.quote), folded(gold)) for gold in case.gold)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--keep", type=Path, default=Path("/tmp/ragstone-answers"))
    parser.add_argument("--every", type=int, default=1, help="take every n-th question of squad_v2")
    parser.add_argument(
        "--held-out", action="store_true", help="measure the shipped answerer on held-out articles only"
    )
    options = parser.parse_args()
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(40))
    if options.held_out:
        asyncio.run(report_held_out("squad_v2", cases("squad_v2", options.keep, every=options.every)))
        asyncio.run(report_held_out("clapnq", cases("clapnq", options.keep)))
        return
    asyncio.run(report("squad_v2", cases("squad_v2", options.keep), every=options.every))
    asyncio.run(
        report("squad_v2 in chunks of 500 tokens", cases("squad_v2", options.keep, joined=3), every=options.every)
    )
    asyncio.run(report("clapnq", cases("clapnq", options.keep), every=1))


if __name__ == "__main__":
    main()
