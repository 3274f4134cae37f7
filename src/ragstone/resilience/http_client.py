"""The one HTTP client outwards: streams chats from model servers, and posts webhooks.

The guard against private addresses acts where a connection is made: a URL of a tenant reaches public addresses
only, whatever its host's name leads to at that moment. Redirects are not followed, and no proxy of the environment
is used. Connections for streamed answers are kept and used again, those of tenants' URLs and those of the
operator's URLs apart; a post has a connection of its own.
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

READ_BYTES = 1 << 16  # what waits unread before the server is slowed down: twice this
KEPT_S = 15.0  # an idle connection is kept; less than the 60 s and more at which servers close theirs
MAX_HEADERS = 128
MAX_HEADER_BYTES = 16 << 10  # of one header line; the vendors' longest are below 4 KiB
MAX_POSTS = 20  # at once
LOOKUP_S = 5.0  # for the early check of a URL
# Where Linux and the BSDs keep trusted certificates, as in truststore; for a Python whose OpenSSL looks elsewhere.
CERTIFICATE_FILES = (
    "/etc/ssl/cert.pem",
    "/etc/pki/tls/cert.pem",
    "/etc/ssl/certs/ca-certificates.crt",
    "/etc/ssl/ca-bundle.pem",
)

_NO_AUTOMATIC = ("Accept", "Accept-Encoding", "Content-Type", "User-Agent")


@dataclass(frozen=True, slots=True, kw_only=True)
class CallTimeouts:
    """Seconds: to connect, until the head of the answer is there, between two of its pieces, and for all of it."""

    connect_s: float = 5.0
    first_byte_s: float = 120.0
    idle_s: float = 120.0
    total_s: float = 900.0


@dataclass(frozen=True, slots=True, kw_only=True)
class PostLimits:
    """How long a post may take, from the look-up to the last byte, and how much of an answer is read."""

    total_s: float = 10.0
    max_answer_bytes: int = 64 << 10


@dataclass(frozen=True, slots=True)
class Reply:
    """The answer to a post; `body` is cut at the limit."""

    status: int
    body: bytes


@dataclass(frozen=True, slots=True)
class _PoolKind:
    """Connections of a pool: `free` ones may lead anywhere, others to public addresses; `single` ones serve once."""

    free: bool
    single: bool = False


def certificates() -> ssl.SSLContext:
    """The certificates that servers are checked with: of SSL_CERT_FILE, else the system's. Reads files."""
    context = ssl.create_default_context()
    if not context.cert_store_stats()["x509_ca"]:
        for file in CERTIFICATE_FILES:
            with suppress(OSError):
                context.load_verify_locations(cafile=file)
                break
    return context


def _pool(resolver: Resolver, kind: _PoolKind, *, connect_s: float) -> aiohttp.ClientSession:
    names, factory = _Names(resolver, free=kind.free), None if kind.free else _public_socket
    if kind.single:  # each call looks its name up
        connector = aiohttp.TCPConnector(
            resolver=names, socket_factory=factory, limit=MAX_POSTS, force_close=True, use_dns_cache=False
        )
    else:
        # The upstream policies limit how many calls there are at once.
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
    """Looks names up for a pool: public addresses only, unless the pool is free."""

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
        """The resolver is its owner's."""


def _resolved(host: str, address: str, port: int) -> ResolveResult:
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    flags = socket.AI_NUMERICHOST | socket.AI_NUMERICSERV
    return ResolveResult(hostname=host, host=address, port=port, family=family, proto=0, flags=flags)


def _public_socket(place: tuple[int, int, int, str, tuple[object, ...]]) -> socket.socket:
    """A socket for a connection; checks the address once more, in the form in which it is connected to."""
    family, kind, protocol, _, address = place
    if not is_public(str(address[0])):
        raise not_public()
    return socket.socket(family, kind, protocol)


@contextmanager
def translated_opening(timeouts: CallTimeouts) -> Iterator[None]:
    """Translates failures before the head of an answer; the messages quote no URL."""
    try:
        yield
    except aiohttp.ConnectionTimeoutError as error:
        raise _fault(f"No connection to the server was made within {timeouts.connect_s:g} seconds.") from error
    except TimeoutError as error:
        # Not again: the server has the request, and may be at work on it, and bill it.
        sentence = f"The server did not begin to answer within {timeouts.first_byte_s:g} seconds."
        raise UpstreamFault(sentence, retryable=False) from error
    except (aiohttp.ClientConnectorCertificateError, aiohttp.ClientConnectorSSLError) as error:
        raise UpstreamFault("The certificate of the server is not valid.", retryable=False) from error
    except (aiohttp.ClientConnectorDNSError, Unavailable) as error:
        raise _fault("The name of the server cannot be looked up.") from error
    except aiohttp.ClientConnectorError as error:
        raise _fault("The server refuses connections, or cannot be reached.") from error
    except (aiohttp.InvalidURL, aiohttp.NonHttpUrlClientError) as error:
        raise InvalidInput("The URL cannot be called. Write it as https://models.example.com/v1.") from error
    except aiohttp.ClientResponseError as error:
        raise _fault("What the server answered is no HTTP, or its head is too long.") from error
    except (aiohttp.ClientError, OSError) as error:
        raise _fault("The connection to the server broke before it answered.") from error


