"""The door of FastAPI's routes.

FastAPI reads and parses a request's body before it runs dependencies, so a dependency
alone would let anybody make the server parse anything. `AdmittedRoute` therefore asks
the door first, after routing (never by comparing paths) and before the body; the
`Admitted` dependency then only hands on the result, and fails where nothing was asked.
"""

from __future__ import annotations

from collections.abc import Callable, Coroutine, Sequence
from typing import Any, ClassVar

from fastapi import APIRouter, Request, Response, Security
from fastapi.routing import APIRoute
from fastapi.security import APIKeyCookie, APIKeyHeader, HTTPBearer
from starlette.datastructures import Headers
from starlette.types import Receive, Scope, Send

from ragstone.errors import Forbidden
from ragstone.http.credentials import SESSION_COOKIE
from ragstone.http.door import MAX_JSON_BYTES, let_in, limited_body, refuse_announced
from ragstone.http.errors import problems
from ragstone.http.origins import from_another_site, preflight_headers
from ragstone.principals import Permission

MAX_LOGIN_BYTES = 4096  # an address and a password; whoever sends it is not known yet


class AdmittedRoute(APIRoute):
    """A route behind the door. Bodies larger than `max_body_bytes` are refused while they arrive."""

    max_body_bytes: ClassVar[int | None] = MAX_JSON_BYTES
    needs: ClassVar[Permission]
    metered: ClassVar[bool] = False

    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        """FastAPI's handler, behind the door."""
        handle = super().get_route_handler()

        async def admitted(request: Request) -> Response:
            return await handle(
                await let_in(request, self.needs, metered=self.metered, max_body_bytes=self.max_body_bytes)
            )

        return admitted

    async def handle(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer; also a browser's question whether a page may ask, on routes for pages."""
        if scope["method"] == "OPTIONS" and self.needs is Permission.WIDGET:
            state = scope["app"].state
            known = await state.door.known_origins(state.platform.accounts)
            headers = preflight_headers(known, Headers(scope=scope), self.methods or set())
            await Response(status_code=204, headers=headers)(scope, receive, send)
            return
        await super().handle(scope, receive, send)


class UploadRoute(AdmittedRoute):
    """A route behind the door that takes files: bodies up to the server's limit."""

    max_body_bytes = None


class OpenRoute(APIRoute):
    """A route for everybody, such as the login. Bodies are small, and no page of another site may send one."""

    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        """FastAPI's handler, with a limit on the body."""
        handle = super().get_route_handler()

        async def limited(request: Request) -> Response:
            if from_another_site(request.headers, request.app.state.door.site) is not None:
                raise Forbidden(
                    "A page of another site sent this request. Log in on this server's own pages; "
                    "behind a proxy, RAGSTONE_SERVER__PUBLIC_URL names them."
                )
            refuse_announced(request.headers, MAX_LOGIN_BYTES)
            return await handle(Request(request.scope, limited_body(request.receive, MAX_LOGIN_BYTES)))

        return limited


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
        responses=problems(401, 403, 422, 429),
    )


def open_router(*, tag: str) -> APIRouter:
    """A router whose routes anybody may call; each is on the list that `tests/api/test_every_route.py` reviews."""
    return APIRouter(tags=[tag], route_class=OpenRoute, responses=problems(401, 403, 413, 422, 429))


# They document how to send a key; `Door.admit` has decided before they run.
_SCHEMES: Sequence[Callable[..., Any]] = (
    HTTPBearer(auto_error=False, description="An API key, or the token of a session."),
    APIKeyHeader(name="x-api-key", auto_error=False, description="An API key, in a header of its own."),
    APIKeyCookie(name=SESSION_COOKIE, auto_error=False, description="The session of a browser that has logged in."),
)
