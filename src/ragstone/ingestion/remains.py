"""What is left of what was deleted, place by place: for whoever has to prove that nothing is."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass

import numpy as np
from sqlalchemy import JSON, ColumnElement, String, Table, Text, cast, func, literal, or_

from ragstone.index.base import Index
from ragstone.ingestion.erase import OUTLIVE_TENANTS
from ragstone.ingestion.versions import REMOVED_SOURCE
from ragstone.storage.blobs import LocalBlobs
from ragstone.storage.database import EVERY_TENANT, Database, scoped, unscoped
from ragstone.storage.schema import collections, documents, job_files, metadata
from ragstone.vocabulary import FileState, Filters, Scope

MAX_POINTS = 1000  # counted of one document in one collection; one is too many


@dataclass(frozen=True, slots=True)
class Place:
    """How much is left in one place; `stays`: it is meant to, as a record of who did what or of what is billed."""

    name: str
    left: int
    stays: bool = False


@dataclass(frozen=True, slots=True)
class Report:
    """Every place that was looked at."""

    subject: str
    places: tuple[Place, ...]

    @property
    def is_gone(self) -> bool:
        """Whether nothing is left that is not meant to stay."""
        return not any(place.left and not place.stays for place in self.places)


class Remains:
    """Looks for what is left of tenants, documents and conversations, in every place there is.

    `caches` count what they hold of a tenant, by their names.
    """

    def __init__(
        self,
        *,
        database: Database,
        index: Index,
        blobs: LocalBlobs,
        dimensions: int,
        caches: Mapping[str, Callable[[str], Awaitable[int]]] = {},
    ) -> None:
        self._database = database
        self._index = index
        self._blobs = blobs
        self._dimensions = dimensions
        self._caches = caches

    async def of_tenant(self, tenant: str) -> Report:
        """What is left of a tenant."""
        counted = [await self._rows(table, table.c.tenant == tenant) for table in _tables() if "tenant" in table.c]
        caches = [Place(f"cache {name}", await count(tenant)) for name, count in self._caches.items()]
        points = Place("index", await self._index.count(tenant))
        files = Place("blobs", await self._blobs.count(tenant))
        return Report(f"tenant {tenant}", (*counted, points, files, *caches))

    async def of_document(self, document_id: str) -> Report:
        """What is left of a document: rows that name it, its points, and bytes that nothing refers to."""
        rows = await self._mentions(document_id)
        points = Place("index", await self._points(document_id))
        files = Place("blobs without a document", await self._orphans())
        return Report(f"document {document_id}", (*rows, points, files))

    async def of_conversation(self, conversation_id: str) -> Report:
        """What is left of a conversation: rows that name it. Neither index nor blobs hold conversations."""
        return Report(f"conversation {conversation_id}", tuple(await self._mentions(conversation_id)))

    async def _mentions(self, subject_id: str) -> list[Place]:
        return [await self._rows(table, _names(table, subject_id)) for table in _tables()]

    async def _rows(self, table: Table, condition: ColumnElement[bool]) -> Place:
        async with self._database.read(EVERY_TENANT) as connection:
            left = (await connection.execute(unscoped(table, func.count()).where(condition))).scalar_one()
        return Place(f"sql {table.name}", left, stays=table in OUTLIVE_TENANTS)

    async def _points(self, document_id: str) -> int:
        """Any vector finds all points that the filter lets through."""
        anything = np.eye(1, self._dimensions, dtype=np.float32)[0]
        chosen = Filters(documents=(document_id,))
        async with self._database.read(EVERY_TENANT) as connection:
            scopes = (
                await connection.execute(unscoped(collections, collections.c.tenant, collections.c.collection))
            ).all()
        found = [
            await self._index.search(Scope(*scope), dense=anything, sparse=None, filters=chosen, limit=MAX_POINTS)
            for scope in scopes
        ]
        return sum(len(candidates.dense) for candidates in found)

    async def _orphans(self) -> int:
        async with self._database.read(EVERY_TENANT) as connection:
            tenants = (await connection.scalars(unscoped(collections, collections.c.tenant).distinct())).all()
        return sum([await self._orphans_of(tenant) for tenant in tenants])

    async def _orphans_of(self, tenant: str) -> int:
        of_documents = scoped(documents, tenant, documents.c.blob_key)
        needed = (job_files.c.state == FileState.PENDING) | job_files.c.dead
        of_files = scoped(job_files, tenant, job_files.c.blob_key).where(needed)
        kept = await self._blobs.keys(tenant)  # before the rows: what comes in meanwhile is not taken for an orphan
        async with self._database.read(tenant) as connection:
            used = {*(await connection.scalars(of_documents)).all(), *(await connection.scalars(of_files)).all()}
        return len(kept - used)


def _tables() -> list[Table]:
    return sorted(metadata.tables.values(), key=lambda table: table.name)


def _names(table: Table, subject_id: str) -> ColumnElement[bool]:
    """Whether any text of a row holds the id. A file of a job that tells nothing but the id does not count."""
    holds = or_(literal(value=False), *(_holds(column, subject_id) for column in table.columns))
    return holds & (job_files.c.source != REMOVED_SOURCE) if table is job_files else holds


def _holds(column: ColumnElement[object], subject_id: str) -> ColumnElement[bool]:
    if isinstance(column.type, Text | JSON):
        return cast(column, Text).contains(subject_id, autoescape=True)
    return column == subject_id if isinstance(column.type, String) else literal(value=False)
