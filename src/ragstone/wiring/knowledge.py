"""Where the passages of a collection come from: the index of this installation, a tenant's pipeline, or both."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from datetime import datetime
from typing import TYPE_CHECKING

from ragstone.retrieval.base import Retriever
from ragstone.retrieval.router import Knowledge, RetrieverRouter
from ragstone.retrieval.vectorize.client import (
    SOON,
    RemotePipeline,
    VectorizeClient,
    checked_token,
    expiry_of,
    pipeline_address,
)
from ragstone.retrieval.vectorize.retriever import PipelineOptions
from ragstone.telemetry.metrics import Metrics
from ragstone.tenants.settings_store import Interceptors
from ragstone.vocabulary import DEFAULT_TENANT, Scope
from ragstone.wiring.infrastructure import check_token, interceptor_of

if TYPE_CHECKING:
    from ragstone.settings import Settings

SHARE_OF_BUDGET = (
    0.75  # of a chat's budget, for a pipeline beside the index: its passages come too late after all of it
)

KnowledgeOf = Callable[[Scope], Awaitable[Knowledge | None]]


def knowledge_of(settings: Settings, interceptors: Interceptors) -> KnowledgeOf:
    """What says for a scope which pipeline holds its knowledge; None, the index does.

    Only the collection that a tenant's chats are answered from is looked up in its pipeline,
    and never that of a LibreChat's files, which are here.

    Raises:
        ConfigurationError: the token of the settings is none, or has expired.
    """
    own = interceptor_of(settings, DEFAULT_TENANT)
    if own.settings.pipeline and own.keys.pipeline:
        check_token(own.keys.pipeline, own.settings.pipeline)
    longest_s = settings.vectorize.timeout_s

    async def of(scope: Scope) -> Knowledge | None:
        known = await interceptors.get(scope.tenant)
        chosen, token = known.settings, known.keys.pipeline
        if chosen.knowledge == "index" or not chosen.pipeline or not token:
            return None
        if scope.collection != chosen.collection or scope.collection == settings.librechat.collection:
            return None
        own, both = chosen.pipeline, chosen.knowledge == "both"
        # The operator's own URL may lead anywhere, for the tenant that it was set for and for no other.
        trusted = scope.tenant == DEFAULT_TENANT and own.url is not None and own.url == settings.vectorize.url
        remote = RemotePipeline(
            address=pipeline_address(
                organization=own.organization, pipeline=own.pipeline, url=own.url, trusted=trusted
            ),
            token=token,
            rerank=own.rerank,
            filters=own.filters,
            timeout_s=min(longest_s, SHARE_OF_BUDGET * chosen.budget_s) if both else longest_s,
        )
        return Knowledge("fused" if both else "alone", remote, settings.vectorize.floor)

    return of


def routed(
    local: Retriever, settings: Settings, interceptors: Interceptors, client: VectorizeClient, metrics: Metrics
) -> RetrieverRouter:
    """What finds passages wherever the knowledge of a scope lies; `local` finds those of the index."""
    return RetrieverRouter(
        local,
        knowledge_of=knowledge_of(settings, interceptors),
        client=client,
        metrics=metrics,
        options=PipelineOptions(
            floor=settings.vectorize.floor,
            context_tokens=settings.retrieval.context_tokens,
            max_question_chars=settings.retrieval.max_question_chars,
        ),
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
