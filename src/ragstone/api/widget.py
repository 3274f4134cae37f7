"""Routes of the widget: visitors ask with a publishable key, the backend of a site sends documents with a secret key.

Responses to visitors are public. They name no file of the server, no model, and no passages
other than the quoted ones.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, Sequence
from contextlib import aclosing
from typing import Annotated, Any, Literal, Self, assert_never

from fastapi import APIRouter, Form, Query, Response, UploadFile, status
from fastapi import Request as HttpRequest
from pydantic import ConfigDict, Field

from ragstone.api.bodies import DOCUMENT_ID, Collection, Id, Out, Request, shown
from ragstone.api.chat import (
    CONVERSATION_ID,
    TURN_ID,
    Abstained,
    AnswerText,
    Degraded,
    DeltaOut,
    OutcomeField,
    TurnId,
    VerdictField,
    Verified,
    Warnings,
)
from ragstone.api.documents import MAX_FIELD_BYTES, MAX_FIELDS, metadata_field, named, uploads
from ragstone.api.jobs import JOB_ID
from ragstone.api.search import CorrectionOut
from ragstone.api.widgets import WIDGET_ID, WidgetSettings
from ragstone.chat.ask import Chat, Event, Exchange, Finished, Retrieved
from ragstone.chat.feedback import MAX_COMMENT_CHARS
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
from ragstone.identity.fields import PlainText
from ragstone.ingestion.jobs import Progress, ProgressState, progress
from ragstone.ingestion.submit import too_large
from ragstone.principals import Permission, Principal
from ragstone.tenants.widgets import Widgets
from ragstone.vocabulary import DEFAULT_COLLECTION, Citation, ClosestSection, Passage, Scope

router = admitted_router(tag="widget", needs=Permission.WIDGET)
chat_router = admitted_router(tag="widget", needs=Permission.WIDGET, metered=True)
upload_router = admitted_router(tag="widget", needs=Permission.WRITE, max_body_bytes=None)
status_router = admitted_router(tag="widget", needs=Permission.READ)


WEB_SCHEMES = ("https://", "http://")


class VisitorQuestion(Request):
    """A visitor's question."""

    model_config = ConfigDict(json_schema_extra=shown({"question": "At what temperature does water boil?"}))

    question: PlainText = Field(description="The question, in words.")
    conversation_id: Id | None = Field(None, description="The conversation to continue; without it, a new one.")
    widget: Id | None = Field(None, description="The widget; it determines the collection.")


class VisitorFeedback(Request):
    """A visitor's rating of an answer."""

    model_config = ConfigDict(
        json_schema_extra=shown({"conversation_id": CONVERSATION_ID, "turn_id": TURN_ID, "rating": 1})
    )

    conversation_id: Id
    turn_id: Id
    rating: Literal[1, -1] = Field(description="1: good, -1: bad.")
    comment: PlainText = Field("", max_length=MAX_COMMENT_CHARS, description="Why, in words.")
    widget: Id | None = Field(None, description="The widget that the question was asked in.")


class ConfigOut(Out):
    """The appearance of the chat."""

    model_config = ConfigDict(json_schema_extra=shown({"id": WIDGET_ID, "settings": WidgetSettings().model_dump()}))

    id: str | None = Field(description="The widget; null if none was named: the settings are the defaults.")
    settings: WidgetSettings


class SourceOut(Out):
    """A document that the answer may cite."""

    title: str
    page: int | None
    url: str | None = Field(description="Its address if it is a web page.")

    @classmethod
    def of(cls, passage: Passage) -> Self:
        """The public part of a passage."""
        return cls(title=passage.title, page=passage.chunk.page_first, url=web_address(passage.source))


class QuoteOut(Out):
    """The source of one sentence of an answer, and whether it supports the sentence."""

    marker: int
    title: str
    heading_path: list[str]
    page: int | None
    url: str | None = Field(description="Its address if it is a web page.")
    quote: str
    answer_start: int
    answer_end: int
    verdict: VerdictField
    verified: Verified

    @classmethod
    def of(cls, citation: Citation) -> Self:
        """The public part of a citation."""
        return cls(
            marker=citation.marker,
            title=citation.title,
            heading_path=list(citation.heading_path),
            page=citation.page,
            url=web_address(citation.source),
            quote=citation.quote,
            answer_start=citation.answer_start,
            answer_end=citation.answer_end,
            verdict=citation.verdict,
            verified=citation.verified,
        )


class VisitorClosestOut(Out):
    """A section that is shown where nothing answers outright; `highlight` is its best sentence."""

    marker: int
    title: str
    heading_path: list[str]
    page: int | None
    url: str | None = Field(description="Its address if it is a web page.")
    text: str
    highlight: str

    @classmethod
    def of(cls, section: ClosestSection) -> Self:
        """The public part of a section."""
        return cls(
            marker=section.marker,
            title=section.title,
            heading_path=list(section.heading_path),
            page=section.page,
            url=web_address(section.source),
            text=section.text,
            highlight=section.text[section.highlight_start - section.start : section.highlight_end - section.start],
        )


