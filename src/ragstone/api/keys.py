"""Routes of API keys: secret keys for programs, publishable keys for web sites."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import APIRouter, Query, status
from pydantic import ConfigDict, Field

from ragstone.api.bodies import KEY_ID, USER_ID, NextPage, Out, Request, request_for, response_for, shown
from ragstone.http.capabilities import ApiKeysDep
from ragstone.http.error_handlers import problems
from ragstone.http.routing import ActingTenant, Admitted, PathId, admitted_router
from ragstone.identity.api_keys import MAX_OVERLAP_S, ROTATION_OVERLAP_S, ApiKey, Domains, NewKey
from ragstone.identity.fields import DisplayName
from ragstone.principals import Permission

MAX_PAGE = 500

router = admitted_router(tag="accounts", needs=Permission.MANAGE)

KEY: dict[str, Any] = {
    "id": KEY_ID,
    "kind": "secret",
    "name": "backend",
    "start": "rs_sk_aB3x",
    "permissions": ["chat", "read"],
    "collections": ["default"],
    "domains": [],
    "created_by": f"user:{USER_ID}",
    "created_at": "2026-11-21T10:00:00Z",
    "expires_at": None,
    "revoked_at": None,
    "last_used_at": None,
    "replaced_by": None,
}


@request_for(NewKey)
class KeyBody(Request):
    """A new key."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {"name": "backend", "permissions": ["chat", "read"], "collections": ["default"]},
                {"kind": "publishable", "name": "shop", "domains": ["shop.example", "*.shop.example"]},
            ]
        }
    )


class KeyChangeBody(Request):
    """Changes of a key; a field that is left out stays."""

    model_config = ConfigDict(json_schema_extra=shown({"domains": ["shop.example"]}))

    name: DisplayName | None = None
    domains: Domains | None = None


class RotationBody(Request):
    """Seconds that the old key stays valid beside the new one."""

    model_config = ConfigDict(json_schema_extra=shown({"overlap_s": 3600}))

    overlap_s: int = Field(ROTATION_OVERLAP_S, ge=0, le=MAX_OVERLAP_S)


@response_for(ApiKey, without={"tenant"})
class KeyOut(Out):
    """A key without its secret, which cannot be shown again."""

    model_config = ConfigDict(json_schema_extra=shown(KEY))


class NewKeyOut(KeyOut):
    """A new key, with its secret."""

    model_config = ConfigDict(json_schema_extra=shown({**KEY, "key": "rs_sk_aB3x…"}))

    key: str = Field(description="Shown only now. Store it like a password.")


class KeyList(Out):
    """Keys, newest first."""

    model_config = ConfigDict(json_schema_extra=shown({"keys": [KEY], "next": None}))

    keys: list[KeyOut]
    next: NextPage


@router.get("/api/accounts/keys", response_model=KeyList, summary="List keys", responses=problems(404))
async def list_keys(
    tenant: ActingTenant,
    api_keys: ApiKeysDep,
    limit: Annotated[int, Query(ge=1, le=MAX_PAGE, description="Keys on this page, at most.")] = 100,
    after: Annotated[PathId | None, Query(description="`next` of the page before.")] = None,
) -> KeyList:
    """The keys of the tenant, newest first, with those that have ended. The keys themselves are not shown."""
    found = await api_keys.all(tenant, limit=limit + 1, after=after)
    page = [KeyOut.model_validate(key) for key in found[:limit]]
    return KeyList(keys=page, next=found[limit - 1].id if len(found) > limit else None)


@router.post(
    "/api/accounts/keys",
    status_code=status.HTTP_201_CREATED,
    response_model=NewKeyOut,
    summary="Make a key",
    responses=problems(400, 404),
)
async def make_key(body: KeyBody, principal: Admitted, tenant: ActingTenant, api_keys: ApiKeysDep) -> NewKeyOut:
    """Create a key with permissions and collections that you have yourself. Only this answer shows the key."""
    return _shown_once(await api_keys.create(principal, tenant, NewKey(**body.values())))


@router.get("/api/accounts/keys/{key_id}", response_model=KeyOut, summary="Show a key", responses=problems(404))
async def show_key(key_id: PathId, tenant: ActingTenant, api_keys: ApiKeysDep) -> ApiKey:
    """One key: its permissions, when it was last used and when it ends."""
    return await api_keys.get(tenant, key_id)


@router.patch(
    "/api/accounts/keys/{key_id}", response_model=KeyOut, summary="Change a key", responses=problems(400, 404)
)
async def change_key(
    key_id: PathId, body: KeyChangeBody, principal: Admitted, tenant: ActingTenant, api_keys: ApiKeysDep
) -> ApiKey:
    """Rename a key, or give a publishable key other domains. For other permissions create another key."""
    return await api_keys.change(principal, tenant, key_id, name=body.name, domains=body.domains)


@router.delete(
    "/api/accounts/keys/{key_id}",
    status_code=status.HTTP_204_NO_CONTENT,
    summary="Revoke a key",
    responses=problems(404),
)
async def revoke_key(key_id: PathId, principal: Admitted, tenant: ActingTenant, api_keys: ApiKeysDep) -> None:
    """End a key within a second; its open streams end too. It stays in the list."""
    await api_keys.revoke(principal, tenant, key_id)


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
    """Replace a key with a copy; the old key stays valid for `overlap_s`. Only this answer shows the new key."""
    return _shown_once(await api_keys.rotate(principal, tenant, key_id, overlap_s=body.overlap_s))


def _shown_once(made: tuple[ApiKey, str]) -> NewKeyOut:
    key, shown = made
    return NewKeyOut(**KeyOut.model_validate(key).model_dump(), key=shown)


ROUTERS: tuple[APIRouter, ...] = (router,)
