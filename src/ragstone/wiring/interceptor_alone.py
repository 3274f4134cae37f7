"""Opens the interceptor alone from the settings: no database, no accounts, one tenant.

It stores nothing between requests that another copy would need: keys, upstreams and the
pipeline come from the settings. So any number of copies can run behind a load balancer.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager, nullcontext
from dataclasses import dataclass, field
from typing import NoReturn

from ragstone.errors import NoIndex, NotFound, Unauthenticated
from ragstone.http.authentication import Accounts, Authenticator
from ragstone.http.context import ServerContext
from ragstone.interceptor.alone import AloneParts
from ragstone.interceptor.app import InterceptorServices
from ragstone.interceptor.enrich import Enricher
from ragstone.interceptor.handle import ChatServices
from ragstone.interceptor.models import ModelCatalog
from ragstone.interceptor.request import ChatRequest
from ragstone.interceptor.sources import own_url
from ragstone.interceptor.upstream import Upstreams
from ragstone.llm.token_usage import TokenUsage
from ragstone.principals import Principal
from ragstone.resilience.upstream_policy import UpstreamPolicies
from ragstone.retrieval.base import Retrieval
from ragstone.settings import Settings, tenant_defaults
from ragstone.storage.cache import MemoryCache
from ragstone.telemetry.failure_buffer import FailureBuffer
from ragstone.telemetry.metrics import Metrics
from ragstone.telemetry.redaction import Redactor
from ragstone.telemetry.tracing import configure_tracing
from ragstone.tenants.settings import TenantSettings
from ragstone.vocabulary import Passage, Query, RateLimitStatus, Scope
from ragstone.wiring.outbound import http_client, pipeline_retriever, upstream_options


class InstallationSettings:
    """See `SettingsSource`: every tenant has the settings of the installation."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings

    async def get(self, tenant: str) -> TenantSettings:
        """See `SettingsSource.get`."""
        return tenant_defaults(self._settings, tenant)


class NoIndexRetriever:
    """See `Retriever`: used if no pipeline is set up; every search raises NoIndex."""

    async def search(self, scope: Scope, query: Query) -> Retrieval:
        """Raises: NoIndex."""
        raise _no_index(scope)

    async def check(self, scope: Scope, query: Query) -> None:
        """Raises: NoIndex."""
        raise _no_index(scope)


def _no_index(scope: Scope) -> NoIndex:
    return NoIndex(
        f"The collection {scope.collection!r} is in an index, and this process has none. "
        "Set up a pipeline with RAGSTONE_VECTORIZE__…, or send chats to `ragstone serve`."
    )


@dataclass(frozen=True, slots=True)
class UnwrittenUsage:
    """See `Meter`: counts for the metrics only, because there is no ledger."""

    spent: TokenUsage = field(default_factory=TokenUsage)

    async def reserved(self) -> None:
        """See `Meter.reserved`."""

    def settle_soon(self) -> None:
        """See `Meter.settle_soon`."""


class NoAccounts:
    """An empty implementation of `http.authentication.Accounts`, for a process without accounts.

    `Authenticator` checks the keys of the settings; no other credential is valid, and callers
    have no limits.
    """

    async def has_accounts(self) -> bool:
        """Always False."""
        return False

    async def admit(self, presented: str) -> Principal:
        """Raises: Unauthenticated."""
        raise Unauthenticated("This key is not valid here. Send one of RAGSTONE_SERVER__API_KEYS as a bearer token.")

    async def is_still_valid(self, principal: Principal) -> bool:
        """Always True: the keys of the settings do not change."""
        return True

    async def note(self, tenant: str, **event: object) -> None:
        """Does nothing: `Authenticator` has logged the event."""

    async def origins(self) -> frozenset[str]:
        """Always empty: there are no publishable keys."""
        return frozenset()

    async def hit(self, principal: Principal) -> RateLimitStatus:
        """No limit."""
        return RateLimitStatus(None, 0, 0.0)

    async def call(self, principal: Principal) -> None:
        """No limit."""

    async def get(self, plan_id: str) -> NoReturn:
        """Raises: NotFound; there are no plans."""
        raise NotFound(f"There is no plan {plan_id!r}, because this process has no accounts. Use `ragstone serve`.")


@asynccontextmanager
async def open_interceptor_alone(settings: Settings) -> AsyncIterator[AloneParts]:
    """Open the parts of the interceptor; they are closed in reverse order at the end of the block.

    Raises:
        ConfigurationError: the pipeline or its token is not valid.
    """
    async with AsyncExitStack() as stack:
        metrics, failures, redactor = Metrics(), FailureBuffer(), Redactor(settings.privacy.patterns)
        if endpoint := settings.telemetry.otlp_endpoint:
            stop_tracing = configure_tracing(endpoint, settings.telemetry.service_name, redactor=redactor)
            stack.push_async_callback(asyncio.to_thread, stop_tracing)
        http = http_client(settings)
        stack.push_async_callback(http.close)
        policies = UpstreamPolicies(upstream_options(settings), metrics=metrics, failures=failures)
        given, tenant_settings = settings.interceptor, InstallationSettings(settings)
        upstreams = Upstreams(http, policies, trusted_urls=(given.upstream_url, given.anthropic_url))
        retriever = pipeline_retriever(settings, http, policies, metrics) or NoIndexRetriever()
        none = NoAccounts()
        services = InterceptorServices(
            chats=ChatServices(
                tenant_settings=tenant_settings,
                upstreams=upstreams,
                enricher=Enricher(
                    retriever,
                    policies,
                    cache=MemoryCache(),
                    metrics=metrics,
                    redactor=redactor,
                    context_tokens=settings.retrieval.context_tokens,
                ),
                link=_link,
                own_model=None,
                stream_slot=lambda _: nullcontext(),
                meter=_meter,
                metrics=metrics,
                failures=failures,
                redactor=redactor,
            ),
            models=ModelCatalog(tenant_settings, upstreams, embedding_model=None),
            embeddings=None,
            still_admitted=none.is_still_valid,
            policies=policies,
        )
        authenticator = Authenticator.of(settings.server, Accounts(none, none, none, none, none))
        yield AloneParts(services, ServerContext(authenticator, metrics, failures))


def _link(_tenant: str, _collection: str, passage: Passage) -> str | None:
    return own_url(passage)


def _meter(_request: ChatRequest) -> UnwrittenUsage:
    return UnwrittenUsage()
