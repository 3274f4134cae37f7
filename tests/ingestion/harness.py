"""Test harness of ingestion: real storage, the keyless embedder, the exact index, and a plain parser."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from pathlib import Path

from ragstone.billing.plans import Plans
from ragstone.documents.base import ParsedDocument, Parser
from ragstone.embedding.cache import VectorStore
from ragstone.embedding.hashing import HashingEmbedder
from ragstone.embedding.sparse import query_vector
from ragstone.errors import EmptyDocument, IndexUnavailable, UnreadableDocument
from ragstone.index.base import Point
from ragstone.index.memory import MemoryIndex
from ragstone.ingestion.parts import IngestionOptions, IngestionParts
from ragstone.ingestion.service import Ingestion
from ragstone.ingestion.submit import Upload
from ragstone.storage.blobs import LocalBlobs
from ragstone.storage.database import EVERY_TENANT, Database, unscoped
from ragstone.storage.library import Library
from ragstone.storage.schema import claims
from ragstone.telemetry.metrics import Metrics
from ragstone.vocabulary import Filters, Hit, Job, Passage, Scope

SCOPE = Scope("us", "docs")
QUICK = IngestionOptions(lease_s=0.3, retry_s=0.01, poll_s=0.01, max_file_bytes=10_000)


class PlainParser:
    """Reads UTF-8 and refuses other bytes, as `Parser` requires."""

    async def parse(self, content: bytes, *, name: str, media_type: str | None = None) -> ParsedDocument:
        if not content.strip():
            raise EmptyDocument(f"{name} is empty.")
        try:
            return ParsedDocument(content.decode(), media_type or "text/markdown")
        except UnicodeDecodeError as error:
            raise UnreadableDocument(f"{name} is not text.") from error


class FlakyIndex(MemoryIndex):
    """The exact index with faults: it does not answer while `down`, and fails `failures_left` calls."""

    down = False
    failures_left = 0

    async def upsert(self, scope: Scope, points: Sequence[Point]) -> None:
        self._answer()
        await super().upsert(scope, points)

    async def delete_document(self, scope: Scope, document_id: str, *, keep_version: int | None = None) -> None:
        self._answer()
        await super().delete_document(scope, document_id, keep_version=keep_version)

    async def delete_tenant(self, tenant: str) -> None:
        self._answer()
        await super().delete_tenant(tenant)

    def _answer(self) -> None:
        if self.down or self.failures_left > 0:
            self.failures_left -= 1
            raise IndexUnavailable("The index does not answer. Try again in a moment.")


@dataclass(frozen=True)
class Harness:
    """All parts of ingestion, and questions about their state."""

    folder: Path
    database_url: str
    database: Database
    blobs: LocalBlobs
    library: Library
    index: FlakyIndex
    parts: IngestionParts
    ingestion: Ingestion

    def another(
        self,
        *,
        faults: Callable[[str], None] = lambda _step: None,
        embedder: HashingEmbedder | None = None,
        parser: Parser | None = None,
        plans: Plans | None = None,
        vectors: VectorStore | None = None,
        **changes: object,
    ) -> Ingestion:
        """Ingestion of another process on the same data."""
        return Ingestion(
            replace(
                self.parts,
                database=self.database,
                parser=parser or PlainParser(),
                embedder=embedder or HashingEmbedder(),
                options=replace(QUICK, **changes),  # type: ignore[arg-type]  # fields of the options, by name
                plans=plans,
                vectors=(lambda _tenant: vectors) if vectors else None,
                reached=faults,
            )
        )

    @asynccontextmanager
    async def paused_at(self, step: str, job: Job, *, lease_s: float = 600.0) -> AsyncIterator[Callable[[], None]]:
        """Pause a worker with its own event loop after `step` during the block; then let it continue.

        Like a stopped process, it sends no heartbeat. The yielded function lets it continue early.
        """
        reached, go_on = threading.Event(), threading.Event()

        def pause(at: str) -> None:
            if at == step and not reached.is_set():
                reached.set()
                go_on.wait(30)

        async def work() -> None:
            database = await Database.open(self.database_url)
            worker = replace(self, database=database).another(faults=pause, lease_s=lease_s)
            await worker.work(until_job=(job.scope, job.id))
            await database.close()

        working = asyncio.create_task(asyncio.to_thread(asyncio.run, work()))
        try:
            assert await asyncio.to_thread(reached.wait, 30)
            yield go_on.set
        finally:
            go_on.set()
            await working

    async def ingest(self, *uploads: Upload, scope: Scope = SCOPE) -> Job:
        """Submit and work until the job is finished."""
        return await self.finish(await self.ingestion.submit(scope, uploads))

    async def finish(self, job: Job) -> Job:
        await self.ingestion.work(until_job=(job.scope, job.id))
        return await self.ingestion.job(job.scope, job.id)

    async def settle(self) -> None:
        """Work until no file waits and nothing is left to sweep."""
        stop = asyncio.Event()

        async def watch() -> None:
            while True:
                async with self.database.read(EVERY_TENANT) as connection:
                    if (await connection.execute(unscoped(claims))).first() is None:
                        stop.set()
                        return
                await asyncio.wait([asyncio.ensure_future(stop.wait())], timeout=0.02)

        await asyncio.gather(self.ingestion.work(stop=stop), watch())

    async def found(self, words: str, scope: Scope = SCOPE) -> list[Passage]:
        """Passages that a lexical search for `words` finds, restricted to the active versions in SQL."""
        candidates = await self.index.search(
            scope, dense=None, sparse=query_vector(words), filters=Filters(), limit=100
        )
        hits = [Hit(each.chunk_id, each.standing.score, {}) for each in candidates.sparse]
        return await self.library.passages(scope, hits)

    def stored_bytes(self) -> set[bytes]:
        return {path.read_bytes() for path in (self.folder / "blobs").rglob("*") if path.is_file()}


@asynccontextmanager
async def open_harness(folder: Path, database_url: str) -> AsyncIterator[Harness]:
    database = await Database.open(database_url)
    blobs = LocalBlobs(folder / "blobs")
    library = Library(database, blobs)
    index = FlakyIndex(HashingEmbedder().dimensions)
    parts = IngestionParts(
        database=database,
        blobs=blobs,
        parser=PlainParser(),
        embedder=HashingEmbedder(),
        index=index,
        metrics=Metrics(),
        options=QUICK,
    )
    yield Harness(folder, database_url, database, blobs, library, index, parts, Ingestion(parts))
    await database.close()


def upload(name: str, text: str, **changes: object) -> Upload:
    return replace(Upload(f"upload:{name}", name, text.encode()), **changes)  # type: ignore[arg-type]  # by name
