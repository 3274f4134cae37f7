"""The interceptor of a tenant: how its chats are enriched, and where they go on to."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict
from datetime import datetime
from typing import Annotated, Any, Literal

from fastapi import APIRouter
from pydantic import ConfigDict, Field, SecretStr, StringConstraints

from ragstone.api.examples import shown
from ragstone.api.requests import Collection, PlainText, Request
from ragstone.api.responses import Out
from ragstone.errors import Forbidden
from ragstone.http.error_handlers import problems
from ragstone.http.routing import ActingTenant, Admitted, OpenPlatform, admitted_router
from ragstone.principals import Permission, Principal
from ragstone.tenants.settings import (
    MAX_FILTERS,
    MAX_KEY_CHARS,
    MAX_MODEL_CHARS,
    MAX_MODELS,
    InterceptorSettings,
    Pipeline,
    checked,
    urls,
)
from ragstone.tenants.settings_store import Stored
from ragstone.vocabulary import DEFAULT_COLLECTION
from ragstone.wiring import Platform

Url = Annotated[PlainText, StringConstraints(min_length=1, max_length=2048)]
ModelName = Annotated[PlainText, StringConstraints(min_length=1, max_length=MAX_MODEL_CHARS)]
PipelinePart = Annotated[str, StringConstraints(pattern=r"^([A-Za-z0-9][A-Za-z0-9_-]{0,99})?$")]
Key = Annotated[SecretStr, Field(max_length=MAX_KEY_CHARS)]

_SETTINGS: dict[str, Any] = {"upstream_url": "https://models.example.com/v1", "models": {"house": "gpt-4o-mini"}}


class PipelineBody(Request):
    """A Vectorize.io pipeline: organization and pipeline, or url."""

    organization: PipelinePart = Field("", description="Organisation id.")
    pipeline: PipelinePart = Field("", description="Pipeline id.")
    url: Url | None = Field(None, description="Full retrieval URL instead, such as that of an older gateway.")
    rerank: bool = Field(False, description="Let the pipeline rerank; counts against a quota of its own.")
    filters: list[dict[str, Any]] = Field([], max_length=MAX_FILTERS, description="Metadata filters.")

    def inside(self) -> Pipeline:
        """The noun it stands for."""
        return Pipeline(
            organization=self.organization,
            pipeline=self.pipeline,
            url=self.url,
            rerank=self.rerank,
            filters=tuple(self.filters),
        )


class InterceptorSettingsBody(Request):
    """How the chats of a tenant are treated."""

    enabled: bool = Field(True, description="Off, every chat is passed on as it is.")
    rollout_percent: int = Field(100, ge=0, le=100, description="Share of conversations that are enriched.")
    collection: Collection = Field(DEFAULT_COLLECTION, description="Collection chats are answered from.")
    limit: int = Field(8, ge=1, le=50, description="Passages given to the model, at most.")
    context_tokens: int = Field(3000, ge=64, le=100_000, description="Tokens of passages given to it, at most.")
    context_window: int = Field(
        128_000, ge=1024, le=10_000_000, description="Tokens the model reads; a chat is never made longer."
    )
    budget_s: float = Field(0.8, gt=0, le=5, description="Seconds for retrieval; then the chat goes on without.")
    source_list: bool = Field(True, description="End answers with a list of the sources they cite.")
    streams_only: bool = Field(False, description="Enrich streamed chats only.")
    upstream_url: Url | None = Field(
        None, description="Base URL of an OpenAI-compatible server, with /v1; null: the operator's, or none."
    )
    anthropic_url: Url | None = Field(None, description="Base URL of an Anthropic-compatible server, without /v1.")
    models: dict[ModelName, ModelName] = Field(
        {}, max_length=MAX_MODELS, description="Models offered: name here to name upstream; empty, all of upstream's."
    )
    plain_models: list[ModelName] = Field(
        [], max_length=MAX_MODELS, description="Models that are never enriched, such as one for titles."
    )
    knowledge: Literal["index", "pipeline", "both"] = Field("index", description="Where passages come from.")
    pipeline: PipelineBody | None = Field(None, description="A Vectorize.io pipeline; null: the operator's, or none.")
    mask_context: bool = Field(False, description="Hide personal data in passages given to a model upstream.")
    mask_answers: bool = Field(False, description="Hide personal data in answers.")

    def inside(self) -> InterceptorSettings:
        """The noun it stands for."""
        plain = self.model_dump(exclude={"pipeline", "plain_models"})
        pipeline = self.pipeline.inside() if self.pipeline else None
        return InterceptorSettings(**plain, plain_models=tuple(self.plain_models), pipeline=pipeline)

    @classmethod
    def of(cls, settings: InterceptorSettings) -> InterceptorSettingsBody:
        """What is in force, unchecked: an operator's defaults may go beyond what a tenant may set."""
        values: dict[str, Any] = {**asdict(settings), "plain_models": list(settings.plain_models)}
        if settings.pipeline:
            pipeline: dict[str, Any] = {**values["pipeline"], "filters": list(settings.pipeline.filters)}
            values["pipeline"] = PipelineBody.model_construct(**pipeline)
        return cls.model_construct(**values)


class InterceptorKeysBody(Request):
    """Keys to set; null removes one, and one that is left out stays."""

    upstream: Key | None = Field(None, description="Key for `upstream_url`.")
    anthropic: Key | None = Field(None, description="Key for `anthropic_url`.")
    pipeline: Key | None = Field(None, description="API access token of the pipeline's organisation.")
    librechat: Key | None = Field(None, description="The JWT_SECRET of the tenant's LibreChat.")

    def inside(self) -> Mapping[str, str | None]:
        """The keys that were sent, by name."""
        sent = {name: getattr(self, name) for name in self.model_fields_set}
        return {name: key.get_secret_value() if key else None for name, key in sent.items()}


class InterceptorBody(Request):
    """An interceptor as it is to be, whole."""

    model_config = ConfigDict(json_schema_extra=shown({"settings": _SETTINGS, "keys": {"upstream": "sk-…"}}))

    settings: InterceptorSettingsBody
    keys: InterceptorKeysBody = InterceptorKeysBody()


class InterceptorKeysOut(Out):
    """When each key was set; null: it is not. No route shows a key."""

    upstream: datetime | None = None
    anthropic: datetime | None = None
    pipeline: datetime | None = None
    librechat: datetime | None = None


class InterceptorOut(Out):
    """An interceptor as it is in force."""

    model_config = ConfigDict(
        json_schema_extra=shown(
            {
                "own": True,
                "settings": InterceptorSettingsBody(**_SETTINGS).model_dump(mode="json"),
                "keys": {"upstream": "2026-11-21T10:00:00Z", "anthropic": None, "pipeline": None, "librechat": None},
                "updated_at": "2026-11-21T10:00:00Z",
            }
        )
    )

    own: bool = Field(description="Whether the tenant has set it up itself; false: the operator's settings hold.")
    settings: InterceptorSettingsBody = Field(description="The operator's servers and models are not shown to others.")
    keys: InterceptorKeysOut
    updated_at: datetime | None = Field(description="When the tenant set it up; null: it has not.")


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
        await platform.http.check(url)
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
