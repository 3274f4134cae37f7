"""Story QUERY: the passages of some files for a question, nearest first.

readable files → one search within them → passages of these files only → distances
"""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import Mapping, Sequence
from itertools import pairwise

from ragstone.errors import Unavailable
from ragstone.librechat.files import Caller, FileStore, LibreChatFile, LibreChatParts, filters_of
from ragstone.retrieval.base import Retrieval
from ragstone.retrieval.retrieve import content_terms, evidence
from ragstone.vocabulary import Chunk, Hit, Passage, Query, Scope

RELEVANCE = ((0.0, 0.0), (0.4, 0.45), (1.4, 1.0))
"""Pairs of evidence and relevance, with linear interpolation between them. 0.4 is the floor of `RetrievalOptions`,
below which a passage is not relevant; LibreChat's threshold (0.45) is mapped there. At 1.4 all terms match and the
meaning agrees."""


def distances(question: str, passages: Sequence[Passage]) -> list[float]:
    """The distance of each passage, in [0, 1], in the order of `passages`."""
    asked = content_terms(question)
    seen = [standing.score for passage in passages if (standing := passage.hit.stages.get("dense"))]
    bound = min(seen, default=0.0)  # a passage without a dense score is no nearer than those with one
    return [distance(evidence(asked, passage, bound)) for passage in passages]


def distance(evidence: float) -> float:
    """1 minus the relevance of the evidence, to six decimals."""
    for (low, at_low), (high, at_high) in pairwise(RELEVANCE):
        if evidence < high:
            share = max(evidence - low, 0.0) / (high - low)
            return round(1 - (at_low + share * (at_high - at_low)), 6)
    return 0.0


BUDGET_S = 5.0  # LibreChat and its chat wait without a timeout
MAX_K = 50

LibreChatDocument = Mapping[str, object]
"""A LangChain document as JSON; the only shape that LibreChat reads."""

Pair = tuple[LibreChatDocument, float]


async def query_files(
    parts: LibreChatParts,
    scope: Scope,
    caller: Caller,
    *,
    question: str,
    file_ids: Sequence[str],
    k: int,
    budget_s: float = BUDGET_S,
) -> list[Pair]:
    """Up to `k` passages of the files that the caller may read, each with its distance, nearest first.

    `question` is `searchable`, or empty. If one file is queried and no passage is relevant, as
    for "sum this up", the result is the beginning of the file with its true distance.

    Raises:
        Unavailable: a part is down, or the search took longer than `budget_s`.
    """
    files = await FileStore(parts.database, scope).readable(caller, file_ids)
    if not files:
        return []
    try:
        async with asyncio.timeout(budget_s):
            passages = await _passages(parts, scope, question, files, k)
    except TimeoutError as error:
        raise Unavailable(f"Retrieval took longer than {budget_s:g} s. Look at /ready for a slow part.") from error
    return _nearest_first(question, passages, files)


async def _passages(
    parts: LibreChatParts, scope: Scope, question: str, files: Sequence[LibreChatFile], k: int
) -> Sequence[Passage]:
    if question:
        found: Retrieval = await parts.retriever.search(scope, Query(question, filters_of(files), limit=k))
        if found.passages:
            return found.passages
    return await _beginning(parts, scope, files[0], k) if len(files) == 1 else ()


async def _beginning(parts: LibreChatParts, scope: Scope, file: LibreChatFile, k: int) -> list[Passage]:
    chunks = await parts.library.chunks(scope, file.document_id)
    return [Passage(chunk, file.name, "", "", Hit(chunk.id, 0.0, {})) for chunk in chunks[:k]]


def searchable(question: str, *, max_chars: int) -> str:
    """Shorten a message to a question that can be searched for: LibreChat sends messages of any length.

    A long message keeps its beginning and its end, where the question usually is.
    """
    text = question.replace("\x00", " ").encode(errors="ignore").decode().strip()
    if len(text) <= max_chars:
        return text
    half = max_chars // 2
    return text[:half] + text[half - max_chars :]


def _nearest_first(question: str, passages: Sequence[Passage], files: Sequence[LibreChatFile]) -> list[Pair]:
    """The passages of these files, nearest first. Passages of other files are dropped."""
    by_document = {file.document_id: file for file in files}
    pairs = [
        (document(passage.chunk, by_document[passage.chunk.document_id]), distance)
        for passage, distance in zip(passages, distances(question, passages), strict=True)
        if passage.chunk.document_id in by_document
    ]
    return sorted(pairs, key=lambda pair: pair[1])


def document(chunk: Chunk, file: LibreChatFile) -> LibreChatDocument:
    """A chunk as a LangChain document."""
    return {"id": None, "metadata": metadata(chunk, file), "page_content": content(chunk), "type": "Document"}


def content(chunk: Chunk) -> str:
    """The text of a chunk for a model, with the header of its table if that is in an earlier chunk."""
    return f"{chunk.table_header}\n{chunk.text}" if chunk.table_header else chunk.text


def metadata(chunk: Chunk, file: LibreChatFile) -> Mapping[str, object]:
    """The metadata of rag_api for a chunk; in addition the offsets in the file's text, and the headings above.

    `source` is always set and never a path: LibreChat splits it at slashes. `page` is 1-based
    and only set for formats with pages: for LibreChat 0 means none.
    """
    fields: dict[str, object] = {
        "file_id": file.file_id,
        "user_id": file.owner,
        "source": file.name,
        "digest": hashlib.md5(content(chunk).encode(), usedforsecurity=False).hexdigest(),
        "start": chunk.start,
        "end": chunk.end,
    }
    if chunk.page_first is not None:
        fields["page"] = chunk.page_first
    if chunk.heading_path:
        fields["heading"] = " > ".join(chunk.heading_path)
    return fields
