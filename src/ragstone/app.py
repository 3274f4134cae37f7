"""The HTTP server: the ASGI application on open services, and the process that serves it.

`create_app` returns the ASGI application for any server; `serve` also binds the port, and
checks it before it opens services.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from functools import partial
from types import ModuleType
from typing import Any

import structlog
import uvicorn
from fastapi import FastAPI

from ragstone import __version__, worker
from ragstone.api import (
    audit,
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
from ragstone.http.authentication import Accounts, Authenticator
from ragstone.http.capabilities import install_services
from ragstone.http.context import ServerContext, install_server
from ragstone.http.error_handlers import describe_problem, install_error_handlers, problems
from ragstone.http.middleware import PreflightMiddleware, RequestMiddleware, SlashMiddleware
from ragstone.http.routing import page_routes
from ragstone.http.server import (
    GRACE_S,
    background_task,
    configuration,
    freeze_start_objects,
    listen,
    signals_end_the_server_only,
    where,
)
from ragstone.interceptor.app import PREFIX, RAGE_HEALTH, v1_app
from ragstone.interceptor.mounted import services_of
from ragstone.interceptor.openapi import describe_v1
from ragstone.librechat import routes as librechat
from ragstone.librechat.authentication import PREFIX as LIBRECHAT_PREFIX
from ragstone.services import Services
from ragstone.settings import Settings
from ragstone.wiring import check_address, open_services

log = structlog.get_logger()


def create_app(source: Services | Settings, *, works: bool = True) -> FastAPI:
    """The ASGI application. Given settings instead of services, it opens and closes its own services.

    A worker runs in the same process unless `works` is False; then another process has to run one.
    """
    app = FastAPI(
        title="Ragstone",
        version=__version__,
        summary="Documents in, cited answers out.",
        description=_DESCRIPTION,
        docs_url=None,  # FastAPI's pages load scripts from a CDN: they fail offline, and run third-party code online
        redoc_url=None,
        telemetry=_NO_TELEMETRY,
        redirect_slashes=False,  # a redirect would contain the unverified Host header
        lifespan=partial(_lifespan, source=source, works=works),
    )
    install_error_handlers(app)
    app.mount(PREFIX, v1_app())  # first: routes are tried in order, and these have the most requests
    routers = [router for module in _MODULES for router in module.ROUTERS]
    for router in routers:
        app.include_router(router)
    app.router.routes.append(RAGE_HEALTH)
    paths = page_routes(route for router in routers for route in router.routes)
    app.add_middleware(PreflightMiddleware, methods=paths)
    app.add_middleware(RequestMiddleware)
    # The last one is the outermost. LibreChat puts `/query` after any RAG_API_URL, one that ends in a slash too.
    app.add_middleware(SlashMiddleware, prefix=LIBRECHAT_PREFIX)
    _complete_openapi(app)
    return app


_MODULES: tuple[ModuleType, ...] = (
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
    audit,
    accounts,
    usage,
    operating,
    interceptor,
    sources,
    librechat,
)
"""The modules of routes; they are tried in this order."""

# FastAPI's own tracing would record unredacted paths, queries and messages; RequestMiddleware traces instead.
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
        return describe_v1(describe_problem(plain()), problems(401, 403, 413, 422, 429))

    app.openapi = complete  # type: ignore[method-assign]  # FastAPI's documented way to extend the description


@asynccontextmanager
async def _lifespan(app: FastAPI, *, source: Services | Settings, works: bool) -> AsyncIterator[None]:
    async with AsyncExitStack() as stack:
        services = source if isinstance(source, Services) else await stack.enter_async_context(open_services(source))
        operations = services.operations
        app.state.interceptor = services_of(services)
        await stack.enter_async_context(background_task(services.identity.admission.watch()))
        await stack.enter_async_context(background_task(operations.metrics.watch_loop()))
        working = await stack.enter_async_context(_working(services)) if works else None
        if not works:
            task = worker.repeat(worker.failure_log_task(services), asyncio.Event())
            await stack.enter_async_context(background_task(task))
        install_services(app, services)
        install_server(app, ServerContext(_authenticator(services), operations.metrics, operations.failures, working))
        yield


def _authenticator(services: Services) -> Authenticator:
    identity, billing = services.identity, services.billing
    accounts = Accounts(identity.admission, identity.audit, identity.api_keys, billing.limits, billing.plans)
    return Authenticator.of(services.settings.server, accounts)


@asynccontextmanager
async def _working(services: Services) -> AsyncIterator[asyncio.Task[None]]:
    """Run a worker in the background. The next start resumes what it cannot finish in time at the end."""
    stop = asyncio.Event()
    working = asyncio.create_task(worker.run(services, stop))
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
    """Serve until SIGINT or SIGTERM. `announce` is called with a message that names the address.

    A worker runs in the same process unless `works` is False.

    Raises:
        ConfigurationError: the address is not loopback, and there is neither an owner nor a key.
        PortInUse: another process listens on the port.
    """
    address = host or settings.server.host
    await check_address(settings, address)
    listener = listen(address, settings.server.port if port is None else port)
    async with open_services(settings) as services:
        server = uvicorn.Server(configuration(create_app(services, works=works)))
        closed = bool(settings.server.api_keys) or await services.identity.admission.has_accounts()
        sentence = where(listener, with_keys=closed)
        log.info("serve.listening", host=address, port=listener.getsockname()[1])
        freeze_start_objects()
        if announce:
            announce(sentence)
        with signals_end_the_server_only():
            await server.serve(sockets=[listener])
