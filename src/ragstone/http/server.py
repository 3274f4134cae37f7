"""The socket of a server, and how uvicorn serves on it."""

from __future__ import annotations

import asyncio
import gc
import signal
import socket
from collections.abc import AsyncIterator, Coroutine, Iterator
from contextlib import asynccontextmanager, contextmanager, suppress
from errno import EADDRINUSE

import uvicorn
from starlette.types import ASGIApp

from ragstone.errors import ConfigurationError, PortInUse

GRACE_S = 10  # running answers may end; orchestrators kill after 10 to 30 s
KEEP_ALIVE_S = 65  # above the 60 s of common proxies, so that the proxy is the one to close
MAX_CONNECTIONS = 1000  # beyond it 503, so that those already served stay served


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


def freeze_start_objects() -> None:
    """Exclude the objects that exist at the start from later garbage collections (`gc.freeze`).

    They live until the end. A collection of the oldest generation would visit half a million of them and
    stop all requests for 165 ms (measured).
    """
    gc.collect()
    gc.freeze()


@contextmanager
def signals_end_the_server_only() -> Iterator[None]:
    """Ignore the signal that uvicorn raises again after it has ended, so that the platform can close."""
    before = {number: signal.signal(number, lambda *_: None) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


@asynccontextmanager
async def background_task(work: Coroutine[None, None, None]) -> AsyncIterator[None]:
    """Run `work` as a task during the block; it is cancelled at the end."""
    running = asyncio.create_task(work)
    try:
        yield
    finally:
        running.cancel()
        with suppress(asyncio.CancelledError):
            await running


def configuration(app: ASGIApp) -> uvicorn.Config:
    """Uvicorn's configuration for `app`."""
    return uvicorn.Config(
        app,
        log_config=None,  # the command line has set up logs
        access_log=False,  # RequestMiddleware writes one with the request id
        server_header=False,
        proxy_headers=False,  # nothing here trusts an address that a header claims
        ws="none",
        limit_concurrency=MAX_CONNECTIONS,
        timeout_keep_alive=KEEP_ALIVE_S,
        timeout_graceful_shutdown=GRACE_S,
    )


def where(listener: socket.socket, *, with_keys: bool) -> str:
    """The message that says where a server listens."""
    host, port = listener.getsockname()[:2]
    url = f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"
    if with_keys:
        return f"Ragstone listens on {url}; requests need an API key or a session."
    return f"Ragstone listens on {url}, for programs on this machine only: there are no accounts yet."
