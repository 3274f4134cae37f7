"""The port of a server: who may listen where, and how uvicorn serves there."""

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


def keep_out_of_collections() -> None:
    """Leave what a server was started with out of later garbage collections: it stays until the end.

    A collection of the oldest generation looks at half a million objects of libraries otherwise, and
    everybody waits for it (165 ms, measured).
    """
    gc.collect()
    gc.freeze()


@contextmanager
def signals_end_the_server_only() -> Iterator[None]:
    """Let the platform close after the server: uvicorn raises the signal that ended it once more."""
    before = {number: signal.signal(number, lambda *_: None) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


@asynccontextmanager
async def meanwhile(work: Coroutine[None, None, None]) -> AsyncIterator[None]:
    """Do `work` meanwhile; it is cancelled at the end."""
    running = asyncio.create_task(work)
    try:
        yield
    finally:
        running.cancel()
        with suppress(asyncio.CancelledError):
            await running


def configuration(app: ASGIApp) -> uvicorn.Config:
    """How `app` is served."""
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


def where(listener: socket.socket, *, with_keys: bool) -> str:
    """The sentence that says where a server listens."""
    host, port = listener.getsockname()[:2]
    url = f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"
    if with_keys:
        return f"Ragstone listens on {url}; requests need an API key or a session."
    return f"Ragstone listens on {url}, for programs on this machine only: there are no accounts yet."
