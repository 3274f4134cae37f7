"""The capabilities that routes may depend on, each as one FastAPI dependency. Routes import nothing of `wiring`."""

from __future__ import annotations

from typing import Annotated

from fastapi import Depends, FastAPI, Request

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
from ragstone.ingestion.service import Ingestion
from ragstone.ingestion.webhooks import Webhooks
from ragstone.llm.base import LanguageModel
from ragstone.resilience.http_client import HttpClient
from ragstone.resilience.upstream_policy import UpstreamPolicies
from ragstone.retrieval.base import Retriever
from ragstone.services import Services
from ragstone.settings import Settings
from ragstone.storage.database import Database
from ragstone.storage.library import Library
from ragstone.storage.redis import Redis
from ragstone.telemetry.metrics import Metrics
from ragstone.tenants.settings_store import TenantSettingsStore
from ragstone.tenants.widgets import Widgets


def install_services(app: FastAPI, services: Services) -> None:
    """Give an application its open services, before its first request."""
    app.state.services = services


def services_of(app: FastAPI) -> Services:
    """The open services of an application."""
    services: Services = app.state.services
    return services


# All are coroutines though none waits: FastAPI runs a plain function in a thread.


async def _settings(request: Request) -> Settings:
    return services_of(request.app).settings


async def _database(request: Request) -> Database:
    return services_of(request.app).storage.database


async def _library(request: Request) -> Library:
    return services_of(request.app).storage.library


async def _secret(request: Request) -> Secret:
    return services_of(request.app).identity.secret


async def _audit(request: Request) -> Audit:
    return services_of(request.app).identity.audit


async def _tenants(request: Request) -> Tenants:
    return services_of(request.app).identity.tenants


async def _users(request: Request) -> Users:
    return services_of(request.app).identity.users


async def _sessions(request: Request) -> Sessions:
    return services_of(request.app).identity.sessions


async def _api_keys(request: Request) -> ApiKeys:
    return services_of(request.app).identity.api_keys


async def _admission(request: Request) -> Admission:
    return services_of(request.app).identity.admission


async def _changes(request: Request) -> CacheRevision:
    return services_of(request.app).identity.changes


async def _plans(request: Request) -> Plans:
    return services_of(request.app).billing.plans


async def _limits(request: Request) -> RateLimits:
    return services_of(request.app).billing.limits


async def _ledger(request: Request) -> Ledger:
    return services_of(request.app).billing.ledger


async def _widgets(request: Request) -> Widgets:
    return services_of(request.app).tenancy.widgets


async def _tenant_settings(request: Request) -> TenantSettingsStore:
    return services_of(request.app).tenancy.tenant_settings


async def _source_links(request: Request) -> SourceLinks:
    return services_of(request.app).tenancy.source_links


async def _policies(request: Request) -> UpstreamPolicies:
    return services_of(request.app).operations.policies


async def _http_client(request: Request) -> HttpClient:
    return services_of(request.app).operations.http


async def _metrics(request: Request) -> Metrics:
    return services_of(request.app).operations.metrics


async def _embedder(request: Request) -> Embedder:
    return services_of(request.app).engines.embedder


async def _index(request: Request) -> Index:
    return services_of(request.app).engines.index


async def _parser(request: Request) -> Parser:
    return services_of(request.app).engines.parser


async def _redis(request: Request) -> Redis | None:
    return services_of(request.app).storage.redis


async def _model(request: Request) -> LanguageModel | None:
    return services_of(request.app).engines.model


async def _ingestion(request: Request) -> Ingestion:
    return services_of(request.app).corpus.ingestion


async def _webhooks(request: Request) -> Webhooks:
    return services_of(request.app).corpus.webhooks


async def _retriever(request: Request) -> Retriever:
    return services_of(request.app).answers.retriever


async def _chat(request: Request) -> Chat:
    return services_of(request.app).answers.chat


async def _conversations(request: Request) -> Conversations:
    return services_of(request.app).answers.conversations


async def _feedback(request: Request) -> FeedbackStore:
    return services_of(request.app).answers.feedback


SettingsDep = Annotated[Settings, Depends(_settings)]
DatabaseDep = Annotated[Database, Depends(_database)]
LibraryDep = Annotated[Library, Depends(_library)]
SecretDep = Annotated[Secret, Depends(_secret)]
AuditDep = Annotated[Audit, Depends(_audit)]
TenantsDep = Annotated[Tenants, Depends(_tenants)]
UsersDep = Annotated[Users, Depends(_users)]
SessionsDep = Annotated[Sessions, Depends(_sessions)]
ApiKeysDep = Annotated[ApiKeys, Depends(_api_keys)]
AdmissionDep = Annotated[Admission, Depends(_admission)]
CacheRevisionDep = Annotated[CacheRevision, Depends(_changes)]
PlansDep = Annotated[Plans, Depends(_plans)]
RateLimitsDep = Annotated[RateLimits, Depends(_limits)]
LedgerDep = Annotated[Ledger, Depends(_ledger)]
WidgetsDep = Annotated[Widgets, Depends(_widgets)]
TenantSettingsStoreDep = Annotated[TenantSettingsStore, Depends(_tenant_settings)]
SourceLinksDep = Annotated[SourceLinks, Depends(_source_links)]
UpstreamPoliciesDep = Annotated[UpstreamPolicies, Depends(_policies)]
HttpClientDep = Annotated[HttpClient, Depends(_http_client)]
MetricsDep = Annotated[Metrics, Depends(_metrics)]
EmbedderDep = Annotated[Embedder, Depends(_embedder)]
IndexDep = Annotated[Index, Depends(_index)]
ParserDep = Annotated[Parser, Depends(_parser)]
IngestionDep = Annotated[Ingestion, Depends(_ingestion)]
WebhooksDep = Annotated[Webhooks, Depends(_webhooks)]
RetrieverDep = Annotated[Retriever, Depends(_retriever)]
ChatDep = Annotated[Chat, Depends(_chat)]
ConversationsDep = Annotated[Conversations, Depends(_conversations)]
FeedbackStoreDep = Annotated[FeedbackStore, Depends(_feedback)]
RedisDep = Annotated[Redis | None, Depends(_redis)]
"""None where there is no Redis."""
ModelDep = Annotated[LanguageModel | None, Depends(_model)]
"""None where answers are extractive."""
