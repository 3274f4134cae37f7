"""What a request shows of itself: one key or one session token, in a header or a cookie.

Nothing is read from the query string: addresses end up in logs, histories and referrers.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from starlette.datastructures import Headers

from ragstone.errors import Unauthenticated

SESSION_COOKIE = "ragstone_session"
SECURE_COOKIE = f"__Host-{SESSION_COOKIE}"  # RFC 6265bis: only over https, for this host alone, with Path=/


@dataclass(frozen=True, slots=True)
class Shown:
    """A credential. What came `by_cookie` a browser may have sent without its user's doing."""

    value: str
    by_cookie: bool


def shown(headers: Headers, *, cookie: str) -> Shown | None:
    """The credential of a request; None if there is none. `cookie` is the name of the session's cookie.

    Raises:
        Unauthenticated: there are several, and who asks depends on which one is believed.
    """
    by_header = {value for value in _header_values(headers) if value}
    by_cookie = {value for value in _cookie_values(headers, cookie) if value}
    match sorted(by_header | by_cookie):
        case []:
            return None
        case [value]:
            return Shown(value, by_cookie=value not in by_header)
        case _:
            raise Unauthenticated("The request shows several keys or sessions. Send one of them only.")


def _header_values(headers: Headers) -> Iterator[str]:
    for authorization in headers.getlist("authorization"):
        scheme, _, credentials = authorization.partition(" ")
        if scheme.lower() == "bearer":
            yield credentials.strip()
    yield from headers.getlist("x-api-key")


def _cookie_values(headers: Headers, name: str) -> Iterator[str]:
    """Every value of the cookie: a page of a neighbouring subdomain can add one of its own."""
    for line in headers.getlist("cookie"):
        for part in line.split(";"):
            found, _, value = part.partition("=")
            if found.strip() == name:
                yield value.strip()
