"""The check under measurement: one claim against one passage, and the time of a whole answer."""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator, Sequence
from itertools import islice

from benchmarks.verification.cases import Case, Source
from benchmarks.verification.figures import Judged
from benchmarks.verification.sentences_of import spots
from ragstone.generation.citations import cite
from ragstone.generation.verification import Evidence, Judge, settle
from ragstone.vocabulary import Chunk, Hit, Passage

ANSWERS = 200
PASSAGES = 8
SENTENCES = 3
BATCH = 16
"""Cases that are given to the judge at once."""


def checked(cases: Iterable[tuple[str, Case, bool]], judge: Judge | None) -> Iterator[tuple[Case, Judged]]:
    """Each case, given with its group and newness, after its check; by the rules alone where there is no judge."""
    cases = iter(cases)
    while batch := list(islice(cases, BATCH)):
        examined = [Evidence(case.text, case.title).examine(case.claim) for _, case, _ in batch]
        for (group, case, new), found in zip(batch, settle(examined, judge), strict=True):
            told = (case.kind, case.true, case.language, found.score, found.verified, str(found.verdict))
            yield case, Judged(group, *told, new)


def seconds_of_answers(sources: Sequence[Source], judge: Judge | None) -> list[float]:
    """Seconds of checking answers of three sentences, each cited to one of eight passages that were not read before."""
    taken: list[float] = []
    for first in range(0, len(sources) - PASSAGES, PASSAGES):
        row = sources[first : first + PASSAGES]
        cited = [(place, claims[0]) for place, source in enumerate(row, 1) if (claims := spots(source))][:SENTENCES]
        if len(cited) == SENTENCES and len(taken) < ANSWERS:
            answer = " ".join(f"{claim} [{place}]" for place, claim in cited)
            given = [_passage(place, source) for place, source in enumerate(row)]
            start = time.perf_counter()
            cite(answer, given, judge)
            taken.append(time.perf_counter() - start)
    return taken


def _passage(place: int, source: Source) -> Passage:
    name = str(place)
    chunk = Chunk(name, name, 1, 0, 0, len(source.text), source.text, len(source.text) // 4)
    return Passage(chunk, source.title, name, "text/plain", Hit(name, 1.0, {}))
