"""The commit point: one transaction makes a version the active one, or a document gone."""

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
from ragstone.documents.base import ParsedDocument
from ragstone.errors import QuotaExceeded, RagstoneError
from ragstone.ingestion.dead_letters import bury
from ragstone.ingestion.jobs import FileOutcome, Task, discard_blobs, settle
from ragstone.ingestion.queue import GONE, Claims, abandon, mark
from ragstone.ingestion.quotas import pages_left, too_many_pages
from ragstone.storage.database import Database, any_of, scoped, scoped_delete, scoped_insert, scoped_update
from ragstone.storage.library import grow
from ragstone.storage.schema import chunks, document_texts, documents, job_files, jobs, usage_records
from ragstone.vocabulary import Chunk, DocumentState, FileState, Scope


async def record_embedding(
    connection: AsyncConnection, scope: Scope, model: str, tokens_of: Mapping[str, list[int]]
) -> None:
    """Write down the tokens that were embedded; for each job's id, those of each of its documents."""
    submitted = scoped(jobs, scope, jobs.c.id, jobs.c.principal).where(any_of(jobs.c.id, sorted(tokens_of)))
    principals: dict[str, str] = {row.id: row.principal for row in await connection.execute(submitted)}
    now = datetime.now(UTC)
    rows = [
        _row(model, principals.get(job_id, ""), tokens, now)
        for job_id, documents in tokens_of.items()
        for tokens in documents
    ]
    if rows:
        await connection.execute(scoped_insert(usage_records, scope), rows)


def _row(model: str, principal: str, tokens: int, now: datetime) -> dict[str, object]:
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
        "cost": 0,  # embedding has no price of its own
        "overage": False,
        "estimated": False,
        "expires_at": 0,
        "settled_at": now,
    }


REMOVED_SOURCE = "removed"
NOTHING_TOLD: dict[str, object] = {
    "source": REMOVED_SOURCE,
    "name": "",
    "title": "",
    "metadata": {},
    "fingerprint": "",
    "error": None,
}
"""What jobs remember of a file whose document was removed: that there was one."""


@dataclass(frozen=True, slots=True)
class PreparedVersion:
    """A version in the making: parsed and chunked, with the document's title for people."""

    task: Task
    parsed: ParsedDocument
    title: str
    chunks: tuple[Chunk, ...]


@dataclass(frozen=True, slots=True)
class Published:
    """Which drafts became active, which found their document removed, and for which the plan has no room.

    The others lost their claim.
    """

    active: tuple[PreparedVersion, ...]
    gone: tuple[PreparedVersion, ...]
    refused: tuple[PreparedVersion, ...] = ()


async def publish(
    database: Database, claims: Claims, drafts: Sequence[PreparedVersion], *, model: str, plan: Plan | None = None
) -> Published:
    """Make each draft, all of one scope, the active version of its document: searches see it from here on.

    The points of all drafts must be in the index. `model` embedded them.
    """
    scope = drafts[0].task.scope
    ids = [draft.task.document_id for draft in drafts]
    async with database.write(scope) as connection:
        mine = await claims.holds(connection, scope, ids)
        found = await connection.execute(
            scoped(documents, scope, documents.c.id, documents.c.blob_key).where(any_of(documents.c.id, ids))
        )
        old_blobs = {row.id: row.blob_key for row in found}
        drafts = [draft for draft in drafts if draft.task.document_id in mine]
        there = [draft for draft in drafts if draft.task.document_id in old_blobs]
        gone = tuple(draft for draft in drafts if draft.task.document_id not in old_blobs)
        active, refused = await _within_pages(connection, scope, there, plan)
        await settle(connection, scope, [*map(_done, active), *map(_gone, gone)])
        for draft, error in refused:
            await _give_up(database, connection, draft.task, error)
        await _replace_rows(connection, scope, active)
        replaced = {old_blobs[draft.task.document_id] for draft in active} - {draft.task.blob_key for draft in active}
        await discard_blobs(database, connection, scope, replaced | {draft.task.blob_key for draft in gone})
        await record_embedding(connection, scope, model, _tokens(active))
        await grow(connection, scope)
    return Published(active, gone, tuple(draft for draft, _ in refused))


