"""Connects the retriever router to the remote pipelines that the tenants' settings name."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from datetime import datetime

from ragstone.retrieval.base import Retriever
from ragstone.retrieval.router import RemoteSource, RetrieverRouter
from ragstone.retrieval.vectorize.client import (
    SOON,
    RemotePipeline,
    VectorizeClient,
    checked_token,
    expiry_of,
    pipeline_address,
)
from ragstone.retrieval.vectorize.retriever import DOCUMENT_PREFIX, VectorizeRetriever
from ragstone.settings import Settings, tenant_defaults
from ragstone.telemetry.metrics import Metrics
from ragstone.tenants.settings import Pipeline, TenantSettings
from ragstone.tenants.settings_store import TenantSettingsStore
from ragstone.vocabulary import DEFAULT_TENANT, Scope
from ragstone.wiring.infrastructure import check_token
from ragstone.wiring.outbound import pipeline_options

SHARE_OF_BUDGET = 0.75
"""The share of a chat's time budget for a pipeline that is searched beside the index, so that fusion has time left."""

SourceOf = Callable[[Scope], Awaitable[RemoteSource | None]]


def routed(
    local: Retriever, settings: Settings, store: TenantSettingsStore, client: VectorizeClient, metrics: Metrics
) -> RetrieverRouter:
    """A router between `local`, the retriever of the index, and the pipelines of the tenants.

    Raises:
        ConfigurationError: the token in the settings is malformed or has expired.
    """
    own = tenant_defaults(settings, DEFAULT_TENANT).knowledge
    if own.pipeline and own.pipeline_key:
        check_token(own.pipeline_key.get_secret_value(), own.pipeline)
    return RetrieverRouter(local, source_of=_source_of(settings, store, client, metrics), metrics=metrics)


def _source_of(settings: Settings, store: TenantSettingsStore, client: VectorizeClient, metrics: Metrics) -> SourceOf:
    """A function from a scope to its remote source; `None` where the index holds its documents.

    Only the collection that a tenant's chats are answered from is in its pipeline. The
    collection of LibreChat's files is always in the index.
    """
    options = pipeline_options(settings)

    async def of(scope: Scope) -> RemoteSource | None:
        known = await store.get(scope.tenant)
        chosen = known.knowledge
        if chosen.source == "index" or not chosen.pipeline or not chosen.pipeline_key:
            return None
        if scope.collection != chosen.collection or scope.collection == settings.librechat.collection:
            return None
        token = chosen.pipeline_key.get_secret_value()
        pipeline = _remote_pipeline(scope, known, chosen.pipeline, token, settings)
        retriever = VectorizeRetriever(client, pipeline, metrics=metrics, options=options)
        return RemoteSource("fused" if chosen.source == "both" else "alone", retriever, DOCUMENT_PREFIX)

    return of


def _remote_pipeline(
    scope: Scope, known: TenantSettings, own: Pipeline, token: str, settings: Settings
) -> RemotePipeline:
    # The operator's URL may be a private address, but only for the tenant that it was set for.
    trusted = scope.tenant == DEFAULT_TENANT and own.url is not None and own.url == settings.vectorize.url
    longest_s = settings.vectorize.timeout_s
    in_time_s = min(longest_s, SHARE_OF_BUDGET * known.interceptor.budget_s)
    return RemotePipeline(
        address=pipeline_address(organization=own.organization, pipeline=own.pipeline, url=own.url, trusted=trusted),
        token=token,
        rerank=own.rerank,
        filters=own.filters,
        timeout_s=in_time_s if known.knowledge.source == "both" else longest_s,
    )


def pipeline_token_end(settings: Settings, *, now: datetime) -> datetime | None:
    """End of the pipeline token of the settings if it ends within a week; None if it ends later or never.

    Raises:
        ConfigurationError: the token is invalid or has expired.
    """
    given = settings.vectorize
    if given.token is None:
        return None
    token = given.token.get_secret_value()
    checked_token(token, now=now, opaque=given.url is not None)
    ends = None if given.url else expiry_of(token)
    return ends if ends is not None and ends - now <= SOON else None
