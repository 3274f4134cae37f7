"""Chunking: cuts canonical text into chunks of about `max_tokens` at natural boundaries.

A section that fits is one chunk, and small neighbours below one heading share a chunk. A
longer section is cut before a block if the chunk is then at least 60 % full, else
between sentences, rows or lines, else between words, else between characters. Tables
and code fences that fit in a chunk are never split; a longer table repeats its header rows
in `Chunk.table_header`. A chunk that continues a section begins with the last whole
sentences of the previous one.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from enum import IntEnum
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from ragstone.documents.blocks import Block, blocks
from ragstone.documents.sentences import sentences
from ragstone.errors import ConfigurationError
from ragstone.vocabulary import Chunk, Heading, PageSpan, Section

SMALL_SHARE = 5  # a section below a fifth of a chunk shares a chunk with its neighbours
FULL_SHARE = 0.6  # a chunk filled to this share may end before the next block instead of within it
RUN_SHARE = 20  # an overlong sentence is cut into runs of a twentieth of a chunk
# No vocabulary has longer words: a longer token is "unknown" and may stand for a whole
# line. It counts once per this number of characters.
MAX_TOKEN_CHARS = 20


@dataclass(frozen=True, slots=True, kw_only=True)
class ChunkingOptions:
    """Length of chunks and of their overlap, in tokens of the embedder.

    Raises:
        ConfigurationError: the overlap leaves no room for text.
    """

    max_tokens: int = 500
    overlap_tokens: int = 50

    def __post_init__(self) -> None:
        if self.max_tokens < 1 or not 0 <= self.overlap_tokens * 2 <= self.max_tokens:
            raise ConfigurationError("A chunk needs at least 1 token, and its overlap may be at most half of it.")


class _Pause(IntEnum):
    """Quality of the start of a piece as a place to cut."""

    WORD = 0
    SENTENCE = 1
    BLOCK = 2
    HEADING = 3


@dataclass(frozen=True, slots=True)
class _Piece:
    """A span that is not cut any further; `token` is the index of its first token.

    A chunk that begins here has to repeat `table_header`, which has `repeated` tokens.
    """

    start: int
    end: int
    token: int
    pause: _Pause
    prose: bool = False
    table_header: str = ""
    repeated: int = 0


@dataclass(frozen=True, slots=True)
class _Leaf:
    """A heading with its blocks up to the next heading; or the text before the first heading."""

    path: tuple[str, ...]
    blocks: list[Block]


class _Tokens:
    """Counts the tokens of any span of the text in logarithmic time."""

    def __init__(self, offsets: NDArray[np.int64]) -> None:
        lengths = offsets[:, 1] - offsets[:, 0]
        counts = np.maximum(1, -(-lengths // MAX_TOKEN_CHARS))
        within = np.arange(counts.sum()) - np.repeat(counts.cumsum() - counts, counts)
        self.starts: NDArray[np.int64] = np.repeat(offsets[:, 0], counts) + within * MAX_TOKEN_CHARS

    def before(self, position: int) -> int:
        return int(self.starts.searchsorted(position))

    def between(self, start: int, end: int) -> int:
        return self.before(end) - self.before(start)


def sections(text: str) -> tuple[Section, ...]:
    """Sections of `text` in reading order: each heading with the span of its section."""
    headings = [block for block in blocks(text) if block.kind == "heading"]
    ends = [len(text)] * len(headings)
    open_: list[int] = []
    paths: list[tuple[str, ...]] = []
    for at, heading in enumerate(headings):
        while open_ and headings[open_[-1]].level >= heading.level:
            ends[open_.pop()] = heading.start
        open_.append(at)
        paths.append(tuple(headings[outer].title for outer in open_))
    return tuple(
        Section(heading.level, path, heading.start, end)
        for heading, path, end in zip(headings, paths, ends, strict=True)
    )


def chunk(
    text: str,
    *,
    document_id: str,
    version: int,
    token_offsets: Callable[[str], NDArray[np.int64]],
    pages: Sequence[PageSpan] = (),
    options: ChunkingOptions = ChunkingOptions(),
) -> tuple[Chunk, ...]:
    """Cut canonical Markdown into chunks; time is linear in its length.

    Chunks are ascending, `text[start:end] == chunk.text`, and they cover all of the text
    except white space. `token_count` counts the tokens that `token_offsets` finds in the whole
    text (one of more than 20 characters counts once per 20) and is at most `max_tokens`.
    """
    tokens = _Tokens(token_offsets(text))
    found: list[Chunk] = []
    for run in _runs(_leaves(text), tokens, small=options.max_tokens // SMALL_SHARE, limit=options.max_tokens):
        pieces = _pieces(text, run, tokens, options)
        for first, last in _packed(pieces, tokens, options):
            start, end = pieces[first].start, pieces[last].end
            found.append(
                Chunk(
                    id=f"{document_id}:{version}:{len(found)}",
                    document_id=document_id,
                    version=version,
                    ordinal=len(found),
                    start=start,
                    end=end,
                    text=text[start:end],
                    token_count=tokens.before(end) - pieces[first].token,
                    headings=_headings(run, start, end),
                    pages=_pages(pages, start, end),
                    table_header=pieces[first].table_header,
                )
            )
    return tuple(found)


def _leaves(text: str) -> Iterator[_Leaf]:
    path: list[Block] = []
    leaf = _Leaf((), [])
    for block in blocks(text):
        if block.kind == "heading":
            if leaf.blocks:
                yield leaf
            path = [*(outer for outer in path if outer.level < block.level), block]
            leaf = _Leaf(tuple(outer.title for outer in path), [])
        leaf.blocks.append(block)
    if leaf.blocks:
        yield leaf


def _runs(leaves: Iterator[_Leaf], tokens: _Tokens, *, small: int, limit: int) -> Iterator[list[_Leaf]]:
    """Group leaves that share chunks: a small leaf joins its neighbour if both have the same parent section."""
    run: list[_Leaf] = []
    size = 0
    for leaf in leaves:
        more = tokens.between(leaf.blocks[0].start, leaf.blocks[-1].end)
        related = bool(run) and len(leaf.path) >= len(run[0].path)
        if related and (size < small or (more < small and size + more <= limit)):
            run.append(leaf)
            size += more
            continue
        if run:
            yield run
        run, size = [leaf], more
    if run:
        yield run


def _pieces(text: str, run: list[_Leaf], tokens: _Tokens, options: ChunkingOptions) -> list[_Piece]:
    """Cut the run into pieces of at most `max_tokens`: the run itself if it fits, else blocks and parts of blocks."""
    start, end = run[0].blocks[0].start, run[-1].blocks[-1].end
    if tokens.between(start, end) <= options.max_tokens:
        return [_Piece(start, end, tokens.before(start), _Pause.HEADING)]
    pieces: list[_Piece] = []
    for block in (block for leaf in run for block in leaf.blocks):
        if block.kind in ("paragraph", "item"):
            pieces += _prose(text, block, tokens, options)
        elif tokens.between(block.start, block.end) > options.max_tokens:
            pieces += _overlong(text, block, tokens, options)
        else:
            pause = _Pause.HEADING if block.kind == "heading" else _Pause.BLOCK
            pieces.append(_Piece(block.start, block.end, tokens.before(block.start), pause))
    return pieces


def _prose(text: str, block: Block, tokens: _Tokens, options: ChunkingOptions) -> Iterator[_Piece]:
    """Pieces of a paragraph or list item: its sentences."""
    ends = [block.start + sentence.end for sentence in sentences(text[block.start : block.end])]
    pause = _Pause.BLOCK
    for start, end in _spans(text, [block.start, *ends[:-1], block.end]):
        for part in _fitting(text, start, end, tokens, options, room=options.max_tokens):
            yield _Piece(*part, tokens.before(part[0]), pause, prose=True)
            pause = _Pause.WORD
        pause = _Pause.SENTENCE


def _overlong(text: str, block: Block, tokens: _Tokens, options: ChunkingOptions) -> Iterator[_Piece]:
    """Pieces of a table or fence that exceeds a chunk: its lines; a table's header stays with its first row."""
    lines = [block.start, *_line_starts(text, block)]
    header, repeated = "", 0
    if block.kind == "table" and len(lines) > 3:
        header = text[block.start : lines[2]].rstrip()
        repeated = tokens.between(block.start, lines[2])
        lines[1:3] = []
        if repeated >= options.max_tokens:  # a header wider than a chunk is not repeated
            header, repeated = "", 0
    pause = _Pause.BLOCK
    for start, end in _spans(text, [*lines, block.end]):
        inside = start > block.start
        for part in _fitting(text, start, end, tokens, options, room=options.max_tokens - repeated):
            goes_on = inside or pause is _Pause.WORD
            yield _Piece(
                *part,
                tokens.before(part[0]),
                pause,
                table_header=header if goes_on else "",
                repeated=repeated if goes_on else 0,
            )
            pause = _Pause.WORD
        pause = _Pause.SENTENCE


