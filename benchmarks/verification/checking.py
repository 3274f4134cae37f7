"""The check under measurement: one claim against one passage, and the time of a whole answer."""

from __future__ import annotations

import time
from collections.abc import Sequence

from benchmarks.verification.cases import Case, Source
from benchmarks.verification.figures import Judged
from benchmarks.verification.sentences_of import spots
from ragstone.generation.citations import cite
from ragstone.generation.verification import Evidence
from ragstone.vocabulary import Chunk, Hit, Passage

ANSWERS = 200
PASSAGES = 8
SENTENCES = 3


def check(case: Case, group: str, *, new: bool = False) -> Judged:
    """The case after its check."""
    found = Evidence(case.text, case.title).verify(case.claim)
    return Judged(group, case.kind, case.true, case.language, found.score, found.verified, found.verdict, new)


def seconds_of_answers(sources: Sequence[Source]) -> list[float]:
    """Seconds of checking answers of three sentences, each cited to one of eight passages that were not read before."""
    taken: list[float] = []
    for first in range(0, len(sources) - PASSAGES, PASSAGES):
        row = sources[first : first + PASSAGES]
        cited = [(place, claims[0]) for place, source in enumerate(row, 1) if (claims := spots(source))][:SENTENCES]
        if len(cited) == SENTENCES and len(taken) < ANSWERS:
            answer = " ".join(f"{claim} [{place}]" for place, claim in cited)
            given = [_passage(place, source) for place, source in enumerate(row)]
            start = time.perf_counter()
            cite(answer, given)
            taken.append(time.perf_counter() - start)
    return taken


def _passage(place: int, source: Source) -> Passage:
    name = str(place)
    chunk = Chunk(name, name, 1, 0, 0, len(source.text), source.text, len(source.text) // 4)
    return Passage(chunk, source.title, name, "text/plain", Hit(name, 1.0, {}))
