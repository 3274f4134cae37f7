"""The widget's routes: visitors ask with a publishable key, a site's backend sends documents with a secret one."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from contextlib import aclosing
from typing import Annotated, Any, assert_never

from fastapi import APIRouter, Form, Query, Response, UploadFile, status
from fastapi import Request as HttpRequest
from pydantic import ConfigDict, Field

from ragstone.api.examples import DOCUMENT_ID, JOB_ID, shown
from ragstone.api.requests import Collection, PlainText, Request
from ragstone.api.responses import DeltaOut, Out
from ragstone.api.uploads import MAX_FIELD_BYTES, MAX_FIELDS, metadata_field, named, uploads
from ragstone.api.widget_answers import (
    ConfigOut,
    QuoteOut,
    VisitorAnswerOut,
    VisitorFeedback,
    VisitorQuestion,
    VisitorRetrievedOut,
)
from ragstone.api.widgets import WidgetSettings
from ragstone.chat.ask import Chat, Event, Exchange, Finished, Retrieved
from ragstone.errors import Conflict, InvalidInput
from ragstone.generation.base import Delta
from ragstone.http.capabilities import (
    ChatDep,
    DatabaseDep,
    FeedbackStoreDep,
    HttpClientDep,
    IngestionDep,
    SettingsDep,
    WidgetsDep,
)
from ragstone.http.error_handlers import problems
from ragstone.http.routing import (
    Admitted,
    AdmittedAsking,
    AdmittedScope,
    AdmittedStream,
    ChatExchange,
    PathId,
    admitted_router,
)
from ragstone.http.streaming import StreamEvent, unless_disconnected
from ragstone.ingestion.jobs import Progress, ProgressState, progress
from ragstone.ingestion.submit import too_large
from ragstone.principals import Permission, Principal
from ragstone.tenants.widgets import Widgets
from ragstone.vocabulary import DEFAULT_COLLECTION, Citation, Scope

router = admitted_router(tag="widget", needs=Permission.WIDGET)
chat_router = admitted_router(tag="widget", needs=Permission.WIDGET, metered=True)
upload_router = admitted_router(tag="widget", needs=Permission.WRITE, max_body_bytes=None)
status_router = admitted_router(tag="widget", needs=Permission.READ)


@router.get("/api/widget/config", response_model=ConfigOut, summary="How the chat looks", responses=problems(400, 404))
async def show_config(
    principal: Admitted,
    widgets: WidgetsDep,
    widget: Annotated[PathId | None, Query(description="The widget; without it, the defaults.")] = None,
) -> ConfigOut:
    """The settings of a widget that the page's key may show."""
    _, settings = await _asked(widgets, principal, widget)
    return ConfigOut(id=widget, settings=settings)


async def _asked(widgets: Widgets, principal: Principal, widget: str | None) -> tuple[Scope, WidgetSettings]:
    """Which collection a visitor asks, and how the answer is shown: the widget says so, or the key alone.

    Raises:
        NotFound: there is no such widget, or the key was not made for what it asks.
        InvalidInput: no widget was named, and the key was made for several collections.
    """
    if widget is not None:
        found = await widgets.get(principal.tenant, widget, collections=principal.collections)
        return principal.scope(found.scope.collection), WidgetSettings.model_validate(found.settings)
    allowed = principal.collections
    if allowed is None or DEFAULT_COLLECTION in allowed:
        return principal.scope(), WidgetSettings()
    if len(allowed) != 1:
        raise InvalidInput("This key was made for several collections. Name a widget, which says which one to ask.")
    return principal.scope(next(iter(allowed))), WidgetSettings()


@chat_router.post(
    "/api/widget/chat",
    response_model=VisitorAnswerOut,
    summary="Ask as a visitor",
    responses=problems(400, 404, 413, 503),
)
async def chat(
    body: VisitorQuestion,
    principal: Admitted,
    widgets: WidgetsDep,
    chat: ChatDep,
    asking: AdmittedAsking,
    request: HttpRequest,
) -> VisitorAnswerOut:
    """Answer a visitor's question, with the quotes it rests on. Only the same key can go on with a conversation."""
    exchange, settings = await _begin(widgets, principal, asking, body)
    return await unless_disconnected(request.receive, _complete(chat, exchange, settings))


_STREAM: dict[int | str, dict[str, Any]] = {
    200: {
        "description": "`retrieved`, then `delta` and `citation`, then `done` with the complete answer; "
        "`error` with a problem where that fails.",
        "content": {
            "text/event-stream": {
                "schema": {"type": "string"},
                "example": 'event: delta\ndata: {"text":"Water boils at 100 degrees.","restart":false}\n\n',
            }
        },
    }
}


@chat_router.post(
    "/api/widget/chat/stream",
    summary="Ask as a visitor, and read along",
    response_class=Response,
    responses={**_STREAM, **problems(400, 404, 413, 503)},
)
async def chat_stream(
    body: VisitorQuestion,
    principal: Admitted,
    widgets: WidgetsDep,
    chat: ChatDep,
    asking: AdmittedAsking,
    stream: AdmittedStream,
) -> Response:
    """The same as server-sent events while the answer is written; what is wrong with the question comes before."""
    exchange, settings = await _begin(widgets, principal, asking, body)
    return stream(_events(chat, exchange, settings))


async def _begin(
    widgets: Widgets, principal: Principal, asking: ChatExchange, body: VisitorQuestion
) -> tuple[Exchange, WidgetSettings]:
    scope, settings = await _asked(widgets, principal, body.widget)
    exchange = await asking.begin(scope, body.question, conversation_id=body.conversation_id)
    return exchange, settings


