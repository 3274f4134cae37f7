"""Making a version: stored bytes become a draft, and drafts become points. Writes nothing."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Mapping, Sequence
from dataclasses import dataclass

from ragstone.documents.base import ParsedDocument, Parser
from ragstone.documents.chunking import ChunkingOptions, chunk, sections
from ragstone.documents.media_types import SUPPORTED_SUFFIXES, suffix_of
from ragstone.embedding.base import Embedder, Matrix
from ragstone.embedding.sparse import document_vector
from ragstone.embedding.windows import embed_chunks, names_above
from ragstone.index.base import Point
from ragstone.ingestion.jobs import Task
from ragstone.ingestion.publish import PreparedVersion
from ragstone.storage.blobs import LocalBlobs
from ragstone.vocabulary import Chunk, MetadataValue, SparseVector

EMBED_CHUNKS = 64  # chunks embedded at once: whole batches for the model, and still signs of life every few seconds


async def make_draft(
    task: Task, *, blobs: LocalBlobs, parser: Parser, embedder: Embedder, chunking: ChunkingOptions
) -> PreparedVersion:
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
    return PreparedVersion(task, parsed, _title(task, parsed), chunks)


@dataclass(frozen=True, slots=True)
class SourceFile:
    """A chunk with all that its point is made from."""

    chunk: Chunk
    title: str
    media_type: str
    metadata: Mapping[str, MetadataValue]


def sources(draft: PreparedVersion) -> list[SourceFile]:
    """The chunks of a draft, ready to become points."""
    return [SourceFile(each, draft.title, draft.parsed.media_type, draft.task.metadata) for each in draft.chunks]


async def make_points(sources: Sequence[SourceFile], embedder: Embedder) -> AsyncGenerator[list[Point], None]:
    """The points of chunks that may be of several documents, in batches.

    Raises:
        ModelUnavailable: the embedding model did not answer.
    """
    for start in range(0, len(sources), EMBED_CHUNKS):
        batch = sources[start : start + EMBED_CHUNKS]
        dense = await embed_chunks(embedder, [each.chunk for each in batch], title=[each.title for each in batch])
        sparse = await asyncio.to_thread(_sparse_vectors, batch)
        yield [_point(*parts) for parts in zip(batch, dense, sparse, strict=True)]


def _sparse_vectors(sources: Sequence[SourceFile]) -> list[SparseVector]:
    return [document_vector(_lexical_text(source)) for source in sources]


def _lexical_text(source: SourceFile) -> str:
    """What of a chunk the lexical side searches: title, headings, repeated table header, text."""
    chunk = source.chunk
    return "\n".join((*names_above(chunk, source.title), chunk.table_header, chunk.text))


def _point(source: SourceFile, dense: Matrix, sparse: SparseVector) -> Point:
    return Point(
        chunk_id=source.chunk.id,
        document_id=source.chunk.document_id,
        version=source.chunk.version,
        media_type=source.media_type,
        dense=dense,
        sparse=sparse,
        metadata=source.metadata,
    )


def _title(task: Task, parsed: ParsedDocument) -> str:
    """The title its sender gave, unless that is but the file name; else the document's own, or its first heading."""
    is_file_name = task.title == task.name and suffix_of(task.name) in SUPPORTED_SUFFIXES
    if task.title.strip() and not is_file_name:
        return task.title
    headings = (section.path[-1] for section in sections(parsed.text) if section.path)
    return parsed.title or next(headings, None) or task.name
