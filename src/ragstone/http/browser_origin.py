"""From where a request may come: this machine, the server's own pages, a customer's web site.

A browser says in `Origin` and `Sec-Fetch-Site` which page sent a request, and pages cannot
change that. Programs can: these rules stop browsers that other people's pages misuse.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from ipaddress import ip_address
from typing import TYPE_CHECKING

from starlette.datastructures import Headers
from starlette.requests import Request

from ragstone.errors import Forbidden, Unauthenticated
from ragstone.identity.allowed_domains import allows
from ragstone.principals import Principal
from ragstone.resilience.destinations import LOOPBACK_HOSTS

if TYPE_CHECKING:
    from ragstone.settings import ServerSettings

SESSION_COOKIE = "ragstone_session"
SECURE_COOKIE = f"__Host-{SESSION_COOKIE}"  # RFC 6265bis: only over https, for this host alone, with Path=/


@dataclass(frozen=True, slots=True)
class Shown:
    """A credential. A browser may have sent one that came `by_cookie` without its user's intent."""

    value: str
    by_cookie: bool


def shown(headers: Headers, *, cookie: str) -> Shown | None:
    """The credential of a request; None if there is none. `cookie` is the name of the session's cookie.

    Raises:
        Unauthenticated: there are several, which may belong to different callers.
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
    """Every value of the cookie: a page of a neighbouring subdomain can add another one."""
    for line in headers.getlist("cookie"):
        for part in line.split(";"):
            found, _, value = part.partition("=")
            if found.strip() == name:
                yield value.strip()


PROXY_HEADERS = ("forwarded", "x-forwarded-for", "x-forwarded-host", "x-real-ip")
SAFE_METHODS = frozenset({"GET", "HEAD"})
PREFLIGHT_S = 600  # how long a browser may remember an answer to a preflight
_HOST = re.compile(r"(?P<name>[A-Za-z0-9.-]+|\[[0-9A-Fa-f:.]+\])(:[0-9]{1,5})?")
_ALLOWED_HEADERS = "authorization, content-type, x-api-key, x-request-id"
_EXPOSED_HEADERS = (
    "retry-after, ratelimit, ratelimit-policy, ratelimit-limit, ratelimit-remaining, ratelimit-reset, x-request-id"
)


@dataclass(frozen=True, slots=True)
class Site:
    """Where people reach this server; `public` is its origin, if the settings say so.

    A request header cannot prove that the request came over https: any client can send it.
    """

    public: str | None = None

    @classmethod
    def of(cls, settings: ServerSettings) -> Site:
        """The site that the settings describe."""
        return cls(settings.public_url)

    @property
    def secure(self) -> bool:
        """Whether browsers reach it over https."""
        return bool(self.public) and str(self.public).startswith("https://")

    @property
    def cookie(self) -> str:
        """The name of the session's cookie."""
        return SECURE_COOKIE if self.secure else SESSION_COOKIE

    def owns(self, origin: str, headers: Headers) -> bool:
        """Whether the page of `origin` is one of this server."""
        hosts = headers.getlist("host")
        if self.public and not (len(hosts) == 1 and is_loopback_name(hosts[0])):
            return origin == self.public
        return len(hosts) == 1 and origin in {f"http://{hosts[0].lower()}", f"https://{hosts[0].lower()}"}


def from_another_site(headers: Headers, site: Site) -> str | None:
    """The origin of the foreign page that sent the request; None if no foreign page did."""
    return next((origin for origin in headers.getlist("origin") if not site.owns(origin, headers)), None)


def refuse_foreign(request: Request) -> None:
    """Refuse all but programs on this machine, where no key is needed.

    Raises:
        Forbidden: another machine, another site's page, a proxy, or a name that is not this machine's.
    """
    headers = request.headers
    if not _is_loopback(request.client.host if request.client else "") or any(
        name in headers for name in PROXY_HEADERS
    ):
        raise Forbidden(
            "Without API keys this server answers programs on its own machine only. "
            "Set RAGSTONE_SERVER__API_KEYS, or create an owner with `ragstone accounts`, to serve others."
        )
    hosts = headers.getlist("host")
    if len(hosts) != 1 or not is_loopback_name(hosts[0]):
        raise Forbidden(
            "Without API keys this server answers to the names localhost, 127.0.0.1 and [::1] only. "
            "Use one of them, or set RAGSTONE_SERVER__API_KEYS."
        )
    origin = headers.get("origin")
    same_origin = origin is None or origin.partition("://")[2] == hosts[0]
    if not same_origin or headers.get("sec-fetch-site", "none") not in {"none", "same-origin"}:
        raise Forbidden(
            "A page of another site sent this request. Without API keys this server does not answer such pages; "
            "set RAGSTONE_SERVER__API_KEYS and call it from your own backend."
        )


def refuse_forged(method: str, headers: Headers, site: Site) -> None:
    """Refuse a request with a cookie unless a page of this server sent it (cross-site request forgery).

    Raises:
        Forbidden: another page sent it, or nothing says which one and it would change something.
    """
    foreign = from_another_site(headers, site) is not None
    fetched = headers.get("sec-fetch-site")
    own = fetched in {"same-origin", "none"} or (fetched is None and "origin" in headers)
    if foreign or (not own and method not in SAFE_METHODS):
        raise Forbidden(
            "The session's cookie counts only for pages of this server. Programs send the token as "
            "`Authorization: Bearer <token>`. Behind a proxy, RAGSTONE_SERVER__PUBLIC_URL names the server's own pages."
        )


def widget_headers(principal: Principal, headers: Headers) -> dict[str, str]:
    """The CORS headers for a site that the publishable key was made for; its origin alone, never credentials.

    Raises:
        Forbidden: the request names no origin, or one that is not on the key's list.
    """
    origin = headers.get("origin", "")
    if len(headers.getlist("origin")) != 1 or not allows(principal.domains, origin):
        raise Forbidden(
            "This key answers only pages of the domains it was made for. "
            "Add the page's origin to the key's domains, or use a secret key from your own backend."
        )
    return {**_cors(origin), "access-control-expose-headers": _EXPOSED_HEADERS}


def preflight_headers(known: frozenset[str], headers: Headers, methods: frozenset[str]) -> dict[str, str]:
    """The headers of the response to a preflight request, which a browser sends without a key.

    `known` are the domains of all publishable keys; any other origin gets no CORS headers.
    """
    origin = headers.get("origin", "")
    if not allows(known, origin):
        return {"vary": "origin"}
    return {
        **_cors(origin),
        "access-control-allow-methods": ", ".join(sorted(methods)),
        "access-control-allow-headers": _ALLOWED_HEADERS,
        "access-control-max-age": str(PREFLIGHT_S),
    }


def _cors(origin: str) -> dict[str, str]:
    return {"access-control-allow-origin": origin, "vary": "origin"}


def is_loopback_name(host: str) -> bool:
    """Whether a `Host` header names this machine."""
    named = _HOST.fullmatch(host)
    return named is not None and _is_loopback(named["name"].strip("[]").lower())


def _is_loopback(host: str) -> bool:
    if host in LOOPBACK_HOSTS:
        return True
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return False
