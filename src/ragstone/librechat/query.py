"""The story FIND: a question and some files become passages of those files, nearest first.

readable files → one search within them → only what the rows say is readable → distances
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
"""Evidence and the relevance it stands for, straight between. 0.4 is the floor of `RetrievalOptions`, below which
nothing bears on the question: LibreChat's threshold is put there. At 1.4 all terms are held and the sense agrees."""


def distances(question: str, passages: Sequence[Passage]) -> list[float]:
    """The distance of each passage, in [0, 1], in the order given."""
    asked = content_terms(question)
    seen = [standing.score for passage in passages if (standing := passage.hit.stages.get("dense"))]
    bound = min(seen, default=0.0)  # one that dense search left out is no nearer than those it found
    return [distance(evidence(asked, passage, bound)) for passage in passages]


def distance(evidence: float) -> float:
    """1 less the relevance that the evidence stands for, to six decimals."""
    for (low, at_low), (high, at_high) in pairwise(RELEVANCE):
        if evidence < high:
            share = max(evidence - low, 0.0) / (high - low)
            return round(1 - (at_low + share * (at_high - at_low)), 6)
    return 0.0


BUDGET_S = 5.0  # LibreChat waits without end, and a chat with it
MAX_K = 50

LibreChatDocument = Mapping[str, object]
"""A LangChain document as JSON; the one shape LibreChat reads."""

Pair = tuple[LibreChatDocument, float]


async def find(
    parts: LibreChatParts,
    scope: Scope,
    caller: Caller,
    *,
    question: str,
    file_ids: Sequence[str],
    k: int,
    budget_s: float = BUDGET_S,
) -> list[Pair]:
    """Up to `k` passages of those files that the caller may read, each with its distance, nearest first.

    `question` is `searchable`, or empty. Where nothing in a single file bears on it, as
    on "sum this up", the file's beginning is found, and its distance says how far off it is.

    Raises:
        Unavailable: a part is down, or took longer than `budget_s`.
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
    """The question as it can be searched for: LibreChat sends whole messages, of any length.

    Of a long one its beginning and its end are kept, where what is asked tends to be.
    """
    text = question.replace("\x00", " ").encode(errors="ignore").decode().strip()
    if len(text) <= max_chars:
        return text
    half = max_chars // 2
    return text[:half] + text[half - max_chars :]


def _nearest_first(question: str, passages: Sequence[Passage], files: Sequence[LibreChatFile]) -> list[Pair]:
    """The passages of these files only, whatever the index gave."""
    by_document = {file.document_id: file for file in files}
    pairs = [
        (document(passage.chunk, by_document[passage.chunk.document_id]), distance)
        for passage, distance in zip(passages, distances(question, passages), strict=True)
        if passage.chunk.document_id in by_document
    ]
    return sorted(pairs, key=lambda pair: pair[1])


def document(chunk: Chunk, file: LibreChatFile) -> LibreChatDocument:
    """A chunk in LangChain's shape."""
    return {"id": None, "metadata": metadata(chunk, file), "page_content": content(chunk), "type": "Document"}


def content(chunk: Chunk) -> str:
    """What a model reads of a chunk: its text, below the header of its table where that lies in an earlier one."""
    return f"{chunk.table_header}\n{chunk.text}" if chunk.table_header else chunk.text


def metadata(chunk: Chunk, file: LibreChatFile) -> Mapping[str, object]:
    """What rag_api says of a chunk, with our offsets into the file's text and the headings above as extras.

    `source` is always there and never a path: LibreChat splits it at slashes. `page` is
    1-based, and only there where the format has pages: LibreChat takes 0 for none.
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
