"""The application of /v1, for clients of OpenAI's and Anthropic's APIs.

`ragstone serve` mounts it, and `ragstone interceptor serve` runs it alone. Every error is
told in the wire format of the client.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from functools import partial
from typing import Protocol

from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import BaseRoute, Route, Router
from starlette.types import Receive, Scope, Send

from ragstone import __version__
from ragstone.errors import Forbidden, InvalidInput, NotFound, RagstoneError, Unauthenticated
from ragstone.http.authentication import ErrorRenderer, Requirement, anonymous, guarded
from ragstone.http.context import context_of
from ragstone.http.streaming import Handler, Refusal, StreamErrors, StreamingHandler, StreamOptions, Writer
from ragstone.interceptor.enrich import request_tokens
from ragstone.interceptor.handle import NO_SERVER, WIRE_FORMATS, ChatServices, handle
from ragstone.interceptor.models import ModelCatalog, Models
from ragstone.interceptor.request import MAX_BODY_BYTES, ChatRequest, WireFormatName, joined_headers, parsed
from ragstone.interceptor.upstream import UpstreamTarget, incoming, outgoing
from ragstone.interceptor.wire_format import json_response
from ragstone.principals import Permission, Principal
from ragstone.resilience.upstream_policy import UpstreamPolicies

PREFIX = "/v1"
MAX_NAME_CHARS = 200  # of a model
MAX_FORWARDED_BYTES = 32 << 20  # of an answer that is no chat, such as vectors


class EmbeddingModel(Protocol):
    """The platform's own embedding model."""

    @property
    def name(self) -> str:
        """The name that clients use."""
        ...

    async def answer(self, request: ChatRequest) -> Refusal:
        """The response to a request for embeddings. Raises: InvalidInput, NotFound, Unavailable."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class InterceptorServices:
    """What the application of /v1 needs.

    Attributes:
        chats: What handling a chat needs.
        models: Lists the models.
        embeddings: Our own embedding model, if this process has one.
        still_admitted: Whether a caller would still be authenticated, asked while its answer streams.
        policies: Those of all upstreams, for their circuits.
    """

    chats: ChatServices
    models: ModelCatalog
    embeddings: EmbeddingModel | None
    still_admitted: Callable[[Principal], Awaitable[bool]]
    policies: UpstreamPolicies


Answer = Callable[[Request, InterceptorServices], Awaitable[Response]]


@dataclass(frozen=True, slots=True)
class Endpoint:
    """An address of /v1 as an ASGI application. `path` is the whole path, as metrics and logs name it."""

    path: str
    answer: Answer
    requirement: Requirement

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Respond, if the request meets the requirement."""
        scope["route"] = self
        response = await guarded(Request(scope, receive), self.requirement, self._respond)
        await response(scope, receive, send)

    async def _respond(self, request: Request) -> Response:
        return await self.answer(request, request.app.state.interceptor)


class V1Route(Route):
    """A route of /v1. Errors are told in the wire format of its clients."""

    def __init__(
        self,
        path: str,
        answer: Answer,
        *,
        method: str = "POST",
        wire_format: WireFormatName = "openai",
        metered: bool = True,
    ) -> None:
        self.requirement = Requirement(
            Permission.CHAT,
            metered=metered,
            max_body_bytes=MAX_BODY_BYTES,
            error_format=ErrorRenderer((RagstoneError, HTTPException), partial(_refuse, wire_format)),
        )
        super().__init__(path, Endpoint(PREFIX + path, answer, self.requirement), methods=[method])
        self.methods = {method}  # Starlette adds HEAD to GET


def _refuse(wire_format: WireFormatName, request: Request, error: Exception) -> Response:
    refusal = _errors(wire_format, request).refusal(error)
    return Response(refusal.body, refusal.status, dict(refusal.headers))


def _errors(wire_format: WireFormatName, request: Request) -> StreamErrors:
    user_agent, request_id = request.headers.get("user-agent", ""), context_of(request).request_id
    return WIRE_FORMATS[wire_format].errors(user_agent=user_agent, request_id=request_id)


async def chat(request: Request, services: InterceptorServices, *, wire_format: WireFormatName, path: str) -> Response:
    """A chat; `path` follows the base URL of its upstream."""
    body = await request.body()

    async def respond(writer: Writer) -> None:
        await handle(await _chat_request(request, wire_format, path, body), services.chats, writer)

    return _streaming(request, services, wire_format, respond)


async def count_tokens(request: Request, services: InterceptorServices) -> Response:
    """The tokens of an Anthropic chat, as its upstream counts them; estimated where there is none."""
    body = await request.body()

    async def respond(writer: Writer) -> None:
        asked = await _chat_request(request, "anthropic", "/v1/messages/count_tokens", body)
        target = await _target(asked, services)
        if target is None:
            await writer.respond(json_response({"input_tokens": request_tokens(asked.parsed)}))
        else:
            await _forward(asked, target, services, writer)

    return _streaming(request, services, "anthropic", respond)