def _line_starts(text: str, block: Block) -> Iterator[int]:
    at = text.find("\n", block.start, block.end)
    while at >= 0:
        yield at + 1
        at = text.find("\n", at + 1, block.end)


def _spans(text: str, cuts: Iterable[int]) -> Iterator[tuple[int, int]]:
    """Spans between the cuts, trimmed of white space; blank spans are left out."""
    for start, end in pairwise(cuts):
        span = text[start:end]
        if bare := span.strip():
            first = start + span.index(bare[0])
            yield first, first + len(bare)


def _fitting(
    text: str, start: int, end: int, tokens: _Tokens, options: ChunkingOptions, *, room: int
) -> Iterator[tuple[int, int]]:
    """The span itself if it has at most `room` tokens, else short runs, cut between words if possible."""
    first, last = tokens.before(start), tokens.before(end)
    if last - first <= room:
        yield start, end
        return
    longest = max(1, min(room, options.max_tokens // RUN_SHARE))
    cuts = [start]
    while first + longest < last:
        ahead = tokens.starts[first + 1 : first + longest + 1].tolist()
        between_words = [at for at, position in enumerate(ahead) if text[position - 1].isspace()]
        step = between_words[-1] + 1 if between_words else longest
        first += step
        cuts.append(ahead[step - 1])
    yield from _spans(text, [*cuts, end])


def _packed(pieces: Sequence[_Piece], tokens: _Tokens, options: ChunkingOptions) -> Iterator[tuple[int, int]]:
    """Index range of the pieces of each chunk; a chunk may begin with pieces of the previous one."""
    ends = [*(piece.token for piece in pieces[1:]), tokens.before(pieces[-1].end)]
    first, new = 0, 0
    while new < len(pieces):
        stop = _stop(pieces, ends, first, new, options.max_tokens)
        yield first, stop - 1
        first, new = _overlap(pieces, ends, first, stop, options), stop


def _stop(pieces: Sequence[_Piece], ends: Sequence[int], first: int, new: int, max_tokens: int) -> int:
    """Index after the last piece of the chunk that begins at `first`; the chunk has to contain the piece `new`."""
    begin = pieces[first].token
    room = max_tokens - pieces[first].repeated
    rest = ends[-1] - begin
    if rest <= room:
        return len(pieces)
    # A last chunk of a few tokens is of little use: leave it more.
    room = min(room, max(rest - max_tokens // SMALL_SHARE, int(FULL_SHARE * room)))
    furthest = max(new + 1, bisect_right(ends, begin + room))
    while furthest - 1 > new and pieces[furthest - 1].pause is _Pause.HEADING:
        furthest -= 1  # a heading stays with its text
    full_enough = [stop for stop in range(furthest, new, -1) if ends[stop - 1] - begin >= FULL_SHARE * room]
    return max(full_enough, key=lambda stop: pieces[stop].pause, default=furthest)


def _overlap(pieces: Sequence[_Piece], ends: Sequence[int], first: int, stop: int, options: ChunkingOptions) -> int:
    """First piece of the next chunk: some whole sentences back, or words if the cut is within a sentence."""
    if stop == len(pieces) or pieces[stop].pause is _Pause.HEADING:
        return stop
    next_tokens = ends[stop] - pieces[stop].token
    room = min(options.overlap_tokens, options.max_tokens - next_tokens)
    start = stop
    while start - 1 > first and pieces[start - 1].prose and pieces[stop].token - pieces[start - 1].token <= room:
        start -= 1
    if pieces[stop].pause is not _Pause.WORD:
        while start < stop and pieces[start].pause is _Pause.WORD:
            start += 1
    return start


def _headings(run: Sequence[_Leaf], start: int, end: int) -> tuple[Heading, ...]:
    first = bisect_right(run, start, key=_start) - 1
    stop = bisect_left(run, end, key=_start)
    return tuple(Heading(max(start, _start(leaf)), leaf.path) for leaf in run[first:stop] if leaf.path)


def _start(leaf: _Leaf) -> int:
    return leaf.blocks[0].start


def _pages(pages: Sequence[PageSpan], start: int, end: int) -> tuple[PageSpan, ...]:
    first = bisect_right(pages, start, key=lambda page: page.end)
    stop = bisect_left(pages, end, key=lambda page: page.start)
    return tuple(pages[first:stop])
