"""What a route may ask for: who was admitted, into which scope, and the platform."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Callable
from functools import partial
from typing import Annotated

from fastapi import Depends, Path, Query, Request

from ragstone.errors import NotFound
from ragstone.http.streaming import EventStream, StreamEvent
from ragstone.principals import Permission, Principal
from ragstone.vocabulary import COLLECTION_PATTERN, DEFAULT_COLLECTION, Scope
from ragstone.wiring import Platform

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
