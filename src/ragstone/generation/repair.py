"""Repair: a sentence that its source contradicts is dropped from an answer, or written once more by the model.

A sentence is repaired if a passage that it cites contradicts it, and no other passage that it cites bears it out.
"""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import groupby
from typing import Literal

from ragstone.vocabulary import Citation, Verdict

Repair = Literal["off", "drop", "rewrite"]
"""What happens to a sentence that its source contradicts."""

DROPPED, REWRITTEN = "contradicted_sentence_dropped", "contradicted_sentence_rewritten"
"""Warnings of an answer that was repaired, and values of the metric's label."""

_EMPTY_LINE = re.compile(r"[ \t>]*(?:[-*+•]|\d{1,3}[.)])?[ \t]*")

Rewrite = Callable[[str, int], Awaitable[str | None]]
"""Writes a sentence anew from the passage of a marker, or finds that there is nothing to write."""


@dataclass(frozen=True, slots=True)
class Repaired:
    """The text after its repair, and what was done to each contradicted sentence."""

    text: str
    done: tuple[str, ...]


def contradicted(citations: Sequence[Citation]) -> list[Citation]:
    """One citation of each sentence that is contradicted and not borne out elsewhere, in order."""
    by_sentence = groupby(citations, key=lambda one: (one.answer_start, one.answer_end))
    return [worst for _, cited in by_sentence for worst in _contradicting(tuple(cited))]


def _contradicting(cited: Sequence[Citation]) -> Iterator[Citation]:
    found = [one for one in cited if one.verdict is Verdict.CONTRADICTED]
    if found and not any(one.verified for one in cited):
        yield found[0]


async def repaired(text: str, citations: Sequence[Citation], rewrite: Rewrite | None) -> Repaired:
    """`text` with its contradicted sentences rewritten, or without them."""
    done = []
    for citation in reversed(contradicted(citations)):
        sentence = text[citation.answer_start : citation.answer_end]
        new = await rewrite(sentence, citation.marker) if rewrite else None
        text = _replaced(text, citation.answer_start, citation.answer_end, new or "")
        done.append(REWRITTEN if new else DROPPED)
    return Repaired(text.strip(), tuple(reversed(done)))


def _replaced(text: str, start: int, end: int, new: str) -> str:
    """`text` with another sentence, or none, at this place; a line that says nothing any more goes too."""
    before, after = text[:start], text[end:]
    if new:
        return before + new + after
    line_start, line_end = before.rfind("\n") + 1, after.find("\n")
    rest = after if line_end < 0 else after[:line_end]
    if _EMPTY_LINE.fullmatch(before[line_start:] + rest):
        return before[:line_start] + ("" if line_end < 0 else after[line_end + 1 :])
    return before.rstrip(" ") + (after if before.rstrip(" ").endswith("\n") else " " + after.lstrip(" "))
