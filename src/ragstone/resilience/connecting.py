"""Connections to other servers: where they may lead, what a server may send before its answer, and what goes wrong.

Names are looked up once for each connection, and what they lead to is checked again on
the socket that is about to connect, so no spelling of an address gets past.
"""

from __future__ import annotations

import socket
import ssl
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import aiohttp
from aiohttp.abc import AbstractResolver, ResolveResult

from ragstone.errors import InvalidInput, Unavailable
from ragstone.resilience.addresses import is_public
from ragstone.resilience.destinations import Resolver, not_public, usable_addresses
from ragstone.resilience.retry import UpstreamFault

READ_BYTES = 1 << 16  # what waits unread before the server is slowed down: twice this
KEPT_S = 15.0  # an idle connection is kept; less than the 60 s and more at which servers close theirs
MAX_HEADERS = 128
MAX_HEADER_BYTES = 16 << 10  # of one header line; the vendors' longest are below 4 KiB

_NO_AUTOMATIC = ("Accept", "Accept-Encoding", "Content-Type", "User-Agent")


@dataclass(frozen=True, slots=True, kw_only=True)
class CallTimeouts:
    """Seconds: to connect, until the head of the answer is there, between two of its pieces, and for all of it."""

    connect_s: float = 5.0
    first_byte_s: float = 120.0
    idle_s: float = 120.0
    total_s: float = 900.0


def certificates() -> ssl.SSLContext:
    """What servers' certificates are checked with: what SSL_CERT_FILE names, else the system's. Reads files."""
    context = ssl.create_default_context()
    if not context.cert_store_stats()["x509_ca"]:
        import httpx2  # knows more places where systems keep them

        context = httpx2.create_ssl_context()
    return context


def pool(resolver: Resolver, *, free: bool, connect_s: float) -> aiohttp.ClientSession:
    """Connections that are used again. Those that are not `free` lead to public addresses only."""
    connector = aiohttp.TCPConnector(
        resolver=_Names(resolver, free=free),
        socket_factory=None if free else _public_socket,
        limit=0,  # how many there are at once is the guards' business
        keepalive_timeout=KEPT_S,
    )
    return aiohttp.ClientSession(
        connector=connector,
        cookie_jar=aiohttp.DummyCookieJar(),
        skip_auto_headers=_NO_AUTOMATIC,
        timeout=aiohttp.ClientTimeout(total=None, connect=connect_s),
        trust_env=False,
        read_bufsize=READ_BYTES,
        max_headers=MAX_HEADERS,
        max_line_size=MAX_HEADER_BYTES,
        max_field_size=MAX_HEADER_BYTES,
    )


class _Names(AbstractResolver):
    """Looks names up for a pool: only public addresses, unless the pool is free to go anywhere."""

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
    """The last check, which no spelling of an address gets past: what is connected to now."""
    family, kind, protocol, _, address = place
    if not is_public(str(address[0])):
        raise not_public()
    return socket.socket(family, kind, protocol)


@contextmanager
def translated_opening(timeouts: CallTimeouts) -> Iterator[None]:
    """Failures before the head of an answer, in words that quote no URL."""
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
