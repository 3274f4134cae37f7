"""Making a version: stored bytes become a draft, and drafts become points. Writes nothing."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence

from ragstone.documents.base import ParsedDocument, Parser
from ragstone.documents.chunking import ChunkingOptions, chunk, sections
from ragstone.embedding.base import Embedder
from ragstone.embedding.sparse import document_vector
from ragstone.embedding.windows import embed_chunks
from ragstone.index.base import Point
from ragstone.ingestion.jobs import Task
from ragstone.ingestion.versions import Draft
from ragstone.storage.blobs import LocalBlobs
from ragstone.vocabulary import Chunk, SparseVector

EMBED_CHUNKS = 64  # chunks embedded at once: whole batches for the model, and still signs of life every few seconds


async def make_draft(
    task: Task, *, blobs: LocalBlobs, parser: Parser, embedder: Embedder, chunking: ChunkingOptions
) -> Draft:
    """Parse and chunk the bytes of a task.

    Raises:
        Unsupported: no parser reads it.
        UnreadableDocument: empty, encrypted, corrupt, or beyond a limit of the parser.
        NotFound: its bytes are gone.
    """
    content = await blobs.get(task.scope, task.blob_key)
    parsed = await parser.parse(content, name=task.name, media_type=task.media_type)
    chunks = await asyncio.to_thread(
        chunk,
        parsed.text,
        document_id=task.document_id,
        version=task.version,
        token_offsets=embedder.token_offsets,
        pages=parsed.pages,
        options=chunking,
    )
    return Draft(task, parsed, _title(task, parsed), chunks)


async def make_points(drafts: Sequence[Draft], embedder: Embedder) -> AsyncIterator[list[Point]]:
    """The points of all drafts, in batches that may span several drafts.

    Raises:
        ModelUnavailable: the embedding model did not answer.
    """
    pairs = [(draft, each) for draft in drafts for each in draft.chunks]
    for start in range(0, len(pairs), EMBED_CHUNKS):
        batch = pairs[start : start + EMBED_CHUNKS]
        chunks = [each for _, each in batch]
        dense = await embed_chunks(embedder, chunks, title=[draft.title for draft, _ in batch])
        sparse = await asyncio.to_thread(_sparse_vectors, batch)
        yield [
            Point(
                chunk_id=each.id,
                document_id=each.document_id,
                version=each.version,
                media_type=draft.parsed.media_type,
                dense=vectors,
                sparse=terms,
                metadata=draft.task.metadata,
            )
            for (draft, each), vectors, terms in zip(batch, dense, sparse, strict=True)
        ]


def lexical_text(title: str, chunk: Chunk) -> str:
    """What of a chunk the lexical side searches: title, headings, repeated table header, text."""
    return "\n".join(part for part in (title, *chunk.heading_path, chunk.table_header, chunk.text) if part)


def _sparse_vectors(batch: Sequence[tuple[Draft, Chunk]]) -> list[SparseVector]:
    return [document_vector(lexical_text(draft.title, each)) for draft, each in batch]


def _title(task: Task, parsed: ParsedDocument) -> str:
    """The title its sender gave, unless that is but the file name; else the document's own, or its first heading."""
    if task.title.strip() and task.title != task.name:
        return task.title
    headings = (section.path[-1] for section in sections(parsed.text) if section.path)
    return parsed.title or next(headings, None) or task.name
