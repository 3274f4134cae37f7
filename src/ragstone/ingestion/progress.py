"""How far a single document is on its way into the index, for whoever sent it and waits."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from sqlalchemy import Row
from sqlalchemy.ext.asyncio import AsyncConnection

from ragstone.errors import NotFound
from ragstone.storage.database import Database, scoped
from ragstone.storage.schema import claims, documents, job_files
from ragstone.vocabulary import DocumentState, FileState, Scope


class ProgressState(StrEnum):
    """`processing`: a worker has it in hand now; `ready` and `failed` are final until it is sent again."""

    PENDING = "pending"
    PROCESSING = "processing"
    READY = "ready"
    FAILED = "failed"


@dataclass(frozen=True, slots=True)
class Progress:
    """Where a document stands; `chunks` and `pages` are those in service, `error` is for its owner."""

    document_id: str
    state: ProgressState
    error: str | None
    chunks: int
    pages: int | None


async def progress(
    database: Database, scope: Scope, document_id: str, *, clock: Callable[[], float] = time.time
) -> Progress:
    """The standing of the bytes that were sent last.

    Raises:
        NotFound: no such document in the scope.
    """
    async with database.read(scope) as connection:
        document = (await connection.execute(scoped(documents, scope).where(documents.c.id == document_id))).first()
        if document is None:
            raise NotFound(f"There is no document {document_id[:80]!r} here. Use the id that sending it returned.")
        state = await _state(connection, scope, document, clock())
    error = document.error if state is ProgressState.FAILED else None
    return Progress(document_id, state, error, document.chunk_count, document.page_count)


async def _state(connection: AsyncConnection, scope: Scope, document: Row[Any], now: float) -> ProgressState:
    sent = scoped(job_files, scope, job_files.c.state).where(job_files.c.id == document.wanted_file)
    if (await connection.execute(sent)).scalar() == FileState.PENDING:
        held = scoped(claims, scope).where(claims.c.document_id == document.id, claims.c.lease_until > now)
        in_hand = (await connection.execute(held)).first() is not None
        return ProgressState.PROCESSING if in_hand else ProgressState.PENDING
    return ProgressState(DocumentState(document.state).value)
