"""Rows as ingestion writes them, for tests of the read side."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

from ragstone.storage.database import Database, scoped_insert
from ragstone.storage.schema import chunks, document_texts, documents
from ragstone.vocabulary import DocumentState, Scope

NOON = datetime(2026, 1, 2, 12, tzinfo=UTC)


def url_of(path: Path) -> str:
    return f"sqlite+aiosqlite:///{path}"


async def add_document(
    database: Database, scope: Scope, document_id: str, *texts: str, source: str = "", version: int | None = 1
) -> None:
    """A document whose chunks are `texts`, one after the other; not ready if `version` is None."""
    async with database.write(scope) as connection:
        row = {
            "id": document_id,
            "source": source or f"upload:{document_id}.md",
            "title": document_id.title(),
            "media_type": "text/markdown",
            "fingerprint": "",
            "blob_key": "",
            "size_bytes": sum(len(text) for text in texts),
            "state": DocumentState.READY if version else DocumentState.PENDING,
            "active_version": version,
            "last_version": version or 0,
            "wanted_file": 0,
            "chunk_count": len(texts),
            "metadata": {"lang": "en"},
            "created_at": NOON,
            "updated_at": NOON,
        }
        await connection.execute(scoped_insert(documents, scope), row)
        if version is None:
            return
        body = {"document_id": document_id, "version": version, "text": "".join(texts)}
        await connection.execute(scoped_insert(document_texts, scope), body)
        await connection.execute(scoped_insert(chunks, scope), _chunk_rows(document_id, version, texts))


def _chunk_rows(document_id: str, version: int, texts: tuple[str, ...]) -> list[dict[str, object]]:
    return [
        {
            "id": f"{document_id}:{version}:{ordinal}",
            "document_id": document_id,
            "version": version,
            "ordinal": ordinal,
            "start": sum(len(before) for before in texts[:ordinal]),
            "end": sum(len(before) for before in texts[: ordinal + 1]),
            "text": text,
            "token_count": 1,
            "headings": [[0, ["Part", document_id]]],
            "pages": [],
            "table_header": "",
        }
        for ordinal, text in enumerate(texts)
    ]
