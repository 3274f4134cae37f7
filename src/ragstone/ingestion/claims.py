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

import structlog
from sqlalchemy import exists
from sqlalchemy.ext.asyncio import AsyncConnection

from ragstone.accounts.tenants import TenantState
from ragstone.errors import RagstoneError
from ragstone.ingestion.generations import grow
from ragstone.ingestion.jobs import Task
from ragstone.storage.database import (
    EVERY_TENANT,
    Database,
    any_of,
    scoped,
    scoped_delete,
    scoped_update,
    unscoped,
)
from ragstone.storage.schema import claims, documents, job_files, tenants
from ragstone.vocabulary import DocumentState, FileState, Scope

log = structlog.get_logger()

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

    @asynccontextmanager
    async def kept(self, tenant: str) -> AsyncIterator[asyncio.Event]:
        """Extend the leases of this owner's claims while the block runs; the event says that the tenant leaves."""
        leaving = asyncio.Event()
        beating = asyncio.create_task(self._beat(tenant, leaving))
        try:
            yield leaving
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
            if clean:  # the points of older versions are gone by now, and took places among the best until then
                await grow(connection, scope)

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
        async with self._database.read(EVERY_TENANT) as connection:
            row = (await connection.execute(left)).mappings().first()
        if row is None:
            return None
        scope = Scope(row["tenant"], row["collection"])
        async with self._database.write(scope) as connection:
            still = scoped(claims, scope, claims.c.document_id).where(claims.c.document_id == row["document_id"])
            there = (await connection.execute(still)).first() is not None
            held = await self.hold(connection, scope, [row["document_id"]]) if there else None
        return (scope, row["document_id"]) if held else None

    async def hold(self, connection: AsyncConnection, scope: Scope, document_ids: Sequence[str]) -> set[str]:
        """Claim the documents that no other worker's lease runs on; which are claimed now."""
        await connection.execute(self._database.insert_missing(claims), [_unheld(scope, each) for each in document_ids])
        free = any_of(claims.c.document_id, document_ids) & (
            (claims.c.lease_until < time.time()) | (claims.c.owner == self.owner)
        )
        mine = {"owner": self.owner, "lease_until": time.time() + self._options.lease_s, "littered": False}
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
            except RagstoneError as error:  # the lease may run out now: then the commit is refused
                log.warning("ingest.heartbeat_failed", code=error.code)


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
