"""Routers whose routes state a `Requirement`, and the dependencies that their handlers share.

A request may hold a stream slot and a row of the ledger. Both are released with its response,
however that ends: an event stream whose client disconnects before the start never runs, so code
inside the stream could not release them.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, Callable, Coroutine, Iterable, Mapping, Sequence
from contextlib import AsyncExitStack
from functools import partial
from typing import Annotated, Any, ClassVar

from fastapi import APIRouter, Depends, Path, Query, Request, Response, Security
from fastapi.routing import APIRoute
from fastapi.security import APIKeyCookie, APIKeyHeader, HTTPBearer
from starlette.routing import BaseRoute

from ragstone.billing.ledger import Ledger, UsageKind
from ragstone.billing.rate_limits import RateLimits
from ragstone.chat.ask import Chat, Exchange
from ragstone.chat.usage_meter import UsageMeter
from ragstone.errors import NotFound
from ragstone.http.authentication import MAX_JSON_BYTES, MAX_LOGIN_BYTES, ErrorRenderer, Requirement, anonymous, guarded
from ragstone.http.browser_origin import SESSION_COOKIE
from ragstone.http.capabilities import AdmissionDep, ChatDep, LedgerDep, RateLimitsDep, TenantsDep
from ragstone.http.context import context_of
from ragstone.http.error_handlers import problems
from ragstone.http.streaming import EventStream, StreamEvent, StreamOptions
from ragstone.principals import Permission, Principal
from ragstone.vocabulary import COLLECTION_PATTERN, DEFAULT_COLLECTION, Filters, Scope


class GuardedRoute(APIRoute):
    """A route whose handler runs only for requests that meet its requirement."""

    requirement: ClassVar[Requirement]

    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        """FastAPI's handler behind the requirement: FastAPI reads the body before it resolves dependencies."""
        handle = super().get_route_handler()

        async def handler(request: Request) -> Response:
            return await guarded(request, self.requirement, handle)

        return handler


def guarded_route(required: Requirement) -> type[GuardedRoute]:
    """The class of routes with this requirement, for FastAPI's `route_class`."""
    return type("GuardedRoute", (GuardedRoute,), {"requirement": required})


def admitted_router(
    *,
    tag: str,
    needs: Permission,
    metered: bool = False,
    max_body_bytes: int | None = MAX_JSON_BYTES,
    error_format: ErrorRenderer | None = None,
) -> APIRouter:
    """A router whose routes authenticate their callers, as OpenAPI says too.

    Args:
        tag: The heading of its routes in OpenAPI.
        needs: The permission that the caller must have; else 403.
        metered: Whether each request counts against the plan of the caller's tenant; beyond it, 429.
        max_body_bytes: Larger bodies are refused; None: the limit of the server, for routes that take files.
        error_format: Problem details (RFC 9457) unless given.
    """
    required = Requirement(needs, metered=metered, max_body_bytes=max_body_bytes, error_format=error_format)
    return APIRouter(
        tags=[tag],
        route_class=guarded_route(required),
        dependencies=[Security(scheme) for scheme in _SCHEMES],
        responses=problems(401, 403, 422, 429),
    )


def open_router(*, tag: str) -> APIRouter:
    """A router whose routes anyone may call; each is on the list that `tests/api/test_every_route.py` reviews."""
    required = Requirement(identify=anonymous, max_body_bytes=MAX_LOGIN_BYTES)
    return APIRouter(tags=[tag], route_class=guarded_route(required), responses=problems(401, 403, 413, 422, 429))


def requirement_of(route: BaseRoute) -> Requirement | None:
    """What a route requires; None where it requires nothing."""
    required = getattr(route, "requirement", None)
    return required if isinstance(required, Requirement) else None


def page_routes(routes: Iterable[BaseRoute]) -> Mapping[str, frozenset[str]]:
    """The paths that pages of customers' web sites call, with their methods; for `middleware.PreflightMiddleware`."""
    found: dict[str, frozenset[str]] = {}
    for route in routes:
        required = requirement_of(route)
        if required and required.needs is Permission.WIDGET and isinstance(route, APIRoute):
            found[route.path] = found.get(route.path, frozenset()) | frozenset(route.methods or ())
    return found