async def _complete(chat: Chat, exchange: Exchange, settings: WidgetSettings) -> VisitorAnswerOut:
    async with aclosing(chat.answer(exchange)) as events:
        async for event in events:
            if isinstance(event, Finished):
                return VisitorAnswerOut.of(event, with_sources=settings.show_sources)
    raise AssertionError("an answer ends with Finished")


async def _events(chat: Chat, exchange: Exchange, settings: WidgetSettings) -> AsyncGenerator[StreamEvent]:
    async with aclosing(chat.answer(exchange)) as events:
        async for event in events:
            if settings.show_sources or not isinstance(event, Citation):
                yield _outside(event, with_sources=settings.show_sources)


def _outside(event: Event, *, with_sources: bool) -> StreamEvent:
    match event:
        case Retrieved():
            return StreamEvent("retrieved", VisitorRetrievedOut.of(event, with_sources=with_sources))
        case Delta():
            return StreamEvent("delta", DeltaOut.model_validate(event))
        case Citation():
            return StreamEvent("citation", QuoteOut.of(event))
        case Finished():
            return StreamEvent("done", VisitorAnswerOut.of(event, with_sources=with_sources))
        case unknown:
            assert_never(unknown)


@router.post(
    "/api/widget/feedback",
    status_code=status.HTTP_204_NO_CONTENT,
    summary="Rate an answer as a visitor",
    responses=problems(400, 404),
)
async def rate(body: VisitorFeedback, principal: Admitted, widgets: WidgetsDep, feedback: FeedbackStoreDep) -> None:
    """Say of an answer whether it was good; whoever has the conversation's id can. The last word counts."""
    scope, _ = await _asked(widgets, principal, body.widget)
    await feedback.give(
        scope,
        body.conversation_id,
        body.turn_id,
        author=principal.id,
        rating=body.rating,
        comment=body.comment,
        visible_to=principal.id,
    )


class DocumentForm(Request):
    """One document, and who is to be told when it is ready."""

    model_config = ConfigDict(
        json_schema_extra=shown(
            {"file": "notes.md", "collection": "default", "callback_url": "https://hooks.example.com/ragstone"}
        )
    )

    file: UploadFile = Field(description="The file with its name; the same name again replaces the document.")
    collection: Collection = DEFAULT_COLLECTION
    metadata: PlainText = Field("", description="JSON object of plain values to find it by.")
    callback_url: PlainText = Field(
        "", description="Told when the document is ready or has failed; see /api/callbacks."
    )


class AcceptedOut(Out):
    """The document is on its way."""

    model_config = ConfigDict(
        json_schema_extra=shown(
            {
                "document_id": DOCUMENT_ID,
                "job_id": JOB_ID,
                "status_url": f"/api/widget/documents/{DOCUMENT_ID}/status?collection=default",
            }
        )
    )

    document_id: str
    job_id: str
    status_url: str = Field(description="Where to look how far it is, on this server.")


@upload_router.post(
    "/api/widget/process-document",
    status_code=status.HTTP_202_ACCEPTED,
    response_model=AcceptedOut,
    summary="Send a document from a site's backend",
    responses=problems(400, 402, 409, 413),
    form_limits={"max_files": 1, "max_fields": MAX_FIELDS, "max_part_size": MAX_FIELD_BYTES},
)
async def process_document(
    form: Annotated[DocumentForm, Form(media_type="multipart/form-data")],
    principal: Admitted,
    http: HttpClientDep,
    settings: SettingsDep,
    ingestion: IngestionDep,
) -> AcceptedOut:
    """Take in one document and answer at once; look at the status, or be called back, to know when it is ready."""
    scope = principal.scope(form.collection)
    callback_url = await http.check(form.callback_url) if form.callback_url else None
    limit = settings.ingestion.max_file_bytes
    if (form.file.size or 0) > limit:
        raise too_large(limit)
    sent = uploads(named([form.file]), metadata_field(form.metadata), max_file_bytes=limit)
    job = await ingestion.submit(scope, sent, principal=principal.id, callback_url=callback_url)
    (file,) = job.files
    if file.document_id is None:
        raise Conflict(file.error or "The file was not taken in. Send it again.")
    return AcceptedOut(
        document_id=file.document_id,
        job_id=job.id,
        status_url=f"/api/widget/documents/{file.document_id}/status?collection={scope.collection}",
    )


class ProgressOut(Out):
    """How far a document is."""

    model_config = ConfigDict(
        json_schema_extra=shown(
            {"document_id": DOCUMENT_ID, "state": "ready", "error": None, "chunks": 1, "pages": None}
        )
    )

    document_id: str
    state: ProgressState = Field(description="`pending`, `processing`, then `ready` or `failed`.")
    error: str | None = Field(description="What is wrong with it, and what to do.")
    chunks: int = Field(description="Of the version that answers questions now.")
    pages: int | None


@status_router.get(
    "/api/widget/documents/{document_id}/status",
    response_model=ProgressOut,
    summary="How far a document is",
    responses=problems(404),
)
async def show_status(document_id: PathId, scope: AdmittedScope, database: DatabaseDep) -> Progress:
    """Whether a document that was sent can be asked about by now."""
    return await progress(database, scope, document_id)


ROUTERS: tuple[APIRouter, ...] = (router, chat_router, upload_router, status_router)
