"""The services of the interceptor inside `ragstone serve`: accounts, plans, ledger and models of the platform."""

from __future__ import annotations

from functools import partial

from ragstone.billing.ledger import Ledger
from ragstone.chat.usage_meter import UsageMeter
from ragstone.identity.source_links import SourceLinks
from ragstone.interceptor.app import InterceptorServices
from ragstone.interceptor.embeddings import OwnEmbeddings
from ragstone.interceptor.enrich import Enricher
from ragstone.interceptor.handle import ChatServices, Meter
from ragstone.interceptor.models import ModelCatalog
from ragstone.interceptor.own_model import OwnModel
from ragstone.interceptor.request import ChatRequest
from ragstone.interceptor.sources import own_url
from ragstone.interceptor.upstream import Upstreams
from ragstone.services import Services
from ragstone.vocabulary import Passage

PIPELINE_DOCUMENT = "vectorize-"
"""The beginning of the ids of documents that lie in a pipeline, and not here."""


def services_of(platform: Services) -> InterceptorServices:
    """The services, of an open platform."""
    settings, operations, tenancy = platform.settings, platform.operations, platform.tenancy
    given = settings.interceptor
    upstreams = Upstreams(operations.http, operations.policies, trusted_urls=(given.upstream_url, given.anthropic_url))
    embeddings = OwnEmbeddings(platform.engines.embedder, platform.billing.ledger)
    chats = ChatServices(
        tenant_settings=tenancy.tenant_settings,
        upstreams=upstreams,
        enricher=Enricher(
            platform.answers.retriever,
            operations.policies,
            cache=platform.storage.cache,
            metrics=operations.metrics,
            redactor=operations.redactor,
            context_tokens=settings.retrieval.context_tokens,
        ),
        link=partial(_link, tenancy.source_links),
        own_model=OwnModel(platform.answers.chat),
        stream_slot=platform.billing.limits.stream,
        meter=partial(_meter, platform.billing.ledger),
        metrics=operations.metrics,
        failures=operations.failures,
        redactor=operations.redactor,
    )
    return InterceptorServices(
        chats=chats,
        models=ModelCatalog(tenancy.tenant_settings, upstreams, embedding_model=embeddings.name),
        embeddings=embeddings,
        still_admitted=platform.identity.admission.is_still_valid,
        policies=operations.policies,
    )


def _link(links: SourceLinks, tenant: str, collection: str, passage: Passage) -> str | None:
    """The URL of a passage's source page here, or of its document where that lies in a pipeline."""
    chunk = passage.chunk
    if chunk.document_id.startswith(PIPELINE_DOCUMENT):
        return own_url(passage)
    return links.link(tenant, collection, chunk.document_id, chunk.version, chunk.start, chunk.end)


def _meter(ledger: Ledger, request: ChatRequest) -> Meter:
    return UsageMeter.begin(ledger, request.principal, "chat", overage=request.overage)
