"""SUBMIT: turns uploads into a job: check them → store their bytes → write documents and job in one transaction."""

from __future__ import annotations

import asyncio
import hashlib
import json
import secrets
import unicodedata
from collections.abc import AsyncIterable, AsyncIterator, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from pathlib import PurePosixPath
from urllib.parse import unquote

import structlog
from sqlalchemy import func
from sqlalchemy.ext.asyncio import AsyncConnection

from ragstone.errors import Conflict, InvalidInput, QuotaExceeded, RagstoneError, TooLarge
from ragstone.identity.audit import record_change
from ragstone.ingestion.dead_letters import discard_dead_files
from ragstone.ingestion.jobs import discard_blobs, finish_if_complete
from ragstone.ingestion.parts import IngestionParts
from ragstone.ingestion.publish import withdraw
from ragstone.ingestion.quotas import require_room, require_tenant
from ragstone.ingestion.remove import delete_mentions, purge_cache
from ragstone.principals import LOCAL
from ragstone.storage.blobs import LocalBlobs
from ragstone.storage.database import Database, any_of, scoped, scoped_insert, scoped_update
from ragstone.storage.library import bump_generation
from ragstone.storage.schema import collections, documents, job_files, jobs
from ragstone.telemetry.tracing import request_id
from ragstone.vocabulary import DocumentState, FileState, JobState, MetadataValue, Scope

log = structlog.get_logger()

RECIPE = 1  # version of parsing and chunking; raise it with a change, and unchanged files are ingested again
MAX_SOURCE_CHARS = 2048
MAX_METADATA_BYTES = 16 << 10
GROUP_FILES = 16  # stored concurrently
GROUP_BYTES = 8 << 20


@dataclass(frozen=True, slots=True)
class Upload:
    """A file to ingest.

    `source` identifies the document within its collection: a second upload of the same
    source replaces the first. An empty `title` is taken from the text, else from the
    source. `media_type` is a hint. Searches can filter by `metadata`. `name` is the file
    name for the parser; it is needed if the source does not end in it.
    """

    source: str
    title: str
    content: bytes
    media_type: str | None = None
    metadata: Mapping[str, MetadataValue] = field(default_factory=dict)
    name: str = ""


@dataclass(frozen=True, slots=True)
class Rejected:
    """A file that could not be read; its job reports the error."""

    source: str
    error: RagstoneError


@dataclass(frozen=True, slots=True)
class StoredUpload:
    """An upload or a rejected file as its job records it: everything except the bytes."""

    source: str
    title: str = ""
    media_type: str | None = None
    metadata: Mapping[str, MetadataValue] = field(default_factory=dict)
    blob_key: str = ""
    fingerprint: str = ""
    size_bytes: int = 0
    error: RagstoneError | None = None
    name: str = ""


Uploads = Iterable[Upload | Rejected] | AsyncIterable[Upload | Rejected]


@dataclass(frozen=True, slots=True, kw_only=True)
class Submission:
    """Parameters of a submission: the submitter, the URL for the webhook, and sources without a file, to be removed."""

    principal: str = LOCAL.id
    callback_url: str | None = None
    vanished: Sequence[str] = ()


async def submit(parts: IngestionParts, scope: Scope, uploads: Uploads, submission: Submission = Submission()) -> str:
    """Store the bytes of `uploads`, read one at a time, and queue a job for them.

    Returns:
        The job's id.

    Raises:
        InvalidInput: a source or metadata is invalid; nothing is queued.
        QuotaExceeded: the uploads together exceed the plan; nothing is queued.
        NotFound: the tenant is being deleted.
        DataDirectoryError: the disk is full or read-only; nothing is queued.
    """
    stored = await _store_all(parts, scope, uploads)
    parts.reached("stored")
    job_id = await write_job(parts, scope, stored, submission)
    if submission.vanished:
        await purge_cache(parts, scope.tenant)
    log.info("submit.done", job=job_id, files=len(stored), vanished=len(submission.vanished))
    return job_id


