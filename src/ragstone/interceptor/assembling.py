"""The interceptor of an open platform, which has models of its own."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

from ragstone.interceptor.deliver import ChatDelivery
from ragstone.interceptor.embeddings import OwnEmbeddings
from ragstone.interceptor.enrich import Preparation, TurnRetrieval
from ragstone.interceptor.handle import Interception, Serving
from ragstone.interceptor.own_model import OwnModel
from ragstone.interceptor.upstream import Upstreams
from ragstone.resilience.http_client import HttpClient
from ragstone.resilience.upstream_policy import UpstreamPolicies
from ragstone.retrieval.base import Retriever
from ragstone.storage.cache import Cache
from ragstone.telemetry.failure_buffer import FailureBuffer
from ragstone.telemetry.metrics import Metrics
from ragstone.telemetry.redaction import Redactor
from ragstone.wiring.infrastructure import Accounts
from ragstone.wiring.platform import Platform

if TYPE_CHECKING:
    from ragstone.settings import Settings


class Parts(Protocol):
    """What the interceptor is made of."""

    @property
    def settings(self) -> Settings: ...  # noqa: D102
    @property
    def accounts(self) -> Accounts: ...  # noqa: D102
    @property
    def retriever(self) -> Retriever: ...  # noqa: D102
    @property
    def cache(self) -> Cache: ...  # noqa: D102
    @property
    def http(self) -> HttpClient: ...  # noqa: D102
    @property
    def guards(self) -> UpstreamPolicies: ...  # noqa: D102
    @property
    def metrics(self) -> Metrics: ...  # noqa: D102
    @property
    def failures(self) -> FailureBuffer: ...  # noqa: D102
    @property
    def redactor(self) -> Redactor: ...  # noqa: D102


def assembled(parts: Parts, *, own: OwnModel | None, embeddings: OwnEmbeddings | None) -> Serving:
    """What answers the requests of /v1. Without `own` and `embeddings` there has to be a server to go on to."""
    upstreams = upstreams_of(parts)
    return Serving(
        interception_of(parts, upstreams, own=own),
        tenant_settings=parts.accounts.tenant_settings,
        upstreams=upstreams,
        embeddings=embeddings,
        ledger=parts.accounts.ledger,
        admission=parts.accounts.admission,
    )


def upstreams_of(parts: Parts) -> Upstreams:
    """The servers that chats go on to; those of the settings may be anywhere."""
    given = parts.settings.interceptor
    operators = frozenset(url.rstrip("/") for url in (given.upstream_url, given.anthropic_url) if url)
    return Upstreams(parts.http, parts.guards, operators=operators)


def interception_of(parts: Parts, upstreams: Upstreams, *, own: OwnModel | None) -> Interception:
    """The story, with all it needs."""
    accounts, metrics, failures, redactor = parts.accounts, parts.metrics, parts.failures, parts.redactor
    turns = TurnRetrieval(
        parts.retriever,
        guards=parts.guards,
        cache=parts.cache,
        metrics=metrics,
        redactor=redactor,
        context_tokens=parts.settings.retrieval.context_tokens,
    )
    return Interception(
        tenant_settings=accounts.tenant_settings,
        preparation=Preparation(turns, accounts.source_links, metrics=metrics, failures=failures),
        upstreams=upstreams,
        delivery=ChatDelivery(upstreams, metrics=metrics, failures=failures, redactor=redactor),
        own=own,
        limits=accounts.limits,
        ledger=accounts.ledger,
        metrics=metrics,
    )


def serving_of(platform: Platform) -> Serving:
    """What answers the requests of /v1."""
    return assembled(platform, own=OwnModel(platform.chat), embeddings=OwnEmbeddings(platform.embedder))
