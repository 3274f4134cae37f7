"""Conversations in SQL: turns, history for follow-ups, and their retention."""

from __future__ import annotations

import secrets
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

import structlog
from sqlalchemy import ColumnElement, Row, Select, func
from sqlalchemy.ext.asyncio import AsyncConnection

from ragstone.errors import NotFound
from ragstone.storage.database import (
    EVERY_TENANT,
    Database,
    scoped,
    scoped_delete,
    scoped_insert,
    scoped_update,
    unscoped,
)
from ragstone.storage.schema import conversations, tenants, turns
from ragstone.vocabulary import Answer, Citation, Scope, Turn, Usage, Verdict

TITLE_CHARS = 80  # a title is the first question, cut to about one line


@dataclass(frozen=True, slots=True, kw_only=True)
class MemoryOptions:
    """The part of a conversation that a follow-up is understood with; both limits hold."""

    max_exchanges: int = 3
    max_tokens: int = 1000


@dataclass(frozen=True, slots=True)
class SavedTurn:
    """A saved exchange. `condensed` is the question that was searched for."""

    id: str
    question: str
    condensed: str
    answer: str
    citations: tuple[Citation, ...]
    abstained: bool
    degraded: tuple[str, ...]
    usage: Usage
    created_at: datetime


@dataclass(frozen=True, slots=True)
class Conversation:
    """A conversation; `owner` is the principal who began it. `turns`, oldest first, is empty in listings."""

    id: str
    title: str
    created_at: datetime
    updated_at: datetime
    owner: str = ""
    turns: tuple[SavedTurn, ...] = ()


@dataclass(frozen=True, slots=True)
class Saved:
    """The ids of a saved exchange."""

    conversation_id: str
    turn_id: str


class Conversations:
    """Reads and writes the conversations of a scope.

    Each conversation has an owner, the principal who began it. `visible_to` restricts a
    method to the conversations of that owner; with None, it sees all.
    """

    def __init__(
        self, database: Database, *, count_tokens: Callable[[str], int], options: MemoryOptions = MemoryOptions()
    ) -> None:
        self._database = database
        self._count_tokens = count_tokens
        self._options = options

    async def latest(self, scope: Scope, *, limit: int = 50, visible_to: str | None = None) -> list[Conversation]:
        """The conversations last used, newest first."""
        statement = scoped(conversations, scope).where(*_seen_by(visible_to))
        statement = statement.order_by(conversations.c.updated_at.desc(), conversations.c.id)
        async with self._database.read(scope) as connection:
            rows = (await connection.execute(statement.limit(limit))).all()
        return [_conversation(row) for row in rows]

    async def get(self, scope: Scope, conversation_id: str, *, visible_to: str | None = None) -> Conversation:
        """One conversation with all its turns.

        Raises:
            NotFound: there is none of that id in the scope, or it belongs to another owner.
        """
        async with self._database.read(scope) as connection:
            found = (await connection.execute(_by_id(scope, conversation_id, visible_to))).first()
            if found is None:
                raise _unknown(conversation_id)
            statement = scoped(turns, scope).where(turns.c.conversation_id == conversation_id)
            rows = (await connection.execute(statement.order_by(turns.c.ordinal))).all()
        return _conversation(found, tuple(_turn(row) for row in rows))

    async def history(self, scope: Scope, conversation_id: str, *, visible_to: str | None = None) -> list[Turn]:
        """The history for a new question: the newest exchanges that fit, oldest first.

        Raises:
            NotFound: there is no such conversation in the scope, or it belongs to another owner.
        """
        statement = (
            scoped(turns, scope)
            .where(turns.c.conversation_id == conversation_id)
            .order_by(turns.c.ordinal.desc())
            .limit(self._options.max_exchanges)
        )
        async with self._database.read(scope) as connection:
            if (await connection.execute(_by_id(scope, conversation_id, visible_to))).first() is None:
                raise _unknown(conversation_id)
            rows = (await connection.execute(statement)).all()
        newest_first = [Turn(row.condensed, row.answer) for row in rows]
        return _within(newest_first, self._options.max_tokens, self._count_tokens)[::-1]

    async def save(
        self,
        scope: Scope,
        conversation_id: str | None,
        *,
        question: str,
        condensed: str,
        answer: Answer,
        owner: str = "",
        visible_to: str | None = None,
    ) -> Saved:
        """Append an exchange, to a new conversation of `owner` where `conversation_id` is None.

        Raises:
            NotFound: the conversation has been deleted, or it belongs to another owner.
        """
        now = datetime.now(UTC)
        async with self._database.write(scope) as connection:
            if conversation_id is None:
                conversation_id = await _begin(connection, scope, question, owner, now)
            else:
                touch = scoped_update(conversations, scope).where(*_named(conversation_id, visible_to))
                if (await connection.execute(touch.values(updated_at=now))).rowcount == 0:
                    raise _unknown(conversation_id)
            count = scoped(turns, scope, func.count()).where(turns.c.conversation_id == conversation_id)
            ordinal = (await connection.execute(count)).scalar_one()
            row = _row(conversation_id, ordinal, question, condensed, answer, now)
            await connection.execute(scoped_insert(turns, scope).values(row))
        return Saved(conversation_id, str(row["id"]))

    async def delete(self, scope: Scope, conversation_id: str, *, visible_to: str | None = None) -> None:
        """Remove a conversation with all its turns and their feedback.

        Raises:
            NotFound: there is none of that id in the scope, or it belongs to another owner.
        """
        statement = scoped_delete(conversations, scope).where(*_named(conversation_id, visible_to))
        async with self._database.write(scope) as connection:
            if (await connection.execute(statement)).rowcount == 0:
                raise _unknown(conversation_id)

    async def expire(self, tenant: str, before: datetime) -> int:
        """Remove the tenant's conversations last used before a moment, in all collections. Returns their number."""
        statement = scoped_delete(conversations, tenant).where(conversations.c.updated_at < before)
        async with self._database.write(tenant) as connection:
            return (await connection.execute(statement)).rowcount


