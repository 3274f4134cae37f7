"""Protection against requests to private addresses (SSRF): checks the URLs of tenants and their addresses."""

from __future__ import annotations

import asyncio
import re
import socket
from collections.abc import Awaitable, Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address

from yarl import URL

from ragstone.errors import InvalidInput, Unavailable

LOOPBACK_HOSTS = frozenset({"127.0.0.1", "::1", "localhost"})
"""Host names of this machine that other machines cannot reach."""

_DENIED_V4 = tuple(
    IPv4Network(text)
    for text in (
        "0.0.0.0/8",  # this network, RFC 791
        "10.0.0.0/8",  # private, RFC 1918
        "100.64.0.0/10",  # shared, RFC 6598; a cloud's metadata is at 100.100.100.200
        "127.0.0.0/8",  # loopback
        "168.63.129.16/32",  # a cloud's wire server, in the public space
        "169.254.0.0/16",  # link-local, RFC 3927; most clouds' metadata is at 169.254.169.254
        "172.16.0.0/12",  # private, RFC 1918
        "192.0.0.0/24",  # protocol assignments, RFC 6890
        "192.0.2.0/24",  # documentation, RFC 5737
        "192.88.99.0/24",  # 6to4 relays, RFC 7526
        "192.168.0.0/16",  # private, RFC 1918
        "198.18.0.0/15",  # benchmarks, RFC 2544
        "198.51.100.0/24",  # documentation, RFC 5737
        "203.0.113.0/24",  # documentation, RFC 5737
        "224.0.0.0/4",  # multicast
        "240.0.0.0/4",  # reserved, and broadcast
    )
)
_GLOBAL_UNICAST = IPv6Network(
    "2000::/3"
)  # RFC 4291: all assigned addresses; loopback, local, mapped and NAT64 are outside
_DENIED_V6 = tuple(
    IPv6Network(text)
    for text in (
        "2001::/23",  # protocol assignments, RFC 2928: Teredo among them, which carries IPv4
        "2001:db8::/32",  # documentation, RFC 3849
        "2002::/16",  # 6to4, RFC 3056: carries IPv4
        "3fff::/20",  # documentation, RFC 9637
    )
)
_ISATAP = frozenset({0x00005EFE, 0x02005EFE})  # RFC 5214: the interface carries IPv4 in its last four bytes


def is_public(text: str) -> bool:
    """Whether an address in text form belongs to the public internet; names are not looked up."""
    try:
        address = ip_address(text)
    except ValueError:
        return False
    if not address.is_global or address.is_multicast or address.is_reserved:
        return False
    return _public_v4(address) if isinstance(address, IPv4Address) else _public_v6(address)


def _public_v4(address: IPv4Address) -> bool:
    return not any(address in network for network in _DENIED_V4)


def _public_v6(address: IPv6Address) -> bool:
    if address.scope_id is not None or address not in _GLOBAL_UNICAST:
        return False
    carries_v4 = (int(address) >> 32) & 0xFFFFFFFF in _ISATAP
    return not carries_v4 and not any(address in network for network in _DENIED_V6)


MAX_URL_CHARS = 2048
PORTS = frozenset({80, 443})
LOOKUP_THREADS = 8
SCHEMES = frozenset({"http", "https"})

_HOST = re.compile(r"(?:[a-z0-9_](?:[a-z0-9_-]{0,62})\.)*[a-z0-9_][a-z0-9_-]{0,62}\.?|[0-9a-f.]*:[0-9a-f:.]*", re.ASCII)
_UNPRINTABLE = re.compile(r"[\x00-\x20\x7f\\]")

Resolver = Callable[[str, int], Awaitable[Sequence[str]]]
"""Returns all addresses of a host as text; raises OSError if there are none."""


def checked_url(url: str, *, allowed: frozenset[str] = frozenset()) -> str:
    """Check a URL and return its canonical form, which is the form to call.

    The addresses of its host are checked at the time of the call.

    Args:
        url: An absolute http or https URL.
        allowed: Hosts with port (`intranet.example:8080`) that may be called at any address.

    Raises:
        InvalidInput: it is not such a URL, contains a user name, or has a port that is not allowed.
    """
    return str(parsed_url(url, allowed))


def parsed_url(url: str, allowed: frozenset[str]) -> URL:
    """Parse and check a URL; returns it without its fragment. Raises as `checked_url` does."""
    parsed = _parsed(url)
    if parsed.scheme not in SCHEMES:
        raise InvalidInput("The URL must begin with https:// or http://.")
    if "@" in parsed.raw_authority:
        raise InvalidInput("The URL contains a user name or password. Leave them out.")
    if not _HOST.fullmatch(parsed.raw_host or ""):
        raise InvalidInput("The URL has no usable host. Write it as https://hooks.example.com/path.")
    if parsed.port not in PORTS and host_and_port(parsed) not in allowed:
        raise InvalidInput("The port of the URL is not allowed. Use 443 or 80.")
    return parsed.with_fragment(None)


def _parsed(url: str) -> URL:
    if len(url) > MAX_URL_CHARS or _UNPRINTABLE.search(url):
        raise InvalidInput(
            f"The URL is longer than {MAX_URL_CHARS} characters, or contains blanks, backslashes or control characters."
        )
    try:
        return URL(url)
    except ValueError as error:
        raise InvalidInput("The URL is invalid. Write it as https://hooks.example.com/path.") from error


def host_and_port(url: URL) -> str:
    """Host and port of a URL, in the form of the operator's list of allowed hosts."""
    return _host_and_port(url.raw_host or "", url.port or 0)


def _host_and_port(host: str, port: int) -> str:
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


def not_public() -> InvalidInput:
    """Error of a URL that is not public; the same for an unknown host, so that tenants cannot explore the network."""
    return InvalidInput(
        "The host of the URL is not on the public internet. Use a host that is reachable from the internet."
    )


def _unknown_for_now() -> Unavailable:
    return Unavailable("The host name cannot be looked up at the moment. Try again later.")


class SystemResolver:
    """`Resolver` of the operating system; it also accepts `127.1` and `0x7f.1` as addresses.

    It has its own threads, because a look-up can wait for a tenant's name server and must not
    block the threads that read files.
    """

    def __init__(self, threads: int = LOOKUP_THREADS) -> None:
        self._threads = ThreadPoolExecutor(threads, thread_name_prefix="look-up")

    async def __call__(self, host: str, port: int) -> Sequence[str]:
        """All addresses of a host, without duplicates."""
        look_up = partial(socket.getaddrinfo, host, port, type=socket.SOCK_STREAM)
        found = await asyncio.get_running_loop().run_in_executor(self._threads, look_up)
        return list(dict.fromkeys(str(address[0]) for *_, address in found))

    def close(self) -> None:
        """Start no more look-ups; running ones end by themselves."""
        self._threads.shutdown(wait=False, cancel_futures=True)


async def usable_addresses(host: str, port: int, allowed: frozenset[str], resolver: Resolver) -> Sequence[str]:
    """Look up and check the addresses of a host; hosts allowed by the operator may have any address.

    Raises:
        InvalidInput: it has no address, or one that is not public.
        Unavailable: the look-up failed for now.
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
