"""API keys: secret ones for programs, publishable ones for web sites."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Query, status

from ragstone.api.account_models import KeyBody, KeyChangeBody, KeyList, KeyOut, NewKeyOut, RotationBody
from ragstone.http.capabilities import ApiKeysDep
from ragstone.http.error_handlers import problems
from ragstone.http.routing import ActingTenant, Admitted, PathId, admitted_router
from ragstone.identity.api_keys import ApiKey, NewKey
from ragstone.principals import PUBLISHABLE_KEY_PERMISSIONS, SECRET_KEY_PERMISSIONS, Permission, check_key

MAX_PAGE = 500

router = admitted_router(tag="accounts", needs=Permission.MANAGE)


@router.get("/api/accounts/keys", response_model=KeyList, summary="List keys", responses=problems(404))
async def list_keys(
    tenant: ActingTenant,
    api_keys: ApiKeysDep,
    limit: Annotated[int, Query(ge=1, le=MAX_PAGE, description="Keys on this page, at most.")] = 100,
    after: Annotated[PathId | None, Query(description="`next` of the page before.")] = None,
) -> KeyList:
    """The tenant's keys, newest first, also those that have ended. None shows the key itself."""
    found = await api_keys.all(tenant, limit=limit + 1, after=after)
    page = [KeyOut.model_validate(key) for key in found[:limit]]
    return KeyList(keys=page, next=page[-1].id if len(found) > limit else None)


@router.post(
    "/api/accounts/keys",
    status_code=status.HTTP_201_CREATED,
    response_model=NewKeyOut,
    summary="Make a key",
    responses=problems(400, 404),
)
async def make_key(body: KeyBody, principal: Admitted, tenant: ActingTenant, api_keys: ApiKeysDep) -> NewKeyOut:
    """Make a key that may do no more than whoever makes it. The answer shows it, this once."""
    new = NewKey(
        kind=body.kind,
        name=body.name,
        permissions=body.permissions,
        collections=body.collections,
        domains=body.domains,
        expires_at=body.expires_at,
    )
    check_key(principal, _permissions(new), new.collections)
    return _shown_once(await api_keys.create(principal.id, tenant, new))


@router.get("/api/accounts/keys/{key_id}", response_model=KeyOut, summary="Show a key", responses=problems(404))
async def show_key(key_id: PathId, tenant: ActingTenant, api_keys: ApiKeysDep) -> ApiKey:
    """What is known of a key: what it opens, when it was last used, when it ends."""
    return await api_keys.get(tenant, key_id)


@router.patch(
    "/api/accounts/keys/{key_id}", response_model=KeyOut, summary="Change a key", responses=problems(400, 404)
)
async def change_key(
    key_id: PathId, body: KeyChangeBody, principal: Admitted, tenant: ActingTenant, api_keys: ApiKeysDep
) -> ApiKey:
    """Rename a key, or give a publishable one other domains. For other permissions make another key."""
    key = await api_keys.get(tenant, key_id)
    check_key(principal, key.permissions, key.collections)
    return await api_keys.change(principal.id, tenant, key_id, name=body.name, domains=body.domains)


@router.delete(
    "/api/accounts/keys/{key_id}",
    status_code=status.HTTP_204_NO_CONTENT,
    summary="Revoke a key",
    responses=problems(404),
)
async def revoke_key(key_id: PathId, principal: Admitted, tenant: ActingTenant, api_keys: ApiKeysDep) -> None:
    """End a key, effective within a second, also on streams that run. It stays in the list."""
    await api_keys.revoke(principal.id, tenant, key_id)


@router.post(
    "/api/accounts/keys/{key_id}/rotate",
    status_code=status.HTTP_201_CREATED,
    response_model=NewKeyOut,
    summary="Rotate a key",
    responses=problems(400, 404, 409),
)
async def rotate_key(
    key_id: PathId, body: RotationBody, principal: Admitted, tenant: ActingTenant, api_keys: ApiKeysDep
) -> NewKeyOut:
    """A new key with everything of the old one, which works on for `overlap_s`. The answer shows it, this once."""
    key = await api_keys.get(tenant, key_id)
    check_key(principal, key.permissions, key.collections)
    made = await api_keys.rotate(principal.id, tenant, key_id, overlap_s=body.overlap_s)
    return _shown_once(made)


def _permissions(new: NewKey) -> frozenset[Permission]:
    """What the key will have, where the body leaves it open."""
    if new.kind == "publishable":
        return PUBLISHABLE_KEY_PERMISSIONS
    return SECRET_KEY_PERMISSIONS - {Permission.MANAGE} if new.permissions is None else new.permissions


def _shown_once(made: tuple[ApiKey, str]) -> NewKeyOut:
    key, shown = made
    return NewKeyOut(**KeyOut.model_validate(key).model_dump(), key=shown)


ROUTERS: tuple[APIRouter, ...] = (router,)
