"""A submission as SQL keeps it: one transaction writes the job, its files and their documents."""

from __future__ import annotations

import secrets
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime

from sqlalchemy import func
from sqlalchemy.ext.asyncio import AsyncConnection

from ragstone.accounts.audit import Audit
from ragstone.accounts.plans import Plan
from ragstone.errors import Conflict, QuotaExceeded
from ragstone.ingestion.dead_letters import bury
from ragstone.ingestion.forgetting import forget_mentions
from ragstone.ingestion.generations import grow
from ragstone.ingestion.jobs import discard_blobs, finish_if_complete
from ragstone.ingestion.quotas import require_room, require_tenant
from ragstone.ingestion.record import record
from ragstone.ingestion.submit import Entry, name_of
from ragstone.ingestion.versions import unlist
from ragstone.principals import LOCAL
from ragstone.storage.blobs import LocalBlobs
from ragstone.storage.database import Database, any_of, scoped, scoped_insert, scoped_update
from ragstone.storage.schema import collections, documents, job_files, jobs
from ragstone.telemetry.correlation import request_id
from ragstone.vocabulary import DocumentState, FileState, JobState, Scope


@dataclass(frozen=True, slots=True, kw_only=True)
class Submission:
    """Who submits, whom to tell when the job is finished, and which documents' files have vanished."""

    principal: str = LOCAL.id
    callback_url: str | None = None
    vanished: Sequence[str] = ()


async def write_job(
    database: Database,
    blobs: LocalBlobs,
    scope: Scope,
    entries: Sequence[Entry],
    submission: Submission = Submission(),
    *,
    plan: Plan | None = None,
    audit: Audit | None = None,
) -> str:
    """Write a job for `entries`, and remove the documents of the vanished sources, in one transaction.

    Who submitted is recorded in it, where there is an audit log.

    Returns:
        The job's id.

    Raises:
        QuotaExceeded: the plan has no room for all of it; nothing is submitted.
        NotFound: the tenant is being deleted.
    """
    try:
        async with database.write(scope) as connection:
            await require_tenant(connection, scope.tenant)
            job_id = await _write_job(database, blobs, connection, scope, entries, submission)
            if plan is not None:
                await require_room(connection, scope.tenant, plan)
            await record(
                audit,
                connection,
                scope,
                principal=submission.principal,
                action="documents.submitted",
                target=job_id,
                files=len(entries),
                vanished=len(submission.vanished),
            )
    except QuotaExceeded:
        async with database.write(scope) as connection:
            await discard_blobs(database, connection, scope, [entry.blob_key for entry in entries])
        raise
    return job_id


async def _write_job(
    database: Database,
    blobs: LocalBlobs,
    connection: AsyncConnection,
    scope: Scope,
    entries: Sequence[Entry],
    submission: Submission,
) -> str:
    job_id = secrets.token_hex(16)
    now = datetime.now(UTC)
    entries = await _still_stored(blobs, scope, entries)
    collection = {"tenant": scope.tenant, "collection": scope.collection, "created_at": now}
    await connection.execute(database.insert_missing(collections), collection)
    removed = await _remove(database, connection, scope, submission.vanished)
    about = {"principal": submission.principal, "callback_url": submission.callback_url, "request_id": request_id()}
    await connection.execute(scoped_insert(jobs, scope), _job_row(job_id, entries, removed, now) | about)
    ids = await _document_ids(database, connection, scope, entries, now)
    rows = [_file_row(job_id, entry, ids.get(entry.source)) for entry in entries]
    rows += [_removed_row(job_id, source, document_id) for document_id, source in removed]
    if rows:
        await connection.execute(scoped_insert(job_files, scope), rows)
    await bury(database, connection, scope, list(ids.values()))
    await _want(connection, scope, list(ids.values()))
    await finish_if_complete(connection, scope, job_id)
    if removed:
        await forget_mentions(connection, scope.tenant, [document_id for document_id, _ in removed])
        await grow(connection, scope)
    return job_id


