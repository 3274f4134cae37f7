"""The addresses of the interceptor: what OpenAI's and Anthropic's clients call."""

from __future__ import annotations

from functools import partial
from typing import Annotated, Any

from fastapi import APIRouter, Path, Request, Response
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException

from ragstone.errors import InvalidInput, NotFound, RagstoneError
from ragstone.http.authentication import ErrorFormat
from ragstone.http.context import context_of
from ragstone.http.routing import admitted_router
from ragstone.interceptor.handle import Serving
from ragstone.interceptor.request import MAX_BODY_BYTES
from ragstone.interceptor.wire_formats import AnthropicWire, DialectName, OpenAIWire, dialect_of, example
from ragstone.principals import Permission

_CHAT = {"model": "ragstone", "messages": [{"role": "user", "content": "Why are citations checked?"}], "stream": True}
_CHUNK = (
    'data: {"id":"chatcmpl-1","object":"chat.completion.chunk","created":1763700000,"model":"ragstone",'
    '"choices":[{"index":0,"delta":{"content":"A citation that nobody checked is decoration [1]."},'
    '"finish_reason":null}]}\n\n'
)
_EVENT = (
    'event: content_block_delta\ndata: {"type":"content_block_delta","index":0,'
    '"delta":{"type":"text_delta","text":"A citation that nobody checked is decoration [1]."}}\n\n'
)
_OURS = {"id": "ragstone", "object": "model", "created": 0, "owned_by": "ragstone"}
_VECTORS = {
    "object": "list",
    "data": [{"object": "embedding", "index": 0, "embedding": [0.02, -0.11]}],
    "model": "all-MiniLM-L6-v2",
    "usage": {"prompt_tokens": 5, "total_tokens": 5},
}
_OPENAI_ERROR = {
    "error": {"message": "No key was sent.", "type": "authentication_error", "param": None, "code": "invalid_api_key"}
}
_ANTHROPIC_ERROR = {"type": "error", "error": {"type": "authentication_error", "message": "No key was sent."}}
_STATUSES = {
    400: "The request cannot be used as it is.",
    401: "No key was sent, or one that is not known.",
    403: "The caller may not do this, or not from there.",
    404: "There is no such model, or no collection.",
    413: "The request body is too large.",
    422: "The model's server finds that the request does not fit.",
    429: "Too many requests for the plan, or for the model's server; `Retry-After` says when there is room again.",
    503: "The model's server does not answer, or no place is free; `Retry-After` says when to try again.",
}


def _described(
    answer: object, *, sent: object = None, error: object = _OPENAI_ERROR, stream: str = ""
) -> dict[str, Any]:
    """What OpenAPI says of a route: an example of its body and answer, and its errors in the client's dialect."""
    content: dict[str, Any] = {"application/json": {"example": answer}}
    if stream:
        content["text/event-stream"] = {"schema": {"type": "string"}, "example": stream}
    failures = {
        status: {"description": text, "content": {"application/json": {"example": error}}}
        for status, text in _STATUSES.items()
    }
    told: dict[str, Any] = {"responses": {200: {"description": "The answer.", "content": content}, **failures}}
    if sent is not None:
        body = {"schema": {"type": "object"}, "example": sent}
        told["openapi_extra"] = {"requestBody": {"required": True, "content": {"application/json": body}}}
    return told


def _refused(dialect: DialectName, request: Request, error: Exception) -> Response:
    """An error as the clients of a vendor read it."""
    cause = error.__cause__
    if isinstance(error, RequestValidationError):
        raised: Exception = InvalidInput("The address does not fit. See /openapi.json.")
    else:
        raised = cause if isinstance(error, HTTPException) and isinstance(cause, RagstoneError) else error
    refusal = dialect_of(dialect, dict(request.headers), context_of(request).request_id).refusal(raised)
    return Response(refusal.body, refusal.status, dict(refusal.headers))


def _router(dialect: DialectName, *, metered: bool) -> APIRouter:
    errors = (RagstoneError, RequestValidationError, HTTPException)
    return admitted_router(
        tag="interceptor",
        needs=Permission.CHAT,
        metered=metered,
        max_body_bytes=MAX_BODY_BYTES,
        error_format=ErrorFormat(errors, partial(_refused, dialect)),
    )


chats = _router("openai", metered=True)
messages = _router("anthropic", metered=True)
lists = _router("openai", metered=False)


def _serving(request: Request) -> Serving:
    serving: Serving = request.app.state.interceptor
    return serving


@chats.post(
    "/v1/chat/completions",
    summary="Chat, as OpenAI's clients do",
    **_described(example(OpenAIWire("ragstone", "1", 0)), sent=_CHAT, stream=_CHUNK),
)
async def chat_completions(request: Request) -> Response:
    """Enrich a chat from the collection, and pass it on to the model's server; else answer it here.

    Takes what OpenAI's chat completions take, streamed or not. `x-ragstone-status` says what was done.
    """
    return await _serving(request).chat(request, "openai", "/chat/completions")


@messages.post(
    "/v1/messages",
    summary="Chat, as Anthropic's clients do",
    **_described(
        example(AnthropicWire("ragstone", "1")),
        sent={**_CHAT, "max_tokens": 500},
        error=_ANTHROPIC_ERROR,
        stream=_EVENT,
    ),
)
async def anthropic_messages(request: Request) -> Response:
    """The same for Anthropic's messages, of both live versions of that API."""
    return await _serving(request).chat(request, "anthropic", "/v1/messages")


@messages.post(
    "/v1/messages/count_tokens",
    summary="Count a chat's tokens",
    **_described({"input_tokens": 12}, sent=_CHAT, error=_ANTHROPIC_ERROR),
)
async def count_tokens(request: Request) -> Response:
    """As the model's server counts them; estimated, four bytes a token, where there is none."""
    return await _serving(request).count(request)


@chats.post(
    "/v1/embeddings",
    summary="Embed texts",
    **_described(_VECTORS, sent={"model": "all-MiniLM-L6-v2", "input": "The tide is out."}),
)
async def embeddings(request: Request) -> Response:
    """Vectors of the platform's own model, or of one that the model's server has."""
    return await _serving(request).embed(request)


@lists.get("/v1/models", summary="List models", **_described({"object": "list", "data": [_OURS]}))
async def list_models(request: Request) -> Response:
    """The models that a chat may name."""
    return await _serving(request).models(request)


@lists.get("/v1/models/{model:path}", summary="Show a model", **_described(_OURS))
async def show_model(request: Request, model: Annotated[str, Path(max_length=200)]) -> Response:
    """One of the models that a chat may name."""
    return await _serving(request).model(request, model)


@lists.post("/v1/responses", include_in_schema=False)
async def responses(request: Request) -> Response:
    """The Responses API is not spoken here; says what to use instead."""
    raise NotFound(
        "The Responses API is not spoken here. Use POST /v1/chat/completions; "
        "in LibreChat, switch the web search of this endpoint off."
    )


ROUTERS: tuple[APIRouter, ...] = (chats, messages, lists)