class VisitorRetrievedOut(Out):
    """Event `retrieved`: the sources for the answer."""

    question: str
    sources: list[SourceOut]
    degraded: list[str]
    corrections: list[CorrectionOut]

    @classmethod
    def of(cls, event: Retrieved, *, with_sources: bool) -> Self:
        """The event for a visitor; each source once."""
        sources = [SourceOut.of(passage) for passage in event.passages] if with_sources else []
        return cls(
            question=event.question,
            sources=_once(sources),
            degraded=list(event.degraded),
            corrections=[CorrectionOut.model_validate(one) for one in event.corrections],
        )


class VisitorAnswerOut(Out):
    """An answer and its evidence; also the event `done`."""

    model_config = ConfigDict(
        json_schema_extra=shown(
            {
                "conversation_id": CONVERSATION_ID,
                "turn_id": TURN_ID,
                "text": "Water boils at 100 degrees at sea level [1].",
                "citations": [
                    {
                        "marker": 1,
                        "title": "Notes",
                        "heading_path": ["Notes"],
                        "page": None,
                        "url": None,
                        "quote": "Water boils at 100 degrees at sea level.",
                        "answer_start": 0,
                        "answer_end": 44,
                        "verdict": "quoted",
                        "verified": True,
                    }
                ],
                "outcome": "answered",
                "abstained": False,
                "closest": [],
                "corrections": [],
                "warnings": [],
                "degraded": [],
            }
        )
    )

    conversation_id: str
    turn_id: TurnId
    text: AnswerText
    citations: list[QuoteOut] = Field(description="Empty if the widget shows no sources.")
    outcome: OutcomeField
    abstained: Abstained
    closest: list[VisitorClosestOut] = Field(description="What the text shows where nothing answers outright.")
    corrections: list[CorrectionOut]
    warnings: Warnings
    degraded: Degraded

    @classmethod
    def of(cls, event: Finished, *, with_sources: bool) -> Self:
        """The answer for a visitor."""
        answer = event.answer
        return cls(
            conversation_id=event.conversation_id,
            turn_id=event.turn_id,
            text=answer.text,
            citations=[QuoteOut.of(citation) for citation in answer.citations] if with_sources else [],
            outcome=answer.outcome,
            abstained=answer.abstained,
            closest=[VisitorClosestOut.of(one) for one in answer.closest] if with_sources else [],
            corrections=[CorrectionOut.model_validate(one) for one in answer.corrections],
            warnings=list(answer.warnings),
            degraded=list(answer.degraded),
        )


def web_address(source: str) -> str | None:
    """The source if it is a web page; visitors do not see the names of files."""
    return source if source.startswith(WEB_SCHEMES) else None


def _once(sources: Sequence[SourceOut]) -> list[SourceOut]:
    return list({(source.title, source.page, source.url): source for source in sources}.values())


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
    """The collection and the settings for a visitor's question: those of the widget, else of the key.

    Raises:
        NotFound: there is no such widget, or the key is not for its collection.
        InvalidInput: no widget was named, and the key is for several collections.
    """
    if widget is not None:
        found = await widgets.get(principal.tenant, widget, collections=principal.collections)
        return principal.scope(found.scope.collection), WidgetSettings.model_validate(found.settings)
    allowed = principal.collections
    if allowed is None or DEFAULT_COLLECTION in allowed:
        return principal.scope(), WidgetSettings()
    if len(allowed) != 1:
        raise InvalidInput("This key is for several collections. Name a widget, which determines the collection.")
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
    """Answer a visitor's question with quoted sources. Only the same key can continue a conversation."""
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
    summary="Ask as a visitor, streamed",
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
    """Answer a visitor's question as server-sent events. The question is checked before the stream begins."""
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
                yield _to_api(event, with_sources=settings.show_sources)


def _to_api(event: Event, *, with_sources: bool) -> StreamEvent:
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
    """Rate an answer. The id of the conversation suffices; a later rating replaces the earlier one."""
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
    """One document, and the URL to call when it is ready."""

    model_config = ConfigDict(
        json_schema_extra=shown(
            {"file": "notes.md", "collection": "default", "callback_url": "https://hooks.example.com/ragstone"}
        )
    )

    file: UploadFile = Field(description="The file with its name; the same name again replaces the document.")
    collection: Collection = DEFAULT_COLLECTION
    metadata: PlainText = Field("", description="JSON object of plain values; metadata of the document.")
    callback_url: PlainText = Field(
        "", description="Called when the document is ready or has failed; see /api/callbacks."
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
    """Accept one document and answer at once. Poll the status, or set a callback, to learn when it is ready."""
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
    """The progress of a document."""

    model_config = ConfigDict(
        json_schema_extra=shown(
            {"document_id": DOCUMENT_ID, "state": "ready", "error": None, "chunks": 1, "pages": None}
        )
    )

    document_id: str
    state: ProgressState = Field(description="`pending`, `processing`, then `ready` or `failed`.")
    error: str | None = Field(description="Why it failed, and what to do.")
    chunks: int = Field(description="Chunks of the active version.")
    pages: int | None


@status_router.get(
    "/api/widget/documents/{document_id}/status",
    response_model=ProgressOut,
    summary="Show the progress of a document",
    responses=problems(404),
)
async def show_status(document_id: PathId, scope: AdmittedScope, database: DatabaseDep) -> Progress:
    """Whether a document is ready for questions."""
    return await progress(database, scope, document_id)


ROUTERS: tuple[APIRouter, ...] = (router, chat_router, upload_router, status_router)
