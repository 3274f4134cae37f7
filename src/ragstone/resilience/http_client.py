"""The HTTP client for all requests to other servers: streams answers of model servers, and posts webhooks.

It checks addresses when it connects, so a tenant's URL can reach public addresses only, even if the DNS record
of its host changes. It follows no redirects and uses no proxy of the environment. Connections for streamed
answers are reused, in separate pools for the URLs of tenants and those of the operator; a post has its own
connection.
"""

from __future__ import annotations

import asyncio
import io
import socket
import ssl
from collections.abc import AsyncGenerator, AsyncIterator, Iterator, Mapping, Sequence
from contextlib import aclosing, asynccontextmanager, contextmanager, suppress
from dataclasses import dataclass

import aiohttp
from aiohttp.abc import AbstractResolver, ResolveResult
from aiohttp.http_exceptions import HttpProcessingError
from yarl import URL

from ragstone.errors import InvalidInput, TooLarge, Unavailable, UpstreamUnavailable
from ragstone.resilience.destinations import (
    Resolver,
    SystemResolver,
    host_and_port,
    is_public,
    not_public,
    parsed_url,
    usable_addresses,
)
from ragstone.resilience.retry import UpstreamFault

READ_BYTES = 1 << 16  # the read buffer has twice this size; then the server has to wait
KEPT_S = 15.0  # time for which an idle connection is kept; servers close theirs after 60 s or more
MAX_HEADERS = 128
MAX_HEADER_BYTES = 16 << 10  # per header line; the longest ones of vendors are below 4 KiB
MAX_POSTS = 20  # concurrent posts
LOOKUP_S = 5.0  # timeout of the early check of a URL
# Paths of trusted certificates on Linux and the BSDs (from truststore), for a Python with an OpenSSL of other paths.
CERTIFICATE_FILES = (
    "/etc/ssl/cert.pem",
    "/etc/pki/tls/cert.pem",
    "/etc/ssl/certs/ca-certificates.crt",
    "/etc/ssl/ca-bundle.pem",
)

_NO_AUTOMATIC = ("Accept", "Accept-Encoding", "Content-Type", "User-Agent")


@dataclass(frozen=True, slots=True, kw_only=True)
class CallTimeouts:
    """Timeouts of a call: to connect, until the response header, between two pieces of the body, and in total."""

    connect_s: float = 5.0
    first_byte_s: float = 120.0
    idle_s: float = 120.0
    total_s: float = 900.0


@dataclass(frozen=True, slots=True, kw_only=True)
class PostLimits:
    """Limits of a post: the time from the look-up to the last byte, and the bytes that are read of the answer."""

    total_s: float = 10.0
    max_answer_bytes: int = 64 << 10


@dataclass(frozen=True, slots=True)
class Reply:
    """Response to a post; `body` is truncated at the limit."""

    status: int
    body: bytes


@dataclass(frozen=True, slots=True)
class _PoolKind:
    """Kind of a connection pool: `free` allows any address, else public ones only; `single` connections serve once."""

    free: bool
    single: bool = False


def certificates() -> ssl.SSLContext:
    """TLS context with the certificates of SSL_CERT_FILE, else those of the system. Reads files."""
    context = ssl.create_default_context()
    if not context.cert_store_stats()["x509_ca"]:
        for file in CERTIFICATE_FILES:
            with suppress(OSError):
                context.load_verify_locations(cafile=file)
                break
    return context


def _pool(resolver: Resolver, kind: _PoolKind, *, connect_s: float) -> aiohttp.ClientSession:
    names, factory = _Names(resolver, free=kind.free), None if kind.free else _public_socket
    if kind.single:  # each call looks up its host
        connector = aiohttp.TCPConnector(
            resolver=names, socket_factory=factory, limit=MAX_POSTS, force_close=True, use_dns_cache=False
        )
    else:
        # The upstream policies limit the number of concurrent calls.
        connector = aiohttp.TCPConnector(resolver=names, socket_factory=factory, limit=0, keepalive_timeout=KEPT_S)
    return aiohttp.ClientSession(
        connector=connector,
        cookie_jar=aiohttp.DummyCookieJar(),
        skip_auto_headers=_NO_AUTOMATIC,
        timeout=aiohttp.ClientTimeout(total=None, connect=connect_s),
        trust_env=False,
        auto_decompress=not kind.single,
        read_bufsize=READ_BYTES,
        max_headers=MAX_HEADERS,
        max_line_size=MAX_HEADER_BYTES,
        max_field_size=MAX_HEADER_BYTES,
    )


