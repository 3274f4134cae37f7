"""The outbound guard: the only way to a URL that somebody else gave us.

A check of the URL alone is worth nothing: a name may lead anywhere, and elsewhere a
moment later. So each name is resolved once, all its addresses are checked, and the
connection is made to one that was checked, below TLS, which still verifies the name.
Redirects are not followed. No proxy is used, whatever the environment says; of it, only the
trusted certificates are taken (SSL_CERT_FILE).
"""

from __future__ import annotations

import asyncio
import re
import socket
import ssl
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from typing import Any

import httpcore2
import httpx2

from ragstone.errors import InvalidInput, Unavailable
from ragstone.resilience.addresses import is_public

MAX_URL_CHARS = 2048
PORTS = frozenset({80, 443})
LOOKUP_THREADS = 8
DEFAULT_PORTS = {"http": 80, "https": 443}

_HOST = re.compile(r"(?:[a-z0-9_](?:[a-z0-9_-]{0,62})\.)*[a-z0-9_][a-z0-9_-]{0,62}\.?|[0-9a-f.]*:[0-9a-f:.]*", re.ASCII)
_UNPRINTABLE = re.compile(r"[\x00-\x20\x7f\\]")

Resolver = Callable[[str, int], Awaitable[Sequence[str]]]
"""All addresses of a host, as text. Raises OSError where it has none."""


@dataclass(frozen=True, slots=True, kw_only=True)
class OutboundOptions:
    """How long one call may take, from the look-up to the last byte, and how much of an answer is read."""

    total_s: float = 10.0
    lookup_s: float = 5.0
    max_answer_bytes: int = 64 << 10
    max_connections: int = 20


@dataclass(frozen=True, slots=True)
class Reply:
    """What came back; `body` is cut at the limit."""

    status: int
    body: bytes


def checked_url(url: str, *, allowed: frozenset[str] = frozenset()) -> str:
    """The URL in its canonical form, which is the one that is called.

    Says nothing of where it leads: that is looked up when it is called.

    Args:
        url: An absolute http or https URL.
        allowed: Hosts with port (`intranet.example:8080`) that may be called whatever their port and address.

    Raises:
        InvalidInput: it is none, carries a user name, or has a port that is not allowed.
    """
    return str(_checked(url, allowed))


def _checked(url: str | httpx2.URL, allowed: frozenset[str]) -> httpx2.URL:
    parsed = _parsed(str(url))
    if parsed.scheme not in DEFAULT_PORTS:
        raise InvalidInput("The URL has to begin with https:// or http://.")
    if parsed.userinfo:
        raise InvalidInput("The URL carries a user name or password. Leave them out.")
    if not _HOST.fullmatch(parsed.raw_host.decode("ascii")):
        raise InvalidInput("The URL has no usable host. Write it as https://hooks.example.com/path.")
    if _port(parsed) not in PORTS and _place(parsed) not in allowed:
        raise InvalidInput("The URL has a port that is not called from here. Use 443 or 80.")
    return parsed.copy_with(fragment=None)


def _parsed(url: str) -> httpx2.URL:
    if len(url) > MAX_URL_CHARS or _UNPRINTABLE.search(url):
        raise InvalidInput(
            f"The URL is longer than {MAX_URL_CHARS} characters, or holds blanks, backslashes or control characters."
        )
    try:
        return httpx2.URL(url)
    except (httpx2.InvalidURL, UnicodeError) as error:
        raise InvalidInput("The URL cannot be read. Write it as https://hooks.example.com/path.") from error


def _port(url: httpx2.URL) -> int:
    return DEFAULT_PORTS[url.scheme] if url.port is None else url.port


def _place(url: httpx2.URL) -> str:
    return _host_and_port(url.raw_host.decode("ascii"), _port(url))


def _host_and_port(host: str, port: int) -> str:
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


def not_public() -> InvalidInput:
    """The refusal of a URL: the same for a name that there is not, so that nobody can explore this network."""
    return InvalidInput("The URL does not lead to the public internet. Use a host that everybody can reach.")


def _unknown_for_now() -> Unavailable:
    return Unavailable("The host's name cannot be looked up for now.")


class SystemResolver:
    """See `Resolver`: what the operating system says, which also reads `127.1` and `0x7f.1` as addresses.

    It has threads of its own: looking up waits for servers of whoever named the host, and
    must not keep others from their files meanwhile.
    """

    def __init__(self, threads: int = LOOKUP_THREADS) -> None:
        self._threads = ThreadPoolExecutor(threads, thread_name_prefix="look-up")

    async def __call__(self, host: str, port: int) -> Sequence[str]:
        """All addresses of a host; each once."""
        look_up = partial(socket.getaddrinfo, host, port, type=socket.SOCK_STREAM)
        found = await asyncio.get_running_loop().run_in_executor(self._threads, look_up)
        return list(dict.fromkeys(str(address[0]) for *_, address in found))

    def close(self) -> None:
        """Begin no other look-up; those that run end by themselves."""
        self._threads.shutdown(wait=False, cancel_futures=True)


