"""Who works on what: claims with a lease, in SQL, for any number of workers.

A claim is on a document, so that no two workers write the points of one document at
once. Whoever commits a version proves first that the claim is still his; a worker
that slept through its lease finds another owner there, and changes nothing.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime

import structlog
from sqlalchemy import exists
from sqlalchemy.engine import RowMapping
from sqlalchemy.ext.asyncio import AsyncConnection

from ragstone.errors import RagstoneError, Unavailable
from ragstone.ingestion.jobs import Task, discard_blob, settle
from ragstone.storage.database import (
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
        async with self._database.write() as connection:
            rows = await self._next_rows(connection, limit)
            if not rows:
                return None
            scope = Scope(rows[0]["tenant"], rows[0]["collection"])
            ids = [row["document_id"] for row in rows]
            found = await connection.execute(scoped(documents, scope).where(any_of(documents.c.id, ids)))
            known = {row["id"]: row for row in found.mappings()}
            tasks = [await self._claim(connection, scope, row, known.get(row["document_id"])) for row in rows]
            return [task for task in tasks if task is not None]

    @asynccontextmanager
    async def kept(self, tenant: str) -> AsyncIterator[None]:
        """Extend the leases of this owner's claims while the block runs."""
        beating = asyncio.create_task(self._beat(tenant))
        try:
            yield
        finally:
            beating.cancel()
            await asyncio.wait([beating])

    async def holds(self, connection: AsyncConnection, scope: Scope, document_id: str) -> bool:
        """Whether the claim is still this owner's; if not, it is noted that its points may litter the index."""
        mine = scoped(claims, scope, claims.c.owner).where(claims.c.document_id == document_id)
        if (await connection.execute(mine)).scalar() == self.owner:
            return True
        await abandon(self._database, connection, scope, document_id)
        return False

    async def release(self, scope: Scope, document_ids: Sequence[str], *, clean: bool = True) -> None:
        """Let go of claims. If not `clean`, or if others littered meanwhile, the sweeper looks after the points."""
        mine = (claims.c.owner == self.owner) & any_of(claims.c.document_id, document_ids)
        async with self._database.write() as connection:
            if clean:
                await connection.execute(scoped_delete(claims, scope).where(mine, ~claims.c.littered))
            await connection.execute(scoped_update(claims, scope).where(mine).values(lease_until=0, littered=False))

    async def give_back(self, tasks: Sequence[Task]) -> None:
        """Let go of files that were not begun, as if they had not been claimed."""
        if not tasks:
            return
        scope = tasks[0].scope
        async with self._database.write() as connection:
            for task in tasks:
                if await self.holds(connection, scope, task.document_id):
                    unbegun = scoped_update(job_files, scope).where(job_files.c.id == task.file_id)
                    await connection.execute(unbegun.values(attempts=task.attempts - 1, not_before=0))
        await self.release(scope, [task.document_id for task in tasks], clean=False)

    async def take_leftover(self) -> tuple[Scope, str] | None:
        """Claim a document whose points nobody looks after any more, to sweep them."""
        waits = exists().where(job_files.c.document_id == claims.c.document_id, job_files.c.state == FileState.PENDING)
        left = unscoped(claims).where(claims.c.lease_until < time.time(), ~waits).limit(1)
        async with self._database.write() as connection:
            row = (await connection.execute(left)).mappings().first()
            if row is None:
                return None
            scope = Scope(row["tenant"], row["collection"])
            await self.hold(connection, scope, row["document_id"])
            return scope, row["document_id"]

    async def hold(self, connection: AsyncConnection, scope: Scope, document_id: str) -> bool:
        """Claim a document unless another worker's lease on it runs; whether it is claimed now."""
        free = (claims.c.document_id == document_id) & (
            (claims.c.lease_until < time.time()) | (claims.c.owner == self.owner)
        )
        await connection.execute(self._database.insert_missing(claims), _unheld(scope, document_id))
        mine = {"owner": self.owner, "lease_until": time.time() + self._options.lease_s, "littered": False}
        return (await connection.execute(scoped_update(claims, scope).where(free).values(mine))).rowcount == 1

    async def _beat(self, tenant: str) -> None:
        while True:
            await asyncio.sleep(self._options.lease_s / 3)
            mine = scoped_update(claims, tenant).where(claims.c.owner == self.owner)
            try:
                async with self._database.write() as connection:
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

    async def _claim(
        self, connection: AsyncConnection, scope: Scope, row: RowMapping, document: RowMapping | None
    ) -> Task | None:
        if document is None:
            await settle(connection, scope, row["id"], FileState.REMOVED, warnings=(GONE,))
        elif document["wanted_file"] != row["id"]:
            await settle(connection, scope, row["id"], FileState.SKIPPED, warnings=(SUPERSEDED,))
        elif document["active_version"] is not None and document["fingerprint"] == row["fingerprint"]:
            await settle(connection, scope, row["id"], FileState.SKIPPED)
            if document["state"] != DocumentState.READY:  # a change that failed was taken back
                await mark(connection, scope, document["id"], DocumentState.READY, None)
        elif row["attempts"] >= self._options.max_attempts:
            await self._give_up(connection, scope, row)
        else:
            return await self._assign(connection, scope, row, document)
        if document is None or document["blob_key"] != row["blob_key"]:
            await discard_blob(self._database, connection, scope, row["blob_key"])
        return None

    async def _assign(
        self, connection: AsyncConnection, scope: Scope, row: RowMapping, document: RowMapping
    ) -> Task | None:
        if not await self.hold(connection, scope, document["id"]):
            return None
        version = document["last_version"] + 1
        by_id = scoped_update(documents, scope).where(documents.c.id == document["id"])
        await connection.execute(by_id.values(last_version=version))
        # The wait before a retry is set now, for a worker that dies cannot set it.
        wait_s = self._options.retry_s * 2 ** row["attempts"]
        attempt = scoped_update(job_files, scope).where(job_files.c.id == row["id"])
        await connection.execute(attempt.values(attempts=row["attempts"] + 1, not_before=time.time() + wait_s))
        start = scoped_update(jobs, scope).where(jobs.c.id == row["job_id"], jobs.c.state == JobState.QUEUED)
        await connection.execute(start.values(state=JobState.RUNNING, started_at=datetime.now(UTC)))
        return _task(row, scope, version)

    async def _give_up(self, connection: AsyncConnection, scope: Scope, row: RowMapping) -> None:
        error = Unavailable(
            f"The file was tried {row['attempts']} times, and each time its worker ended before it was done. "
            "Look at the worker's log, or leave the file out."
        )
        await settle(connection, scope, row["id"], FileState.FAILED, error=error)
        await mark(connection, scope, row["document_id"], DocumentState.FAILED, error.message)


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
