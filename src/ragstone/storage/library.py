"""The library: read access to collections, documents, texts and chunks in SQL, and a collection's generation.

Every change that can affect search results increments the generation. A cache stores it with
its results and discards them when it has changed.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Select, and_, func, or_
from sqlalchemy.engine import RowMapping
from sqlalchemy.ext.asyncio import AsyncConnection

from ragstone.errors import NotFound
from ragstone.storage.blobs import LocalBlobs
from ragstone.storage.database import Database, any_of, scoped, scoped_update
from ragstone.storage.schema import chunks, collections, document_texts, documents, jobs
from ragstone.vocabulary import Chunk, Document, DocumentState, Heading, Hit, JobState, PageSpan, Passage, Scope

_ACTIVE = and_(documents.c.id == chunks.c.document_id, documents.c.active_version == chunks.c.version)


@dataclass(frozen=True, slots=True)
class Stats:
    """Totals of a scope. `bytes` counts the submitted bytes of its documents."""

    documents: int
    chunks: int
    bytes: int
    jobs: Mapping[JobState, int]


class Library:
    """Reads collections, documents, texts and chunks."""

    def __init__(self, database: Database, blobs: LocalBlobs) -> None:
        self._database = database
        self._blobs = blobs

    async def collections(self, tenant: str) -> list[str]:
        """Names of the tenant's collections, sorted."""
        names = scoped(collections, tenant, collections.c.collection).order_by(collections.c.collection)
        async with self._database.read(tenant) as connection:
            return list((await connection.scalars(names)).all())

    async def generation(self, scope: Scope) -> str:
        """An identifier of the collection's present content; it is different after each change.

        A collection that was deleted and created again never has an earlier identifier.

        Raises:
            NotFound: no such collection; the message lists the existing ones.
        """
        table = collections.c
        every = scoped(collections, scope.tenant, table.collection, table.generation, table.created_at)
        async with self._database.read(scope.tenant, snapshot=False) as connection:
            known = {row.collection: row for row in await connection.execute(every)}
        if scope.collection not in known:
            raise NotFound(_unknown_collection(scope.collection, sorted(known)))
        found = known[scope.collection]
        return f"{found.created_at.isoformat()} {found.generation}"

    async def documents(self, scope: Scope, *, limit: int = 100, after: str | None = None) -> list[Document]:
        """Up to `limit` documents by source, then id; `after` is the id of the last document of the previous page.

        Raises:
            NotFound: `after` is not a document of the scope.
        """
        page = scoped(documents, scope).order_by(documents.c.source, documents.c.id).limit(limit)
        if after is not None:
            last = await self.document(scope, after)
            later = and_(documents.c.source == last.source, documents.c.id > last.id)
            page = page.where(or_(documents.c.source > last.source, later))
        return [_document(row) for row in await self._rows(scope, page)]

    async def document(self, scope: Scope, document_id: str) -> Document:
        """One document.

        Raises:
            NotFound: no such document in the scope.
        """
        rows = await self._rows(scope, scoped(documents, scope).where(documents.c.id == document_id))
        if not rows:
            raise _unknown(document_id)
        return _document(rows[0])

    async def original(self, scope: Scope, document_id: str) -> bytes:
        """The submitted bytes of the active version.

        Raises:
            NotFound: no such document, or none of its versions is ready.
        """
        statement = scoped(documents, scope, documents.c.blob_key).where(documents.c.id == document_id)
        rows = await self._rows(scope, statement)
        if not rows:
            raise _unknown(document_id)
        if not rows[0]["blob_key"]:
            raise _not_ready(document_id)
        return await self._blobs.get(scope, rows[0]["blob_key"])

    async def text(self, scope: Scope, document_id: str, *, version: int | None = None) -> str:
        """The canonical text, to which the offsets of chunks and citations refer.

        Only the text of the active version is stored: name a `version` to make sure that offsets match.

        Raises:
            NotFound: no such document, none of its versions is ready, or `version` was replaced.
        """
        found = await self._rows(
            scope,
            scoped(document_texts, scope, document_texts.c.version, document_texts.c.text).where(
                document_texts.c.document_id == document_id
            ),
        )
        if not found:
            await self.document(scope, document_id)
            raise _not_ready(document_id)
        if version is not None and version != found[0]["version"]:
            raise NotFound(
                f"Version {version} of document {document_id!r} was replaced by version {found[0]['version']}. "
                "Request the current text."
            )
        return str(found[0]["text"])

    async def chunks(self, scope: Scope, document_id: str) -> list[Chunk]:
        """The chunks of the active version, in reading order; empty before the first version is ready.

        Raises:
            NotFound: no such document in the scope.
        """
        statement = (
            scoped(chunks, scope)
            .join(documents, _ACTIVE)
            .where(chunks.c.document_id == document_id)
            .order_by(chunks.c.ordinal)
        )
        rows = await self._rows(scope, statement)
        if not rows:
            await self.document(scope, document_id)
        return [chunk_of(row) for row in rows]

    async def passages(self, scope: Scope, hits: Sequence[Hit]) -> list[Passage]:
        """The passages of hits, in the same order, read in one query.

        Hits whose chunk belongs to a version that is not active are dropped.
        """
        if not hits:
            return []
        statement = (
            scoped(chunks, scope, chunks, documents.c.title, documents.c.source, documents.c.media_type)
            .join(documents, _ACTIVE)
            .where(any_of(chunks.c.id, [hit.chunk_id for hit in hits]))
        )
        found = {row["id"]: row for row in await self._rows(scope, statement)}
        return [_passage(found[hit.chunk_id], hit) for hit in hits if hit.chunk_id in found]

    async def stats(self, scope: Scope) -> Stats:
        """Totals of the scope."""
        total = func.coalesce(func.sum(documents.c.chunk_count), 0), func.coalesce(func.sum(documents.c.size_bytes), 0)
        held = scoped(documents, scope, func.count(), *total)
        by_state = scoped(jobs, scope, jobs.c.state, func.count()).group_by(jobs.c.state)
        async with self._database.read(scope) as connection:
            document_count, chunk_count, size_bytes = (await connection.execute(held)).one()
            states = {JobState(state): count for state, count in await connection.execute(by_state)}
        return Stats(
            documents=document_count,
            chunks=chunk_count,
            bytes=size_bytes,
            jobs={state: states.get(state, 0) for state in JobState},
        )

    async def _rows(self, scope: Scope, statement: Select[Any]) -> Sequence[RowMapping]:
        async with self._database.read(scope, snapshot=False) as connection:
            rows: Sequence[RowMapping] = (await connection.execute(statement)).mappings().all()
            return rows


