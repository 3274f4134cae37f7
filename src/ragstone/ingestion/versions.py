"""The commit point: one transaction makes a version the active one, or a document gone."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

from sqlalchemy.engine import RowMapping
from sqlalchemy.ext.asyncio import AsyncConnection

from ragstone.documents.base import ParsedDocument
from ragstone.errors import RagstoneError
from ragstone.ingestion.claims import GONE, Claims, abandon, mark
from ragstone.ingestion.jobs import Task, discard_blob, settle
from ragstone.storage.database import Database, scoped, scoped_delete, scoped_insert, scoped_update
from ragstone.storage.schema import chunks, document_texts, documents, job_files
from ragstone.vocabulary import Chunk, DocumentState, FileState, Scope


@dataclass(frozen=True, slots=True)
class Draft:
    """A version in the making: parsed and chunked, with the document's title for people."""

    task: Task
    parsed: ParsedDocument
    title: str
    chunks: tuple[Chunk, ...]


@dataclass(frozen=True, slots=True)
class Published:
    """Which drafts became active, and which found their document removed; the others lost their claim."""

    active: tuple[Draft, ...]
    gone: tuple[Draft, ...]


async def publish(database: Database, claims: Claims, drafts: Sequence[Draft]) -> Published:
    """Make each draft the active version of its document: searches see it from here on.

    The points of all drafts must be in the index.
    """
    async with database.write() as connection:
        fates = [await _publish(database, connection, claims, draft) for draft in drafts]
    by_fate = list(zip(fates, drafts, strict=True))
    return Published(
        active=tuple(draft for fate, draft in by_fate if fate is FileState.DONE),
        gone=tuple(draft for fate, draft in by_fate if fate is FileState.REMOVED),
    )


async def fail(database: Database, claims: Claims, task: Task, error: RagstoneError, *, max_attempts: int) -> bool:
    """Record what went wrong: finally, or, with attempts left, until the next one.

    Returns:
        Whether it is final.
    """
    final = task.attempts >= max_attempts
    async with database.write() as connection:
        if not await claims.holds(connection, task.scope, task.document_id):
            return False
        if not final:
            by_id = scoped_update(job_files, task.scope).where(job_files.c.id == task.file_id)
            await connection.execute(by_id.values(error_code=error.code, error=error.message))
        elif await settle(connection, task.scope, task.file_id, FileState.FAILED, error=error):
            await mark(connection, task.scope, task.document_id, DocumentState.FAILED, error.message)
            await discard_blob(database, connection, task.scope, task.blob_key)
    return final


async def unlist(database: Database, connection: AsyncConnection, document: RowMapping) -> None:
    """Remove a document from SQL: searches miss it at once; its points and bytes are left to the sweeper."""
    scope = Scope(document["tenant"], document["collection"])
    await abandon(database, connection, scope, document["id"])
    await discard_blob(database, connection, scope, document["blob_key"])
    await connection.execute(scoped_delete(documents, scope).where(documents.c.id == document["id"]))


async def _publish(database: Database, connection: AsyncConnection, claims: Claims, draft: Draft) -> FileState | None:
    task, scope = draft.task, draft.task.scope
    if not await claims.holds(connection, scope, task.document_id):
        return None
    found = await connection.execute(scoped(documents, scope).where(documents.c.id == task.document_id))
    document = found.mappings().first()
    if document is None:
        await settle(connection, scope, task.file_id, FileState.REMOVED, warnings=(GONE,))
        await discard_blob(database, connection, scope, task.blob_key)
        return FileState.REMOVED
    warnings = draft.parsed.warnings
    await settle(connection, scope, task.file_id, FileState.DONE, warnings=warnings, chunks=len(draft.chunks))
    await _replace_rows(connection, draft)
    if document["blob_key"] != task.blob_key:
        await discard_blob(database, connection, scope, document["blob_key"])
    return FileState.DONE


async def _replace_rows(connection: AsyncConnection, draft: Draft) -> None:
    task, scope = draft.task, draft.task.scope
    await connection.execute(scoped_delete(chunks, scope).where(chunks.c.document_id == task.document_id))
    await connection.execute(
        scoped_delete(document_texts, scope).where(document_texts.c.document_id == task.document_id)
    )
    body = {"document_id": task.document_id, "version": task.version, "text": draft.parsed.text}
    await connection.execute(scoped_insert(document_texts, scope), body)
    if draft.chunks:
        await connection.execute(scoped_insert(chunks, scope), [_chunk_row(chunk) for chunk in draft.chunks])
    by_id = scoped_update(documents, scope).where(documents.c.id == task.document_id)
    await connection.execute(
        by_id.values(
            title=draft.title,
            media_type=draft.parsed.media_type,
            fingerprint=task.fingerprint,
            blob_key=task.blob_key,
            size_bytes=task.size_bytes,
            state=DocumentState.READY,
            active_version=task.version,
            chunk_count=len(draft.chunks),
            page_count=draft.parsed.pages[-1].number if draft.parsed.pages else None,
            error=None,
            metadata=dict(task.metadata),
            updated_at=datetime.now(UTC),
        )
    )


def _chunk_row(chunk: Chunk) -> dict[str, object]:
    return {
        "id": chunk.id,
        "document_id": chunk.document_id,
        "version": chunk.version,
        "ordinal": chunk.ordinal,
        "start": chunk.start,
        "end": chunk.end,
        "text": chunk.text,
        "token_count": chunk.token_count,
        "heading_path": list(chunk.heading_path),
        "page_first": chunk.page_first,
        "page_last": chunk.page_last,
        "table_header": chunk.table_header,
    }