async def embeddings(request: Request, services: InterceptorServices) -> Response:
    """Embeddings of our own model, or of the upstream's."""
    body = await request.body()

    async def respond(writer: Writer) -> None:
        asked = await _chat_request(request, "openai", "/embeddings", body)
        target, own = await _target(asked, services), services.embeddings
        if own is not None and (target is None or asked.parsed.get("model") == own.name):
            await writer.respond(await own.answer(asked))
        elif target is None:
            raise NotFound(NO_SERVER)
        else:
            await _forward(asked, target, services, writer)

    return _streaming(request, services, "openai", respond)


async def list_models(request: Request, services: InterceptorServices) -> Response:
    """The models that the caller may name."""

    async def respond(writer: Writer) -> None:
        await writer.respond(json_response({"object": "list", "data": await _models(request, services)}))

    return _streaming(request, services, "openai", respond)


async def show_model(request: Request, services: InterceptorServices) -> Response:
    """One of the models."""
    name: str = request.path_params["model"]
    if len(name) > MAX_NAME_CHARS:
        raise InvalidInput("The address does not fit. See /openapi.json.")

    async def respond(writer: Writer) -> None:
        for listed in await _models(request, services):
            if listed.get("id") == name:
                await writer.respond(json_response(listed))
                return
        raise NotFound(f"There is no model {name[:80]!r} here. GET /v1/models lists what there is.")

    return _streaming(request, services, "openai", respond)


async def responses(request: Request, services: InterceptorServices) -> Response:
    """A refusal of the Responses API, which says what to use instead."""
    raise NotFound(
        "The Responses API is not spoken here. Use POST /v1/chat/completions; "
        "in LibreChat, switch the web search of this endpoint off."
    )


ROUTES: tuple[V1Route, ...] = (
    V1Route("/chat/completions", partial(chat, wire_format="openai", path="/chat/completions")),
    V1Route("/messages", partial(chat, wire_format="anthropic", path="/v1/messages"), wire_format="anthropic"),
    V1Route("/messages/count_tokens", count_tokens, wire_format="anthropic"),
    V1Route("/embeddings", embeddings),
    V1Route("/models", list_models, method="GET", metered=False),
    V1Route("/models/{model:path}", show_model, method="GET", metered=False),
    V1Route("/responses", responses, metered=False),
)


def v1_app() -> Router:
    """The application of /v1, to be mounted at `PREFIX`; it finds its services at `app.state.interceptor`."""
    return Router(routes=list[BaseRoute](ROUTES), redirect_slashes=False)


async def rage_health(request: Request) -> Response:
    """GET /rage/health, which clients of the predecessor call: the version, and for operators the circuits too."""
    await anonymous(request, None)
    services: InterceptorServices = request.app.state.interceptor
    told: dict[str, object] = {"status": "ok", "version": __version__}
    if await _is_operator(request):
        told["circuits"] = {circuit.name: circuit.state.name.lower() for circuit in services.policies.states()}
    return JSONResponse(told)


async def _is_operator(request: Request) -> bool:
    try:
        principal = await context_of(request).server.authenticator.authenticate(request, Permission.MANAGE)
    except (Unauthenticated, Forbidden):
        return False
    return principal.runs_the_installation


RAGE_HEALTH = Route("/rage/health", rage_health, methods=["GET"])
RAGE_HEALTH.methods = {"GET"}  # Starlette adds HEAD


async def _chat_request(request: Request, wire_format: WireFormatName, path: str, body: bytes) -> ChatRequest:
    context = context_of(request)
    return ChatRequest(
        wire_format=wire_format,
        path=path,
        body=body,
        parsed=await parsed(body),
        headers=joined_headers(request.headers.items()),
        principal=context.authenticated,
        request_id=context.request_id,
        overage=context.is_overage,
    )


async def _models(request: Request, services: InterceptorServices) -> Models:
    context = context_of(request)
    return await services.models.of(context.authenticated.tenant, request_id=context.request_id)


async def _target(request: ChatRequest, services: InterceptorServices) -> UpstreamTarget | None:
    settings = await services.chats.tenant_settings.get(request.tenant)
    return services.chats.upstreams.target(request.tenant, settings, request.wire_format)


async def _forward(request: ChatRequest, target: UpstreamTarget, services: InterceptorServices, writer: Writer) -> None:
    """Forward a request that is no chat, and pass its answer on as it is."""
    headers = outgoing(request.headers, key=target.key, wire_format=request.wire_format, request_id=request.request_id)
    async with services.chats.upstreams.call(
        target, "POST", request.path, headers=headers, body=request.body
    ) as answer:
        if isinstance(answer, Refusal):
            await writer.respond(answer)
            return
        kept = [header for header in incoming(answer.headers) if header[0].lower() != "content-length"]
        body = await answer.read(MAX_FORWARDED_BYTES)
        await writer.respond(Refusal(answer.status, [*kept, ("x-ragstone-status", "passed")], body))


def _streaming(
    request: Request, services: InterceptorServices, wire_format: WireFormatName, respond: Handler
) -> StreamingHandler:
    still = partial(services.still_admitted, context_of(request).authenticated)
    return StreamingHandler(respond, _errors(wire_format, request), options=StreamOptions(still=still))
