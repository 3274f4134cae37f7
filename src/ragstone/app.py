"""The HTTP server: a platform behind a door, and the process around it.

`create_app` makes the ASGI application for any server; `serve` also owns the port, and
so can say what is wrong with it before anything is opened.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from functools import partial
from typing import Any

import structlog
import uvicorn
from fastapi import FastAPI

from ragstone import __version__, worker
from ragstone.api import (
    chat,
    documents,
    feedback,
    health,
    jobs,
    keys,
    search,
    sources,
    tenants,
    usage,
    users,
    widget,
    widgets,
)
from ragstone.api import circuits as operating
from ragstone.api import plans as accounts
from ragstone.api import sessions as logins
from ragstone.api import tenant_settings as interceptor
from ragstone.api import webhooks as callbacks
from ragstone.http.authentication import Authenticator
from ragstone.http.error_handlers import describe_problem, install_error_handlers
from ragstone.http.middleware import RequestMiddleware
from ragstone.http.server import (
    GRACE_S,
    check_address,
    configuration,
    keep_out_of_collections,
    listen,
    meanwhile,
    signals_end_the_server_only,
    where,
)
from ragstone.interceptor import health as rage
from ragstone.interceptor import routes as interceptor_routes
from ragstone.interceptor.assembling import serving_of
from ragstone.librechat import routes as librechat
from ragstone.settings import Settings
from ragstone.wiring import Platform, open_platform

log = structlog.get_logger()


def create_app(source: Platform | Settings, *, works: bool = True) -> FastAPI:
    """The application, on an open platform, or on settings: then it opens and closes its own.

    While it runs, it is a worker too, unless `works` is False: then others have to be.
    """
    settings = source.settings if isinstance(source, Platform) else source
    app = FastAPI(
        title="Ragstone",
        version=__version__,
        summary="Documents in, cited answers out.",
        description=_DESCRIPTION,
        docs_url=None,  # FastAPI's pages load scripts from a CDN: useless offline, and a stranger's code online
        redoc_url=None,
        telemetry=_NO_TELEMETRY,
        redirect_slashes=False,  # the redirect would repeat whatever the Host header says
        lifespan=partial(_lifespan, source=source, works=works),
    )
    app.state.door = Authenticator.of(settings.server)
    app.add_middleware(RequestMiddleware)
    install_error_handlers(app)
    for module in (
        interceptor_routes,  # first: routes are tried in order, and these are asked the most
        documents,
        jobs,
        search,
        chat,
        feedback,
        widgets,
        widget,
        callbacks,
        health,
        logins,
        tenants,
        users,
        keys,
        accounts,
        usage,
        operating,
        interceptor,
        sources,
        rage,
        librechat,
    ):
        for router in module.ROUTERS:
            app.include_router(router)
    _complete_openapi(app)
    return app


# With a provider of the host's, FastAPI would write paths, queries and messages as they are; RequestMiddleware traces.
_NO_TELEMETRY: Any = {
    "tracing": False,
    "metrics": False,
    "logs": False,
    "operation_spans": False,
    "auto_configure": False,
}
_DESCRIPTION = (
    "Every error is `application/problem+json`: `code` is for programs, `detail` says what to do next. "
    "Every route works in one collection, `default` unless you name another."
)


def _complete_openapi(app: FastAPI) -> None:
    plain = app.openapi

    def complete() -> dict[str, Any]:
        return describe_problem(plain())

    app.openapi = complete  # type: ignore[method-assign]  # FastAPI's documented way to extend the description


@asynccontextmanager
async def _lifespan(app: FastAPI, *, source: Platform | Settings, works: bool) -> AsyncIterator[None]:
    async with AsyncExitStack() as stack:
        platform = source if isinstance(source, Platform) else await stack.enter_async_context(open_platform(source))
        app.state.platform = platform
        app.state.interceptor = serving_of(platform)
        await stack.enter_async_context(meanwhile(platform.accounts.admission.watch()))
        await stack.enter_async_context(meanwhile(platform.metrics.watch_loop()))
        app.state.worker = await stack.enter_async_context(_working(platform)) if works else None
        if not works:
            noting = worker.repeat(worker.failures_chore(platform), asyncio.Event())
            await stack.enter_async_context(meanwhile(noting))
        yield


@asynccontextmanager
async def _working(platform: Platform) -> AsyncIterator[asyncio.Task[None]]:
    """Be a worker meanwhile. What is not finished in time at the end, the next start takes up again."""
    stop = asyncio.Event()
    working = asyncio.create_task(worker.run(platform, stop))
    try:
        yield working
    finally:
        stop.set()
        await asyncio.wait({working}, timeout=GRACE_S)
        working.cancel()
        with suppress(asyncio.CancelledError):
            await working


async def serve(
    settings: Settings,
    host: str | None = None,
    port: int | None = None,
    *,
    works: bool = True,
    announce: Callable[[str], None] | None = None,
) -> None:
    """Serve until SIGINT or SIGTERM. `announce` gets the sentence that says where it listens.

    It is a worker too, unless `works` is False.

    Raises:
        ConfigurationError: without an owner or a key it listens on loopback only.
        PortInUse: another process listens there.
    """
    address = host or settings.server.host
    await check_address(settings, address)
    listener = listen(address, settings.server.port if port is None else port)
    async with open_platform(settings) as platform:
        server = uvicorn.Server(configuration(create_app(platform, works=works)))
        closed = bool(settings.server.api_keys) or await platform.accounts.admission.has_accounts()
        sentence = where(listener, with_keys=closed)
        log.info("serve.listening", host=address, port=listener.getsockname()[1])
        keep_out_of_collections()
        if announce:
            announce(sentence)
        with signals_end_the_server_only():
            await server.serve(sockets=[listener])
