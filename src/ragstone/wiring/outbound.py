"""Outbound calls from the settings: the HTTP client, upstream policies, and the pipeline retriever.

Needs no database, so that the interceptor can run alone.
"""

from __future__ import annotations

from datetime import UTC, datetime

from ragstone.resilience.breaker import BreakerOptions
from ragstone.resilience.bulkhead import ConcurrencyOptions
from ragstone.resilience.http_client import CallTimeouts, HttpClient
from ragstone.resilience.upstream_policy import UpstreamOptions, UpstreamPolicies
from ragstone.retrieval.base import Retriever
from ragstone.retrieval.vectorize.client import RemotePipeline, VectorizeClient, checked_token, pipeline_address
from ragstone.retrieval.vectorize.retriever import PipelineOptions, VectorizeRetriever
from ragstone.settings import Settings
from ragstone.telemetry.metrics import Metrics


def http_client(settings: Settings) -> HttpClient:
    """The HTTP client of a process."""
    given = settings.upstream
    timeouts = CallTimeouts(
        connect_s=given.connect_s, first_byte_s=given.first_byte_s, idle_s=given.idle_s, total_s=given.total_s
    )
    return HttpClient(allowed_hosts=frozenset(settings.outbound.allowed_hosts), timeouts=timeouts)


def upstream_options(settings: Settings) -> UpstreamOptions:
    """The options for calls to other servers: attempts, circuit breaker, concurrency limits."""
    given = settings.upstream
    return UpstreamOptions(
        attempts=given.attempts,
        retry_budget=given.retry_budget,
        breaker=BreakerOptions(failure_rate=given.failure_rate, open_s=given.open_s),
        places=ConcurrencyOptions(
            max_calls=given.max_calls, max_calls_per_tenant=given.max_calls_per_tenant, queue_s=given.queue_s
        ),
    )


def pipeline_options(settings: Settings) -> PipelineOptions:
    """The options of the pipeline retriever."""
    return PipelineOptions(
        floor=settings.vectorize.floor,
        max_question_chars=settings.retrieval.max_question_chars,
    )


def pipeline_retriever(
    settings: Settings, http: HttpClient, policies: UpstreamPolicies, metrics: Metrics
) -> Retriever | None:
    """The retriever of the pipeline of the settings; None if they name none.

    Raises:
        ConfigurationError: the address or the token of the pipeline is not valid.
    """
    given = settings.vectorize
    if given.token is None or not given.is_named:
        return None
    token = given.token.get_secret_value()
    checked_token(token, now=datetime.now(UTC), opaque=given.url is not None)
    pipeline = RemotePipeline(
        address=pipeline_address(
            organization=given.organization, pipeline=given.pipeline, url=given.url, trusted=given.url is not None
        ),
        token=token,
        rerank=given.rerank,
        filters=tuple(given.filters),
        timeout_s=given.timeout_s,
    )
    client = VectorizeClient(http, policies)
    return VectorizeRetriever(client, pipeline, metrics=metrics, options=pipeline_options(settings))
