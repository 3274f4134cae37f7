"""Questions of whoever was admitted: within the streams of their plan, and on their bill.

What a request holds and owes ends with its response, whichever way that ends: an event
stream that its client left before it began never runs, so nothing inside it can let go.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, Callable, Coroutine, Sequence
from contextlib import AsyncExitStack
from functools import partial
from typing import Annotated, Any, ClassVar

from fastapi import APIRouter, Depends, Path, Query, Request, Response, Security
from fastapi.routing import APIRoute
from fastapi.security import APIKeyCookie, APIKeyHeader, HTTPBearer
from starlette.datastructures import Headers
from starlette.types import Receive, Send
from starlette.types import Scope as ASGIScope

from ragstone.billing.ledger import UsageKind
from ragstone.billing.rate_limits import RateLimitStatus
from ragstone.chat.ask import Exchange
from ragstone.chat.usage_meter import UsageMeter
from ragstone.errors import Forbidden, NotFound
from ragstone.http.authentication import MAX_JSON_BYTES, let_in, limited_body, refuse_announced
from ragstone.http.browser_origin import SESSION_COOKIE, from_another_site, preflight_headers
from ragstone.http.error_handlers import problems
from ragstone.http.streaming import EventStream, StreamEvent
from ragstone.principals import Permission, Principal
from ragstone.vocabulary import COLLECTION_PATTERN, DEFAULT_COLLECTION, Filters, Scope
from ragstone.wiring import Platform

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

    async def handle(self, scope: ASGIScope, receive: Receive, send: Send) -> None:
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


# All are coroutines though none waits: FastAPI runs a plain function in a thread.

StreamFactory = Callable[[AsyncGenerator[StreamEvent]], EventStream]
ID_PATTERN = r"^[A-Za-z0-9_-]{1,64}$"


async def _principal(request: Request) -> Principal:
    principal: Principal = request.state.principal  # missing on a route without the door: an error, never a pass
    return principal


async def _platform(request: Request) -> Platform:
    platform: Platform = request.app.state.platform
    return platform


async def _scope(
    principal: Annotated[Principal, Depends(_principal)],
    collection: Annotated[
        str, Query(pattern=COLLECTION_PATTERN, description="The collection to work in.")
    ] = DEFAULT_COLLECTION,
) -> Scope:
    return principal.scope(collection)


async def _acting_tenant(
    principal: Annotated[Principal, Depends(_principal)],
    platform: Annotated[Platform, Depends(_platform)],
    tenant: Annotated[
        str | None, Query(pattern=COLLECTION_PATTERN, description="For operators: the tenant to act for.")
    ] = None,
) -> str:
    if tenant is None or tenant == principal.tenant:
        return principal.tenant
    if not principal.may(Permission.OPERATE):
        raise NotFound(f"There is no tenant {tenant!r} here. Leave `tenant` out to work in your own.")
    return (await platform.accounts.tenants.get(tenant)).id


async def _stream(
    principal: Annotated[Principal, Depends(_principal)], platform: Annotated[Platform, Depends(_platform)]
) -> StreamFactory:
    return partial(EventStream, still=partial(platform.accounts.admission.still, principal))


Admitted = Annotated[Principal, Depends(_principal)]
AdmittedScope = Annotated[Scope, Depends(_scope)]
"""For routes that take `collection` as a query parameter."""
AdmittedStream = Annotated[StreamFactory, Depends(_stream)]
"""Makes the response of a stream of events, which ends when its caller would no longer be admitted."""
ActingTenant = Annotated[str, Depends(_acting_tenant)]
"""The caller's tenant, or the one that an operator names with `?tenant=`."""
OpenPlatform = Annotated[Platform, Depends(_platform)]
PathId = Annotated[str, Path(pattern=ID_PATTERN)]


class ChatExchange:
    """Begins exchanges and bills for one request."""

    def __init__(self, platform: Platform, principal: Principal, stack: AsyncExitStack, *, overage: bool) -> None:
        self._platform = platform
        self._principal = principal
        self._stack = stack
        self._overage = overage

    async def begin(
        self,
        scope: Scope,
        question: str,
        *,
        conversation_id: str | None = None,
        filters: Filters = Filters(),
        limit: int | None = None,
    ) -> Exchange:
        """Check a question, hold one of the tenant's streams, and reserve a row of the ledger.

        Raises:
            InvalidQuestion: blank or too long.
            NotFound: no such collection or conversation.
            RateLimited: all streams of the plan are taken.
            Unavailable: the ledger cannot be written.
        """
        await self._stack.enter_async_context(self._platform.accounts.limits.stream(self._principal))
        chat = self._platform.chat
        exchange = await chat.begin(
            scope,
            question,
            principal=self._principal,
            overage=self._overage,
            conversation_id=conversation_id,
            filters=filters,
            limit=limit,
        )
        self._stack.push_async_callback(chat.release, exchange)
        return exchange

    async def bill(self, kind: UsageKind) -> UsageMeter:
        """Reserve a row of the ledger, settled with what is on the bill when the response ends.

        Raises:
            Unavailable: the ledger cannot be written.
        """
        bill = await UsageMeter.open(self._platform.accounts.ledger, self._principal, kind, overage=self._overage)
        self._stack.push_async_callback(bill.settle)
        return bill


async def _asking(request: Request, principal: Admitted, platform: OpenPlatform) -> AsyncGenerator[ChatExchange]:
    standing: RateLimitStatus | None = getattr(
        request.state, "standing", None
    )  # nobody counts whose plan has no limits
    async with AsyncExitStack() as stack:
        yield ChatExchange(platform, principal, stack, overage=standing is not None and standing.overage)


AdmittedAsking = Annotated[ChatExchange, Depends(_asking)]
"""For routes that answer: begins exchanges on the bill of the caller, which ends with the response."""
