"""The allow-list of web origins of a publishable key."""

from __future__ import annotations

import re
from collections.abc import Iterable
from ipaddress import ip_address
from urllib.parse import SplitResult, urlsplit

import idna

from ragstone.errors import InvalidInput

_PORTS = {"https": 443, "http": 80}
_LABEL = re.compile(r"[a-z0-9_](?:[a-z0-9_-]{0,61}[a-z0-9_])?")
MAX_CHARS = 300


def checked_domain(text: str) -> str:
    """The canonical form of a domain for an allow-list: `shop.example`, `*.shop.example`, `http://localhost:3000`.

    A bare host means https on its default port.

    Raises:
        InvalidInput: the text is not a host, or it is a wildcard below a top-level domain.
    """
    domain = text.strip()
    if len(domain) > MAX_CHARS or not domain.isprintable() or set(domain) & set("\\%") or domain == "null":
        raise _unusable(text)
    if domain.startswith("*."):
        host = _host(domain[2:], text)
        if "." not in host:
            raise InvalidInput(f"{text[:80]!r} would allow every site below {host!r}. Use the domain of one site.")
        return f"*.{host}"
    return _origin(domain, text) if "://" in domain else _host(domain, text)


def allows(domains: Iterable[str], origin: str) -> bool:
    """Whether a browser's `Origin` is on the list. An empty list allows none; the origin `null` is never allowed."""
    scheme, separator, authority = origin.lower().partition("://")
    if not separator or not origin.isascii() or len(origin) > MAX_CHARS:
        return False
    exact = f"{scheme}://{authority}"
    return any(_allows(domain, exact, authority) for domain in domains)


def _allows(domain: str, origin: str, authority: str) -> bool:
    if "://" in domain:
        return origin == domain
    if not origin.startswith("https://"):
        return False
    if domain[0] != "*":
        return authority == domain
    return authority.endswith(domain[1:]) and _is_below(authority, domain[2:])


def _is_below(authority: str, host: str) -> bool:
    return all(_LABEL.fullmatch(label) for label in authority.removesuffix(f".{host}").split("."))


def _origin(domain: str, text: str) -> str:
    """A complete origin: scheme, host, and the port unless it is the default port of the scheme."""
    parts, port = _split(domain, text)
    name = parts.hostname or ""
    host = _address(name) or _host(name, text)
    if port in {None, _PORTS[parts.scheme]}:
        return host if parts.scheme == "https" and not _address(name) else f"{parts.scheme}://{host}"
    return f"{parts.scheme}://{host}:{port}"


def _split(domain: str, text: str) -> tuple[SplitResult, int | None]:
    try:
        parts = urlsplit(domain)
        port = parts.port
    except ValueError as error:
        raise _unusable(text) from error
    if (
        parts.scheme not in _PORTS
        or "@" in parts.netloc
        or parts.path not in {"", "/"}
        or parts.query
        or parts.fragment
    ):
        raise _unusable(text)
    return parts, port


def _address(host: str) -> str | None:
    try:
        address = ip_address(host)
    except ValueError:
        return None
    return f"[{address}]" if address.version == 6 else str(address)


def _host(host: str, text: str) -> str:
    """The host name in lower case; a name that is not ASCII is encoded in punycode."""
    name = host.removesuffix(".")
    try:
        name = name.lower() if name.isascii() else idna.encode(name, uts46=True).decode()
    except idna.IDNAError as error:
        raise _unusable(text) from error
    labels = name.split(".")
    if len(name) > 253 or not all(_LABEL.fullmatch(label) for label in labels) or labels[-1].isdigit():
        raise _unusable(text)
    return name


def _unusable(text: str) -> InvalidInput:
    return InvalidInput(
        f"{text[:80]!r} is not a domain. Use one like shop.example, *.shop.example or http://localhost:3000."
    )