async def _begin(connection: AsyncConnection, scope: Scope, question: str, owner: str, now: datetime) -> str:
    conversation_id = secrets.token_hex(16)
    values = {
        "id": conversation_id,
        "owner": owner,
        "title": _title(question),
        "created_at": now,
        "updated_at": now,
    }
    await connection.execute(scoped_insert(conversations, scope).values(values))
    return conversation_id


def _seen_by(visible_to: str | None) -> list[ColumnElement[bool]]:
    return [] if visible_to is None else [conversations.c.owner == visible_to]


def _named(conversation_id: str, visible_to: str | None) -> list[ColumnElement[bool]]:
    return [conversations.c.id == conversation_id, *_seen_by(visible_to)]


def _by_id(scope: Scope, conversation_id: str, visible_to: str | None) -> Select[Any]:
    return scoped(conversations, scope).where(*_named(conversation_id, visible_to))


def _unknown(conversation_id: str) -> NotFound:
    return NotFound(f"There is no conversation {conversation_id!r} here. Leave the id out to begin a new one.")


def _within(newest_first: Sequence[Turn], max_tokens: int, count_tokens: Callable[[str], int]) -> list[Turn]:
    kept: list[Turn] = []
    budget = max_tokens
    for turn in newest_first:
        budget -= count_tokens(turn.question) + count_tokens(turn.answer)
        if budget < 0:
            break
        kept.append(turn)
    return kept


def _title(question: str) -> str:
    line = " ".join(question.split())
    return line if len(line) <= TITLE_CHARS else line[: TITLE_CHARS - 1].rstrip() + "…"


def _conversation(row: Row[Any], saved: tuple[SavedTurn, ...] = ()) -> Conversation:
    return Conversation(row.id, row.title, row.created_at, row.updated_at, row.owner, saved)


def _turn(row: Row[Any]) -> SavedTurn:
    return SavedTurn(
        id=row.id,
        question=row.question,
        condensed=row.condensed,
        answer=row.answer,
        citations=tuple(_citation(item) for item in row.citations),
        abstained=row.abstained,
        degraded=tuple(row.degraded),
        usage=Usage(row.model, row.input_tokens, row.output_tokens, row.cached_tokens),
        created_at=row.created_at,
    )


def _citation(stored: Mapping[str, Any]) -> Citation:
    """A stored citation. Turns of older versions hold `verified` in place of the verdict."""
    fields = dict(stored)
    verdict = fields.pop("verdict", None) or ("borne_out" if fields["verified"] else "doubtful")
    fields.pop("verified", None)
    return Citation(**{**fields, "heading_path": tuple(fields["heading_path"]), "verdict": Verdict(verdict)})


def _row(
    conversation_id: str, ordinal: int, question: str, condensed: str, answer: Answer, now: datetime
) -> dict[str, object]:
    return {
        "id": secrets.token_hex(16),
        "conversation_id": conversation_id,
        "ordinal": ordinal,
        "question": question,
        "condensed": condensed,
        "answer": answer.text,
        "citations": [asdict(citation) for citation in answer.citations],
        "abstained": answer.abstained,
        "degraded": list(answer.degraded),
        "model": answer.usage.model,
        "input_tokens": answer.usage.input_tokens,
        "output_tokens": answer.usage.output_tokens,
        "cached_tokens": answer.usage.cached_tokens,
        "created_at": now,
    }


INTERVAL_S = 3600.0  # retention is a matter of days

log = structlog.get_logger()


async def expire_conversations(database: Database, conversations: Conversations, *, now: datetime) -> int:
    """Remove conversations older than their tenant's `retention_days`, with their turns and feedback.

    Returns:
        The number of conversations.
    """
    limited = unscoped(tenants, tenants.c.tenant, tenants.c.retention_days).where(tenants.c.retention_days > 0)
    async with database.read(EVERY_TENANT) as connection:
        rows = (await connection.execute(limited)).all()
    expired = 0
    for tenant, days in rows:
        count = await conversations.expire(tenant, now - timedelta(days=days))
        if count:
            log.info("retention.expired", tenant=tenant, conversations=count)
        expired += count
    return expired
