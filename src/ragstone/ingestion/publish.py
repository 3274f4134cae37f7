"""The commit point of ingestion: one transaction activates a version, or removes a document from SQL."""

from __future__ import annotations

import secrets
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from http import HTTPStatus

from sqlalchemy import bindparam
from sqlalchemy.engine import RowMapping
from sqlalchemy.ext.asyncio import AsyncConnection

from ragstone.billing.plans import Plan
from ragstone.errors import QuotaExceeded, RagstoneError
from ragstone.ingestion.build import PreparedVersion
from ragstone.ingestion.dead_letters import discard_dead_files
from ragstone.ingestion.jobs import FileOutcome, Task, discard_blobs, settle
from ragstone.ingestion.queue import GONE, Claims, note_orphans, show_state
from ragstone.ingestion.quotas import pages_left, too_many_pages
from ragstone.storage.database import Database, any_of, scoped, scoped_delete, scoped_insert, scoped_update
from ragstone.storage.library import bump_generation
from ragstone.storage.schema import chunks, document_texts, documents, job_files, jobs, usage_records
from ragstone.vocabulary import Chunk, DocumentState, FileState, Scope

REMOVED_SOURCE = "removed"
NOTHING_TOLD: dict[str, object] = {
    "source": REMOVED_SOURCE,
    "name": "",
    "title": "",
    "metadata": {},
    "fingerprint": "",
    "error": None,
}
"""Values for a job's file after its document was removed: only the fact that there was a file stays."""


@dataclass(frozen=True, slots=True)
class Published:
    """Result of `publish`: versions that became active, versions of removed documents, and versions beyond the plan.

    A version in none of these groups lost its claim.
    """

    active: tuple[PreparedVersion, ...]
    gone: tuple[PreparedVersion, ...]
    refused: tuple[PreparedVersion, ...] = ()


async def publish(
    database: Database, claims: Claims, versions: Sequence[PreparedVersion], *, model: str, plan: Plan | None = None
) -> Published:
    """Activate versions, all of one scope: from the commit on, searches find them.

    The points of all versions must be in the index. `model` embedded them.
    """
    scope = versions[0].task.scope
    ids = [version.task.document_id for version in versions]
    async with database.write(scope) as connection:
        mine = await claims.holds(connection, scope, ids)
        found = await connection.execute(
            scoped(documents, scope, documents.c.id, documents.c.blob_key).where(any_of(documents.c.id, ids))
        )
        old_blobs = {row.id: row.blob_key for row in found}
        versions = [version for version in versions if version.task.document_id in mine]
        there = [version for version in versions if version.task.document_id in old_blobs]
        gone = tuple(version for version in versions if version.task.document_id not in old_blobs)
        active, refused = await _within_pages(connection, scope, there, plan)
        await settle(connection, scope, [*map(_done, active), *map(_gone, gone)])
        for version, error in refused:
            await _give_up(database, connection, version.task, error)
        await _replace_rows(connection, scope, active)
        replaced = {old_blobs[version.task.document_id] for version in active} - {
            version.task.blob_key for version in active
        }
        await discard_blobs(database, connection, scope, replaced | {version.task.blob_key for version in gone})
        await _record_usage(connection, scope, model, _tokens(active))
        await bump_generation(connection, scope)
    return Published(active, gone, tuple(version for version, _ in refused))


async def fail(database: Database, claims: Claims, task: Task, error: RagstoneError, *, max_attempts: int) -> bool:
    """Record the failure of a file; a retryable one is final only after `max_attempts`.

    Returns:
        Whether the failure is final.
    """
    final = task.attempts >= max_attempts
    scope = task.scope
    async with database.write(scope) as connection:
        if not await claims.holds(connection, scope, [task.document_id]):
            return False
        if not final:
            by_id = scoped_update(job_files, scope).where(job_files.c.id == task.file_id)
            await connection.execute(by_id.values(error_code=error.code, error=error.message))
            return False
        await _give_up(database, connection, task, error)
    return True


async def withdraw(database: Database, connection: AsyncConnection, document: RowMapping) -> None:
    """Remove a document from SQL: searches no longer find it. The sweep deletes its points and bytes later."""
    scope = Scope(document["tenant"], document["collection"])
    await note_orphans(database, connection, scope, document["id"])
    await discard_dead_files(database, connection, scope, [document["id"]])
    await discard_blobs(database, connection, scope, [document["blob_key"]])
    await connection.execute(scoped_delete(documents, scope).where(documents.c.id == document["id"]))
    theirs = scoped_update(job_files, scope).where(job_files.c.document_id == document["id"])
    await connection.execute(theirs.values(**NOTHING_TOLD))


