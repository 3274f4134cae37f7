"""Ingestion jobs: the task of a worker, the outcome of a file, and the progress that callers read."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncGenerator, Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from enum import StrEnum
from typing import Any

from sqlalchemy import Row, bindparam, case
from sqlalchemy.engine import RowMapping
from sqlalchemy.ext.asyncio import AsyncConnection

from ragstone.errors import NotFound, RagstoneError
from ragstone.ingestion import webhooks
from ragstone.storage.database import Database, any_of, scoped, scoped_update
from ragstone.storage.schema import claims, discarded_blobs, documents, job_files, jobs
from ragstone.vocabulary import DocumentState, FileState, Job, JobFile, JobState, MetadataValue, Scope

_COUNTERS = {
    FileState.DONE: jobs.c.done,
    FileState.SKIPPED: jobs.c.skipped,
    FileState.REMOVED: jobs.c.removed,
    FileState.FAILED: jobs.c.failed,
}


@dataclass(frozen=True, slots=True)
class Task:
    """Task of a worker: one claimed file of a job, to be ingested as one version of its document."""

    file_id: int
    job_id: str
    scope: Scope
    document_id: str
    version: int
    source: str
    name: str
    title: str
    media_type: str | None
    blob_key: str
    fingerprint: str
    size_bytes: int
    attempts: int
    metadata: Mapping[str, MetadataValue] = field(default_factory=dict)
    request_id: str = ""


class Jobs:
    """Reads jobs from the database."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def job(self, scope: Scope, job_id: str) -> Job:
        """One job with the outcome of each of its files, in order of submission.

        Raises:
            NotFound: the scope has no job with this id.
        """
        files = scoped(job_files, scope).where(job_files.c.job_id == job_id).order_by(job_files.c.id)
        async with self._database.read(scope) as connection:
            job = await self._job(connection, scope, job_id)
            rows = (await connection.execute(files)).mappings().all()
        return replace(job, files=tuple(_file(row) for row in rows))

    async def jobs(self, scope: Scope, *, limit: int = 50) -> list[Job]:
        """The newest jobs, newest first, without their files."""
        newest = scoped(jobs, scope).order_by(jobs.c.created_at.desc(), jobs.c.id).limit(limit)
        async with self._database.read(scope) as connection:
            return [_job(row) for row in (await connection.execute(newest)).mappings()]

    async def watch(self, scope: Scope, job_id: str, *, poll_s: float) -> AsyncGenerator[Job, None]:
        """Yield the job after each change; only the last item, the finished job, has its files.

        Raises:
            NotFound: the scope has no job with this id.
        """
        last: Job | None = None
        while True:
            async with self._database.read(scope) as connection:
                job = await self._job(connection, scope, job_id)
            if job.state in (JobState.DONE, JobState.FAILED):
                yield await self.job(scope, job_id)
                return
            if job != last:
                yield job
            last = job
            await asyncio.sleep(poll_s)

    async def finished(self, scope: Scope, job_id: str) -> bool:
        """Whether the job has finished: every file has an outcome."""
        async with self._database.read(scope) as connection:
            job = await self._job(connection, scope, job_id)
        return job.state in (JobState.DONE, JobState.FAILED)

    async def _job(self, connection: AsyncConnection, scope: Scope, job_id: str) -> Job:
        row = (await connection.execute(scoped(jobs, scope).where(jobs.c.id == job_id))).mappings().first()
        if row is None:
            raise NotFound(f"There is no job {job_id[:80]!r} in this collection. List the jobs for their ids.")
        return _job(row)


@dataclass(frozen=True, slots=True)
class FileOutcome:
    """Final state of a file with its error and warnings; `dead`: it failed for a reason outside the file."""

    file_id: int
    job_id: str
    state: FileState
    error: RagstoneError | None = None
    warnings: tuple[str, ...] = ()
    chunks: int = 0
    dead: bool = False


async def settle(connection: AsyncConnection, scope: Scope, outcomes: Sequence[FileOutcome]) -> None:
    """Write the outcomes of files, count them in their jobs, and finish the jobs that are complete.

    A file that already has an outcome keeps it.
    """
    ids = [outcome.file_id for outcome in outcomes]
    pending = scoped(job_files, scope, job_files.c.id).where(
        any_of(job_files.c.id, ids), job_files.c.state == FileState.PENDING
    )
    waiting = set((await connection.scalars(pending)).all())
    outcomes = [outcome for outcome in outcomes if outcome.file_id in waiting]
    if not outcomes:
        return
    change = scoped_update(job_files, scope).where(job_files.c.id == bindparam("file_id"))
    await connection.execute(change, [_outcome(outcome) for outcome in outcomes])
    for job_id in {outcome.job_id for outcome in outcomes}:
        await _count(connection, scope, job_id, [outcome for outcome in outcomes if outcome.job_id == job_id])