async def fail(database: Database, claims: Claims, task: Task, error: RagstoneError, *, max_attempts: int) -> bool:
    """Record what went wrong: finally, or, with attempts left, until the next one.

    Returns:
        Whether it is final.
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


async def unlist(database: Database, connection: AsyncConnection, document: RowMapping) -> None:
    """Remove a document from SQL: searches miss it at once; its points and bytes are left to the sweeper."""
    scope = Scope(document["tenant"], document["collection"])
    await abandon(database, connection, scope, document["id"])
    await bury(database, connection, scope, [document["id"]])
    await discard_blobs(database, connection, scope, [document["blob_key"]])
    await connection.execute(scoped_delete(documents, scope).where(documents.c.id == document["id"]))
    theirs = scoped_update(job_files, scope).where(job_files.c.document_id == document["id"])
    await connection.execute(theirs.values(**NOTHING_TOLD))


async def _within_pages(
    connection: AsyncConnection, scope: Scope, drafts: Sequence[PreparedVersion], plan: Plan | None
) -> tuple[tuple[PreparedVersion, ...], list[tuple[PreparedVersion, QuotaExceeded]]]:
    """The drafts that the plan has room for, and the others with their error."""
    if plan is None:
        return tuple(drafts), []
    left = await pages_left(connection, scope.tenant, plan, [draft.task.document_id for draft in drafts])
    fitting, refused = [], []
    for draft in drafts:
        pages = _page_count(draft) or 0
        if pages > left:
            refused.append((draft, too_many_pages(plan, pages)))
        else:
            left -= pages
            fitting.append(draft)
    return tuple(fitting), refused


async def _give_up(database: Database, connection: AsyncConnection, task: Task, error: RagstoneError) -> None:
    """Fail a file for good. What is not its own fault leaves a dead letter, with its bytes."""
    dead = error.retryable or error.status >= HTTPStatus.INTERNAL_SERVER_ERROR
    await settle(connection, task.scope, [FileOutcome(task.file_id, task.job_id, FileState.FAILED, error, dead=dead)])
    await mark(connection, task.scope, task.document_id, DocumentState.FAILED, error.message)
    if not dead:
        await discard_blobs(database, connection, task.scope, [task.blob_key])


def _tokens(drafts: Sequence[PreparedVersion]) -> dict[str, list[int]]:
    """For each job, the tokens of the chunks of each of its drafts."""
    tokens: defaultdict[str, list[int]] = defaultdict(list)
    for draft in drafts:
        tokens[draft.task.job_id].append(sum(chunk.token_count for chunk in draft.chunks))
    return tokens


def _page_count(draft: PreparedVersion) -> int | None:
    pages = draft.parsed.pages
    return pages[-1].number if pages else None


async def _replace_rows(connection: AsyncConnection, scope: Scope, drafts: Sequence[PreparedVersion]) -> None:
    """Texts, chunks and documents as the drafts have them."""
    if not drafts:
        return
    ids = [draft.task.document_id for draft in drafts]
    await connection.execute(scoped_delete(chunks, scope).where(any_of(chunks.c.document_id, ids)))
    await connection.execute(scoped_delete(document_texts, scope).where(any_of(document_texts.c.document_id, ids)))
    await connection.execute(scoped_insert(document_texts, scope), [_text_row(draft) for draft in drafts])
    rows = [_chunk_row(chunk) for draft in drafts for chunk in draft.chunks]
    if rows:
        await connection.execute(scoped_insert(chunks, scope), rows)
    by_id = scoped_update(documents, scope).where(documents.c.id == bindparam("document_id"))
    await connection.execute(by_id, [_document_changes(draft) for draft in drafts])


def _done(draft: PreparedVersion) -> FileOutcome:
    task, warnings = draft.task, draft.parsed.warnings
    return FileOutcome(task.file_id, task.job_id, FileState.DONE, warnings=warnings, chunks=len(draft.chunks))


def _gone(draft: PreparedVersion) -> FileOutcome:
    return FileOutcome(draft.task.file_id, draft.task.job_id, FileState.REMOVED, warnings=(GONE,))


def _text_row(draft: PreparedVersion) -> dict[str, object]:
    return {"document_id": draft.task.document_id, "version": draft.task.version, "text": draft.parsed.text}


def _document_changes(draft: PreparedVersion) -> dict[str, object]:
    task = draft.task
    return {
        "document_id": task.document_id,
        "title": draft.title,
        "media_type": draft.parsed.media_type,
        "fingerprint": task.fingerprint,
        "blob_key": task.blob_key,
        "size_bytes": task.size_bytes,
        "state": DocumentState.READY,
        "active_version": task.version,
        "chunk_count": len(draft.chunks),
        "page_count": _page_count(draft),
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
