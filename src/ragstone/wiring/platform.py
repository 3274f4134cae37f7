"""What an open Ragstone consists of."""

from __future__ import annotations

from contextlib import aclosing
from dataclasses import dataclass
from pathlib import Path

from ragstone.chat.ask import Chat
from ragstone.chat.events import Finished
from ragstone.chat.feedback import FeedbackBook
from ragstone.chat.memory import Conversations
from ragstone.documents.base import Parser
from ragstone.embedding.base import Embedder
from ragstone.index.base import Index
from ragstone.ingestion.callbacks import Deliveries
from ragstone.ingestion.erase import Eraser
from ragstone.ingestion.ingest import Ingestion
from ragstone.ingestion.jobs import Jobs
from ragstone.ingestion.remains import Remains
from ragstone.llm.base import LanguageModel
from ragstone.resilience.guards import Guards
from ragstone.resilience.http_client import HttpClient
from ragstone.resilience.outbound import Outbound
from ragstone.retrieval.base import PassageFinder, Retrieval
from ragstone.settings import Settings
from ragstone.storage.blobs import LocalBlobs
from ragstone.storage.cache import Cache
from ragstone.storage.database import Database
from ragstone.storage.library import Library
from ragstone.storage.redis import Redis
from ragstone.telemetry.failures import Failures
from ragstone.telemetry.metrics import Metrics
from ragstone.telemetry.redaction import Redactor
from ragstone.vocabulary import Answer, Filters, Job, Query, Scope
from ragstone.wiring.accounts import Accounts


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
    retriever: PassageFinder
    conversations: Conversations
    feedback: FeedbackBook
    outbound: Outbound
    deliveries: Deliveries
    chat: Chat
    metrics: Metrics
    accounts: Accounts
    eraser: Eraser
    remains: Remains
    cache: Cache
    http: HttpClient
    guards: Guards
    failures: Failures
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