class _Names(AbstractResolver):
    """Resolver of a pool: returns public addresses only, unless the pool is free."""

    def __init__(self, resolver: Resolver, *, free: bool) -> None:
        self._resolver = resolver
        self._free = free

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_INET
    ) -> list[ResolveResult]:
        addresses = await (
            self._resolver(host, port) if self._free else usable_addresses(host, port, frozenset(), self._resolver)
        )
        return [_resolved(host, address, port) for address in addresses]

    async def close(self) -> None:
        """Does nothing: the resolver belongs to the client."""


def _resolved(host: str, address: str, port: int) -> ResolveResult:
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    flags = socket.AI_NUMERICHOST | socket.AI_NUMERICSERV
    return ResolveResult(hostname=host, host=address, port=port, family=family, proto=0, flags=flags)


def _public_socket(place: tuple[int, int, int, str, tuple[object, ...]]) -> socket.socket:
    """Create the socket of a connection, after a last check of the address in the form used to connect."""
    family, kind, protocol, _, address = place
    if not is_public(str(address[0])):
        raise not_public()
    return socket.socket(family, kind, protocol)


@contextmanager
def translated_opening(timeouts: CallTimeouts) -> Iterator[None]:
    """Translate errors before the response header to `UpstreamFault`; the messages contain no URL."""
    try:
        yield
    except aiohttp.ConnectionTimeoutError as error:
        raise _fault(f"No connection to the server was made within {timeouts.connect_s:g} seconds.") from error
    except TimeoutError as error:
        # No retry: the server has the request, and may process and charge it.
        sentence = f"The server did not begin to answer within {timeouts.first_byte_s:g} seconds."
        raise UpstreamFault(sentence, retryable=False) from error
    except (aiohttp.ClientConnectorCertificateError, aiohttp.ClientConnectorSSLError) as error:
        raise UpstreamFault("The certificate of the server is not valid.", retryable=False) from error
    except (aiohttp.ClientConnectorDNSError, Unavailable) as error:
        raise _fault("The name of the server cannot be looked up.") from error
    except aiohttp.ClientConnectorError as error:
        raise _fault("The server refuses connections, or cannot be reached.") from error
    except (aiohttp.InvalidURL, aiohttp.NonHttpUrlClientError) as error:
        raise InvalidInput("The URL is invalid. Write it as https://models.example.com/v1.") from error
    except aiohttp.ClientResponseError as error:
        raise _fault("The server's response is not valid HTTP, or its header is too long.") from error
    except (aiohttp.ClientError, OSError) as error:
        raise _fault("The connection to the server broke before it answered.") from error


def _fault(sentence: str) -> UpstreamFault:
    return UpstreamFault(sentence, retryable=True)


LONG_BODY_BYTES = 256 << 10  # aiohttp warns about bodies of more than 1 MiB that are written at once

DRAIN_S = 0.5  # an answer usually ends with its last event; a new connection is cheaper than a longer wait
CHECK_INTERVAL_S = 0.25  # largest delay of a timeout; 300 answers make 1200 checks a second, of about 1 µs each

_DECODED = frozenset({b"content-encoding", b"content-length"})  # describe the bytes on the wire, not the decoded ones


class BrokenOff(UpstreamUnavailable):
    """An answer broke off after it had begun."""

    code = "answer_broke_off"


class UpstreamResponse:
    """Response with its header received. Closing it before its end closes the connection at once."""

    def __init__(self, response: aiohttp.ClientResponse, timeouts: CallTimeouts, total_by: float) -> None:
        self._response = response
        self._timeout = _AnswerTimeout(response, timeouts, total_by)
        self.status = response.status
        self.headers = _read_headers(response)

    async def chunks(self) -> AsyncGenerator[bytes]:
        """Yield the decoded body in pieces as they arrive; no piece is empty.

        Raises:
            BrokenOff: the connection broke, the rest was not valid HTTP, or nothing arrived in time.
        """
        content, timeout = self._response.content, self._timeout
        timeout.begin()
        try:
            while True:
                timeout.waits()
                piece = await content.readany()
                timeout.got()
                if not piece:
                    return
                yield piece
        except _TooSlow as error:
            raise BrokenOff(str(error)) from error
        except (aiohttp.ClientError, HttpProcessingError, OSError) as error:
            raise BrokenOff("The answer broke off before its end.") from error
        finally:
            timeout.end()

    async def read(self, limit: int) -> bytes:
        """The whole body.

        Raises:
            TooLarge: it is longer than `limit` bytes; reading stops.
            BrokenOff: see `chunks`.
        """
        body = bytearray()
        async with aclosing(self.chunks()) as chunks:
            async for piece in chunks:
                body += piece
                if len(body) > limit:
                    raise TooLarge(f"The server's answer is longer than {limit} bytes.")
        return bytes(body)

    async def read_up_to(self, limit: int) -> bytes:
        """The first `limit` bytes of the body; the rest is not read. Raises: BrokenOff, see `chunks`."""
        body = bytearray()
        async with aclosing(self.chunks()) as chunks:
            async for piece in chunks:
                body += piece
                if len(body) >= limit:
                    break
        return bytes(body[:limit])

    async def drain(self, within_s: float = DRAIN_S) -> None:
        """Read the response to its end if it ends within `within_s`, so that its connection can be reused."""
        with suppress(TimeoutError, BrokenOff, TooLarge):
            async with asyncio.timeout(within_s):
                await self.read(READ_BYTES)

    def close(self) -> None:
        """Close the response. Its connection is kept if the response was read to its end, else closed."""
        self._timeout.end()
        self._response.close()


