"""The sentences that may answer: every sentence of every passage, with the words that belong to it from elsewhere."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from ragstone.documents.sentences import Kind, Sentence, sentences
from ragstone.vocabulary import Passage

_TAGS_ONLY = re.compile(r"\s*(?:</?[A-Za-z][^<>]*>\s*)+")
_FIELD = re.compile(r"[^:\n]{1,60}: ?\S")
MOST_CONTEXT_CHARS = 400
"""So many characters of a heading path, a lead or a header row count."""


@dataclass(frozen=True, slots=True)
class SentenceCandidate:
    """A sentence that may answer: `passages[passage].chunk.text[start:end]`.

    `context` are words that belong to it, a part on each line: headings, then the lead of its list or the header of
    its table, and for a field of a record ("weight: 41 kg") the first field, which mostly names the record.
    `header`: it is itself the header row of a table. `heading` is the innermost heading above it.
    """

    passage: int
    place: int
    start: int
    end: int
    kind: Kind
    text: str
    context: str = ""
    header: bool = False
    heading: str = ""


def candidates(passages: Sequence[Passage]) -> list[SentenceCandidate]:
    """Every sentence of every passage, passages in their order; lines of nothing but HTML tags are none."""
    return [found for number, passage in enumerate(passages) for found in _of_passage(number, passage)]


def _of_passage(number: int, passage: Passage) -> Iterator[SentenceCandidate]:
    chunk, text = passage.chunk, passage.chunk.text
    lead, record, heading, header = "", "", "", chunk.table_header
    for place, unit in enumerate(_saying_something(text)):
        said = text[unit.start : unit.end]
        if unit.kind == "prose":
            lead = said
        elif unit.kind == "heading":
            lead, heading = "", said
        elif unit.header:
            header = said
        own = header if unit.kind == "row" and not unit.header else lead if unit.kind in ("item", "code") else ""
        is_field = unit.kind == "item" and _FIELD.match(said) is not None
        path = chunk.heading_path_at(chunk.start + unit.start)
        inner = heading if heading not in path else ""
        parts = (*path, inner, own, record if is_field else "")
        record = record or (said if is_field else "")
        context = "\n".join(" ".join(part.split())[:MOST_CONTEXT_CHARS] for part in parts if part)
        yield SentenceCandidate(
            number, place, unit.start, unit.end, unit.kind, said, context, unit.header, heading or "".join(path[-1:])
        )


def _saying_something(text: str) -> list[Sentence]:
    return [unit for unit in sentences(text) if not _TAGS_ONLY.fullmatch(text, unit.start, unit.end)]
