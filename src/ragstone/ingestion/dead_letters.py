"""Dead letters: files that failed for a reason outside the file, kept for a later retry.

The index or a model did not answer, or several workers died while they ingested the file. Its
bytes are kept until it is replayed, submitted again, or its document is removed.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from sqlalchemy import ColumnElement, and_, case
from sqlalchemy.engine import RowMapping
from sqlalchemy.ext.asyncio import AsyncConnection

from ragstone.errors import NotFound
from ragstone.ingestion.jobs import discard_blobs
from ragstone.storage.database import EVERY_TENANT, Database, any_of, scoped, scoped_update, unscoped
from ragstone.storage.schema import documents, job_files, jobs
from ragstone.vocabulary import DocumentState, FileState, JobState, Scope

MAX_LISTED = 1000


@dataclass(frozen=True, slots=True)
class DeadFile:
    """A dead letter: a file that will not be retried by itself, with its last error."""

    id: int
    scope: Scope
    job_id: str
    source: str
    error_code: str | None
    error: str | None


@dataclass(frozen=True, slots=True)
class Replay:
    """Result of a replay: files queued again, and files that had been submitted again or removed before it."""

    replayed: int
    superseded: int


class DeadLetters:
    """Lists dead letters and queues them again."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def dead(self, tenant: str | None = None, *, limit: int | None = MAX_LISTED) -> list[DeadFile]:
        """Dead letters, oldest first, of one tenant or of all."""
        rows = unscoped(job_files) if tenant is None else scoped(job_files, tenant)
        async with self._database.read(EVERY_TENANT if tenant is None else tenant) as connection:
            found = await connection.execute(rows.where(job_files.c.dead).order_by(job_files.c.id).limit(limit))
            return [_dead_file(row) for row in found.mappings()]

    async def replay(self, tenant: str, *, files: Sequence[int] = (), job_id: str | None = None) -> Replay:
        """Queue dead letters again with new attempts: those with the ids `files`, or those of a job.

        Raises:
            NotFound: none of them is a dead letter.
        """
        chosen = any_of(job_files.c.id, files) if job_id is None else job_files.c.job_id == job_id
        async with self._database.write(tenant) as connection:
            rows = await _chosen(connection, tenant, chosen)
            if not rows:
                raise NotFound("There is no such dead letter. List them with `ragstone jobs dead`.")
            waiting = [row for row in rows if row["wanted_file"] == row["id"]]
            superseded = [row for row in rows if row["wanted_file"] != row["id"]]
            await _requeue(connection, tenant, waiting)
            await _discard(self._database, connection, tenant, superseded)
        return Replay(len(waiting), len(superseded))


async def discard_dead_files(
    database: Database, connection: AsyncConnection, scope: Scope, document_ids: Sequence[str]
) -> None:
    """Discard the dead letters of documents that were submitted again or removed."""
    rows = await _chosen(connection, scope.tenant, any_of(job_files.c.document_id, document_ids))
    await _discard(database, connection, scope.tenant, rows)


async def _chosen(connection: AsyncConnection, tenant: str, chosen: ColumnElement[bool]) -> Sequence[RowMapping]:
    same = and_(documents.c.id == job_files.c.document_id, documents.c.tenant == job_files.c.tenant)
    rows = scoped(job_files, tenant, job_files, documents.c.wanted_file).outerjoin(documents, same)
    dead = rows.where(job_files.c.dead, chosen).order_by(job_files.c.id)
    found: Sequence[RowMapping] = (await connection.execute(dead)).mappings().all()
    return found


async def _requeue(connection: AsyncConnection, tenant: str, rows: Sequence[RowMapping]) -> None:
    these = scoped_update(job_files, tenant).where(any_of(job_files.c.id, [row["id"] for row in rows]))
    fresh = {"state": FileState.PENDING, "dead": False, "attempts": 0, "not_before": 0, "error_code": None}
    await connection.execute(these.values(**fresh, error=None))
    for job_id in sorted({row["job_id"] for row in rows}):
        count = sum(row["job_id"] == job_id for row in rows)
        again = {"failed": jobs.c.failed - count, "state": JobState.RUNNING, "error": None, "finished_at": None}
        await connection.execute(scoped_update(jobs, tenant).where(jobs.c.id == job_id).values(again))
    state = case((documents.c.active_version.is_(None), DocumentState.PENDING), else_=DocumentState.READY)
    theirs = any_of(documents.c.id, [row["document_id"] for row in rows])
    await connection.execute(scoped_update(documents, tenant).where(theirs).values(state=state, error=None))


async def _discard(database: Database, connection: AsyncConnection, tenant: str, rows: Sequence[RowMapping]) -> None:
    if not rows:
        return
    these = scoped_update(job_files, tenant).where(any_of(job_files.c.id, [row["id"] for row in rows]))
    await connection.execute(these.values(dead=False))
    await discard_blobs(database, connection, Scope(tenant), [row["blob_key"] for row in rows])


def _dead_file(row: RowMapping) -> DeadFile:
    return DeadFile(
        id=row["id"],
        scope=Scope(row["tenant"], row["collection"]),
        job_id=row["job_id"],
        source=row["source"],
        error_code=row["error_code"],
        error=row["error"],
    )