class HttpClient:
    """HTTP client. Follows no redirects, stores no cookies, and uses no proxy of the environment."""

    def __init__(
        self,
        *,
        allowed_hosts: frozenset[str] = frozenset(),
        timeouts: CallTimeouts | None = None,
        resolver: Resolver | None = None,
        verify: ssl.SSLContext | None = None,
    ) -> None:
        """Create the client; it opens nothing before the first call.

        Args:
            allowed_hosts: Private hosts with port (`models.internal:8000`) that tenants may call.
            timeouts: Timeouts of each call.
            resolver: Resolver to use instead of the operating system's.
            verify: Trusted certificates. Default: those of SSL_CERT_FILE, else the system's.
        """
        self._allowed = allowed_hosts
        self._timeouts = timeouts or CallTimeouts()
        self._system = SystemResolver()
        self._resolver = resolver or self._system
        self._verify = verify
        self._opening = asyncio.Lock()
        self._sessions: dict[_PoolKind, aiohttp.ClientSession] = {}

    async def check(self, url: str) -> str:
        """Check early that a tenant's URL may be called, and return its canonical form.

        Each call checks again.

        Raises:
            InvalidInput: see `checked_url`; or its host is unknown or not public.
        """
        parsed = parsed_url(url, self._allowed)
        with suppress(TimeoutError, Unavailable):  # the look-up failed for now: the call will repeat it
            async with asyncio.timeout(LOOKUP_S):
                await usable_addresses(parsed.raw_host or "", parsed.port or 0, self._allowed, self._resolver)
        return str(parsed)

    async def post(
        self, url: str, body: bytes, headers: Mapping[str, str], *, limits: PostLimits = PostLimits()
    ) -> Reply:
        """Post a body to a tenant's URL over its own connection. Any response is returned, also a redirect.

        Raises:
            InvalidInput: the URL may not be called, or its host is not public.
            Unavailable: no connection, or no response in time.
        """
        target, free = self._target(url, trusted=False)
        sent = [("User-Agent", "Ragstone"), *headers.items()]
        try:
            async with asyncio.timeout(limits.total_s):
                session = self._session(_PoolKind(free, single=True))
                answer = await self._begin(session, "POST", target, headers=sent, body=body)
                try:
                    return Reply(answer.status, await answer.read_up_to(limits.max_answer_bytes))
                finally:
                    answer.close()
        except TimeoutError as error:
            raise Unavailable(f"No answer came within {limits.total_s:g} seconds.") from error
        except UpstreamFault as error:
            raise Unavailable(str(error)) from error

    @asynccontextmanager
    async def open(
        self,
        method: str,
        url: str,
        *,
        headers: Sequence[tuple[str, str]] = (),
        body: bytes = b"",
        trusted: bool = False,
    ) -> AsyncIterator[UpstreamResponse]:
        """Context manager of `begin`; it closes the response."""
        incoming = await self.begin(method, url, headers=headers, body=body, trusted=trusted)
        try:
            yield incoming
        finally:
            incoming.close()

    async def begin(
        self,
        method: str,
        url: str,
        *,
        headers: Sequence[tuple[str, str]] = (),
        body: bytes = b"",
        trusted: bool = False,
    ) -> UpstreamResponse:
        """Send a request and wait for the response header, of any status. The caller has to close the response.

        Args:
            method: GET, POST …
            url: Absolute, http or https.
            headers: Sent unchanged, in this order; only Host, Content-Length and Accept-Encoding are added.
            body: Sent unchanged.
            trusted: The URL is the operator's: any address is allowed.

        Raises:
            InvalidInput: a tenant's URL may not be called, or its host is not public.
            UpstreamFault: no connection, no response in time, or an invalid one.
        """
        target, free = self._target(url, trusted=trusted)
        return await self._begin(self._session(_PoolKind(free)), method, target, headers=headers, body=body)

    async def _begin(
        self,
        session: aiohttp.ClientSession,
        method: str,
        target: URL,
        *,
        headers: Sequence[tuple[str, str]],
        body: bytes,
    ) -> UpstreamResponse:
        total_by = asyncio.get_running_loop().time() + self._timeouts.total_s
        verify = await self._trusted_certificates() if target.scheme == "https" else True
        with translated_opening(self._timeouts):
            async with asyncio.timeout(min(self._timeouts.first_byte_s, self._timeouts.total_s)):
                response = await session.request(
                    method, target, headers=_sent(headers), data=_payload(body), allow_redirects=False, ssl=verify
                )
        return UpstreamResponse(response, self._timeouts, total_by)

    def _target(self, url: str, *, trusted: bool) -> tuple[URL, bool]:
        """The URL to call, and whether any address is allowed."""
        try:
            target = URL(url) if trusted else parsed_url(url, self._allowed)
        except ValueError as error:
            raise InvalidInput("The URL cannot be parsed. Write it as https://models.example.com/v1.") from error
        return target, trusted or host_and_port(target) in self._allowed

    def _session(self, kind: _PoolKind) -> aiohttp.ClientSession:
        if session := self._sessions.get(kind):
            return session
        self._sessions[kind] = session = _pool(self._resolver, kind, connect_s=self._timeouts.connect_s)
        return session

    async def _trusted_certificates(self) -> ssl.SSLContext:
        async with self._opening:
            if self._verify is None:  # reading takes 50 ms, so it happens at the first https URL
                self._verify = await asyncio.to_thread(certificates)
            return self._verify

    async def close(self) -> None:
        """Close all connections, also those in use."""
        self._system.close()
        for session in self._sessions.values():
            await session.close()
        self._sessions.clear()