async def _store_all(parts: IngestionParts, scope: Scope, uploads: Uploads) -> list[StoredUpload]:
    """Check and store each upload; memory holds a few small files or one large file at a time."""
    stored: list[StoredUpload] = []
    async for group in _groups(uploads):
        # Concurrently: the disk flushes many small files nearly as fast as one.
        stored += await asyncio.gather(*(_store(parts, scope, upload) for upload in group))
    return stored


async def write_job(parts: IngestionParts, scope: Scope, stored: Sequence[StoredUpload], submission: Submission) -> str:
    """Write a job, its files and their documents in one transaction, and remove the documents of vanished sources.

    Returns:
        The job's id.

    Raises:
        QuotaExceeded: the uploads together exceed the plan; nothing is written.
        NotFound: the tenant is being deleted.
    """
    plan = await parts.plan_of(scope.tenant)
    try:
        async with parts.database.write(scope) as connection:
            await require_tenant(connection, scope.tenant)
            job_id = await _write_job(parts, connection, scope, stored, submission)
            if plan is not None:
                await require_room(connection, scope.tenant, plan)
            await record_change(
                parts.audit,
                connection,
                scope,
                principal=submission.principal,
                action="documents.submitted",
                target=job_id,
                files=len(stored),
                vanished=len(submission.vanished),
            )
    except QuotaExceeded:
        async with parts.database.write(scope) as connection:
            await discard_blobs(parts.database, connection, scope, [each.blob_key for each in stored])
        raise
    return job_id


async def file_sources(database: Database, scope: Scope) -> list[str]:
    """Sources of all documents that were ingested from files."""
    from_files = scoped(documents, scope, documents.c.source).where(documents.c.source.startswith("file://"))
    async with database.read(scope) as connection:
        return list((await connection.scalars(from_files)).all())


def name_of(source: str) -> str:
    """File name at the end of a source, for the parser and as a fallback for the title."""
    path = unquote(source.split("://", 1)[-1]) if source.startswith("file://") else source.split(":", 1)[-1]
    return PurePosixPath(path.replace("\\", "/")).name or source


async def _groups(uploads: Uploads) -> AsyncIterator[list[Upload | Rejected]]:
    group: list[Upload | Rejected] = []
    size_bytes = 0
    async for upload in _each(uploads):
        group.append(upload)
        size_bytes += 0 if isinstance(upload, Rejected) else len(upload.content)
        if len(group) == GROUP_FILES or size_bytes >= GROUP_BYTES:
            yield group
            group, size_bytes = [], 0
    yield group


async def _each(uploads: Uploads) -> AsyncIterator[Upload | Rejected]:
    if isinstance(uploads, AsyncIterable):
        async for upload in uploads:
            yield upload
        return
    for upload in uploads:
        yield upload


async def _store(parts: IngestionParts, scope: Scope, upload: Upload | Rejected) -> StoredUpload:
    max_file_bytes = parts.options.max_file_bytes
    _check_source(upload.source)
    if isinstance(upload, Rejected):
        return StoredUpload(upload.source, error=upload.error)
    _check_metadata(upload.metadata)
    if len(upload.content) > max_file_bytes:
        return StoredUpload(upload.source, size_bytes=len(upload.content), error=too_large(max_file_bytes))
    key = await parts.blobs.put(scope, upload.content)
    return StoredUpload(
        source=upload.source,
        title=upload.title,
        media_type=upload.media_type,
        metadata=dict(upload.metadata),
        blob_key=key,
        fingerprint=_fingerprint(upload, key, f"{RECIPE}|{parts.options.chunking!r}|{parts.embedder.name}"),
        size_bytes=len(upload.content),
        name=upload.name,
    )


def too_large(max_file_bytes: int) -> TooLarge:
    """Error of a file that is larger than the limit."""
    return TooLarge(
        f"The file is larger than {max_file_bytes:,} bytes. Split it, or raise RAGSTONE_INGESTION__MAX_FILE_BYTES."
    )


def _fingerprint(upload: Upload, key: str, recipe: str) -> str:
    """Hash of everything that a version depends on; a file with an unchanged fingerprint is skipped."""
    parts = [key, recipe, upload.title, upload.media_type, sorted(upload.metadata.items())]
    return hashlib.sha256(json.dumps(parts).encode()).hexdigest()


