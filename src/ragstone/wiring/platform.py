"""What SQL knows, opened without model and index."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, aclosing, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

from ragstone.chat.ask import Chat, Finished
from ragstone.chat.conversations import Conversations
from ragstone.chat.feedback import FeedbackStore
from ragstone.documents.base import Parser
from ragstone.embedding.base import Embedder
from ragstone.index.base import Index
from ragstone.ingestion.jobs import Jobs
from ragstone.ingestion.service import Ingestion
from ragstone.ingestion.tenant_deletion import DeletionCheck, TenantDeletion
from ragstone.ingestion.webhooks import Webhooks
from ragstone.llm.base import LanguageModel
from ragstone.resilience.http_client import HttpClient
from ragstone.resilience.upstream_policy import UpstreamPolicies
from ragstone.retrieval.base import Retrieval, Retriever
from ragstone.settings import Settings
from ragstone.storage.blobs import LocalBlobs
from ragstone.storage.cache import Cache
from ragstone.storage.database import Database
from ragstone.storage.library import Library
from ragstone.storage.redis import Redis
from ragstone.telemetry.failure_buffer import FailureBuffer
from ragstone.telemetry.metrics import Metrics
from ragstone.telemetry.redaction import Redactor
from ragstone.vocabulary import Answer, Filters, Job, Query, Scope
from ragstone.wiring.infrastructure import Accounts, open_infrastructure, prepare_data_dir


@dataclass(frozen=True, slots=True)
class Platform:
    """The stories of Ragstone, wired and open."""

    settings: Settings
    database: Database
    blobs: LocalBlobs
    library: Library
    parser: Parser
    embedder: Embedder
    index: Index
    ingestion: Ingestion
    retriever: Retriever
    conversations: Conversations
    feedback: FeedbackStore
    deliveries: Webhooks
    chat: Chat
    metrics: Metrics
    accounts: Accounts
    eraser: TenantDeletion
    remains: DeletionCheck
    cache: Cache
    http: HttpClient
    guards: UpstreamPolicies
    failures: FailureBuffer
    redactor: Redactor
    redis: Redis | None = None
    model: LanguageModel | None = None

    async def ingest(self, *paths: str | Path, scope: Scope = Scope(), prune: bool = False) -> Job:
        """Ingest files and folders, and wait until all are searchable or failed.

        Returns:
            The finished job, with the fate of each file.
        """
        job = await self.ingestion.submit_paths(scope, [Path(path) for path in paths], prune=prune)
        await self.ingestion.work(until_job=(scope, job.id))
        return await self.ingestion.job(scope, job.id)

    async def search(
        self, question: str, *, scope: Scope = Scope(), filters: Filters = Filters(), limit: int = 8
    ) -> Retrieval:
        """The passages that bear on a question, best first."""
        return await self.retriever.search(scope, Query(question, filters=filters, limit=limit))

    async def ask(self, question: str, *, scope: Scope = Scope(), conversation_id: str | None = None) -> Answer:
        """The complete answer to a question, with its citations."""
        async with aclosing(self.chat.ask(scope, question, conversation_id=conversation_id)) as events:
            async for event in events:
                if isinstance(event, Finished):
                    return event.answer
        raise AssertionError("an answer ends with Finished")


@dataclass(frozen=True, slots=True)
class Records:
    """What SQL knows, for those who only look: it opens though model or index are broken."""

    library: Library
    jobs: Jobs
    accounts: Accounts
    database: Database


@asynccontextmanager
async def open_records(settings: Settings) -> AsyncIterator[Records]:
    """Open the database alone; quick, as no model is loaded and no index process started.

    Raises:
        ConfigurationError: a setting or the data directory needs mending.
    """
    folder = await asyncio.to_thread(prepare_data_dir, settings.data_dir)
    async with AsyncExitStack() as stack:
        base = await open_infrastructure(settings, folder, stack)
        yield Records(Library(base.database, base.blobs), Jobs(base.database), base.accounts, base.database)