class _TooSlow(TimeoutError):
    """An answer exceeded a timeout; the reader of the answer gets the message."""


class _AnswerTimeout:
    """Timeout of an answer: ends the reading if the next piece or the end is late; one timer for all pieces."""

    def __init__(self, response: aiohttp.ClientResponse, timeouts: CallTimeouts, total_by: float) -> None:
        self._content = response.content
        self._protocol = response.connection.protocol if response.connection else None
        self._timeouts = timeouts
        self._total_by = total_by
        self._loop = asyncio.get_running_loop()
        self._waits_since: float | None = None  # None: the reader is not waiting, so the server is not late
        self._timer: asyncio.TimerHandle | None = None

    def begin(self) -> None:
        if self._timer is None:
            self._check()

    def waits(self) -> None:
        self._waits_since = self._loop.time()

    def got(self) -> None:
        self._waits_since = None

    def end(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _check(self) -> None:
        now = self._loop.time()
        if error := self._fault(now):
            self._content.set_exception(error)
            return
        self._timer = self._loop.call_at(now + CHECK_INTERVAL_S, self._check)

    def _fault(self, now: float) -> BaseException | None:
        limits = self._timeouts
        if now >= self._total_by:
            return _TooSlow(f"The answer did not end within {limits.total_s:g} seconds.")
        if self._waits_since is None:
            return None
        if now >= self._waits_since + limits.idle_s:
            return _TooSlow(f"The answer did not continue within {limits.idle_s:g} seconds.")
        # aiohttp 3.14 does not raise the error of invalid HTTP to the reader.
        return self._protocol.exception() if self._protocol is not None and not self._content.is_eof() else None


def _sent(headers: Sequence[tuple[str, str]]) -> list[tuple[str, str]]:
    """Headers with a request for an uncompressed answer, whose pieces can be read one by one."""
    return [*headers, ("Accept-Encoding", "identity")]


def _payload(body: bytes) -> bytes | io.BytesIO | None:
    """Body to send; a long one is written in parts, so that other answers continue between them."""
    return io.BytesIO(body) if len(body) > LONG_BODY_BYTES else body or None


def _read_headers(response: aiohttp.ClientResponse) -> tuple[tuple[str, str], ...]:
    """Response headers with lower-case names, without those that describe the compressed form of the body."""
    lowered = [(name.lower(), value) for name, value in response.raw_headers]
    gone = _DECODED if any(name == b"content-encoding" for name, _ in lowered) else frozenset()
    return tuple((name.decode("latin-1"), value.decode("latin-1")) for name, value in lowered if name not in gone)
