"""The door: who may come in, decided before a byte of the body is read.

FastAPI reads and parses a request's body before it runs dependencies, so a dependency
alone would let anybody make the server parse anything. `AdmittedRoute` therefore asks
the door first, after routing (never by comparing paths) and before the body; the
`Admitted` dependency then only hands on the result, and fails where nothing was asked.

With API keys configured, a request needs one of them, as `Authorization: Bearer …` or
`x-api-key: …`. Without keys the server answers this machine alone, and since a
browser on this machine also runs other people's pages, it refuses what such a page
could send: a `Host` that is no loopback name (DNS rebinding), a foreign `Origin` or
`Sec-Fetch-Site` (cross-site request forgery), and anything a proxy passed on.
"""

from __future__ import annotations

import hashlib
import hmac
import re
from collections.abc import Callable, Coroutine, Sequence
from dataclasses import dataclass
from ipaddress import ip_address
from typing import Any, ClassVar

from fastapi import APIRouter, Request, Response, Security
from fastapi.routing import APIRoute
from fastapi.security import APIKeyHeader, HTTPBearer
from starlette.datastructures import Headers
from starlette.types import Message, Receive

from ragstone.errors import Forbidden, InvalidInput, TooLarge, Unauthenticated
from ragstone.http.errors import problems
from ragstone.principals import LOCAL, PERMISSIONS, Kind, Permission, Principal, Role
from ragstone.settings import LOOPBACK_HOSTS, ServerSettings

MAX_JSON_BYTES = 8 << 20  # JSON is parsed in memory and on the event loop: about 10 ms a MiB
_HOST = re.compile(r"(?P<name>[A-Za-z0-9.-]+|\[[0-9A-Fa-f:.]+\])(:[0-9]{1,5})?")
PROXY_HEADERS = ("forwarded", "x-forwarded-for", "x-forwarded-host", "x-real-ip")


@dataclass(frozen=True, slots=True)
class Door:
    """Admits requests. Keys are kept as SHA-256 digests only."""

    key_digests: tuple[bytes, ...]
    max_body_bytes: int

    @classmethod
    def of(cls, settings: ServerSettings) -> Door:
        """The door that the settings describe."""
        keys = (key.get_secret_value().encode() for key in settings.api_keys)
        return cls(tuple(hashlib.sha256(key).digest() for key in keys), settings.max_body_bytes)

    def admit(self, request: Request) -> Principal:
        """Whoever asks.

        Raises:
            Unauthenticated: keys are configured, and none of them was sent.
            Forbidden: no keys are configured, and the request does not come from this machine's own programs.
        """
        if self.key_digests:
            return self._holder_of_a_key(request.headers)
        _refuse_foreign(request)
        return LOCAL

    def _holder_of_a_key(self, headers: Headers) -> Principal:
        presented = hashlib.sha256(_presented_key(headers)).digest()
        matches = [hmac.compare_digest(presented, known) for known in self.key_digests]  # all, for equal time
        if not any(matches):
            raise Unauthenticated(
                "This server needs an API key. Send one as `Authorization: Bearer <key>` or `x-api-key: <key>`."
            )
        return Principal(f"setting:{matches.index(True) + 1}", Kind.SETTING, permissions=PERMISSIONS[Role.OWNER])


def _presented_key(headers: Headers) -> bytes:
    scheme, _, credentials = headers.get("authorization", "").partition(" ")
    key = credentials.strip() if scheme.lower() == "bearer" else headers.get("x-api-key", "")
    return key.encode("latin-1")  # headers arrive decoded so; this gives the bytes back


def _refuse_foreign(request: Request) -> None:
    headers = request.headers
    if not _is_loopback(request.client.host if request.client else "") or any(
        name in headers for name in PROXY_HEADERS
    ):
        raise Forbidden(
            "Without API keys this server answers programs on its own machine only. "
            "Set RAGSTONE_SERVER__API_KEYS to serve others."
        )
    hosts = headers.getlist("host")
    named = _HOST.fullmatch(hosts[0]) if len(hosts) == 1 else None
    if not named or not _is_loopback(named["name"].strip("[]").lower()):
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


def _is_loopback(host: str) -> bool:
    if host in LOOPBACK_HOSTS:
        return True
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return False


class AdmittedRoute(APIRoute):
    """A route behind the door. Bodies larger than `max_body_bytes` are refused while they arrive."""

    max_body_bytes: ClassVar[int | None] = MAX_JSON_BYTES
    needs: ClassVar[Permission]
    metered: ClassVar[bool] = False

    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        """FastAPI's handler, behind the door."""
        handle = super().get_route_handler()

        async def admitted(request: Request) -> Response:
            door: Door = request.app.state.door
            principal = door.admit(request)
            request.state.principal = principal
            if not principal.may(self.needs):
                raise Forbidden(_lacking(self.needs))
            limit = min(self.max_body_bytes or door.max_body_bytes, door.max_body_bytes)
            _refuse_announced(request.headers, limit)
            return await handle(Request(request.scope, _limited(request.receive, limit)))

        return admitted


class UploadRoute(AdmittedRoute):
    """A route behind the door that takes files: bodies up to the server's limit."""

    max_body_bytes = None


def _lacking(needed: Permission) -> str:
    return (
        f"This needs the permission `{needed}`, which you were not given. "
        "Use a key that has it, or ask an owner of your tenant."
    )


def _refuse_announced(headers: Headers, limit: int) -> None:
    announced = headers.get("content-length", "0")
    if not announced.isdecimal():
        raise InvalidInput("The Content-Length header is no number. Leave it to your HTTP library.")
    if int(announced) > limit:
        raise _too_large(limit)


def _limited(receive: Receive, limit: int) -> Receive:
    received = 0

    async def receive_counted() -> Message:
        nonlocal received
        message = await receive()
        received += len(message.get("body", b""))
        if received > limit:
            raise _too_large(limit)
        return message

    return receive_counted


def _too_large(limit: int) -> TooLarge:
    return TooLarge(
        f"The request body is larger than {limit:,} bytes, which is the limit here. Send less at once; "
        "files go to POST /api/documents, whose limit is RAGSTONE_SERVER__MAX_BODY_BYTES."
    )


def admitted_router(
    *, tag: str, needs: Permission, metered: bool = False, route_class: type[AdmittedRoute] = AdmittedRoute
) -> APIRouter:
    """A router whose routes are all behind the door, and say so in OpenAPI.

    Args:
        tag: The heading of its routes in OpenAPI.
        needs: What the caller has to be allowed; else 403.
        metered: Whether each request counts against the plan of the caller's tenant; beyond it, 429.
        route_class: The kind of route, which says how large a body may be.
    """
    return APIRouter(
        tags=[tag],
        route_class=type(route_class.__name__, (route_class,), {"needs": needs, "metered": metered}),
        dependencies=[Security(scheme) for scheme in _SCHEMES],
        responses=problems(401, 403, 422, *((429,) if metered else ())),
    )


# They document how to send a key; `Door.admit` has decided before they run.
_SCHEMES: Sequence[Callable[..., Any]] = (
    HTTPBearer(auto_error=False, description="An API key of RAGSTONE_SERVER__API_KEYS."),
    APIKeyHeader(name="x-api-key", auto_error=False, description="The same key, in a header of its own."),
)
