"""Routes of the settings of a tenant: how its chats are enriched, and the servers they are forwarded to."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import TYPE_CHECKING, Any

from fastapi import APIRouter
from pydantic import ConfigDict, Field, create_model

from ragstone.api.bodies import Out, Request, shown
from ragstone.errors import Forbidden
from ragstone.http.capabilities import HttpClientDep, SettingsDep, TenantSettingsStoreDep
from ragstone.http.error_handlers import problems
from ragstone.http.routing import ActingTenant, Admitted, admitted_router
from ragstone.principals import Permission, Principal
from ragstone.tenants.settings import KEYS, SETTINGS, TenantSettings, flat, from_flat, urls, with_allowed_servers
from ragstone.tenants.settings_store import Stored, TenantSettingsStore

_SHOWN: dict[str, Any] = {"upstream_url": "https://models.example.com/v1", "models": {"house": "gpt-4o-mini"}}

if TYPE_CHECKING:

    class SettingsBody(Request):
        """Its fields are `SETTINGS`."""

    class KeysBody(Request):
        """Its fields are `KEYS`."""

    class KeysOut(Out):
        """Its fields are `KEYS`."""

else:
    SettingsBody = create_model(
        "InterceptorSettingsBody",
        __base__=Request,
        __doc__="The settings of a tenant. A server or pipeline that is null is the operator's, or none.",
        **{name: (each.info.annotation, each.info) for name, each in SETTINGS.items()},
    )
    KeysBody = create_model(
        "InterceptorKeysBody",
        __base__=Request,
        __doc__="Keys to set; null removes one, and one that is left out stays.",
        **{name: (each.info.annotation, each.info) for name, each in KEYS.items()},
    )
    KeysOut = create_model(
        "InterceptorKeysOut",
        __base__=Out,
        __doc__="When each key was set; null: not set. No route shows a key.",
        **dict.fromkeys(KEYS, (datetime | None, None)),
    )


class InterceptorBody(Request):
    """All settings of a tenant, and keys to set."""

    model_config = ConfigDict(json_schema_extra=shown({"settings": _SHOWN, "keys": {"upstream": "sk-…"}}))

    settings: SettingsBody
    keys: KeysBody = KeysBody()

    def to_domain(self) -> TenantSettings:
        """The settings as the store takes them."""
        return from_flat(self.settings.model_dump(mode="json"))

    def given_keys(self) -> Mapping[str, str | None]:
        """The keys that were sent, by name."""
        sent = {name: getattr(self.keys, name) for name in self.keys.model_fields_set}
        return {name: key.get_secret_value() if key else None for name, key in sent.items()}


class InterceptorOut(Out):
    """The settings in force, and the keys that are set."""

    model_config = ConfigDict(
        json_schema_extra=shown(
            {
                "own": True,
                "settings": flat(from_flat(_SHOWN)),
                "keys": {"upstream": "2026-11-21T10:00:00Z", "anthropic": None, "pipeline": None, "librechat": None},
                "updated_at": "2026-11-21T10:00:00Z",
            }
        )
    )

    own: bool = Field(
        description="Whether the tenant has settings of its own; false: the operator's settings are in force."
    )
    settings: SettingsBody = Field(description="Without the operator's servers and models, unless an operator asks.")
    keys: KeysOut
    updated_at: datetime | None = Field(description="When the tenant changed its settings; null: it has none.")


router = admitted_router(tag="interceptor", needs=Permission.MANAGE)


@router.get("/api/interceptor", response_model=InterceptorOut, summary="Show the interceptor", responses=problems(404))
async def show_interceptor(principal: Admitted, tenant: ActingTenant, store: TenantSettingsStoreDep) -> InterceptorOut:
    """The settings in force, and which keys are set. No key is shown."""
    _require_whole_tenant(principal)
    return await _in_force(store, principal, tenant)


@router.put(
    "/api/interceptor",
    response_model=InterceptorOut,
    summary="Set up the interceptor",
    responses=problems(400, 404),
)
async def set_interceptor(
    body: InterceptorBody,
    principal: Admitted,
    tenant: ActingTenant,
    settings: SettingsDep,
    http: HttpClientDep,
    store: TenantSettingsStoreDep,
) -> InterceptorOut:
    """Replace all settings; what you leave out becomes the default. Keys that you leave out stay.

    URLs must point to the public internet. A key is bound to the server it was set for: with
    another URL, send the key again.
    """
    _require_whole_tenant(principal)
    allowed = frozenset(settings.outbound.allowed_hosts)
    wanted = with_allowed_servers(body.to_domain(), allowed=allowed)
    for url in urls(wanted):
        await http.check(url)
    stored = await store.change(principal.id, tenant, wanted, body.given_keys())
    return _own(stored)


@router.delete(
    "/api/interceptor",
    response_model=InterceptorOut,
    summary="Reset the interceptor",
    responses=problems(404),
)
async def reset_interceptor(principal: Admitted, tenant: ActingTenant, store: TenantSettingsStoreDep) -> InterceptorOut:
    """Delete settings and keys. The answer shows the operator's settings, which are now in force."""
    _require_whole_tenant(principal)
    await store.remove(principal.id, tenant)
    return await _in_force(store, principal, tenant)


def _require_whole_tenant(principal: Principal) -> None:
    """Refuse keys for some collections, since the settings choose the collection of all chats.

    Raises:
        Forbidden: the key is for some collections.
    """
    if principal.collections is not None:
        raise Forbidden(
            "The interceptor belongs to the whole tenant, and this key is for some collections. Use another key."
        )


async def _in_force(store: TenantSettingsStore, principal: Principal, tenant: str) -> InterceptorOut:
    if stored := await store.stored(tenant):
        return _own(stored)
    settings = await store.get(tenant) if principal.runs_the_installation else await store.to_change(tenant)
    return InterceptorOut(own=False, settings=SettingsBody(**flat(settings)), keys=KeysOut(), updated_at=None)


def _own(stored: Stored) -> InterceptorOut:
    shown = SettingsBody(**flat(stored.settings))
    return InterceptorOut(own=True, settings=shown, keys=KeysOut(**stored.keys_set), updated_at=stored.updated_at)


ROUTERS: tuple[APIRouter, ...] = (router,)
