"""Routes of chat and conversations: a question gets a cited answer, whole or streamed."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from contextlib import aclosing
from datetime import datetime
from typing import Annotated, Any, Self, assert_never

from fastapi import APIRouter, Query, Response, status
from fastapi import Request as HttpRequest
from pydantic import ConfigDict, Field

from ragstone.api.bodies import DOCUMENT_ID, MAX_PASSAGES, Collection, FilterBody, Id, Out, Request, shown
from ragstone.api.search import PASSAGE, CorrectionOut, PassageOut
from ragstone.chat.ask import Chat, Event, Exchange, Finished, Retrieved
from ragstone.chat.conversations import Conversation
from ragstone.generation.base import Delta
from ragstone.http.capabilities import ChatDep, ConversationsDep
from ragstone.http.error_handlers import problems
from ragstone.http.routing import (
    Admitted,
    AdmittedAsking,
    AdmittedScope,
    AdmittedStream,
    PathId,
    admitted_router,
)
from ragstone.http.streaming import StreamEvent, unless_disconnected
from ragstone.identity.fields import PlainText
from ragstone.principals import Permission
from ragstone.vocabulary import DEFAULT_COLLECTION, Answer, Citation, Outcome, Verdict

MAX_CONVERSATIONS = 500

router = admitted_router(tag="chat", needs=Permission.CHAT, metered=True)
memory_router = admitted_router(tag="chat", needs=Permission.READ)

CONVERSATION_ID = "a4d8f21b6c0e4f7391b25d8e60c7f3a9"
TURN_ID = "5e0b7c3d9a184f62b1c5d8e7f6a39024"
CITATION: dict[str, Any] = {
    "marker": 1,
    "document_id": DOCUMENT_ID,
    "version": 1,
    "title": "Notes",
    "source": "upload:notes.md",
    "heading_path": ["Notes"],
    "page": None,
    "start": 19,
    "end": 59,
    "quote": "Water boils at 100 degrees at sea level.",
    "answer_start": 0,
    "answer_end": 44,
    "verdict": "quoted",
    "verified": True,
    "score": 1.0,
}
USAGE = {"model": "extractive", "input_tokens": 0, "output_tokens": 0, "cached_tokens": 0}
CONVERSATION: dict[str, Any] = {
    "id": CONVERSATION_ID,
    "title": "At what temperature does water boil?",
    "created_at": "2026-11-21T10:01:00Z",
    "updated_at": "2026-11-21T10:01:00Z",
}


TurnId = Annotated[str, Field(description="The exchange within the conversation, for feedback on it.")]
AnswerText = Annotated[str, Field(description="The answer; `[1]` cites the citations with marker 1.")]
Abstained = Annotated[bool, Field(description="Whether the text gives no answer: `outcome` is not `answered`.")]
OutcomeField = Annotated[
    Outcome,
    Field(description="`answered`; `closest`: nothing answers outright, the closest sections are shown; `nothing`."),
]
VerdictField = Annotated[
    Verdict, Field(description="`quoted` (verbatim), `borne_out` (in other words), `doubtful` or `contradicted`.")
]
Verified = Annotated[bool, Field(description="The old name of quoted or borne out.")]
Warnings = Annotated[
    list[str], Field(description="What a reader should know of the sources, for example `instructions_in_source`.")
]
Degraded = Annotated[list[str], Field(description="Fallbacks that were used, for example `llm_unavailable`.")]


class ChatBody(Request):
    """A question, alone or in a conversation."""

    model_config = ConfigDict(json_schema_extra=shown({"question": "At what temperature does water boil?"}))

    question: PlainText = Field(description="The question, in words.")
    collection: Collection = DEFAULT_COLLECTION
    conversation_id: Id | None = Field(None, description="The conversation to continue; without it, a new one.")
    filters: FilterBody = FilterBody()
    limit: int | None = Field(None, ge=1, le=MAX_PASSAGES, description="Passages to answer from, at most.")
    stream: bool = Field(False, description="Whether to send the answer as server-sent events while it is written.")


class RetrievedOut(Out):
    """Event `retrieved`: the passages for the answer. `question` is the question that was searched for."""

    question: str
    passages: list[PassageOut]
    degraded: list[str]
    corrections: list[CorrectionOut]


class DeltaOut(Out):
    """Event `delta`: text to append to the answer. `restart`: discard the text before."""

    text: str
    restart: bool


class CitationOut(Out):
    """Event `citation`, and part of an answer: the source of one sentence, and whether it supports the sentence."""

    marker: int
    document_id: str
    version: int
    title: str
    source: str
    heading_path: list[str]
    page: int | None
    start: int
    end: int
    quote: str
    answer_start: int
    answer_end: int
    verdict: VerdictField
    verified: Verified
    score: float


class ClosestOut(Out):
    """A section that is shown where nothing answers outright; the highlight is its best sentence."""

    marker: int
    document_id: str
    version: int
    title: str
    source: str
    heading_path: list[str]
    page: int | None
    start: int
    end: int
    text: str
    highlight_start: int
    highlight_end: int


class UsageOut(Out):
    """Tokens one answer cost; `input_tokens` includes the cached ones."""

    model: str
    input_tokens: int
    output_tokens: int
    cached_tokens: int


class AnswerOut(Out):
    """An answer and its evidence; also the event `done`."""

    model_config = ConfigDict(
        json_schema_extra=shown(
            {
                "conversation_id": CONVERSATION_ID,
                "turn_id": TURN_ID,
                "text": "Water boils at 100 degrees at sea level [1].",
                "citations": [CITATION],
                "passages": [PASSAGE],
                "usage": USAGE,
                "outcome": "answered",
                "abstained": False,
                "closest": [],
                "corrections": [],
                "warnings": [],
                "degraded": [],
                "removed_markers": 0,
                "uncited_sentences": 0,
            }
        )
    )

    conversation_id: str = ""
    turn_id: TurnId = ""
    text: AnswerText
    citations: list[CitationOut]
    passages: list[PassageOut]
    usage: UsageOut
    outcome: OutcomeField
    abstained: Abstained
    closest: list[ClosestOut] = Field(description="What the text shows where the outcome is `closest`, best first.")
    corrections: list[CorrectionOut]
    warnings: Warnings
    degraded: Degraded
    removed_markers: int = Field(description="Citation markers without a source, which were removed.")
    uncited_sentences: int = Field(description="Sentences without a citation marker; they are not checked.")

    @classmethod
    def of(cls, answer: Answer, *, conversation_id: str, turn_id: str = "") -> Self:
        """The response body for an answer of a conversation."""
        return cls.model_validate(answer).model_copy(update={"conversation_id": conversation_id, "turn_id": turn_id})


class TurnOut(Out):
    """One question and its answer. `condensed` is the question that was searched for."""

    id: str
    question: str
    condensed: str
    answer: str
    citations: list[CitationOut]
    abstained: bool
    degraded: list[str]
    usage: UsageOut
    created_at: datetime


class ConversationSummary(Out):
    """A conversation without its turns."""

    id: str
    title: str
    created_at: datetime
    updated_at: datetime


class ConversationList(Out):
    """Conversations, last used first."""

    model_config = ConfigDict(json_schema_extra=shown({"conversations": [CONVERSATION]}))

    conversations: list[ConversationSummary]


class ConversationOut(ConversationSummary):
    """A conversation with all its turns, oldest first."""

    model_config = ConfigDict(
        json_schema_extra=shown(
            {
                **CONVERSATION,
                "turns": [
                    {
                        "id": TURN_ID,
                        "question": "At what temperature does water boil?",
                        "condensed": "At what temperature does water boil?",
                        "answer": "Water boils at 100 degrees at sea level [1].",
                        "citations": [CITATION],
                        "abstained": False,
                        "degraded": [],
                        "usage": USAGE,
                        "created_at": "2026-11-21T10:01:00Z",
                    }
                ],
            }
        )
    )

    turns: list[TurnOut]


_STREAM: dict[int | str, dict[str, Any]] = {
    200: {
        "description": "The answer. With `stream`, server-sent events: `retrieved`, then `delta` and `citation`, "
        "then `done` with the complete answer; `error` with a problem where that fails.",
        "content": {
            "text/event-stream": {
                "schema": {"type": "string"},
                "example": 'event: delta\ndata: {"text":"Water boils at 100 degrees.","restart":false}\n\n',
            }
        },
    }
}


@router.post(
    "/api/chat",
    response_model=AnswerOut,
    summary="Ask a question",
    responses={**_STREAM, **problems(400, 404, 413, 429, 503)},
)
async def chat(
    body: ChatBody,
    principal: Admitted,
    chat: ChatDep,
    asking: AdmittedAsking,
    stream: AdmittedStream,
    request: HttpRequest,
) -> AnswerOut | Response:
    """Answer a question from the documents of a collection, with the source of every sentence.

    The question is checked before a stream begins, so its errors are problems in both modes.
    A client that disconnects cancels the work.
    """
    exchange = await asking.begin(
        principal.scope(body.collection),
        body.question,
        conversation_id=body.conversation_id,
        filters=body.filters.to_domain(),
        limit=body.limit,
    )
    if body.stream:
        return stream(_events(chat, exchange))
    return await unless_disconnected(request.receive, _complete(chat, exchange))


async def _complete(chat: Chat, exchange: Exchange) -> AnswerOut:
    async with aclosing(chat.answer(exchange)) as events:
        async for event in events:
            if isinstance(event, Finished):
                return AnswerOut.of(event.answer, conversation_id=event.conversation_id, turn_id=event.turn_id)
    raise AssertionError("an answer ends with Finished")


async def _events(chat: Chat, exchange: Exchange) -> AsyncGenerator[StreamEvent]:
    async with aclosing(chat.answer(exchange)) as events:
        async for event in events:
            yield _to_api(event)


def _to_api(event: Event) -> StreamEvent:
    match event:
        case Retrieved():
            return StreamEvent("retrieved", RetrievedOut.model_validate(event))
        case Delta():
            return StreamEvent("delta", DeltaOut.model_validate(event))
        case Citation():
            return StreamEvent("citation", CitationOut.model_validate(event))
        case Finished():
            answer = AnswerOut.of(event.answer, conversation_id=event.conversation_id, turn_id=event.turn_id)
            return StreamEvent("done", answer)
        case unknown:
            assert_never(unknown)


@memory_router.get("/api/conversations", response_model=ConversationList, summary="List conversations")
async def list_conversations(
    scope: AdmittedScope,
    principal: Admitted,
    conversations: ConversationsDep,
    limit: Annotated[int, Query(ge=1, le=MAX_CONVERSATIONS, description="Conversations to list, at most.")] = 50,
) -> ConversationList:
    """The conversations about a collection, last used first: your own, or all that you may see."""
    latest = await conversations.latest(scope, limit=limit, visible_to=principal.conversations_of)
    return ConversationList(conversations=[ConversationSummary.model_validate(each) for each in latest])


@memory_router.get(
    "/api/conversations/{conversation_id}",
    response_model=ConversationOut,
    summary="Show a conversation",
    responses=problems(404),
)
async def show_conversation(
    conversation_id: PathId, scope: AdmittedScope, principal: Admitted, conversations: ConversationsDep
) -> Conversation:
    """One conversation with all its questions, answers and citations."""
    return await conversations.get(scope, conversation_id, visible_to=principal.conversations_of)


@memory_router.delete(
    "/api/conversations/{conversation_id}",
    status_code=status.HTTP_204_NO_CONTENT,
    summary="Remove a conversation",
    responses=problems(404),
)
async def remove_conversation(
    conversation_id: PathId, scope: AdmittedScope, principal: Admitted, conversations: ConversationsDep
) -> None:
    """Remove a conversation and all its turns."""
    await conversations.delete(scope, conversation_id, visible_to=principal.conversations_of)


ROUTERS: tuple[APIRouter, ...] = (router, memory_router)
