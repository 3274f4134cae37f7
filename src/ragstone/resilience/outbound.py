"""The outbound guard: the only way to a URL that somebody else gave us.

A check of the URL alone is worth nothing: a name may lead anywhere, and elsewhere a
moment later. So each name is resolved once, all its addresses are checked, and the
connection is made to one that was checked, below TLS, which still verifies the name.
Redirects are not followed. No proxy is used, whatever the environment says; of it, only the
trusted certificates are taken (SSL_CERT_FILE).
"""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

import httpcore2
import httpx2

from ragstone.errors import Unavailable
from ragstone.resilience.destinations import Resolver, SystemResolver, parsed_url, port_of, usable_addresses


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
        parsed = parsed_url(url, self._allowed)
        host = parsed.raw_host.decode("ascii")
        with suppress(TimeoutError, Unavailable):  # names cannot be looked up now; the call itself will look again
            async with asyncio.timeout(self._options.lookup_s):
                await usable_addresses(host, port_of(parsed), self._allowed, self._resolver)
        return str(parsed)

    async def post(self, url: str, body: bytes, headers: Mapping[str, str]) -> Reply:
        """Send a body. Whatever the answer is, a redirect too, it is the reply; no other place is called.

        Raises:
            InvalidInput: the URL may not be called, or does not lead to the public internet.
            Unavailable: no connection, or no answer in time.
        """
        parsed = parsed_url(url, self._allowed)
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
