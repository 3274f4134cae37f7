"""The HTTP server: a platform behind a door, and the process around it.

`create_app` makes the ASGI application for any server; `serve` also owns the port, and
so can say what is wrong with it before anything is opened.
"""

from __future__ import annotations

import asyncio
import signal
import socket
from collections.abc import AsyncIterator, Callable, Coroutine, Iterator
from contextlib import AsyncExitStack, asynccontextmanager, contextmanager, suppress
from errno import EADDRINUSE
from functools import partial
from typing import Any

import structlog
import uvicorn
from fastapi import FastAPI

from ragstone import __version__, worker
from ragstone.api import (
    accounts,
    callbacks,
    chat,
    documents,
    feedback,
    health,
    interceptor,
    jobs,
    keys,
    logins,
    operating,
    search,
    sources,
    tenants,
    usage,
    users,
    widget,
    widgets,
)
from ragstone.errors import ConfigurationError, PortInUse
from ragstone.http.door import Door
from ragstone.http.errors import describe_problem, install_error_handlers
from ragstone.http.middleware import RequestFrame
from ragstone.integrations.interceptor import routes as interceptor_routes
from ragstone.integrations.interceptor.opening import serving_of
from ragstone.integrations.librechat import routes as librechat
from ragstone.settings import LOOPBACK_HOSTS, Settings
from ragstone.wiring import Platform, open_platform, open_records

GRACE_S = 10  # running answers may end; orchestrators kill after 10 to 30 s
KEEP_ALIVE_S = 65  # above the 60 s of common proxies, so that the proxy is the one to close
MAX_CONNECTIONS = 1000  # beyond it 503, so that those already served stay served

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
    app.state.door = Door.of(settings.server)
    app.add_middleware(RequestFrame)
    install_error_handlers(app)
    for module in (
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
        interceptor_routes,
        librechat,
    ):
        for router in module.ROUTERS:
            app.include_router(router)
    _complete_openapi(app)
    return app


# With a provider of the host's, FastAPI would write paths, queries and messages as they are; RequestFrame traces.
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
        await stack.enter_async_context(_running(platform.accounts.admission.watch()))
        await stack.enter_async_context(_running(platform.metrics.watch_loop()))
        app.state.worker = await stack.enter_async_context(_working(platform)) if works else None
        if not works:
            noting = worker.repeat(worker.failures_chore(platform), asyncio.Event())
            await stack.enter_async_context(_running(noting))
        yield


@asynccontextmanager
async def _running(work: Coroutine[None, None, None]) -> AsyncIterator[None]:
    """Do `work` meanwhile; it is cancelled at the end."""
    running = asyncio.create_task(work)
    try:
        yield
    finally:
        running.cancel()
        with suppress(asyncio.CancelledError):
            await running


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
        server = uvicorn.Server(_configuration(create_app(platform, works=works)))
        closed = bool(settings.server.api_keys) or await platform.accounts.admission.has_accounts()
        sentence = _where(listener, with_keys=closed)
        log.info("serve.listening", host=address, port=listener.getsockname()[1])
        if announce:
            announce(sentence)
        with _signals_end_the_server_only():
            await server.serve(sockets=[listener])


@contextmanager
def _signals_end_the_server_only() -> Iterator[None]:
    """Let the platform close after the server: uvicorn raises the signal that ended it once more."""
    before = {number: signal.signal(number, lambda *_: None) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


async def check_address(settings: Settings, host: str) -> None:
    """Refuse to answer the network before somebody owns the installation.

    Raises:
        ConfigurationError: `host` is not loopback, and there is neither an owner nor a key in the settings.
    """
    if host in LOOPBACK_HOSTS or settings.server.api_keys:
        return
    async with open_records(settings) as records:
        if not await records.accounts.users.has_owner():
            raise ConfigurationError(
                f"Nobody owns this installation yet, so the server does not listen on {host}. Make an owner first: "
                "`ragstone accounts users create --role owner you@example.org`."
            )


def listen(host: str, port: int) -> socket.socket:
    """A socket bound to the address, before anything else is opened.

    Raises:
        PortInUse: another process has it.
        ConfigurationError: the address is not one of this machine's.
    """
    listener: socket.socket | None = None
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
        listener = socket.socket(family, kind, protocol)
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind(address)
        listener.listen()
    except OSError as error:
        if listener:
            listener.close()
        if error.errno == EADDRINUSE:
            raise PortInUse(
                f"Port {port} on {host} is taken, perhaps by another Ragstone. "
                "Stop that one, or choose another with RAGSTONE_SERVER__PORT."
            ) from error
        raise ConfigurationError(
            f"The server cannot listen on {host}, port {port}: {error.strerror}. "
            "Check RAGSTONE_SERVER__HOST and RAGSTONE_SERVER__PORT."
        ) from error
    return listener


def _configuration(app: FastAPI) -> uvicorn.Config:
    return uvicorn.Config(
        app,
        log_config=None,  # the command line has set up logs
        access_log=False,  # RequestFrame writes one with the request id
        server_header=False,
        proxy_headers=False,  # nothing here trusts an address that a header claims
        ws="none",
        limit_concurrency=MAX_CONNECTIONS,
        timeout_keep_alive=KEEP_ALIVE_S,
        timeout_graceful_shutdown=GRACE_S,
    )


def _where(listener: socket.socket, *, with_keys: bool) -> str:
    host, port = listener.getsockname()[:2]
    url = f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"
    if with_keys:
        return f"Ragstone listens on {url}; requests need an API key or a session."
    return f"Ragstone listens on {url}, for programs on this machine only: there are no accounts yet."
