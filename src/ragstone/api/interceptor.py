"""The interceptor of a tenant: how its chats are enriched, and where they go on to."""

from __future__ import annotations

from fastapi import APIRouter

from ragstone.accounts.interceptor_places import urls
from ragstone.accounts.interceptors import Stored, checked
from ragstone.api.interceptor_models import (
    InterceptorBody,
    InterceptorKeysOut,
    InterceptorOut,
    InterceptorSettingsBody,
)
from ragstone.errors import Forbidden
from ragstone.http.auth import admitted_router
from ragstone.http.dependencies import ActingTenant, Admitted, OpenPlatform
from ragstone.http.errors import problems
from ragstone.principals import Permission, Principal
from ragstone.wiring import Platform

router = admitted_router(tag="interceptor", needs=Permission.MANAGE)


@router.get("/api/interceptor", response_model=InterceptorOut, summary="Show the interceptor", responses=problems(404))
async def show_interceptor(principal: Admitted, tenant: ActingTenant, platform: OpenPlatform) -> InterceptorOut:
    """How chats are treated now, and which keys are set. No key is shown."""
    _require_whole_tenant(principal)
    return await _in_force(platform, principal, tenant)


@router.put(
    "/api/interceptor",
    response_model=InterceptorOut,
    summary="Set up the interceptor",
    responses=problems(400, 404),
)
async def set_interceptor(
    body: InterceptorBody, principal: Admitted, tenant: ActingTenant, platform: OpenPlatform
) -> InterceptorOut:
    """Replace all settings; what you leave out becomes the default. Keys that you leave out stay.

    URLs have to lead to the public internet. A key stays with the server it was set for: with
    another URL, send it anew.
    """
    _require_whole_tenant(principal)
    allowed = frozenset(platform.settings.outbound.allowed_hosts)
    wanted = checked(body.settings.inside(), allowed=allowed)
    for url in urls(wanted):
        await platform.outbound.check(url)
    stored = await platform.accounts.interceptors.change(principal.id, tenant, wanted, body.keys.inside())
    return _own(stored)


@router.delete(
    "/api/interceptor",
    response_model=InterceptorOut,
    summary="Reset the interceptor",
    responses=problems(404),
)
async def reset_interceptor(principal: Admitted, tenant: ActingTenant, platform: OpenPlatform) -> InterceptorOut:
    """Forget settings and keys; the answer shows the operator's settings, which hold from now on."""
    _require_whole_tenant(principal)
    await platform.accounts.interceptors.remove(principal.id, tenant)
    return await _in_force(platform, principal, tenant)


def _require_whole_tenant(principal: Principal) -> None:
    """The interceptor answers from whatever collection it is set to, so a key for some has no say in it.

    Raises:
        Forbidden: the key is one for some collections.
    """
    if principal.collections is not None:
        raise Forbidden("The interceptor is the whole tenant's, and this key is for some collections. Use another key.")


async def _in_force(platform: Platform, principal: Principal, tenant: str) -> InterceptorOut:
    interceptors = platform.accounts.interceptors
    if stored := await interceptors.stored(tenant):
        return _own(stored)
    runs_it = principal.runs_the_installation
    settings = (await interceptors.get(tenant)).settings if runs_it else await interceptors.to_change(tenant)
    shown = InterceptorSettingsBody.of(settings)
    return InterceptorOut(own=False, settings=shown, keys=InterceptorKeysOut(), updated_at=None)


def _own(stored: Stored) -> InterceptorOut:
    return InterceptorOut(
        own=True,
        settings=InterceptorSettingsBody.of(stored.settings),
        keys=InterceptorKeysOut(**stored.keys_set),
        updated_at=stored.updated_at,
    )


ROUTERS: tuple[APIRouter, ...] = (router,)
