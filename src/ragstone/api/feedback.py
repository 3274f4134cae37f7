"""Routes of feedback: rate an answer, list the ratings."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Literal, Self

from fastapi import APIRouter, Query
from pydantic import AliasPath, AwareDatetime, ConfigDict, Field

from ragstone.api.bodies import NextPage, Out, Request, shown
from ragstone.api.chat import CONVERSATION_ID, TURN_ID
from ragstone.chat.feedback import MAX_COMMENT_CHARS, Feedback
from ragstone.http.capabilities import FeedbackStoreDep
from ragstone.http.error_handlers import problems
from ragstone.http.routing import Admitted, AdmittedScope, PathId, admitted_router
from ragstone.identity.fields import PlainText
from ragstone.principals import Permission
from ragstone.vocabulary import COLLECTION_PATTERN

MAX_PAGE = 500
FEEDBACK_ID = "e1a7c90d4b3f4586a2d9b8c1f0e57364"

router = admitted_router(tag="feedback", needs=Permission.CHAT)
reading_router = admitted_router(tag="feedback", needs=Permission.CONVERSATIONS)


class FeedbackBody(Request):
    """A rating of an answer."""

    model_config = ConfigDict(json_schema_extra=shown({"rating": 1, "comment": "Exactly what I needed."}))

    rating: Literal[1, -1] = Field(description="1: good, -1: bad.")
    comment: PlainText = Field("", max_length=MAX_COMMENT_CHARS, description="The reason, in words.")


_FEEDBACK = {
    "id": FEEDBACK_ID,
    "collection": "default",
    "conversation_id": CONVERSATION_ID,
    "turn_id": TURN_ID,
    "author": "local",
    "rating": 1,
    "comment": "Exactly what I needed.",
    "created_at": "2026-11-21T10:02:00Z",
    "question": "At what temperature does water boil?",
    "answer": "Water boils at 100 degrees at sea level [1].",
}


class FeedbackOut(Out):
    """One rating, with the question and the answer."""

    model_config = ConfigDict(json_schema_extra=shown(_FEEDBACK))

    id: str
    collection: str = Field(validation_alias=AliasPath("scope", "collection"))
    conversation_id: str
    turn_id: str
    author: str = Field(description="The user or key that gave the rating.")
    rating: int
    comment: str
    created_at: datetime
    question: str
    answer: str


class FeedbackPage(Out):
    """Ratings, newest first."""

    model_config = ConfigDict(json_schema_extra=shown({"feedback": [_FEEDBACK], "next": None}))

    feedback: list[FeedbackOut]
    next: NextPage

    @classmethod
    def of(cls, found: list[Feedback], *, limit: int) -> Self:
        """The first `limit` of `found`, which has one more if another page follows."""
        page = [FeedbackOut.model_validate(each) for each in found[:limit]]
        return cls(feedback=page, next=page[-1].id if len(found) > limit else None)


@router.post(
    "/api/conversations/{conversation_id}/turns/{turn_id}/feedback",
    response_model=FeedbackOut,
    summary="Rate an answer",
    responses=problems(400, 404),
)
async def rate(
    conversation_id: PathId,
    turn_id: PathId,
    body: FeedbackBody,
    scope: AdmittedScope,
    principal: Admitted,
    feedback: FeedbackStoreDep,
) -> Feedback:
    """Rate an answer. Your later rating replaces the earlier one."""
    return await feedback.give(
        scope,
        conversation_id,
        turn_id,
        author=principal.id,
        rating=body.rating,
        comment=body.comment,
        visible_to=principal.conversations_of,
    )


@reading_router.get("/api/feedback", response_model=FeedbackPage, summary="List feedback", responses=problems(404))
async def list_feedback(
    principal: Admitted,
    feedback: FeedbackStoreDep,
    collection: Annotated[
        str | None, Query(pattern=COLLECTION_PATTERN, description="Only on answers from this collection.")
    ] = None,
    rating: Annotated[Literal["1", "-1"] | None, Query(description="Only good (1) or only bad (-1).")] = None,
    since: Annotated[AwareDatetime | None, Query(description="Only ratings from then on.")] = None,
    until: Annotated[AwareDatetime | None, Query(description="Only ratings before then.")] = None,
    limit: Annotated[int, Query(ge=1, le=MAX_PAGE, description="Ratings on this page, at most.")] = 100,
    after: Annotated[PathId | None, Query(description="`next` of the page before.")] = None,
) -> FeedbackPage:
    """Ratings of answers, newest first; of all collections unless one is named."""
    found = await feedback.all(
        principal.scope(collection) if collection else principal.tenant,
        collections=principal.collections,
        rating=int(rating) if rating else None,
        since=since,
        until=until,
        limit=limit + 1,
        after=after,
    )
    return FeedbackPage.of(found, limit=limit)


ROUTERS: tuple[APIRouter, ...] = (router, reading_router)
