"""The addresses of the interceptor: what OpenAI's and Anthropic's clients call."""

from __future__ import annotations

from collections.abc import Callable, Coroutine
from typing import Annotated, Any

from fastapi import APIRouter, Path, Request, Response
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException

from ragstone.errors import InvalidInput, NotFound, RagstoneError
from ragstone.http.auth import AdmittedRoute, admitted_router
from ragstone.integrations.interceptor.bodies import MAX_BODY_BYTES
from ragstone.integrations.interceptor.dialects import DialectName, dialect_of
from ragstone.integrations.interceptor.serving import Serving
from ragstone.principals import Permission

_BODY: dict[str, Any] = {
    "requestBody": {"required": True, "content": {"application/json": {"schema": {"type": "object"}}}}
}


class OpenAIRoute(AdmittedRoute):
    """A route behind the door whose refusals are in the client's dialect."""

    max_body_bytes = MAX_BODY_BYTES
    dialect: DialectName = "openai"

    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        """The door's handler, with refusals as the client reads them."""
        handle = super().get_route_handler()

        async def answered(request: Request) -> Response:
            try:
                return await handle(request)
            except RequestValidationError as error:
                raised: Exception = InvalidInput("The address does not fit. See /openapi.json.")
                raised.__cause__ = error
            except (RagstoneError, HTTPException) as error:
                cause = error.__cause__
                raised = cause if isinstance(error, HTTPException) and isinstance(cause, RagstoneError) else error
            words = dialect_of(self.dialect, dict(request.headers), request.state.request_id)
            refusal = words.refusal(raised)
            return Response(refusal.body, refusal.status, dict(refusal.headers))

        return answered


class AnthropicRoute(OpenAIRoute):
    """The same for Anthropic's clients."""

    dialect = "anthropic"


chats = admitted_router(tag="interceptor", needs=Permission.CHAT, metered=True, route_class=OpenAIRoute)
messages = admitted_router(tag="interceptor", needs=Permission.CHAT, metered=True, route_class=AnthropicRoute)
lists = admitted_router(tag="interceptor", needs=Permission.CHAT, route_class=OpenAIRoute)


def _serving(request: Request) -> Serving:
    serving: Serving = request.app.state.interceptor
    return serving


@chats.post("/v1/chat/completions", summary="Chat, as OpenAI's clients do", openapi_extra=_BODY)
async def chat_completions(request: Request) -> Response:
    """Enrich a chat from the collection, and pass it on to the model's server; else answer it here.

    Takes what OpenAI's chat completions take, streamed or not. `x-ragstone-status` says what was done.
    """
    return await _serving(request).chat(request, "openai", "/chat/completions")


@messages.post("/v1/messages", summary="Chat, as Anthropic's clients do", openapi_extra=_BODY)
async def anthropic_messages(request: Request) -> Response:
    """The same for Anthropic's messages, of both live versions of that API."""
    return await _serving(request).chat(request, "anthropic", "/v1/messages")


@messages.post("/v1/messages/count_tokens", summary="Count a chat's tokens", openapi_extra=_BODY)
async def count_tokens(request: Request) -> Response:
    """Passed on to the model's server as it is."""
    return await _serving(request).pass_on(request, "anthropic", "/v1/messages/count_tokens")


@chats.post("/v1/embeddings", summary="Embed texts", openapi_extra=_BODY)
async def embeddings(request: Request) -> Response:
    """Vectors of the platform's own model, or of one that the model's server has."""
    return await _serving(request).embed(request)


@lists.get("/v1/models", summary="List models")
async def list_models(request: Request) -> Response:
    """The models that a chat may name."""
    return await _serving(request).models(request)


@lists.get("/v1/models/{model:path}", summary="Show a model")
async def show_model(request: Request, model: Annotated[str, Path(max_length=200)]) -> Response:
    """One of them."""
    return await _serving(request).model(request, model)


@lists.post("/v1/responses", summary="Not offered", openapi_extra=_BODY)
async def responses(request: Request) -> Response:
    """The Responses API is not spoken here; says what to use instead."""
    raise NotFound(
        "The Responses API is not spoken here. Use POST /v1/chat/completions; "
        "in LibreChat, switch the web search of this endpoint off."
    )


ROUTERS: tuple[APIRouter, ...] = (chats, messages, lists)
