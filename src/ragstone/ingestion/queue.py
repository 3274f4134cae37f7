"""The ingestion queue in SQL: claims with leases, tenants in turn, the oldest files of a tenant first."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime

import structlog
from sqlalchemy import ColumnElement, exists
from sqlalchemy.engine import RowMapping
from sqlalchemy.ext.asyncio import AsyncConnection

from ragstone.errors import RagstoneError, Unavailable
from ragstone.identity.tenants import TenantState
from ragstone.ingestion.jobs import FileOutcome, Task, discard_blobs, settle
from ragstone.storage.database import EVERY_TENANT, Database, any_of, scoped, scoped_delete, scoped_update, unscoped
from ragstone.storage.library import bump_generation
from ragstone.storage.schema import claims, documents, job_files, jobs, tenants
from ragstone.vocabulary import DocumentState, FileState, JobState, Scope

log = structlog.get_logger()

GONE = "The document was removed before this file was ingested."
SUPERSEDED = "A later submission of the same source replaced it."
SHARE = 4  # while other tenants wait, a tenant gets a quarter of a batch per turn


@dataclass(frozen=True, slots=True, kw_only=True)
class ClaimOptions:
    """Lease of a claim, and retries of a file.

    A claim expires `lease_s` after the last heartbeat of its worker. The n-th retry waits
    `retry_s * 2 ** (n - 1)` seconds.
    """

    lease_s: float = 10.0
    max_attempts: int = 5
    retry_s: float = 1.0


class Claims:
    """The claims of one worker on documents; `owner` is its random name."""

    def __init__(self, database: Database, owner: str, options: ClaimOptions) -> None:
        self.owner = owner
        self._database = database
        self._options = options

    @asynccontextmanager
    async def kept(self, tenant: str) -> AsyncIterator[asyncio.Event]:
        """Extend the leases of this owner during the block; sets the event if the tenant is being deleted."""
        leaving = asyncio.Event()
        beating = asyncio.create_task(self._beat(tenant, leaving))
        try:
            yield leaving
        finally:
            beating.cancel()
            await asyncio.wait([beating])

    async def holds(self, connection: AsyncConnection, scope: Scope, document_ids: Sequence[str]) -> set[str]:
        """Documents that this owner still holds; marks the others for the sweep."""
        owned = scoped(claims, scope, claims.c.document_id).where(
            any_of(claims.c.document_id, document_ids), claims.c.owner == self.owner
        )
        mine = set((await connection.scalars(owned)).all())
        for lost in set(document_ids) - mine:
            await note_orphans(self._database, connection, scope, lost)
        return mine

    async def release(self, scope: Scope, document_ids: Sequence[str], *, clean: bool = True) -> None:
        """Release claims. Unless `clean`, or if another worker left points, the documents are marked for the sweep."""
        mine = (claims.c.owner == self.owner) & any_of(claims.c.document_id, document_ids)
        async with self._database.write(scope) as connection:
            if clean:
                await connection.execute(scoped_delete(claims, scope).where(mine, ~claims.c.orphaned))
            await connection.execute(scoped_update(claims, scope).where(mine).values(lease_until=0, orphaned=False))
            if clean:  # the deleted points of older versions no longer take places among the candidates
                await bump_generation(connection, scope)

    async def give_back(self, tasks: Sequence[Task]) -> None:
        """Release the claims of files that were not begun; the attempt does not count."""
        if not tasks:
            return
        scope = tasks[0].scope
        async with self._database.write(scope) as connection:
            mine = await self.holds(connection, scope, [task.document_id for task in tasks])
            ids = [task.file_id for task in tasks if task.document_id in mine]
            unbegun = scoped_update(job_files, scope).where(any_of(job_files.c.id, ids))
            await connection.execute(unbegun.values(attempts=job_files.c.attempts - 1, not_before=0))
        await self.release(scope, [task.document_id for task in tasks], clean=False)

    async def take_orphaned(self) -> tuple[Scope, str] | None:
        """Claim a document that has orphaned points and is held by no worker."""
        waits = exists().where(job_files.c.document_id == claims.c.document_id, job_files.c.state == FileState.PENDING)
        left = unscoped(claims).where(claims.c.lease_until < time.time(), ~waits).limit(1)
        async with self._database.read(EVERY_TENANT) as connection:
            row = (await connection.execute(left)).mappings().first()
        if row is None:
            return None
        scope = Scope(row["tenant"], row["collection"])
        async with self._database.write(scope) as connection:
            still = scoped(claims, scope, claims.c.document_id).where(claims.c.document_id == row["document_id"])
            there = (await connection.execute(still)).first() is not None
            held = await self.claim(connection, scope, [row["document_id"]]) if there else None
        return (scope, row["document_id"]) if held else None

    async def claim(self, connection: AsyncConnection, scope: Scope, document_ids: Sequence[str]) -> set[str]:
        """Claim the documents that no other worker holds; returns the ids of the claimed ones."""
        await connection.execute(
            self._database.insert_missing(claims), [_unclaimed(scope, each) for each in document_ids]
        )
        free = any_of(claims.c.document_id, document_ids) & (
            (claims.c.lease_until < time.time()) | (claims.c.owner == self.owner)
        )
        mine = {"owner": self.owner, "lease_until": time.time() + self._options.lease_s, "orphaned": False}
        taken = scoped_update(claims, scope).where(free).values(mine).returning(claims.c.document_id)
        return set((await connection.scalars(taken)).all())

    async def _beat(self, tenant: str, leaving: asyncio.Event) -> None:
        marked = scoped(tenants, tenant, tenants.c.state).where(tenants.c.state == TenantState.DELETING)
        while True:
            await asyncio.sleep(self._options.lease_s / 3)
            mine = scoped_update(claims, tenant).where(claims.c.owner == self.owner)
            try:
                async with self._database.write(tenant) as connection:
                    await connection.execute(mine.values(lease_until=time.time() + self._options.lease_s))
                    if (await connection.execute(marked)).first():
                        leaving.set()
            except RagstoneError as error:  # if the lease expires, the commit is refused
                log.warning("ingest.heartbeat_failed", code=error.code)


async def note_orphans(database: Database, connection: AsyncConnection, scope: Scope, document_id: str) -> None:
    """Mark a document for the sweep: the index may hold points of an unpublished version."""
    await connection.execute(database.insert_missing(claims), _unclaimed(scope, document_id))
    other = scoped_update(claims, scope).where(claims.c.document_id == document_id)
    await connection.execute(other.values(orphaned=True))


async def show_state(
    connection: AsyncConnection, scope: Scope, document_id: str, state: DocumentState, error: str | None
) -> None:
    """Write the state and error of its last submission into the document row."""
    by_id = scoped_update(documents, scope).where(documents.c.id == document_id)
    await connection.execute(by_id.values(state=state, error=error))


def _unclaimed(scope: Scope, document_id: str) -> dict[str, object]:
    return {
        "document_id": document_id,
        "tenant": scope.tenant,
        "collection": scope.collection,
        "owner": "",
        "lease_until": 0,
        "orphaned": False,
    }


class Queue:
    """Claims the next files for a worker; any number of workers may do so at once."""

    def __init__(self, database: Database, claims: Claims, options: ClaimOptions) -> None:
        self._database = database
        self._claims = claims
        self._options = options
        self._last_tenant = ""

    async def take(self, limit: int) -> list[Task] | None:
        """Claim up to `limit` files of one collection, oldest first. Tenants take turns.

        Files that need no ingestion (unchanged, superseded, removed) get their outcome here.
        A file that failed before is returned alone, so that it cannot fail a whole batch again.

        Returns:
            The claimed files, which may be none; None if no file waits.
        """
        waiting = await self._waiting_tenants()
        turn = limit if len(waiting) < 2 else max(1, limit // SHARE)
        for tenant in sorted(waiting, key=lambda name: (name <= self._last_tenant, name)):
            async with self._database.write(tenant) as connection:
                tasks = await self._take_of(connection, tenant, turn)
            if tasks is not None:
                self._last_tenant = tenant
                return tasks
        return None

    async def _waiting_tenants(self) -> Sequence[str]:
        leaving = exists().where(tenants.c.tenant == job_files.c.tenant, tenants.c.state == TenantState.DELETING)
        waiting = unscoped(job_files, job_files.c.tenant).where(_waits(time.time()), ~leaving).distinct()
        async with self._database.read(EVERY_TENANT) as connection:
            return (await connection.scalars(waiting)).all()

    async def _take_of(self, connection: AsyncConnection, tenant: str, limit: int) -> list[Task] | None:
        rows = await _next_files(connection, tenant, limit)
        if not rows:
            return None
        scope = Scope(tenant, rows[0]["collection"])
        found = await connection.execute(
            scoped(documents, scope).where(any_of(documents.c.id, [row["document_id"] for row in rows]))
        )
        known = {row["id"]: row for row in found.mappings()}
        outcomes = [self._idle_outcome(row, known.get(row["document_id"])) for row in rows]
        await self._settle(connection, scope, rows, known, [outcome for outcome in outcomes if outcome is not None])
        due = [row for row, outcome in zip(rows, outcomes, strict=True) if outcome is None]
        return await self._assign(connection, scope, due, known) if due else []

    def _idle_outcome(self, row: RowMapping, document: RowMapping | None) -> FileOutcome | None:
        """Outcome of a file that needs no ingestion; None: it has to be ingested."""
        file_id, job_id = row["id"], row["job_id"]
        if document is None:
            return FileOutcome(file_id, job_id, FileState.REMOVED, warnings=(GONE,))
        if document["wanted_file"] != file_id:
            return FileOutcome(file_id, job_id, FileState.SKIPPED, warnings=(SUPERSEDED,))
        if document["active_version"] is not None and document["fingerprint"] == row["fingerprint"]:
            return FileOutcome(file_id, job_id, FileState.SKIPPED)
        if row["attempts"] >= self._options.max_attempts:
            return FileOutcome(file_id, job_id, FileState.FAILED, error=_gave_up(row["attempts"]), dead=True)
        return None

    async def _settle(
        self,
        connection: AsyncConnection,
        scope: Scope,
        rows: Sequence[RowMapping],
        known: Mapping[str, RowMapping],
        outcomes: Sequence[FileOutcome],
    ) -> None:
        if not outcomes:
            return
        await settle(connection, scope, outcomes)
        by_id = {row["id"]: row for row in rows}
        for outcome in outcomes:
            document = known.get(by_id[outcome.file_id]["document_id"])
            if document is None or document["wanted_file"] != outcome.file_id:
                continue
            state = DocumentState.FAILED if outcome.error else DocumentState.READY
            if document["state"] != state:  # the file failed, or it reverts a change that had failed
                await show_state(
                    connection, scope, document["id"], state, outcome.error.message if outcome.error else None
                )
        in_use = {document["blob_key"] for document in known.values()}
        discarded = {by_id[outcome.file_id]["blob_key"] for outcome in outcomes if not outcome.dead} - in_use
        await discard_blobs(self._database, connection, scope, discarded)

    async def _assign(
        self, connection: AsyncConnection, scope: Scope, rows: Sequence[RowMapping], known: Mapping[str, RowMapping]
    ) -> list[Task]:
        held = await self._claims.claim(connection, scope, [row["document_id"] for row in rows])
        rows = [row for row in rows if row["document_id"] in held]
        if not rows:
            return []
        versions = scoped_update(documents, scope).where(any_of(documents.c.id, list(held)))
        await connection.execute(versions.values(last_version=documents.c.last_version + 1))
        # Set the time of the retry now, because a worker that dies cannot set it. All files
        # of a batch have the same number of attempts.
        wait_s = self._options.retry_s * 2 ** rows[0]["attempts"]
        attempt = scoped_update(job_files, scope).where(any_of(job_files.c.id, [row["id"] for row in rows]))
        counted = {"attempts": job_files.c.attempts + 1, "not_before": time.time() + wait_s}
        await connection.execute(attempt.values(counted))
        queued = any_of(jobs.c.id, [row["job_id"] for row in rows]) & (jobs.c.state == JobState.QUEUED)
        start = scoped_update(jobs, scope).where(queued)
        await connection.execute(start.values(state=JobState.RUNNING, started_at=datetime.now(UTC)))
        begun = scoped(jobs, scope, jobs.c.id, jobs.c.request_id).where(
            any_of(jobs.c.id, [row["job_id"] for row in rows])
        )
        requests = {row.id: row.request_id for row in await connection.execute(begun)}
        return [
            _task(row, scope, known[row["document_id"]]["last_version"] + 1, requests.get(row["job_id"], ""))
            for row in rows
        ]


def _waits(now: float) -> ColumnElement[bool]:
    held = exists().where(claims.c.document_id == job_files.c.document_id, claims.c.lease_until >= now)
    return (job_files.c.state == FileState.PENDING) & (job_files.c.not_before <= now) & ~held


async def _next_files(connection: AsyncConnection, tenant: str, limit: int) -> Sequence[RowMapping]:
    """The oldest waiting files, without those that another transaction has locked."""
    oldest = scoped(job_files, tenant).where(_waits(time.time())).order_by(job_files.c.id).limit(limit)
    locked = oldest.with_for_update(skip_locked=True, of=job_files)
    rows: Sequence[RowMapping] = (await connection.execute(locked)).mappings().all()
    if not rows or rows[0]["attempts"] > 0:
        return rows[:1]
    return [row for row in rows if row["attempts"] == 0 and row["collection"] == rows[0]["collection"]]


def _gave_up(attempts: int) -> Unavailable:
    return Unavailable(
        f"The file was tried {attempts} times, and each time its worker ended before the file was ingested. "
        "Look for the reason in the worker's log, or leave the file out."
    )


def _task(row: RowMapping, scope: Scope, version: int, request_id: str) -> Task:
    return Task(
        file_id=row["id"],
        job_id=row["job_id"],
        scope=scope,
        document_id=row["document_id"],
        version=version,
        source=row["source"],
        name=row["name"],
        title=row["title"],
        media_type=row["media_type"],
        blob_key=row["blob_key"],
        fingerprint=row["fingerprint"],
        size_bytes=row["size_bytes"],
        attempts=row["attempts"] + 1,
        metadata=row["metadata"],
        request_id=request_id,
    )
