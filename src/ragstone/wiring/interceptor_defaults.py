"""The interceptor of a tenant that has set up nothing: as the settings of the installation say."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING

from ragstone.accounts.interceptors import Interceptor, InterceptorKeys, InterceptorSettings, Knowledge, Pipeline
from ragstone.index.vectorize_tokens import checked_token
from ragstone.vocabulary import DEFAULT_TENANT

if TYPE_CHECKING:  # see `ragstone.wiring`
    from pydantic import SecretStr

    from ragstone.settings import Settings


def interceptor_of(settings: Settings, tenant: str) -> Interceptor:
    """What holds for a tenant without settings of its own.

    The pipeline is the default tenant's, and the secret of the LibreChat that of the tenant
    its files belong to: neither is anything for the others.
    """
    given = settings.interceptor
    pipeline = _pipeline(settings) if tenant == DEFAULT_TENANT else None
    keys = InterceptorKeys(
        upstream=_text(given.upstream_key),
        anthropic=_text(given.anthropic_key),
        pipeline=_text(settings.vectorize.token) if pipeline else None,
        librechat=_text(settings.librechat.jwt_secret) if tenant == settings.librechat.tenant else None,
    )
    return Interceptor(
        InterceptorSettings(
            enabled=given.enabled,
            rollout_percent=given.rollout_percent,
            collection=given.collection,
            limit=given.limit,
            context_tokens=given.context_tokens,
            context_window=given.context_window,
            budget_s=given.budget_s,
            source_list=given.source_list,
            streams_only=given.streams_only,
            upstream_url=_base(given.upstream_url),
            anthropic_url=_base(given.anthropic_url),
            models=given.models,
            plain_models=given.plain_models,
            knowledge=_knowledge(settings, pipeline),
            pipeline=pipeline,
            mask_context=settings.privacy.mask_context,
            mask_answers=settings.privacy.mask_answers,
        ),
        keys,
    )


def check_token(token: str, pipeline: Pipeline | None) -> None:
    """Refuse a token that a pipeline will not take; gateways of the older form, named by URL, have tokens of any form.

    Raises:
        ConfigurationError: it is no token, or has expired.
    """
    checked_token(token, now=datetime.now(UTC), opaque=pipeline is not None and pipeline.url is not None)


def _pipeline(settings: Settings) -> Pipeline | None:
    given = settings.vectorize
    if given.token is None or not (given.url or (given.organization and given.pipeline)):
        return None
    return Pipeline(
        organization=given.organization or "",
        pipeline=given.pipeline or "",
        url=given.url,
        rerank=given.rerank,
        filters=tuple(given.filters),
    )


def _knowledge(settings: Settings, pipeline: Pipeline | None) -> Knowledge:
    if pipeline is None:
        return "index"
    return "both" if settings.vectorize.mode == "fused" else "pipeline"


def _base(url: str | None) -> str | None:
    return url.rstrip("/") if url else None


def _text(secret: SecretStr | None) -> str | None:
    return secret.get_secret_value() if secret else None