def chunk_of(row: RowMapping) -> Chunk:
    """The chunk that a row of `chunks` holds."""
    return Chunk(
        id=row["id"],
        document_id=row["document_id"],
        version=row["version"],
        ordinal=row["ordinal"],
        start=row["start"],
        end=row["end"],
        text=row["text"],
        token_count=row["token_count"],
        headings=tuple(Heading(start, tuple(path)) for start, path in row["headings"]),
        pages=tuple(PageSpan(*span) for span in row["pages"]),
        table_header=row["table_header"],
    )


def _passage(row: RowMapping, hit: Hit) -> Passage:
    return Passage(chunk=chunk_of(row), title=row["title"], source=row["source"], media_type=row["media_type"], hit=hit)


def _document(row: RowMapping) -> Document:
    return Document(
        id=row["id"],
        scope=Scope(row["tenant"], row["collection"]),
        source=row["source"],
        title=row["title"],
        media_type=row["media_type"],
        fingerprint=row["fingerprint"],
        size_bytes=row["size_bytes"],
        state=DocumentState(row["state"]),
        active_version=row["active_version"],
        created_at=row["created_at"],
        updated_at=row["updated_at"],
        chunk_count=row["chunk_count"],
        page_count=row["page_count"],
        error=row["error"],
        metadata=row["metadata"],
    )


def _unknown_collection(name: str, known: Sequence[str]) -> str:
    if not known:
        return "Nothing has been ingested yet. Begin with `ragstone ingest PATH`."
    return f"There is no collection {name!r}. Use one of these: {', '.join(known)}."


def _unknown(document_id: str) -> NotFound:
    return NotFound(f"There is no document {document_id[:80]!r} in this collection. List the documents for their ids.")


def _not_ready(document_id: str) -> NotFound:
    return NotFound(f"Document {document_id!r} is not ready yet. Wait for its job to finish, or read its error.")


async def bump_generation(connection: AsyncConnection, scope: Scope) -> None:
    """Increment the collection's generation. Call it last in the transaction: every writer locks this row."""
    await connection.execute(scoped_update(collections, scope).values(generation=collections.c.generation + 1))