def _check_source(source: str) -> None:
    if not 0 < len(source) <= MAX_SOURCE_CHARS or any(unicodedata.category(char) in ("Cc", "Cs") for char in source):
        raise InvalidInput(
            f"{source[:80]!r} is not a valid source. "
            f"Use 1 to {MAX_SOURCE_CHARS} characters, without control characters."
        )


def _check_metadata(metadata: Mapping[str, MetadataValue]) -> None:
    for name, value in metadata.items():
        if not isinstance(name, str) or not isinstance(value, str | int | float | bool):
            raise InvalidInput(f"The metadata field {name!r} cannot be stored. Use strings, numbers and booleans only.")
    try:
        size = len(json.dumps(dict(metadata), allow_nan=False))
    except ValueError as error:
        raise InvalidInput("A number in the metadata is not finite. Leave it out.") from error
    if size > MAX_METADATA_BYTES:
        raise InvalidInput(f"The metadata has {size} bytes. Shorten it to at most {MAX_METADATA_BYTES}.")


async def _write_job(
    parts: IngestionParts,
    connection: AsyncConnection,
    scope: Scope,
    stored: Sequence[StoredUpload],
    submission: Submission,
) -> str:
    database = parts.database
    job_id = secrets.token_hex(16)
    now = datetime.now(UTC)
    entries = await _still_stored(parts.blobs, scope, stored)
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
    await discard_dead_files(database, connection, scope, list(ids.values()))
    await _set_wanted_file(connection, scope, list(ids.values()))
    await finish_if_complete(connection, scope, job_id)
    if removed:
        await delete_mentions(connection, scope.tenant, [document_id for document_id, _ in removed])
        await bump_generation(connection, scope)
    return job_id


async def _still_stored(blobs: LocalBlobs, scope: Scope, entries: Sequence[StoredUpload]) -> list[StoredUpload]:
    """Check the blobs of the entries again; an entry gets an error if the sweep has deleted its blob since."""
    missing = await blobs.missing(scope, {entry.blob_key for entry in entries if entry.blob_key})
    lost = Conflict("An identical file was removed at the same moment. Submit this one again.")
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
        await withdraw(database, connection, row)
    return [(row["id"], row["source"]) for row in rows]


async def _document_ids(
    database: Database, connection: AsyncConnection, scope: Scope, entries: Sequence[StoredUpload], now: datetime
) -> dict[str, str]:
    """Ids of the sources' documents; adds the documents that do not exist yet."""
    wanted = {entry.source: entry for entry in entries if entry.error is None}
    known = scoped(documents, scope, documents.c.source, documents.c.id).where(any_of(documents.c.source, list(wanted)))
    ids = {row.source: row.id for row in await connection.execute(known)}
    new = sorted(set(wanted) - set(ids))
    if not new:
        return ids
    owner = {"tenant": scope.tenant, "collection": scope.collection}
    rows = [_document_row(secrets.token_hex(16), wanted[source], now) | owner for source in new]
    await connection.execute(database.insert_missing(documents), rows)
    # Read again: another submission may have added the same document at the same moment.
    return {row.source: row.id for row in await connection.execute(known)}


async def _set_wanted_file(connection: AsyncConnection, scope: Scope, document_ids: Sequence[str]) -> None:
    """Point each document to its latest submission: only this one will be ingested."""
    latest = (
        scoped(job_files, scope, func.max(job_files.c.id))
        .where(job_files.c.document_id == documents.c.id)
        .scalar_subquery()
    )
    these = scoped_update(documents, scope).where(any_of(documents.c.id, document_ids))
    await connection.execute(these.values(wanted_file=latest))


def _job_row(
    job_id: str, entries: Sequence[StoredUpload], removed: Sequence[tuple[str, str]], now: datetime
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


def _document_row(document_id: str, entry: StoredUpload, now: datetime) -> dict[str, object]:
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


def _file_row(job_id: str, entry: StoredUpload, document_id: str | None) -> dict[str, object]:
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
    return _file_row(job_id, StoredUpload(source), document_id) | {"state": FileState.REMOVED}
