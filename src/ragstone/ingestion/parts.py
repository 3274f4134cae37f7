"""Dependencies of ingestion: its options, stores, ports and limits."""

from __future__ import annotations

import secrets
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field

from ragstone.billing.plans import Plan, Plans
from ragstone.documents.base import Parser
from ragstone.documents.chunking import ChunkingOptions
from ragstone.embedding.base import Embedder
from ragstone.embedding.cache import CachedEmbedder, VectorStore
from ragstone.identity.audit import Audit
from ragstone.index.base import Index
from ragstone.ingestion.queue import ClaimOptions, Claims
from ragstone.storage.blobs import LocalBlobs
from ragstone.storage.database import Database
from ragstone.telemetry.failure_buffer import FailureBuffer
from ragstone.telemetry.metrics import Metrics

OWNER_BYTES = 16  # length of a worker's random name


@dataclass(frozen=True, slots=True, kw_only=True)
class IngestionOptions(ClaimOptions):
    """Options of ingestion; an idle worker polls the queue every `poll_s` seconds."""

    chunking: ChunkingOptions = ChunkingOptions()
    max_file_bytes: int = 50 << 20
    poll_s: float = 0.5


@dataclass(frozen=True, slots=True, kw_only=True)
class IngestionParts:
    """Dependencies that submissions, workers, removals and rebuilds of one process share.

    Attributes:
        vectors: Returns a tenant's store of cached vectors; None: vectors are not cached.
        plans: The plans of tenants; None: there are no limits.
        audit: Records submissions and removals; None: nothing is recorded.
        purge_cache: Empties a tenant's caches after a removal of documents.
        reached: Called with the name of each finished step, so that a test can end the process there.
    """

    database: Database
    blobs: LocalBlobs
    parser: Parser
    embedder: Embedder
    index: Index
    metrics: Metrics
    failures: FailureBuffer = field(default_factory=FailureBuffer)
    options: IngestionOptions = IngestionOptions()
    vectors: Callable[[str], VectorStore] | None = None
    plans: Plans | None = None
    audit: Audit | None = None
    purge_cache: Callable[[str], Awaitable[None]] | None = None
    reached: Callable[[str], None] = lambda _step: None

    def embedder_of(self, tenant: str) -> Embedder:
        """Embedder of a tenant, with the tenant's vector cache."""
        if self.vectors is None:
            return self.embedder
        return CachedEmbedder(self.embedder, self.vectors(tenant), metrics=self.metrics)

    async def plan_of(self, tenant: str) -> Plan | None:
        """Plan of a tenant; None: there are no limits."""
        return await self.plans.of_tenant(tenant) if self.plans else None

    def claims(self) -> Claims:
        """Claims of a new owner with a random name."""
        return Claims(self.database, secrets.token_hex(OWNER_BYTES), self.options)