async def finish_if_complete(connection: AsyncConnection, scope: Scope, job_id: str) -> None:
    """Finish the job if all its files have outcomes: `failed` if every file failed, else `done`. Queues its webhook."""
    settled = sum(_COUNTERS.values(), start=0 * jobs.c.total)
    complete = scoped_update(jobs, scope).where(
        jobs.c.id == job_id, settled == jobs.c.total, jobs.c.state.in_((JobState.QUEUED, JobState.RUNNING))
    )
    all_failed = (jobs.c.failed == jobs.c.total) & (jobs.c.total > 0)
    ended = await connection.execute(
        complete.values(
            state=case((all_failed, JobState.FAILED), else_=JobState.DONE),
            error=case((all_failed, "No file could be ingested. Each file of the job has its reason.")),
            finished_at=datetime.now(UTC),
        )
    )
    if ended.rowcount:
        await webhooks.enqueue(connection, scope, job_id)


async def discard_blobs(
    database: Database, connection: AsyncConnection, scope: Scope, blob_keys: Iterable[str]
) -> None:
    """Mark blobs as discarded; the sweep deletes the blobs without another reference."""
    rows = [{"tenant": scope.tenant, "blob_key": key} for key in set(blob_keys) if key]
    if rows:
        await connection.execute(database.insert_missing(discarded_blobs), rows)


async def _count(connection: AsyncConnection, scope: Scope, job_id: str, outcomes: Sequence[FileOutcome]) -> None:
    counted = {
        counter: counter + sum(outcome.state is state for outcome in outcomes) for state, counter in _COUNTERS.items()
    }
    counted[jobs.c.chunks] = jobs.c.chunks + sum(outcome.chunks for outcome in outcomes)
    await connection.execute(scoped_update(jobs, scope).where(jobs.c.id == job_id).values(counted))
    await finish_if_complete(connection, scope, job_id)


def _outcome(outcome: FileOutcome) -> dict[str, object]:
    return {
        "file_id": outcome.file_id,
        "state": outcome.state,
        "error_code": outcome.error.code if outcome.error else None,
        "error": outcome.error.message if outcome.error else None,
        "warnings": list(outcome.warnings),
        "dead": outcome.dead,
    }


def _job(row: RowMapping) -> Job:
    return Job(
        id=row["id"],
        scope=Scope(row["tenant"], row["collection"]),
        state=JobState(row["state"]),
        total=row["total"],
        done=row["done"],
        skipped=row["skipped"],
        removed=row["removed"],
        failed=row["failed"],
        chunks=row["chunks"],
        created_at=row["created_at"],
        started_at=row["started_at"],
        finished_at=row["finished_at"],
        error=row["error"],
    )


def _file(row: RowMapping) -> JobFile:
    return JobFile(
        source=row["source"],
        state=FileState(row["state"]),
        document_id=row["document_id"],
        error_code=row["error_code"],
        error=row["error"],
        warnings=tuple(row["warnings"]),
    )


class ProgressState(StrEnum):
    """State of a document's last submission. `processing`: a worker holds it; `ready` and `failed` are final."""

    PENDING = "pending"
    PROCESSING = "processing"
    READY = "ready"
    FAILED = "failed"


@dataclass(frozen=True, slots=True)
class Progress:
    """Progress of a document; `chunks` and `pages` count its active version, `error` is a message for the user."""

    document_id: str
    state: ProgressState
    error: str | None
    chunks: int
    pages: int | None


async def progress(
    database: Database, scope: Scope, document_id: str, *, clock: Callable[[], float] = time.time
) -> Progress:
    """Progress of the last submission of a document.

    Raises:
        NotFound: the scope has no such document.
    """
    async with database.read(scope) as connection:
        document = (await connection.execute(scoped(documents, scope).where(documents.c.id == document_id))).first()
        if document is None:
            raise NotFound(f"There is no document {document_id[:80]!r} here. Use the id that its submission returned.")
        state = await _state(connection, scope, document, clock())
    error = document.error if state is ProgressState.FAILED else None
    return Progress(document_id, state, error, document.chunk_count, document.page_count)


async def _state(connection: AsyncConnection, scope: Scope, document: Row[Any], now: float) -> ProgressState:
    sent = scoped(job_files, scope, job_files.c.state).where(job_files.c.id == document.wanted_file)
    if (await connection.execute(sent)).scalar() == FileState.PENDING:
        held = scoped(claims, scope).where(claims.c.document_id == document.id, claims.c.lease_until > now)
        worked_on = (await connection.execute(held)).first() is not None
        return ProgressState.PROCESSING if worked_on else ProgressState.PENDING
    return ProgressState(DocumentState(document.state).value)
