"""Feedback of readers on single answers, in SQL."""

from __future__ import annotations

import secrets
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from sqlalchemy import ColumnElement, Row, Select, and_, or_
from sqlalchemy.ext.asyncio import AsyncConnection

from ragstone.errors import InvalidInput, NotFound
from ragstone.storage.database import Database, any_of, scoped, scoped_update
from ragstone.storage.schema import conversations, feedback, turns
from ragstone.vocabulary import Scope

GOOD = 1
BAD = -1
MAX_COMMENT_CHARS = 2000


@dataclass(frozen=True, slots=True)
class Feedback:
    """The rating and comment of one reader on one answer, with the exchange."""

    id: str
    scope: Scope
    conversation_id: str
    turn_id: str
    author: str
    rating: int
    comment: str
    created_at: datetime
    question: str
    answer: str


class FeedbackStore:
    """Stores one feedback of each author on each answer; a later one replaces it."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def give(
        self,
        scope: Scope,
        conversation_id: str,
        turn_id: str,
        *,
        author: str,
        rating: int,
        comment: str = "",
        visible_to: str | None = None,
    ) -> Feedback:
        """Store the feedback of `author` on a turn; `visible_to` as in `Conversations`.

        Raises:
            NotFound: no such conversation, or it has no such turn.
            InvalidInput: a rating other than 1 and -1, or a comment that is too long.
        """
        if rating not in (GOOD, BAD) or len(comment) > MAX_COMMENT_CHARS:
            raise InvalidInput(f"Rate with 1 or -1, and comment with {MAX_COMMENT_CHARS:,} characters at most.")
        said = {"rating": rating, "comment": comment, "created_at": datetime.now(UTC)}
        async with self._database.write(scope) as connection:
            await _find_turn(connection, scope, conversation_id, turn_id, visible_to)
            new = {"id": secrets.token_hex(16), "conversation_id": conversation_id, "turn_id": turn_id}
            owner = {"tenant": scope.tenant, "collection": scope.collection, "author": author}
            await connection.execute(self._database.insert_missing(feedback), owner | new | said)
            own = (feedback.c.turn_id == turn_id) & (feedback.c.author == author)
            await connection.execute(scoped_update(feedback, scope).where(own).values(said))
            return _feedback((await connection.execute(_read(scope).where(own))).one())

    async def all(
        self,
        scope: Scope | str,
        *,
        collections: frozenset[str] | None = None,
        rating: int | None = None,
        since: datetime | None = None,
        until: datetime | None = None,
        limit: int = 100,
        after: str | None = None,
    ) -> list[Feedback]:
        """The feedback of a collection or of a tenant, newest first; `after` is the id of the last one seen.

        `collections` restricts it to answers from these.

        Raises:
            NotFound: there is none of the id `after`.
        """
        async with self._database.read(scope) as connection:
            bounds = [] if after is None else [await _beyond(connection, scope, after)]
            page = _read(scope).where(*_filters(collections, rating, since, until), *bounds)
            newest = page.order_by(feedback.c.created_at.desc(), feedback.c.id).limit(limit)
            return [_feedback(row) for row in await connection.execute(newest)]


async def _find_turn(
    connection: AsyncConnection, scope: Scope, conversation_id: str, turn_id: str, visible_to: str | None
) -> None:
    seen = [] if visible_to is None else [conversations.c.owner == visible_to]
    parent = scoped(conversations, scope, conversations.c.id).where(conversations.c.id == conversation_id, *seen)
    child = scoped(turns, scope, turns.c.id).where(
        turns.c.id == turn_id, turns.c.conversation_id == conversation_id, parent.exists()
    )
    if (await connection.execute(child)).first() is None:
        raise NotFound("There is no such answer in this conversation. Read the conversation for the ids of its turns.")


async def _beyond(connection: AsyncConnection, scope: Scope | str, after: str) -> ColumnElement[bool]:
    last = scoped(feedback, scope, feedback.c.created_at).where(feedback.c.id == after)
    at = (await connection.execute(last)).scalar()
    if at is None:
        raise NotFound(f"There is no feedback {after[:80]!r} to go on after. Begin with the first page.")
    return or_(feedback.c.created_at < at, and_(feedback.c.created_at == at, feedback.c.id > after))


def _filters(
    collections: frozenset[str] | None, rating: int | None, since: datetime | None, until: datetime | None
) -> Sequence[ColumnElement[bool]]:
    wanted = []
    if collections is not None:
        wanted.append(any_of(feedback.c.collection, sorted(collections)))
    if rating is not None:
        wanted.append(feedback.c.rating == rating)
    if since is not None:
        wanted.append(feedback.c.created_at >= since)
    if until is not None:
        wanted.append(feedback.c.created_at < until)
    return wanted


def _read(scope: Scope | str) -> Select[Any]:
    joined = scoped(feedback, scope, feedback, turns.c.question, turns.c.answer)
    return joined.where(turns.c.id == feedback.c.turn_id, turns.c.tenant == feedback.c.tenant)


def _feedback(row: Row[Any]) -> Feedback:
    return Feedback(
        id=row.id,
        scope=Scope(row.tenant, row.collection),
        conversation_id=row.conversation_id,
        turn_id=row.turn_id,
        author=row.author,
        rating=row.rating,
        comment=row.comment,
        created_at=row.created_at,
        question=row.question,
        answer=row.answer,
    )
