"""Who works on what: claims with a lease, in SQL, for any number of workers.

A claim is on a document, so that no two workers write the points of one document at
once. Whoever commits a version proves first that the claim is still his; a worker
that slept through its lease finds another owner there, and changes nothing.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime

import structlog
from sqlalchemy import exists
from sqlalchemy.engine import RowMapping
from sqlalchemy.ext.asyncio import AsyncConnection

from ragstone.errors import RagstoneError, Unavailable
from ragstone.ingestion.jobs import Fate, Task, discard_blobs, settle
from ragstone.storage.database import (
    EVERY_TENANT,
    Database,
    any_of,
    scoped,
    scoped_delete,
    scoped_update,
    unscoped,
)
from ragstone.storage.schema import claims, documents, job_files, jobs
from ragstone.vocabulary import DocumentState, FileState, JobState, Scope

log = structlog.get_logger()

SUPERSEDED = "A later submission of the same source took its place."
GONE = "The document was removed before this file's turn came."


@dataclass(frozen=True, slots=True, kw_only=True)
class ClaimOptions:
    """How long a silent worker keeps its claims, and how often a file is tried.

    The n-th retry waits `retry_s * 2 ** (n - 1)` seconds.
    """

    lease_s: float = 10.0
    max_attempts: int = 5
    retry_s: float = 1.0


class Claims:
    """The claims of one worker, known by a random `owner`."""

    def __init__(self, database: Database, owner: str, options: ClaimOptions) -> None:
        self.owner = owner
        self._database = database
        self._options = options
        self._last_tenant = ""

    async def take(self, limit: int) -> list[Task] | None:
        """Claim up to `limit` files of one collection, tenants taking turns, oldest first.

        Files with nothing to do are settled on the way: unchanged, superseded, removed.
        A file that failed before comes alone, so that it cannot take others down again.

        Returns:
            The claimed files, perhaps none; None if no file waits.
        """
        async with self._database.write(EVERY_TENANT) as connection:
            rows = await self._next_rows(connection, limit)
            if not rows:
                return None
            scope = Scope(rows[0]["tenant"], rows[0]["collection"])
            found = await connection.execute(
                scoped(documents, scope).where(any_of(documents.c.id, [row["document_id"] for row in rows]))
            )
            known = {row["id"]: row for row in found.mappings()}
            fates = [self._idle_fate(row, known.get(row["document_id"])) for row in rows]
            await self._settle(connection, scope, rows, known, [fate for fate in fates if fate is not None])
            due = [row for row, fate in zip(rows, fates, strict=True) if fate is None]
            return await self._assign(connection, scope, due, known) if due else []

    @asynccontextmanager
    async def kept(self, tenant: str) -> AsyncIterator[None]:
        """Extend the leases of this owner's claims while the block runs."""
        beating = asyncio.create_task(self._beat(tenant))
        try:
            yield
        finally:
            beating.cancel()
            await asyncio.wait([beating])

    async def holds(self, connection: AsyncConnection, scope: Scope, document_ids: Sequence[str]) -> set[str]:
        """Which of the documents are still this owner's; of the others it is noted that points may be left over."""
        owned = scoped(claims, scope, claims.c.document_id).where(
            any_of(claims.c.document_id, document_ids), claims.c.owner == self.owner
        )
        mine = set((await connection.scalars(owned)).all())
        for lost in set(document_ids) - mine:
            await abandon(self._database, connection, scope, lost)
        return mine

    async def release(self, scope: Scope, document_ids: Sequence[str], *, clean: bool = True) -> None:
        """Let go of claims. If not `clean`, or if others littered meanwhile, the sweeper looks after the points."""
        mine = (claims.c.owner == self.owner) & any_of(claims.c.document_id, document_ids)
        async with self._database.write(scope) as connection:
            if clean:
                await connection.execute(scoped_delete(claims, scope).where(mine, ~claims.c.littered))
            await connection.execute(scoped_update(claims, scope).where(mine).values(lease_until=0, littered=False))

    async def give_back(self, tasks: Sequence[Task]) -> None:
        """Let go of files that were not begun, as if they had not been claimed."""
        if not tasks:
            return
        scope = tasks[0].scope
        async with self._database.write(scope) as connection:
            mine = await self.holds(connection, scope, [task.document_id for task in tasks])
            ids = [task.file_id for task in tasks if task.document_id in mine]
            unbegun = scoped_update(job_files, scope).where(any_of(job_files.c.id, ids))
            await connection.execute(unbegun.values(attempts=job_files.c.attempts - 1, not_before=0))
        await self.release(scope, [task.document_id for task in tasks], clean=False)

    async def take_leftover(self) -> tuple[Scope, str] | None:
        """Claim a document whose points nobody looks after any more, to sweep them."""
        waits = exists().where(job_files.c.document_id == claims.c.document_id, job_files.c.state == FileState.PENDING)
        left = unscoped(claims).where(claims.c.lease_until < time.time(), ~waits).limit(1)
        async with self._database.write(EVERY_TENANT) as connection:
            row = (await connection.execute(left)).mappings().first()
            if row is None:
                return None
            scope = Scope(row["tenant"], row["collection"])
            await self.hold(connection, scope, [row["document_id"]])
            return scope, row["document_id"]

    async def hold(self, connection: AsyncConnection, scope: Scope, document_ids: Sequence[str]) -> set[str]:
        """Claim the documents that no other worker's lease runs on; which are claimed now."""
        await connection.execute(self._database.insert_missing(claims), [_unheld(scope, each) for each in document_ids])
        free = any_of(claims.c.document_id, document_ids) & (
            (claims.c.lease_until < time.time()) | (claims.c.owner == self.owner)
        )
        mine = {"owner": self.owner, "lease_until": time.time() + self._options.lease_s, "littered": False}
        taken = scoped_update(claims, scope).where(free).values(mine).returning(claims.c.document_id)
        return set((await connection.scalars(taken)).all())

    async def _beat(self, tenant: str) -> None:
        while True:
            await asyncio.sleep(self._options.lease_s / 3)
            mine = scoped_update(claims, tenant).where(claims.c.owner == self.owner)
            try:
                async with self._database.write(tenant) as connection:
                    await connection.execute(mine.values(lease_until=time.time() + self._options.lease_s))
            except RagstoneError as error:  # the lease may run out now: then the commit is refused
                log.warning("ingest.heartbeat_failed", code=error.code)

    async def _next_rows(self, connection: AsyncConnection, limit: int) -> Sequence[RowMapping]:
        """Waiting files of the tenant whose turn it is; none if no tenant has any."""
        pending = unscoped(job_files, job_files.c.tenant).where(job_files.c.state == FileState.PENDING)
        tenants = (await connection.scalars(pending.distinct())).all()
        for tenant in sorted(tenants, key=lambda name: (name <= self._last_tenant, name)):
            rows = await self._waiting(connection, tenant, limit)
            if rows:
                self._last_tenant = tenant
                return rows
        return []

    async def _waiting(self, connection: AsyncConnection, tenant: str, limit: int) -> Sequence[RowMapping]:
        now = time.time()
        held = exists().where(claims.c.document_id == job_files.c.document_id, claims.c.lease_until >= now)
        waiting = (
            scoped(job_files, tenant)
            .where(job_files.c.state == FileState.PENDING, job_files.c.not_before <= now, ~held)
            .order_by(job_files.c.id)
            .limit(limit)
        )
        rows: Sequence[RowMapping] = (await connection.execute(waiting)).mappings().all()
        if not rows or rows[0]["attempts"] > 0:
            return rows[:1]
        return [row for row in rows if row["attempts"] == 0 and row["collection"] == rows[0]["collection"]]

    def _idle_fate(self, row: RowMapping, document: RowMapping | None) -> Fate | None:
        """The fate of a file that there is nothing to do for; None: it is to be ingested."""
        file_id, job_id = row["id"], row["job_id"]
        if document is None:
            return Fate(file_id, job_id, FileState.REMOVED, warnings=(GONE,))
        if document["wanted_file"] != file_id:
            return Fate(file_id, job_id, FileState.SKIPPED, warnings=(SUPERSEDED,))
        if document["active_version"] is not None and document["fingerprint"] == row["fingerprint"]:
            return Fate(file_id, job_id, FileState.SKIPPED)
        if row["attempts"] >= self._options.max_attempts:
            return Fate(file_id, job_id, FileState.FAILED, error=_gave_up(row["attempts"]))
        return None

    async def _settle(
        self,
        connection: AsyncConnection,
        scope: Scope,
        rows: Sequence[RowMapping],
        known: Mapping[str, RowMapping],
        fates: Sequence[Fate],
    ) -> None:
        if not fates:
            return
        await settle(connection, scope, fates)
        by_id = {row["id"]: row for row in rows}
        for fate in fates:
            document = known.get(by_id[fate.file_id]["document_id"])
            if document is None or document["wanted_file"] != fate.file_id:
                continue
            state = DocumentState.FAILED if fate.error else DocumentState.READY
            if document["state"] != state:  # given up, or a change that failed was taken back
                await mark(connection, scope, document["id"], state, fate.error.message if fate.error else None)
        in_use = {document["blob_key"] for document in known.values()}
        let_go = {by_id[fate.file_id]["blob_key"] for fate in fates} - in_use
        await discard_blobs(self._database, connection, scope, let_go)

    async def _assign(
        self, connection: AsyncConnection, scope: Scope, rows: Sequence[RowMapping], known: Mapping[str, RowMapping]
    ) -> list[Task]:
        held = await self.hold(connection, scope, [row["document_id"] for row in rows])
        rows = [row for row in rows if row["document_id"] in held]
        versions = scoped_update(documents, scope).where(any_of(documents.c.id, list(held)))
        await connection.execute(versions.values(last_version=documents.c.last_version + 1))
        # The wait before a retry is set now, for a worker that dies cannot set it. All
        # of a batch have as many attempts behind them.
        wait_s = self._options.retry_s * 2 ** rows[0]["attempts"] if rows else 0
        attempt = scoped_update(job_files, scope).where(any_of(job_files.c.id, [row["id"] for row in rows]))
        counted = {"attempts": job_files.c.attempts + 1, "not_before": time.time() + wait_s}
        await connection.execute(attempt.values(counted))
        queued = any_of(jobs.c.id, [row["job_id"] for row in rows]) & (jobs.c.state == JobState.QUEUED)
        start = scoped_update(jobs, scope).where(queued)
        await connection.execute(start.values(state=JobState.RUNNING, started_at=datetime.now(UTC)))
        return [_task(row, scope, known[row["document_id"]]["last_version"] + 1) for row in rows]


async def abandon(database: Database, connection: AsyncConnection, scope: Scope, document_id: str) -> None:
    """Note that points of a document may be left over in the index, whoever works on it now."""
    await connection.execute(database.insert_missing(claims), _unheld(scope, document_id))
    other = scoped_update(claims, scope).where(claims.c.document_id == document_id)
    await connection.execute(other.values(littered=True))


async def mark(
    connection: AsyncConnection, scope: Scope, document_id: str, state: DocumentState, error: str | None
) -> None:
    """Show on the document how its last submission went."""
    by_id = scoped_update(documents, scope).where(documents.c.id == document_id)
    await connection.execute(by_id.values(state=state, error=error))


def _gave_up(attempts: int) -> Unavailable:
    return Unavailable(
        f"The file was tried {attempts} times, and each time its worker ended before it was done. "
        "Look at the worker's log, or leave the file out."
    )


def _unheld(scope: Scope, document_id: str) -> dict[str, object]:
    return {
        "document_id": document_id,
        "tenant": scope.tenant,
        "collection": scope.collection,
        "owner": "",
        "lease_until": 0,
        "littered": False,
    }


def _task(row: RowMapping, scope: Scope, version: int) -> Task:
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
    )
