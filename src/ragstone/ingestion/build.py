"""Builds a document version: stored bytes → text and chunks → points. Writes nothing; `publish` makes it active."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Mapping, Sequence
from dataclasses import dataclass

from sqlalchemy import ColumnElement

from ragstone.documents.base import ParsedDocument
from ragstone.documents.chunking import chunk, sections
from ragstone.documents.media_types import SUPPORTED_SUFFIXES, suffix_of
from ragstone.embedding.base import Embedder, Matrix
from ragstone.embedding.sparse import document_vector
from ragstone.embedding.windows import embed_chunks, names_above
from ragstone.index.base import Point
from ragstone.ingestion.jobs import Task
from ragstone.ingestion.parts import IngestionParts
from ragstone.storage.database import Database, scoped
from ragstone.storage.library import chunk_of
from ragstone.storage.schema import chunks, documents
from ragstone.vocabulary import Chunk, MetadataValue, Scope, SparseVector

EMBED_CHUNKS = 64  # chunks embedded at once: full batches for the model, and a progress report every few seconds


@dataclass(frozen=True, slots=True)
class PreparedVersion:
    """A parsed and chunked version of a document, with its display title."""

    task: Task
    parsed: ParsedDocument
    title: str
    chunks: tuple[Chunk, ...]


@dataclass(frozen=True, slots=True)
class PointSource:
    """The input of one point: a chunk with its scope, document and title."""

    chunk: Chunk
    title: str
    media_type: str
    metadata: Mapping[str, MetadataValue]


async def prepare_version(parts: IngestionParts, task: Task) -> PreparedVersion:
    """Parse and chunk the file of a task.

    Raises:
        Unsupported: no parser reads it.
        UnreadableDocument: empty, encrypted, corrupt, or beyond a limit of the parser.
        NotFound: its stored bytes were deleted.
    """
    content = await parts.blobs.get(task.scope, task.blob_key)
    parsed = await parts.parser.parse(content, name=task.name, media_type=task.media_type)
    cut = await asyncio.to_thread(
        chunk,
        parsed.text,
        document_id=task.document_id,
        version=task.version,
        token_offsets=parts.embedder.token_offsets,
        pages=parsed.pages,
        options=parts.options.chunking,
    )
    return PreparedVersion(task, parsed, _title(task, parsed), cut)


def point_sources(version: PreparedVersion) -> list[PointSource]:
    """Point sources of a prepared version, one per chunk."""
    media_type, metadata = version.parsed.media_type, version.task.metadata
    return [PointSource(each, version.title, media_type, metadata) for each in version.chunks]


async def stored_point_sources(database: Database, scope: Scope, document_id: str) -> list[PointSource]:
    """Point sources of a document's active version, read from SQL, in reading order."""
    active: ColumnElement[bool] = (documents.c.id == chunks.c.document_id) & (
        documents.c.active_version == chunks.c.version
    )
    of_document = (
        scoped(chunks, scope, chunks, documents.c.title, documents.c.media_type, documents.c.metadata)
        .join(documents, active)
        .where(chunks.c.document_id == document_id)
        .order_by(chunks.c.ordinal)
    )
    async with database.read(scope) as connection:
        rows = (await connection.execute(of_document)).mappings().all()
    return [PointSource(chunk_of(row), row["title"], row["media_type"], row["metadata"]) for row in rows]


async def build_points(sources: Sequence[PointSource], embedder: Embedder) -> AsyncGenerator[list[Point], None]:
    """Embed chunks, which may belong to several documents, and yield their points in batches.

    Raises:
        ModelUnavailable: the embedding model did not answer.
    """
    for start in range(0, len(sources), EMBED_CHUNKS):
        batch = sources[start : start + EMBED_CHUNKS]
        dense = await embed_chunks(embedder, [each.chunk for each in batch], title=[each.title for each in batch])
        sparse = await asyncio.to_thread(_sparse_vectors, batch)
        yield [_point(*row) for row in zip(batch, dense, sparse, strict=True)]


def _sparse_vectors(sources: Sequence[PointSource]) -> list[SparseVector]:
    return [document_vector(_lexical_text(source)) for source in sources]


def _lexical_text(source: PointSource) -> str:
    """Text for the sparse vector: title, headings, repeated table header, text."""
    chunk = source.chunk
    return "\n".join((*names_above(chunk, source.title), chunk.table_header, chunk.text))


def _point(source: PointSource, dense: Matrix, sparse: SparseVector) -> Point:
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
    """Title of the document: the submitted one unless it is the file name; else the parsed one or the first heading."""
    is_file_name = task.title == task.name and suffix_of(task.name) in SUPPORTED_SUFFIXES
    if task.title.strip() and not is_file_name:
        return task.title
    headings = (section.path[-1] for section in sections(parsed.text) if section.path)
    return parsed.title or next(headings, None) or task.name
