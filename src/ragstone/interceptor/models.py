"""The list of models that a chat may name (GET /v1/models)."""

from __future__ import annotations

import json
import time
from typing import Any

from ragstone.errors import NotFound, RagstoneError
from ragstone.http.streaming import Refusal
from ragstone.interceptor.handle import NO_SERVER, SettingsSource
from ragstone.interceptor.request import OWN_MODEL
from ragstone.interceptor.upstream import Upstreams, UpstreamTarget, outgoing

MAX_LIST_BYTES = 4 << 20  # OpenRouter's list has half a megabyte
LISTED_S = 60.0  # a server's list of models is asked for once a minute; LibreChat asks for it every two

Models = list[dict[str, Any]]
"""As OpenAI's API lists them."""


class ModelCatalog:
    """Lists models: those of the tenant's settings, else those of its server, else our own."""

    def __init__(self, tenant_settings: SettingsSource, upstreams: Upstreams, *, embedding_model: str | None) -> None:
        """`embedding_model` is the name of our own, if this process has one."""
        self._tenant_settings = tenant_settings
        self._upstreams = upstreams
        self._embedding_model = embedding_model
        self._listed: dict[str, tuple[float, Models]] = {}

    async def of(self, tenant: str, *, request_id: str) -> Models:
        """The models of a tenant.

        Raises:
            NotFound: there is neither a server nor a model of our own.
            Unavailable: the server does not answer, and never has.
        """
        settings = await self._tenant_settings.get(tenant)
        target = self._upstreams.target(tenant, settings, "openai")
        own = [self._embedding_model] if self._embedding_model else []
        if settings.interceptor.models:
            return _ours([*settings.interceptor.models, *own])
        if target is not None:
            return [*await self._upstream_models(target, request_id), *_ours(own)]
        if not own:
            raise NotFound(NO_SERVER)
        return _ours([OWN_MODEL, *own])

    async def _upstream_models(self, target: UpstreamTarget, request_id: str) -> Models:
        """The server's own list, a minute old at most; while it gives none, the last one it gave."""
        until, listed = self._listed.get(target.name, (0.0, []))
        if time.monotonic() < until:
            return listed
        headers = outgoing({}, key=target.key, wire_format="openai", request_id=request_id)
        try:
            async with self._upstreams.call(target, "GET", "/models", headers=headers) as answer:
                if not isinstance(answer, Refusal):
                    listed = _listed(await answer.read(MAX_LIST_BYTES))
        except RagstoneError:
            if not listed:
                raise
        self._listed = {**self._listed, target.name: (time.monotonic() + LISTED_S, listed)}
        return listed


def _ours(names: list[str]) -> Models:
    return [{"id": name, "object": "model", "created": 0, "owned_by": "ragstone"} for name in dict.fromkeys(names)]


def _listed(body: bytes) -> Models:
    try:
        value = json.loads(body)
    except (ValueError, RecursionError):
        return []
    found = value.get("data") if isinstance(value, dict) else None
    return [item for item in found or () if isinstance(item, dict) and isinstance(item.get("id"), str)]