async def _still_stored(blobs: LocalBlobs, scope: Scope, entries: Sequence[Entry]) -> list[Entry]:
    """Entries whose blob the sweeper deleted since it was stored fail: rare, and said."""
    missing = await blobs.missing(scope, {entry.blob_key for entry in entries if entry.blob_key})
    lost = Conflict("An equal file was removed at the same moment. Submit this one again.")
    return [replace(entry, error=lost) if entry.blob_key in missing else entry for entry in entries]


async def _remove(
    database: Database, connection: AsyncConnection, scope: Scope, sources: Sequence[str]
) -> list[tuple[str, str]]:
    if not sources:
        return []
    these = scoped(documents, scope).where(any_of(documents.c.source, sources)).order_by(documents.c.id)
    found = await connection.execute(these)
    rows = found.mappings().all()
    for row in rows:
        await unlist(database, connection, row)
    return [(row["id"], row["source"]) for row in rows]


async def _document_ids(
    database: Database, connection: AsyncConnection, scope: Scope, entries: Sequence[Entry], now: datetime
) -> dict[str, str]:
    """The document of each source that can be ingested, made where there is none yet."""
    wanted = {entry.source: entry for entry in entries if entry.error is None}
    known = scoped(documents, scope, documents.c.source, documents.c.id).where(any_of(documents.c.source, list(wanted)))
    ids = {row.source: row.id for row in await connection.execute(known)}
    new = sorted(set(wanted) - set(ids))
    if not new:
        return ids
    owner = {"tenant": scope.tenant, "collection": scope.collection}
    rows = [_document_row(secrets.token_hex(16), wanted[source], now) | owner for source in new]
    await connection.execute(database.insert_missing(documents), rows)
    # Read again: another submission may have made one of them at the same moment.
    return {row.source: row.id for row in await connection.execute(known)}


async def _want(connection: AsyncConnection, scope: Scope, document_ids: Sequence[str]) -> None:
    """Point each document to its latest submission: the only one that will be ingested."""
    latest = (
        scoped(job_files, scope, func.max(job_files.c.id))
        .where(job_files.c.document_id == documents.c.id)
        .scalar_subquery()
    )
    these = scoped_update(documents, scope).where(any_of(documents.c.id, document_ids))
    await connection.execute(these.values(wanted_file=latest))


def _job_row(
    job_id: str, entries: Sequence[Entry], removed: Sequence[tuple[str, str]], now: datetime
) -> dict[str, object]:
    return {
        "id": job_id,
        "state": JobState.QUEUED,
        "total": len(entries) + len(removed),
        "done": 0,
        "skipped": 0,
        "removed": len(removed),
        "failed": sum(entry.error is not None for entry in entries),
        "chunks": 0,
        "created_at": now,
    }


def _document_row(document_id: str, entry: Entry, now: datetime) -> dict[str, object]:
    return {
        "id": document_id,
        "source": entry.source,
        "title": entry.title or name_of(entry.source),
        "media_type": entry.media_type or "",
        "fingerprint": "",
        "blob_key": "",
        "size_bytes": entry.size_bytes,
        "state": DocumentState.PENDING,
        "last_version": 0,
        "wanted_file": 0,
        "chunk_count": 0,
        "metadata": entry.metadata,
        "created_at": now,
        "updated_at": now,
    }


def _file_row(job_id: str, entry: Entry, document_id: str | None) -> dict[str, object]:
    return {
        "job_id": job_id,
        "document_id": document_id,
        "source": entry.source,
        "name": entry.name or name_of(entry.source),
        "title": entry.title,
        "media_type": entry.media_type,
        "metadata": entry.metadata,
        "blob_key": entry.blob_key,
        "fingerprint": entry.fingerprint,
        "size_bytes": entry.size_bytes,
        "state": FileState.FAILED if entry.error else FileState.PENDING,
        "attempts": 0,
        "not_before": 0,
        "error_code": entry.error.code if entry.error else None,
        "error": entry.error.message if entry.error else None,
        "warnings": [],
    }


def _removed_row(job_id: str, source: str, document_id: str) -> dict[str, object]:
    return _file_row(job_id, Entry(source), document_id) | {"state": FileState.REMOVED}
