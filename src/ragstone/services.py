"""The open parts of an installation, in groups. `wiring` opens them; `http/capabilities` hands them to routes."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:  # a process loads only the parts that it opens
    from ragstone.billing.ledger import Ledger
    from ragstone.billing.plans import Plans
    from ragstone.billing.rate_limits import RateLimits
    from ragstone.chat.ask import Chat
    from ragstone.chat.conversations import Conversations
    from ragstone.chat.feedback import FeedbackStore
    from ragstone.documents.base import Parser
    from ragstone.embedding.base import Embedder
    from ragstone.identity.api_keys import ApiKeys
    from ragstone.identity.audit import Audit
    from ragstone.identity.authenticate import Admission
    from ragstone.identity.cache_revision import CacheRevision
    from ragstone.identity.secrets import Secret
    from ragstone.identity.sessions import Sessions
    from ragstone.identity.source_links import SourceLinks
    from ragstone.identity.tenants import Tenants
    from ragstone.identity.users import Users
    from ragstone.index.base import Index
    from ragstone.inference.judge import PairJudge
    from ragstone.inference.matching import TokenMatcher
    from ragstone.ingestion.service import Ingestion
    from ragstone.ingestion.tenant_deletion import DeletionCheck, TenantDeletion
    from ragstone.ingestion.webhooks import Webhooks
    from ragstone.llm.base import LanguageModel
    from ragstone.resilience.http_client import HttpClient
    from ragstone.resilience.upstream_policy import UpstreamPolicies
    from ragstone.retrieval.base import Retriever
    from ragstone.settings import Settings
    from ragstone.storage.blobs import LocalBlobs
    from ragstone.storage.cache import Cache
    from ragstone.storage.database import Database
    from ragstone.storage.library import Library
    from ragstone.storage.redis import Redis
    from ragstone.telemetry.failure_buffer import FailureBuffer
    from ragstone.telemetry.metrics import Metrics
    from ragstone.telemetry.redaction import Redactor
    from ragstone.tenants.settings_store import TenantSettingsStore
    from ragstone.tenants.widgets import Widgets


@dataclass(frozen=True, slots=True)
class Storage:
    """Where data is kept. `redis` is None where there is none."""

    database: Database
    blobs: LocalBlobs
    library: Library
    cache: Cache
    redis: Redis | None


@dataclass(frozen=True, slots=True)
class Identity:
    """Tenants, users, their credentials, and the record of what they did."""

    secret: Secret
    audit: Audit
    tenants: Tenants
    users: Users
    sessions: Sessions
    api_keys: ApiKeys
    admission: Admission
    changes: CacheRevision


@dataclass(frozen=True, slots=True)
class Billing:
    """Plans, their limits, and what was used."""

    plans: Plans
    limits: RateLimits
    ledger: Ledger


@dataclass(frozen=True, slots=True)
class Tenancy:
    """What each tenant has set up."""

    widgets: Widgets
    tenant_settings: TenantSettingsStore
    source_links: SourceLinks


@dataclass(frozen=True, slots=True)
class Operations:
    """Calls to other servers, and what operators see. `policies` holds a circuit for each server."""

    http: HttpClient
    policies: UpstreamPolicies
    metrics: Metrics
    failures: FailureBuffer
    redactor: Redactor


@dataclass(frozen=True, slots=True)
class Engines:
    """The adapters that compute.

    `model` is None where answers are extractive; without `judge` and `matcher`, words and rules alone decide.
    """

    embedder: Embedder
    index: Index
    parser: Parser
    model: LanguageModel | None
    judge: PairJudge | None
    matcher: TokenMatcher | None


@dataclass(frozen=True, slots=True)
class Corpus:
    """What brings documents in and takes them out."""

    ingestion: Ingestion
    webhooks: Webhooks
    tenant_deletion: TenantDeletion
    deletion_check: DeletionCheck


@dataclass(frozen=True, slots=True)
class Answers:
    """What finds passages and answers questions."""

    retriever: Retriever
    chat: Chat
    conversations: Conversations
    feedback: FeedbackStore


@dataclass(frozen=True, slots=True)
class Services:
    """Everything that a server, a worker or a command needs."""

    settings: Settings
    storage: Storage
    identity: Identity
    billing: Billing
    tenancy: Tenancy
    operations: Operations
    engines: Engines
    corpus: Corpus
    answers: Answers