class Outbound:
    """Calls URLs of tenants. Refuses all that does not lead to the public internet, but for the `allowed`."""

    def __init__(
        self,
        *,
        allowed: frozenset[str] = frozenset(),
        options: OutboundOptions = OutboundOptions(),
        resolver: Resolver | None = None,
        verify: ssl.SSLContext | None = None,
    ) -> None:
        self._allowed = allowed
        self._options = options
        self._system = SystemResolver()
        self._resolver = resolver or self._system
        self._verify = verify
        self._opening = asyncio.Lock()
        self._pool: httpcore2.AsyncConnectionPool | None = None

    async def check(self, url: str) -> str:
        """The URL in its canonical form, if it leads to the public internet now; for refusing it early.

        Raises:
            InvalidInput: see `checked_url`; or its host is unknown or not public.
        """
        parsed = _checked(url, self._allowed)
        host = parsed.raw_host.decode("ascii")
        with suppress(TimeoutError, Unavailable):  # names cannot be looked up now; the call itself will look again
            async with asyncio.timeout(self._options.lookup_s):
                await usable_addresses(host, _port(parsed), self._allowed, self._resolver)
        return str(parsed)

    async def post(self, url: str, body: bytes, headers: Mapping[str, str]) -> Reply:
        """Send a body. Whatever the answer is, a redirect too, it is the reply; no other place is called.

        Raises:
            InvalidInput: the URL may not be called, or does not lead to the public internet.
            Unavailable: no connection, or no answer in time.
        """
        parsed = _checked(url, self._allowed)
        try:
            async with asyncio.timeout(self._options.total_s):
                return await self._post(parsed, body, headers)
        except (TimeoutError, httpcore2.TimeoutException) as error:
            raise Unavailable(f"No answer came within {self._options.total_s:g} seconds.") from error
        except httpcore2.ConnectError as error:
            raise Unavailable("No connection could be made, or the certificate was not valid.") from error
        except (httpcore2.NetworkError, httpcore2.ProtocolError, OSError) as error:
            raise Unavailable("The connection broke, or what came was no HTTP.") from error

    async def _post(self, url: httpx2.URL, body: bytes, headers: Mapping[str, str]) -> Reply:
        target = httpcore2.URL(scheme=url.raw_scheme, host=url.raw_host, port=url.port, target=url.raw_path)
        sent = {"accept-encoding": "identity", "user-agent": "Ragstone", **headers}
        limit = self._options.max_answer_bytes
        pool = await self._opened()
        async with pool.stream("POST", target, headers=list(sent.items()), content=body) as response:
            kept = bytearray()
            async for piece in response.aiter_stream():
                kept += piece
                if len(kept) >= limit:
                    break
            return Reply(response.status, bytes(kept[:limit]))

    async def _opened(self) -> httpcore2.AsyncConnectionPool:
        async with self._opening:
            if self._pool is None:
                # Reading the trusted certificates takes 50 ms, so it waits until somebody calls somewhere.
                verify = self._verify or await asyncio.to_thread(httpx2.create_ssl_context)
                self._pool = httpcore2.AsyncConnectionPool(
                    ssl_context=verify,
                    max_connections=self._options.max_connections,
                    max_keepalive_connections=0,  # each call looks its name up
                    network_backend=_CheckedBackend(self._allowed, self._resolver),
                )
            return self._pool

    async def close(self) -> None:
        """Let go of all connections and threads."""
        self._system.close()
        if self._pool is not None:
            await self._pool.aclose()


class _CheckedBackend(httpcore2.AsyncNetworkBackend):
    """Connects to addresses that were checked; TLS and the Host header keep the name."""

    def __init__(self, allowed: frozenset[str], resolver: Resolver) -> None:
        self._allowed = allowed
        self._resolver = resolver
        self._inner = httpcore2.AnyIOBackend()

    async def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,  # noqa: ASYNC109 — the signature of httpcore2
        local_address: str | None = None,
        socket_options: Iterable[Any] | None = None,
    ) -> httpcore2.AsyncNetworkStream:
        failure: Exception = httpcore2.ConnectError()
        for address in await usable_addresses(host, port, self._allowed, self._resolver):
            try:
                return await self._inner.connect_tcp(address, port, timeout, local_address, socket_options)
            except httpcore2.ConnectError as error:
                failure = error
        raise failure

    async def sleep(self, seconds: float) -> None:
        await self._inner.sleep(seconds)


async def usable_addresses(host: str, port: int, allowed: frozenset[str], resolver: Resolver) -> Sequence[str]:
    """The addresses of a host, looked up once; all of them are checked, unless the operator allows the host.

    Raises:
        InvalidInput: it has none, or one that is not public.
        Unavailable: names cannot be looked up now.
    """
    try:
        addresses = await resolver(host, port)
    except socket.gaierror as error:
        raise _unknown_for_now() if error.errno == socket.EAI_AGAIN else not_public() from error
    except (OSError, UnicodeError) as error:
        raise not_public() from error
    if _host_and_port(host, port) not in allowed and not (addresses and all(map(is_public, addresses))):
        raise not_public()
    return addresses
