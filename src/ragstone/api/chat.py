"""Chat: a question becomes a cited answer, at once or as it is written; conversations."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from contextlib import aclosing
from typing import Annotated, Any, assert_never

from fastapi import APIRouter, Query, Request, Response, status

from ragstone.api.requests import ChatBody
from ragstone.api.responses import (
    AnswerOut,
    CitationOut,
    ConversationList,
    ConversationOut,
    ConversationSummary,
    DeltaOut,
    RetrievedOut,
)
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
from ragstone.principals import Permission
from ragstone.vocabulary import Citation

MAX_CONVERSATIONS = 500

router = admitted_router(tag="chat", needs=Permission.CHAT, metered=True)
memory_router = admitted_router(tag="chat", needs=Permission.READ)

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
    request: Request,
) -> AnswerOut | Response:
    """Answer a question from the documents of a collection, with the source of every sentence.

    What is wrong with the question is a problem either way; it is checked before a stream begins.
    When the client goes, the work for it ends.
    """
    exchange = await asking.begin(
        principal.scope(body.collection),
        body.question,
        conversation_id=body.conversation_id,
        filters=body.filters.inside(),
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
            yield _outside(event)


def _outside(event: Event) -> StreamEvent:
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
    """The conversations about a collection that were last used, newest first: your own, or all that you may see."""
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
