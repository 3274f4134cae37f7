"""WORK: what one worker does with the files whose turn it is.

Of each it makes the next version of its document: parse → chunk → embed → upsert points. Then one
SQL transaction makes that version the active one, which is the moment searches change,
and the points of older versions are deleted. A worker may die at any step: another one
claims the file again and makes one more version; what the first left behind is swept.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncGenerator, Callable, Iterator, Sequence
from contextlib import AbstractContextManager, aclosing, contextmanager
from dataclasses import dataclass

import structlog

from ragstone.documents.base import Parser
from ragstone.documents.chunking import ChunkingOptions
from ragstone.embedding.base import Embedder
from ragstone.errors import IndexUnavailable, RagstoneError
from ragstone.index.base import Index
from ragstone.ingestion.build import EMBED_CHUNKS, make_draft, make_points, sources
from ragstone.ingestion.jobs import Task
from ragstone.ingestion.publish import PreparedVersion, fail, publish
from ragstone.ingestion.queue import Claims, Queue
from ragstone.ingestion.quotas import Quota
from ragstone.ingestion.remove import clear_points, sweep_blobs, sweep_leftover
from ragstone.storage.blobs import LocalBlobs
from ragstone.storage.database import Database
from ragstone.telemetry.failures import Failures
from ragstone.telemetry.metrics import Metrics
from ragstone.telemetry.tracing import span
from ragstone.vocabulary import FileState, Scope

log = structlog.get_logger()

FILES_AT_ONCE = 32  # claimed together, so that small files share embedding batches and transactions
PARSE_AHEAD = 2  # files parsed while the one before is embedded


@dataclass(frozen=True, slots=True, kw_only=True)
class Tools:
    """What a worker works with; see `Ingestion`."""

    database: Database
    blobs: LocalBlobs
    parser: Parser
    embedder: Embedder
    cached: Callable[[str], Embedder]
    index: Index
    metrics: Metrics
    chunking: ChunkingOptions
    max_attempts: int
    quota: Quota | None
    reached: Callable[[str], None]
    failures: Failures


class Worker:
    """Ingests by turns, with claims of its own."""

    def __init__(self, tools: Tools, claims: Claims, queue: Queue) -> None:
        self._tools = tools
        self._claims = claims
        self._queue = queue

    async def turn(self, stop: asyncio.Event) -> bool:
        """Ingest the next files, or clear something up; whether there was anything to do.

        Files that were not begun when `stop` is set are given back.

        Raises:
            DataDirectoryError: the disk is full or read-only; nothing is lost, call again.
        """
        tasks = await self._queue.take(FILES_AT_ONCE)
        if tasks is None:
            return await self._sweep()
        if tasks:
            self._tools.reached("claimed")
            async with self._claims.kept(tasks[0].scope.tenant) as leaving:
                jobs = len({task.job_id for task in tasks})
                with span("ingest", tenant=tasks[0].scope.tenant, jobs=jobs, files=len(tasks)), self._running(jobs):
                    await self._ingest(tasks, lambda: stop.is_set() or leaving.is_set())
        return True

    @contextmanager
    def _running(self, jobs: int) -> Iterator[None]:
        """Count them as being worked on meanwhile."""
        self._tools.metrics.jobs_running.inc(jobs)
        try:
            yield
        finally:
            self._tools.metrics.jobs_running.dec(jobs)

    async def _sweep(self) -> bool:
        await sweep_blobs(self._tools.database, self._tools.blobs)
        try:
            return await sweep_leftover(self._tools.database, self._tools.index, self._claims)
        except IndexUnavailable as error:
            log.warning("sweep.index_unavailable", code=error.code)
            return False

    async def _ingest(self, tasks: Sequence[Task], ended: Callable[[], bool]) -> None:
        """Make and publish a version of each task's document; small ones in common batches."""
        batch: list[PreparedVersion] = []
        async with aclosing(self._drafts(tasks, ended)) as drafts:
            async for draft in drafts:
                batch.append(draft)
                if sum(len(each.chunks) for each in batch) >= EMBED_CHUNKS:
                    await self._finish(batch)
                    batch = []
        if batch:
            await self._finish(batch)

    async def _drafts(self, tasks: Sequence[Task], ended: Callable[[], bool]) -> AsyncGenerator[PreparedVersion, None]:
        """Drafts in order, parsing ahead of whoever takes them; failures are recorded and left out."""
        waiting = deque(tasks)
        ahead: deque[tuple[Task, asyncio.Task[PreparedVersion]]] = deque()
        try:
            while (waiting or ahead) and not ended():
                while waiting and len(ahead) < PARSE_AHEAD:
                    ahead.append((waiting[0], asyncio.create_task(self._draft(waiting.popleft()))))
                task, making = ahead[0]
                try:
                    draft = await making
                except RagstoneError as error:
                    await self._fail([task], error)
                else:
                    self._tools.reached("parsed")
                    yield draft
                ahead.popleft()
        finally:
            unfinished = [making for _, making in ahead]
            for making in unfinished:
                making.cancel()
            await asyncio.gather(*unfinished, return_exceptions=True)
        await self._claims.give_back([*(task for task, _ in ahead), *waiting])

    async def _draft(self, task: Task) -> PreparedVersion:
        with working_on(task), span("parse_and_chunk"), self._tools.metrics.timed("parse_and_chunk"):
            return await make_draft(
                task,
                blobs=self._tools.blobs,
                parser=self._tools.parser,
                embedder=self._tools.embedder,
                chunking=self._tools.chunking,
            )

    async def _finish(self, drafts: Sequence[PreparedVersion]) -> None:
        """Index the drafts' points, make the drafts active, delete what they replace."""
        tasks = [draft.task for draft in drafts]
        try:
            with working_on(*tasks), span("index_points", files=len(tasks)):
                await self._index_points(drafts)
        except RagstoneError as error:
            await self._fail(tasks, error)
            return
        scope = tasks[0].scope
        plan = await self._tools.quota(scope.tenant) if self._tools.quota else None
        published = await publish(
            self._tools.database, self._claims, drafts, model=self._tools.embedder.name, plan=plan
        )
        self._tools.reached("published")
        await self._clear([*published.active, *published.gone])
        await self._release_refused(scope, published.refused)
        self._tools.reached("cleared")
        for draft in published.active:
            self._tools.metrics.files.labels(FileState.DONE).inc()
            self._tools.metrics.chunks.inc(len(draft.chunks))
            task = draft.task
            with working_on(task):
                log.info("ingest.done", document=task.document_id, version=task.version, chunks=len(draft.chunks))

    async def _index_points(self, drafts: Sequence[PreparedVersion]) -> None:
        scope = drafts[0].task.scope
        chunks = [source for draft in drafts for source in sources(draft)]
        async with aclosing(make_points(chunks, self._tools.cached(scope.tenant))) as batches:
            async for points in batches:
                self._tools.reached("embedded")
                with self._tools.metrics.timed("index_upsert"):
                    await self._tools.index.upsert(scope, points)
                self._tools.reached("upserted")

    async def _clear(self, drafts: Sequence[PreparedVersion]) -> None:
        """Delete the points of older versions, and let go of the documents."""
        if not drafts:
            return
        scope = drafts[0].task.scope
        older = [draft.task.document_id for draft in drafts if draft.task.version > 1]
        try:
            for document_id in older:
                await clear_points(self._tools.database, self._tools.index, scope, document_id)
                self._tools.reached("old_points_deleted")
        except IndexUnavailable as error:
            log.warning("ingest.sweep_later", documents=len(older), code=error.code)
            await self._claims.release(scope, [draft.task.document_id for draft in drafts], clean=False)
            return
        await self._claims.release(scope, [draft.task.document_id for draft in drafts])

    async def _release_refused(self, scope: Scope, refused: Sequence[PreparedVersion]) -> None:
        """Leave the points of versions that the plan had no room for to the sweeper."""
        if refused:
            self._tools.metrics.files.labels(FileState.FAILED).inc(len(refused))
            await self._claims.release(scope, [draft.task.document_id for draft in refused], clean=False)

    async def _fail(self, tasks: Sequence[Task], error: RagstoneError) -> None:
        for task in tasks:
            # In a batch the fault may be another file's: then each gets an attempt alone.
            attempts = self._tools.max_attempts if error.retryable or len(tasks) > 1 else 1
            final = await fail(self._tools.database, self._claims, task, error, max_attempts=attempts)
            if final:
                self._tools.metrics.files.labels(FileState.FAILED).inc()
            with working_on(task):
                self._tools.failures.note("ingest", error, tenant=task.scope.tenant)
                log.warning("ingest.failed", document=task.document_id, code=error.code, final=final)
            await self._claims.release(task.scope, [task.document_id], clean=False)


def working_on(*tasks: Task) -> AbstractContextManager[object]:
    """Meanwhile log lines and outside calls carry what all of the tasks share: tenant, job, and who asked for it."""
    ids = [(("tenant", task.scope.tenant), ("job", task.job_id), ("request_id", task.request_id)) for task in tasks]
    shared = {name: value for name, value in set.intersection(*map(set, ids)) if value}
    return structlog.contextvars.bound_contextvars(**shared)
