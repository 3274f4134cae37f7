"""The interceptor of an open platform, which has models of its own."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from ragstone.identity.authenticate import Admission
from ragstone.interceptor.deliver import ChatDelivery
from ragstone.interceptor.embeddings import OwnEmbeddings
from ragstone.interceptor.enrich import Preparation, TurnRetrieval
from ragstone.interceptor.handle import Interception, Serving
from ragstone.interceptor.own_model import OwnModel
from ragstone.interceptor.upstream import Upstreams
from ragstone.retrieval.base import Retriever
from ragstone.services import Billing, Operations, Services, Tenancy
from ragstone.storage.cache import Cache

if TYPE_CHECKING:
    from ragstone.settings import Settings


@dataclass(frozen=True, slots=True)
class Parts:
    """What the interceptor is made of."""

    settings: Settings
    admission: Admission
    billing: Billing
    tenancy: Tenancy
    operations: Operations
    cache: Cache
    retriever: Retriever


def assembled(parts: Parts, *, own: OwnModel | None, embeddings: OwnEmbeddings | None) -> Serving:
    """What answers the requests of /v1. Without `own` and `embeddings` there has to be a server to go on to."""
    upstreams = upstreams_of(parts)
    return Serving(
        interception_of(parts, upstreams, own=own),
        tenant_settings=parts.tenancy.tenant_settings,
        upstreams=upstreams,
        embeddings=embeddings,
        ledger=parts.billing.ledger,
        admission=parts.admission,
    )


def upstreams_of(parts: Parts) -> Upstreams:
    """The servers that chats go on to; those of the settings may be anywhere."""
    given = parts.settings.interceptor
    operators = frozenset(url.rstrip("/") for url in (given.upstream_url, given.anthropic_url) if url)
    return Upstreams(parts.operations.http, parts.operations.policies, operators=operators)


def interception_of(parts: Parts, upstreams: Upstreams, *, own: OwnModel | None) -> Interception:
    """The story, with all it needs."""
    operations, billing, tenancy = parts.operations, parts.billing, parts.tenancy
    metrics, failures, redactor = operations.metrics, operations.failures, operations.redactor
    turns = TurnRetrieval(
        parts.retriever,
        guards=operations.policies,
        cache=parts.cache,
        metrics=metrics,
        redactor=redactor,
        context_tokens=parts.settings.retrieval.context_tokens,
    )
    return Interception(
        tenant_settings=tenancy.tenant_settings,
        preparation=Preparation(turns, tenancy.source_links, metrics=metrics, failures=failures),
        upstreams=upstreams,
        delivery=ChatDelivery(upstreams, metrics=metrics, failures=failures, redactor=redactor),
        own=own,
        limits=billing.limits,
        ledger=billing.ledger,
        metrics=metrics,
    )


def serving_of(services: Services) -> Serving:
    """What answers the requests of /v1."""
    parts = Parts(
        settings=services.settings,
        admission=services.identity.admission,
        billing=services.billing,
        tenancy=services.tenancy,
        operations=services.operations,
        cache=services.storage.cache,
        retriever=services.answers.retriever,
    )
    own, embeddings = OwnModel(services.answers.chat), OwnEmbeddings(services.engines.embedder)
    return assembled(parts, own=own, embeddings=embeddings)
