"""What ingestion used: one settled row of the ledger a published document, written by what publishes it."""

from __future__ import annotations

import secrets
from collections.abc import Mapping
from datetime import UTC, datetime

from sqlalchemy.ext.asyncio import AsyncConnection

from ragstone.storage.database import any_of, scoped, scoped_insert
from ragstone.storage.schema import jobs, usage_records
from ragstone.vocabulary import Scope


async def record_embedding(
    connection: AsyncConnection, scope: Scope, model: str, tokens_of: Mapping[str, list[int]]
) -> None:
    """Write down the tokens that were embedded; for each job's id, those of each of its documents."""
    submitted = scoped(jobs, scope, jobs.c.id, jobs.c.principal).where(any_of(jobs.c.id, sorted(tokens_of)))
    principals: dict[str, str] = {row.id: row.principal for row in await connection.execute(submitted)}
    now = datetime.now(UTC)
    rows = [
        _row(model, principals.get(job_id, ""), tokens, now)
        for job_id, documents in tokens_of.items()
        for tokens in documents
    ]
    if rows:
        await connection.execute(scoped_insert(usage_records, scope), rows)


def _row(model: str, principal: str, tokens: int, now: datetime) -> dict[str, object]:
    return {
        "id": secrets.token_hex(16),
        "at": now,
        "kind": "ingest",
        "state": "settled",
        "principal": principal,
        "model": model,
        "input_tokens": 0,
        "output_tokens": 0,
        "cached_tokens": 0,
        "embedding_tokens": tokens,
        "cost": 0,  # embedding has no price of its own
        "overage": False,
        "estimated": False,
        "expires_at": 0,
        "settled_at": now,
    }
