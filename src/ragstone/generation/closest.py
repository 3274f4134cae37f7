"""The closest sections: what an answer shows where no sentence states outright what was asked."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from ragstone.documents.inline import cut
from ragstone.generation.blocks import MAX_LIST_CHARS, PassageBlocks
from ragstone.generation.candidates import SentenceCandidate, candidates
from ragstone.generation.facts import content_terms
from ragstone.generation.notices import language_of
from ragstone.generation.relevance import relevance
from ragstone.vocabulary import ClosestSection, Passage

MIN_SECTIONS = 2
MAX_SECTIONS = 4
WITHIN = 3.0
"""How much lower than the best, in log odds, the sentence of a third or fourth section may be."""
MIN_SHARE = 0.3
"""A passage bears on a question if it holds this share of its terms, or …"""
MIN_COSINE = 0.4
"""… has this cosine with it: near the median of the eighth passage in the open sets, so lower says next to nothing."""


Ranked = Sequence[tuple[SentenceCandidate, float]]


@dataclass(frozen=True, slots=True)
class Closest:
    """The closest sections, best first, and the Markdown that shows them; both are empty below the floor."""

    sections: tuple[ClosestSection, ...] = ()
    text: str = ""


def closest(question: str, passages: Sequence[Passage], nearest: Ranked = ()) -> Closest:
    """The best two to four sections, each with its best sentence in bold type and what stands beside it.

    `nearest` are sentences of the passages by descending log odds; without them the words of the question rank them.
    """
    bearing = [_bears(content_terms(question), passage) for passage in passages]
    if not any(bearing):
        return Closest()
    language = language_of(question, passages)
    ranked = nearest or relevance(question, passages, candidates(passages)).ranked
    found = [_section(passages, one, language) for one in _best(passages, ranked)]
    return Closest(tuple(section for section, _ in found), "\n\n".join(text for _, text in found))


def _bears(asked: frozenset[str], passage: Passage) -> bool:
    if not asked:
        return False
    chunk, dense = passage.chunk, passage.hit.stages.get("dense")
    held = content_terms("\n".join((passage.title, *chunk.heading_path, chunk.table_header, chunk.text)))
    return len(asked & held) >= MIN_SHARE * len(asked) or (dense is not None and dense.score >= MIN_COSINE)


def _best(passages: Sequence[Passage], ranked: Ranked) -> list[SentenceCandidate]:
    """The best sentence of each of the best sections."""
    chosen: dict[tuple[str, tuple[str, ...]], SentenceCandidate] = {}
    for candidate, odds in ranked:
        if len(chosen) == MAX_SECTIONS or (len(chosen) >= MIN_SECTIONS and odds < ranked[0][1] - WITHIN):
            break
        chunk = passages[candidate.passage].chunk
        chosen.setdefault((chunk.document_id, chunk.heading_path_at(chunk.start + candidate.start)), candidate)
    return list(chosen.values())


def _section(passages: Sequence[Passage], best: SentenceCandidate, language: str) -> tuple[ClosestSection, str]:
    """A section around its best sentence, and its Markdown below a heading that says where it stands."""
    passage, number = passages[best.passage], best.passage + 1
    chunk = passage.chunk
    shown = PassageBlocks(passage, number, language=language)
    index, place = shown.find(best.start)
    part = shown.parts[index]
    shown.bold = (place,)
    near = [one for one in (place - 1, place, place + 1) if one in part.places] if part.kind == "prose" else [place]
    start, end = best.start, best.end
    if part.kind in ("prose", "item"):
        kept = [part.sentences[one - part.first] for one in near] if part.kind == "prose" else part.sentences
        if kept[-1].end - kept[0].start <= MAX_LIST_CHARS:
            start, end = kept[0].start, kept[-1].end
    path = chunk.heading_path_at(chunk.start + best.start)
    page = chunk.page_at(chunk.start + best.start)
    section = ClosestSection(
        marker=number,
        document_id=chunk.document_id,
        version=chunk.version,
        title=passage.title,
        source=passage.source,
        heading_path=path,
        page=page,
        start=chunk.start + start,
        end=chunk.start + end,
        text=chunk.text[start:end],
        highlight_start=chunk.start + best.start,
        highlight_end=chunk.start + best.end,
    )
    where = " › ".join(cut(name)[0] for name in dict.fromkeys((passage.title, *path)))
    return section, f"### {where}{f' (p. {page})' if page else ''}\n\n{shown.block(index, near)}"
