"""Runs the interceptor as a process of its own; `wiring.interceptor_alone` opens its parts."""

from __future__ import annotations

import sys
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass

import structlog
import uvicorn
from prometheus_client import CONTENT_TYPE_PLAIN_0_0_4
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Mount, Route

from ragstone.errors import ConfigurationError, Forbidden, NotFound, RagstoneError
from ragstone.http.authentication import Requirement, admitted
from ragstone.http.context import ServerContext, context_of, install_server
from ragstone.http.middleware import RequestMiddleware
from ragstone.http.problems import problem_response
from ragstone.http.server import (
    background_task,
    configuration,
    freeze_start_objects,
    listen,
    signals_end_the_server_only,
    where,
)
from ragstone.interceptor.app import PREFIX, RAGE_HEALTH, InterceptorServices, v1_app
from ragstone.principals import Permission
from ragstone.resilience.destinations import LOOPBACK_HOSTS
from ragstone.settings import Settings

log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class AloneParts:
    """The open parts of the process."""

    services: InterceptorServices
    server: ServerContext


def create_app(parts: AloneParts) -> Starlette:
    """The application: /v1 and the addresses for operators."""
    app = Starlette(
        routes=[
            Mount(PREFIX, v1_app()),
            RAGE_HEALTH,
            Route("/health", _health),
            Route("/ready", _ready),
            Route("/metrics", _metrics),
        ],
        middleware=[Middleware(RequestMiddleware)],
        exception_handlers={RagstoneError: _refuse, HTTPException: _refuse},
    )
    app.router.redirect_slashes = False  # the redirect would repeat the Host header, whatever it says
    install_server(app, parts.server)
    app.state.interceptor = parts.services
    return app


async def serve(
    settings: Settings,
    opened: AbstractAsyncContextManager[AloneParts],
    host: str | None = None,
    port: int | None = None,
) -> None:
    """Serve until SIGINT or SIGTERM. `opened` opens the parts; see `wiring.interceptor_alone`.

    Raises:
        ConfigurationError: a setting needs a change; or there is no key, and the address is not loopback.
        PortInUse: another process listens there.
    """
    address = host or settings.server.host
    if address not in LOOPBACK_HOSTS and not settings.server.api_keys:
        raise ConfigurationError(
            f"Without keys the interceptor does not listen on {address}. Set RAGSTONE_SERVER__API_KEYS."
        )
    listener = listen(address, settings.server.port if port is None else port)
    async with opened as parts:
        server = uvicorn.Server(configuration(create_app(parts)))
        log.info("interceptor.listening", port=listener.getsockname()[1])
        sys.stdout.write(where(listener, with_keys=bool(settings.server.api_keys)) + "\n")
        sys.stdout.flush()  # the parent process waits for this line
        freeze_start_objects()
        async with background_task(parts.server.metrics.watch_loop()):
            with signals_end_the_server_only():
                await server.serve(sockets=[listener])


async def _health(_: Request) -> Response:
    """The process answers."""
    return JSONResponse({"status": "ok"})


async def _ready(_: Request) -> Response:
    """The process answers: no chat depends on all upstreams, and each has a circuit."""
    return JSONResponse({"ready": True, "parts": {}})


async def _metrics(request: Request) -> Response:
    """All counters and histograms of this process, for operators."""
    await admitted(request, Requirement(Permission.MANAGE))
    context = context_of(request)
    if not context.authenticated.runs_the_installation:
        raise Forbidden("These numbers are of all tenants together, for operators of the installation.")
    return Response(context.server.metrics.render(), media_type=CONTENT_TYPE_PLAIN_0_0_4)


async def _refuse(request: Request, error: Exception) -> Response:
    if isinstance(error, HTTPException) and error.status_code == 404:
        error = NotFound("There is nothing at this address: this process answers chats under /v1 only.")
    return problem_response(request.scope, error)
