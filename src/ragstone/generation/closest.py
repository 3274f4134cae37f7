"""The closest sections: what an answer shows where no sentence states outright what was asked."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from ragstone.documents.inline import cut
from ragstone.generation.blocks import Part, PassageBlocks
from ragstone.generation.candidates import SentenceCandidate, candidates
from ragstone.generation.facts import content_terms
from ragstone.generation.notices import language_of
from ragstone.generation.relevance import Ranked, relevance
from ragstone.vocabulary import ClosestSection, Passage

MIN_SECTIONS = 2
MAX_SECTIONS = 4
SECTION_CHARS = 1200
"""So much of a section is shown, in characters: about as much as a screen shows of three sections."""
WITHIN = 5.0
"""How much lower than the best, in log odds, the sentence of a third or fourth section may be."""
MIN_SHARE = 0.3
"""A passage bears on a question if it holds this share of its terms, or …"""
MIN_COSINE = 0.4
"""… has this cosine with it: near the median of the eighth passage in the open sets, so lower says next to nothing."""


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
    shown.bold = (place,)
    (start, end), text = _around(shown, index, place)
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
    return section, f"### {where}{f' (p. {page})' if page else ''}\n\n{text}"


def _around(shown: PassageBlocks, index: int, place: int) -> tuple[tuple[int, int], str]:
    """The span and the Markdown of what is shown around a sentence: of a table its row, of long text what is beside."""
    part = shown.parts[index]
    if part.kind == "row":
        [row] = [one for at, one in zip(part.places, part.sentences, strict=True) if at == place]
        return (row.start, row.end), shown.block(index, [place])
    if _length(part) <= SECTION_CHARS:
        first, last = _section_parts(shown, index)
        span = (shown.parts[first].sentences[0].start, shown.parts[last].sentences[-1].end)
        return span, shown.run(first, last)
    near = [one for one in (place - 1, place, place + 1) if one in part.places]
    kept = [part.sentences[one - part.first] for one in near]
    return (kept[0].start, kept[-1].end), shown.block(index, near if part.kind == "prose" else [place])


def _section_parts(shown: PassageBlocks, index: int) -> tuple[int, int]:
    """The first and last part around part `index` that stand below its heading and fit, those after it first."""
    first, last, size = index, index, _length(shown.parts[index])
    path, after = _path(shown, index), True
    for _ in range(2 * len(shown.parts)):
        other = last + 1 if after else first - 1
        if 0 <= other < len(shown.parts) and _belongs(shown, other, path, SECTION_CHARS - size):
            first, last, size = min(first, other), max(last, other), size + _length(shown.parts[other])
        after = not after
    return first, last


def _belongs(shown: PassageBlocks, other: int, path: tuple[str, ...], room: int) -> bool:
    part = shown.parts[other]
    return part.kind != "heading" and _length(part) <= room and _path(shown, other) == path


def _path(shown: PassageBlocks, index: int) -> tuple[str, ...]:
    chunk = shown.passage.chunk
    return chunk.heading_path_at(chunk.start + shown.parts[index].sentences[0].start)


def _length(part: Part) -> int:
    return part.sentences[-1].end - part.sentences[0].start