def _fault(sentence: str) -> UpstreamFault:
    return UpstreamFault(sentence, retryable=True)


LONG_BODY_BYTES = 256 << 10  # aiohttp writes more than 1 MiB of bytes in one go, with a warning

DRAIN_S = 0.5  # the end of an answer comes with its last event; a new connection costs less than a longer wait
LOOK_S = 0.25  # how late a time-out may be noticed; for 300 answers 1200 looks of about 1 µs a second

_DECODED = frozenset({b"content-encoding", b"content-length"})  # true of the bytes on the wire only


class BrokenOff(UpstreamUnavailable):
    """An answer that had begun did not come to its end."""

    code = "answer_broke_off"


class UpstreamResponse:
    """An answer whose head is there. Closing it before its end closes the connection at once."""

    def __init__(self, response: aiohttp.ClientResponse, timeouts: CallTimeouts, total_by: float) -> None:
        self._response = response
        self._patience = _Patience(response, timeouts, total_by)
        self.status = response.status
        self.headers = _read_headers(response)

    async def chunks(self) -> AsyncGenerator[bytes]:
        """The body, decoded, in the pieces in which it comes; none is empty.

        Raises:
            BrokenOff: the connection broke, what came was no HTTP any more, or nothing came in time.
        """
        content, patience = self._response.content, self._patience
        patience.begin()
        try:
            while True:
                patience.waits()
                piece = await content.readany()
                patience.got()
                if not piece:
                    return
                yield piece
        except _TooSlow as error:
            raise BrokenOff(str(error)) from error
        except (aiohttp.ClientError, HttpProcessingError, OSError) as error:
            raise BrokenOff("The answer broke off before its end.") from error
        finally:
            patience.end()

    async def read(self, limit: int) -> bytes:
        """The whole body.

        Raises:
            TooLarge: it is longer than `limit` bytes; it is read no further.
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
        """The first `limit` bytes of the body; it is read no further. Raises: BrokenOff, see `chunks`."""
        body = bytearray()
        async with aclosing(self.chunks()) as chunks:
            async for piece in chunks:
                body += piece
                if len(body) >= limit:
                    break
        return bytes(body[:limit])

    async def drain(self, within_s: float = DRAIN_S) -> None:
        """Read an answer to its end if that comes soon, so that its connection can be used again."""
        with suppress(TimeoutError, BrokenOff, TooLarge):
            async with asyncio.timeout(within_s):
                await self.read(READ_BYTES)

    def close(self) -> None:
        """Close the answer. A connection that was read to its end is kept, any other is closed now."""
        self._patience.end()
        self._response.close()


class HttpClient:
    """Sends requests as they are given. Follows no redirect, keeps no cookie, uses no proxy of the environment."""

    def __init__(
        self,
        *,
        allowed_hosts: frozenset[str] = frozenset(),
        timeouts: CallTimeouts | None = None,
        resolver: Resolver | None = None,
        verify: ssl.SSLContext | None = None,
    ) -> None:
        """Nothing is opened before the first call.

        Args:
            allowed_hosts: Hosts with port (`models.internal:8000`) that tenants may name too.
            timeouts: Of each call.
            resolver: Looks names up instead of the operating system.
            verify: Trusted certificates; those of SSL_CERT_FILE or the usual ones if not given.
        """
        self._allowed = allowed_hosts
        self._timeouts = timeouts or CallTimeouts()
        self._system = SystemResolver()
        self._resolver = resolver or self._system
        self._verify = verify
        self._opening = asyncio.Lock()
        self._sessions: dict[_PoolKind, aiohttp.ClientSession] = {}

    async def check(self, url: str) -> str:
        """The URL in its canonical form, if it may be called and leads to the public internet now: to refuse it early.

        A post or a request checks again.

        Raises:
            InvalidInput: see `checked_url`; or its host is unknown or not public.
        """
        parsed = parsed_url(url, self._allowed)
        with suppress(TimeoutError, Unavailable):  # names cannot be looked up now: the call will look again
            async with asyncio.timeout(LOOKUP_S):
                await usable_addresses(parsed.raw_host or "", parsed.port or 0, self._allowed, self._resolver)
        return str(parsed)

    async def post(
        self, url: str, body: bytes, headers: Mapping[str, str], *, limits: PostLimits = PostLimits()
    ) -> Reply:
        """Send a body to a tenant's URL over a connection of its own. Every answer is a reply, a redirect too.

        Raises:
            InvalidInput: the URL may not be called, or does not lead to the public internet.
            Unavailable: no connection, or no answer in time.
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
        """`begin` as a context manager that closes the answer."""
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
        """Send a request and wait for the head of its answer, whatever its status. The caller closes it.

        Args:
            method: GET, POST …
            url: Absolute, http or https.
            headers: Sent as they are, in this order; only Host, Content-Length and Accept-Encoding are added.
            body: Sent as it is.
            trusted: The URL is the operator's own: it may lead anywhere.

        Raises:
            InvalidInput: a tenant's URL that may not be called, or does not lead to the public internet.
            UpstreamFault: no connection, no answer in time, or none that can be read.
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
        """The URL as it is called, and whether it may lead anywhere."""
        try:
            target = URL(url) if trusted else parsed_url(url, self._allowed)
        except ValueError as error:
            raise InvalidInput("The URL cannot be read. Write it as https://models.example.com/v1.") from error
        return target, trusted or host_and_port(target) in self._allowed

    def _session(self, kind: _PoolKind) -> aiohttp.ClientSession:
        if session := self._sessions.get(kind):
            return session
        self._sessions[kind] = session = _pool(self._resolver, kind, connect_s=self._timeouts.connect_s)
        return session

    async def _trusted_certificates(self) -> ssl.SSLContext:
        async with self._opening:
            if self._verify is None:  # 50 ms of reading, so it waits for the first https URL
                self._verify = await asyncio.to_thread(certificates)
            return self._verify

    async def close(self) -> None:
        """Close all connections, those in use too."""
        self._system.close()
        for session in self._sessions.values():
            await session.close()
        self._sessions.clear()


class _TooSlow(TimeoutError):
    """An answer that does not go on in time; its message is for the reader."""


class _Patience:
    """Ends the reading of an answer that comes too slowly, or not any more: one timer for all of its pieces."""

    def __init__(self, response: aiohttp.ClientResponse, timeouts: CallTimeouts, total_by: float) -> None:
        self._content = response.content
        self._protocol = response.connection.protocol if response.connection else None
        self._timeouts = timeouts
        self._total_by = total_by
        self._loop = asyncio.get_running_loop()
        self._waits_since: float | None = None  # None: the reader is busy elsewhere, which is not the server's fault
        self._timer: asyncio.TimerHandle | None = None

    def begin(self) -> None:
        if self._timer is None:
            self._look()

    def waits(self) -> None:
        self._waits_since = self._loop.time()

    def got(self) -> None:
        self._waits_since = None

    def end(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _look(self) -> None:
        now = self._loop.time()
        if error := self._wrong(now):
            self._content.set_exception(error)
            return
        self._timer = self._loop.call_at(now + LOOK_S, self._look)

    def _wrong(self, now: float) -> BaseException | None:
        limits = self._timeouts
        if now >= self._total_by:
            return _TooSlow(f"The answer did not end within {limits.total_s:g} seconds.")
        if self._waits_since is None:
            return None
        if now >= self._waits_since + limits.idle_s:
            return _TooSlow(f"The answer did not go on within {limits.idle_s:g} seconds.")
        # aiohttp 3.14 does not tell a reader that what comes is no HTTP any more.
        return self._protocol.exception() if self._protocol is not None and not self._content.is_eof() else None


def _sent(headers: Sequence[tuple[str, str]]) -> list[tuple[str, str]]:
    """With a wish for an answer that is not packed: its pieces are read one by one."""
    return [*headers, ("Accept-Encoding", "identity")]


def _payload(body: bytes) -> bytes | io.BytesIO | None:
    """A long body is written in parts, so that other answers go on meanwhile."""
    return io.BytesIO(body) if len(body) > LONG_BODY_BYTES else body or None


def _read_headers(response: aiohttp.ClientResponse) -> tuple[tuple[str, str], ...]:
    """Names in lower case. The body is handed out unpacked, so what was said of its packed form is left out."""
    lowered = [(name.lower(), value) for name, value in response.raw_headers]
    gone = _DECODED if any(name == b"content-encoding" for name, _ in lowered) else frozenset()
    return tuple((name.decode("latin-1"), value.decode("latin-1")) for name, value in lowered if name not in gone)