# They only document how to send a key: the requirement was enforced before they run.
_SCHEMES: Sequence[Callable[..., Any]] = (
    HTTPBearer(auto_error=False, description="An API key, or the token of a session."),
    APIKeyHeader(name="x-api-key", auto_error=False, description="An API key, in a header of its own."),
    APIKeyCookie(name=SESSION_COOKIE, auto_error=False, description="The session of a browser that has logged in."),
)


# All are coroutines though none waits: FastAPI runs a plain function in a thread.

StreamFactory = Callable[[AsyncGenerator[StreamEvent]], EventStream]
ID_PATTERN = r"^[A-Za-z0-9_-]{1,64}$"


async def _principal(request: Request) -> Principal:
    return context_of(request).authenticated


async def _scope(
    principal: Annotated[Principal, Depends(_principal)],
    collection: Annotated[
        str, Query(pattern=COLLECTION_PATTERN, description="The collection to work in.")
    ] = DEFAULT_COLLECTION,
) -> Scope:
    return principal.scope(collection)


async def _acting_tenant(
    principal: Annotated[Principal, Depends(_principal)],
    tenants: TenantsDep,
    tenant: Annotated[
        str | None, Query(pattern=COLLECTION_PATTERN, description="For operators: the tenant to act for.")
    ] = None,
) -> str:
    if tenant is None or tenant == principal.tenant:
        return principal.tenant
    if not principal.may(Permission.OPERATE):
        raise NotFound(f"There is no tenant {tenant!r} here. Leave `tenant` out to work in your own.")
    return (await tenants.get(tenant)).id


async def _stream(
    principal: Annotated[Principal, Depends(_principal)],
    admission: AdmissionDep,
) -> StreamFactory:
    return partial(EventStream, options=StreamOptions(still=partial(admission.is_still_valid, principal)))


Admitted = Annotated[Principal, Depends(_principal)]
"""The caller."""
AdmittedScope = Annotated[Scope, Depends(_scope)]
"""For routes that take `collection` as a query parameter."""
AdmittedStream = Annotated[StreamFactory, Depends(_stream)]
"""Makes the response of a stream of events, which ends when its caller would no longer be admitted."""
ActingTenant = Annotated[str, Depends(_acting_tenant)]
"""The caller's tenant, or the one that an operator names with `?tenant=`."""
PathId = Annotated[str, Path(pattern=ID_PATTERN)]


class ChatExchange:
    """Begins the exchange and the usage meter of one request; `stack` releases them with its response."""

    def __init__(
        self, chat: Chat, limits: RateLimits, ledger: Ledger, principal: Principal, stack: AsyncExitStack, overage: bool
    ) -> None:
        self._chat = chat
        self._limits = limits
        self._ledger = ledger
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
        """Check a question, take one of the tenant's stream slots, and reserve a row of the ledger.

        Raises:
            InvalidQuestion: blank or too long.
            NotFound: no such collection or conversation.
            RateLimited: all streams of the plan are taken.
            Unavailable: the ledger cannot be written.
        """
        await self._stack.enter_async_context(self._limits.stream(self._principal))
        exchange = await self._chat.begin(
            scope,
            question,
            principal=self._principal,
            overage=self._overage,
            conversation_id=conversation_id,
            filters=filters,
            limit=limit,
        )
        self._stack.push_async_callback(self._chat.release, exchange)
        return exchange

    async def meter(self, kind: UsageKind) -> UsageMeter:
        """Reserve a row of the ledger; the usage measured until the response ends is written to it.

        Raises:
            Unavailable: the ledger cannot be written.
        """
        meter = await UsageMeter.open(self._ledger, self._principal, kind, overage=self._overage)
        self._stack.push_async_callback(meter.settle)
        return meter


async def _chat_exchange(
    request: Request,
    principal: Admitted,
    chat: ChatDep,
    limits: RateLimitsDep,
    ledger: LedgerDep,
) -> AsyncGenerator[ChatExchange]:
    async with AsyncExitStack() as stack:
        yield ChatExchange(chat, limits, ledger, principal, stack, context_of(request).is_overage)


AdmittedAsking = Annotated[ChatExchange, Depends(_chat_exchange)]
"""For routes that answer: begins exchanges of the caller, which end with the response."""