async def _within_pages(
    connection: AsyncConnection, scope: Scope, versions: Sequence[PreparedVersion], plan: Plan | None
) -> tuple[tuple[PreparedVersion, ...], list[tuple[PreparedVersion, QuotaExceeded]]]:
    """Versions within the page limit of the plan, and the others with their errors."""
    if plan is None:
        return tuple(versions), []
    left = await pages_left(connection, scope.tenant, plan, [version.task.document_id for version in versions])
    fitting, refused = [], []
    for version in versions:
        pages = _page_count(version) or 0
        if pages > left:
            refused.append((version, too_many_pages(plan, pages)))
        else:
            left -= pages
            fitting.append(version)
    return tuple(fitting), refused


async def _give_up(database: Database, connection: AsyncConnection, task: Task, error: RagstoneError) -> None:
    """Record a final failure. A failure for a reason outside the file makes it a dead letter, and keeps its bytes."""
    dead = error.retryable or error.status >= HTTPStatus.INTERNAL_SERVER_ERROR
    await settle(connection, task.scope, [FileOutcome(task.file_id, task.job_id, FileState.FAILED, error, dead=dead)])
    await show_state(connection, task.scope, task.document_id, DocumentState.FAILED, error.message)
    if not dead:
        await discard_blobs(database, connection, task.scope, [task.blob_key])


def _tokens(versions: Sequence[PreparedVersion]) -> dict[str, list[int]]:
    """Token counts of the versions, by job id."""
    tokens: defaultdict[str, list[int]] = defaultdict(list)
    for version in versions:
        tokens[version.task.job_id].append(sum(chunk.token_count for chunk in version.chunks))
    return tokens


def _page_count(version: PreparedVersion) -> int | None:
    pages = version.parsed.pages
    return pages[-1].number if pages else None


async def _replace_rows(connection: AsyncConnection, scope: Scope, versions: Sequence[PreparedVersion]) -> None:
    """Replace the text, chunks and document row of the previous versions."""
    if not versions:
        return
    ids = [version.task.document_id for version in versions]
    await connection.execute(scoped_delete(chunks, scope).where(any_of(chunks.c.document_id, ids)))
    await connection.execute(scoped_delete(document_texts, scope).where(any_of(document_texts.c.document_id, ids)))
    await connection.execute(scoped_insert(document_texts, scope), [_text_row(version) for version in versions])
    rows = [_chunk_row(chunk) for version in versions for chunk in version.chunks]
    if rows:
        await connection.execute(scoped_insert(chunks, scope), rows)
    by_id = scoped_update(documents, scope).where(documents.c.id == bindparam("document_id"))
    await connection.execute(by_id, [_document_changes(version) for version in versions])


def _done(version: PreparedVersion) -> FileOutcome:
    task, warnings = version.task, version.parsed.warnings
    return FileOutcome(task.file_id, task.job_id, FileState.DONE, warnings=warnings, chunks=len(version.chunks))


def _gone(version: PreparedVersion) -> FileOutcome:
    return FileOutcome(version.task.file_id, version.task.job_id, FileState.REMOVED, warnings=(GONE,))


def _text_row(version: PreparedVersion) -> dict[str, object]:
    return {"document_id": version.task.document_id, "version": version.task.version, "text": version.parsed.text}


def _document_changes(version: PreparedVersion) -> dict[str, object]:
    task = version.task
    return {
        "document_id": task.document_id,
        "title": version.title,
        "media_type": version.parsed.media_type,
        "fingerprint": task.fingerprint,
        "blob_key": task.blob_key,
        "size_bytes": task.size_bytes,
        "state": DocumentState.READY,
        "active_version": task.version,
        "chunk_count": len(version.chunks),
        "page_count": _page_count(version),
        "error": None,
        "metadata": dict(task.metadata),
        "updated_at": datetime.now(UTC),
    }


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
        "headings": [[heading.start, heading.path] for heading in chunk.headings],
        "pages": [[page.number, page.start, page.end] for page in chunk.pages],
        "table_header": chunk.table_header,
    }


async def _record_usage(
    connection: AsyncConnection, scope: Scope, model: str, tokens_of: Mapping[str, list[int]]
) -> None:
    """Write a usage record for each document; `tokens_of` maps a job id to the embedded tokens of its documents."""
    submitted = scoped(jobs, scope, jobs.c.id, jobs.c.principal).where(any_of(jobs.c.id, sorted(tokens_of)))
    principals: dict[str, str] = {row.id: row.principal for row in await connection.execute(submitted)}
    now = datetime.now(UTC)
    rows = [
        _usage_row(model, principals.get(job_id, ""), tokens, now)
        for job_id, documents in tokens_of.items()
        for tokens in documents
    ]
    if rows:
        await connection.execute(scoped_insert(usage_records, scope), rows)


def _usage_row(model: str, principal: str, tokens: int, now: datetime) -> dict[str, object]:
    return {
        "id": secrets.token_hex(16),
        "at": now,
        "kind": "ingest",
        "state": "settled",
        "principal": principal,
        "model": model,
        "input_tokens": 0,
        "output_tokens": 0,
        "cached_tokens": 0,
        "embedding_tokens": tokens,
        "cost": 0,  # embedding is free
        "overage": False,
        "estimated": False,
        "expires_at": 0,
        "settled_at": now,
    }
