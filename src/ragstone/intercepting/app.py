"""The routes of an interceptor by itself: on Starlette alone, behind the same door as everywhere."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from functools import partial

from prometheus_client import CONTENT_TYPE_PLAIN_0_0_4
from sqlalchemy import text
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from ragstone.errors import Forbidden, NotFound, RagstoneError
from ragstone.http.authentication import Accounts, Authenticator, Requirement, admitted
from ragstone.http.context import ServerContext, context_of, install_server
from ragstone.http.middleware import RequestMiddleware
from ragstone.http.problems import problem_response
from ragstone.intercepting.station import Station
from ragstone.interceptor.assembling import Parts, assembled
from ragstone.interceptor.handle import Serving
from ragstone.interceptor.health import health_of
from ragstone.interceptor.request import MAX_BODY_BYTES
from ragstone.interceptor.wire_formats import DialectName, dialect_of
from ragstone.principals import Permission
from ragstone.storage.database import EVERY_TENANT

Answer = Callable[[Serving, Request], Awaitable[Response]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Chats:
    """An address of /v1. `metered`: each request counts against the plan of the caller's tenant."""

    path: str
    answer: Answer
    method: str = "POST"
    dialect: DialectName = "openai"
    metered: bool = True

    async def __call__(self, request: Request) -> Response:
        """The response; what is refused is told in the client's dialect."""
        try:
            required = Requirement(Permission.CHAT, metered=self.metered, max_body_bytes=MAX_BODY_BYTES)
            return await self.answer(request.app.state.interceptor, await admitted(request, required))
        except (RagstoneError, HTTPException) as error:
            words = dialect_of(self.dialect, dict(request.headers), context_of(request).request_id)
            refusal = words.refusal(error)
            return Response(refusal.body, refusal.status, dict(refusal.headers))


async def _show_model(serving: Serving, request: Request) -> Response:
    return await serving.model(request, request.path_params["model"][:MAX_NAME_CHARS])


async def _responses(_: Serving, request: Request) -> Response:
    raise NotFound(
        "The Responses API is not spoken here. Use POST /v1/chat/completions; "
        "in LibreChat, switch the web search of this endpoint off."
    )


MAX_NAME_CHARS = 200
ADDRESSES: Sequence[Chats] = (
    Chats(
        path="/v1/chat/completions",
        answer=lambda serving, request: serving.chat(request, "openai", "/chat/completions"),
    ),
    Chats(
        path="/v1/messages",
        answer=lambda serving, request: serving.chat(request, "anthropic", "/v1/messages"),
        dialect="anthropic",
    ),
    Chats(
        path="/v1/messages/count_tokens",
        answer=lambda serving, request: serving.count(request),
        dialect="anthropic",
    ),
    Chats(path="/v1/embeddings", answer=lambda serving, request: serving.embed(request)),
    Chats(path="/v1/models", answer=lambda serving, request: serving.models(request), method="GET", metered=False),
    Chats(path="/v1/models/{model:path}", answer=_show_model, method="GET", metered=False),
    Chats(path="/v1/responses", answer=_responses, metered=False),
)


def create_app(station: Station) -> Starlette:
    """The application, on an open station."""
    routes = [Route(one.path, partial(_answered, one), methods=[one.method]) for one in ADDRESSES]
    app = Starlette(
        routes=[
            *routes,
            Route("/health", _health),
            Route("/ready", _ready),
            Route("/metrics", _metrics),
            Route("/rage/health", _rage_health),
        ],
        middleware=[Middleware(RequestMiddleware)],
        exception_handlers={RagstoneError: _refused, HTTPException: _refused},
    )
    app.router.redirect_slashes = False  # the redirect would repeat whatever the Host header says
    identity, billing, operations = station.base.identity, station.base.billing, station.base.operations
    accounts = Accounts(identity.admission, identity.audit, identity.api_keys, billing.limits, billing.plans)
    authenticator = Authenticator.of(station.settings.server, accounts)
    install_server(app, ServerContext(authenticator, operations.metrics, operations.failures))
    app.state.station = station
    app.state.interceptor = assembled(_parts(station), own=None, embeddings=None)
    return app


def _parts(station: Station) -> Parts:
    base = station.base
    return Parts(
        settings=station.settings,
        admission=base.identity.admission,
        billing=base.billing,
        tenancy=base.tenancy,
        operations=base.operations,
        cache=base.storage.cache,
        retriever=station.retriever,
    )


async def _answered(address: Chats, request: Request) -> Response:
    return await address(request)


async def _health(_: Request) -> Response:
    """The process answers."""
    return JSONResponse({"status": "ok"})


async def _rage_health(request: Request) -> Response:
    station: Station = request.app.state.station
    return JSONResponse(await health_of(request, station.base.operations.policies))


async def _ready(request: Request) -> Response:
    """The database answers; servers and pipelines have circuits instead, as no chat depends on all of them."""
    station: Station = request.app.state.station
    try:
        async with station.base.storage.database.read(EVERY_TENANT) as connection:
            await connection.execute(text("SELECT 1"))
    except RagstoneError as error:
        parts = {"database": {"ok": False, "detail": f"fails with {error.code}; see the log of the server"}}
        return JSONResponse({"ready": False, "parts": parts}, 503)
    return JSONResponse({"ready": True, "parts": {"database": {"ok": True, "detail": "answers"}}})


async def _metrics(request: Request) -> Response:
    """All counters and histograms of this process, for those who run the installation."""
    await admitted(request, Requirement(Permission.MANAGE))
    if not context_of(request).authenticated.runs_the_installation:
        raise Forbidden("These numbers are of all tenants together, for those who run the installation.")
    station: Station = request.app.state.station
    return Response(station.base.operations.metrics.render(), media_type=CONTENT_TYPE_PLAIN_0_0_4)


async def _refused(request: Request, error: Exception) -> Response:
    if isinstance(error, HTTPException) and error.status_code == 404:
        error = NotFound("There is nothing at this address: this process answers chats under /v1 only.")
    return problem_response(request.scope, error)
