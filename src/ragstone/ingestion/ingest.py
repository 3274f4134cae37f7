"""INGEST: a worker takes queued files and makes them searchable.

The steps for a file: claim → parse → chunk → embed → upsert points → publish → delete the points of older versions.
Publishing is one SQL transaction; searches find the new version from that moment on. A worker may die at any step:
its claim expires, another worker builds the next version, and the sweep deletes the points of the unpublished one.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncGenerator, Awaitable, Callable, Iterator, Sequence
from contextlib import AbstractContextManager, aclosing, contextmanager, suppress

import structlog

from ragstone.errors import IndexUnavailable, RagstoneError
from ragstone.ingestion.build import EMBED_CHUNKS, PreparedVersion, build_points, point_sources, prepare_version
from ragstone.ingestion.jobs import Task
from ragstone.ingestion.parts import IngestionParts
from ragstone.ingestion.publish import fail, publish
from ragstone.ingestion.queue import Queue
from ragstone.ingestion.remove import delete_old_points, sweep_blobs, sweep_orphans
from ragstone.telemetry.tracing import span
from ragstone.vocabulary import FileState, Scope

log = structlog.get_logger()

FILES_AT_ONCE = 32  # claimed in one turn, so that small files share embedding batches and transactions
PARSE_AHEAD = 2  # files parsed while the previous one is embedded


class Worker:
    """Ingestion worker: ingests queued files under its own claims."""

    def __init__(self, parts: IngestionParts) -> None:
        self._parts = parts
        self._claims = parts.claims()
        self._queue = Queue(parts.database, self._claims, parts.options)

    async def turn(self, stop: asyncio.Event) -> bool:
        """Claim and ingest the next files of one tenant; if no file waits, sweep.

        When `stop` is set, the worker releases the claimed files that it has not begun.

        Returns:
            Whether there was work.

        Raises:
            DataDirectoryError: the disk is full or read-only; nothing is lost, call again.
        """
        tasks = await self._queue.take(FILES_AT_ONCE)
        if tasks is None:
            return await self._sweep()
        if tasks:
            self._parts.reached("claimed")
            async with self._claims.kept(tasks[0].scope.tenant) as leaving:
                with self._running(tasks):
                    await self._ingest(tasks, lambda: stop.is_set() or leaving.is_set())
        return True

    async def _ingest(self, tasks: Sequence[Task], ended: Callable[[], bool]) -> None:
        """Prepare, index and publish a version for each task; small versions share a batch."""
        batch: list[PreparedVersion] = []
        async with aclosing(self._prepared(tasks, ended)) as versions:
            async for version in versions:
                batch.append(version)
                if sum(len(each.chunks) for each in batch) >= EMBED_CHUNKS:
                    await self._index_and_publish(batch)
                    batch = []
        if batch:
            await self._index_and_publish(batch)

    async def _prepared(self, tasks: Sequence[Task], ended: Callable[[], bool]) -> AsyncGenerator[PreparedVersion]:
        """Yield prepared versions in order, parsing `PARSE_AHEAD` files ahead. Records the failure of a file."""
        waiting = deque(tasks)
        ahead: deque[tuple[Task, asyncio.Task[PreparedVersion]]] = deque()
        try:
            while (waiting or ahead) and not ended():
                while waiting and len(ahead) < PARSE_AHEAD:
                    ahead.append((waiting[0], asyncio.create_task(self._prepare(waiting.popleft()))))
                task, preparing = ahead[0]
                try:
                    version = await preparing
                except RagstoneError as error:
                    await self._fail([task], error)
                else:
                    self._parts.reached("parsed")
                    yield version
                ahead.popleft()
        finally:
            await _cancelled([preparing for _, preparing in ahead])
        await self._claims.give_back([*(task for task, _ in ahead), *waiting])

    async def _prepare(self, task: Task) -> PreparedVersion:
        with working_on(task), span("parse_and_chunk"), self._parts.metrics.timed("parse_and_chunk"):
            return await prepare_version(self._parts, task)

    async def _index_and_publish(self, versions: Sequence[PreparedVersion]) -> None:
        """Embed and upsert the versions' points, publish the versions, delete what they replace."""
        parts, tasks = self._parts, [version.task for version in versions]
        scope = tasks[0].scope
        try:
            with working_on(*tasks), span("index_points", files=len(tasks)):
                await self._index(scope, versions)
        except RagstoneError as error:
            await self._fail(tasks, error)
            return
        plan = await parts.plan_of(scope.tenant)
        published = await publish(parts.database, self._claims, versions, model=parts.embedder.name, plan=plan)
        parts.reached("published")
        await self._delete_old_points(scope, [*published.active, *published.gone])
        await self._release_refused(scope, published.refused)
        parts.reached("cleared")
        for version in published.active:
            self._report(version)

    async def _index(self, scope: Scope, versions: Sequence[PreparedVersion]) -> None:
        sources = [source for version in versions for source in point_sources(version)]
        async with aclosing(build_points(sources, self._parts.embedder_of(scope.tenant))) as batches:
            async for points in batches:
                self._parts.reached("embedded")
                with self._parts.metrics.timed("index_upsert"):
                    await self._parts.index.upsert(scope, points)
                self._parts.reached("upserted")

    async def _delete_old_points(self, scope: Scope, versions: Sequence[PreparedVersion]) -> None:
        """Delete the points of older versions and release the claims; with the index down, the sweep deletes them."""
        if not versions:
            return
        parts, ids = self._parts, [version.task.document_id for version in versions]
        replacing = [version.task.document_id for version in versions if version.task.version > 1]
        try:
            for document_id in replacing:
                await delete_old_points(parts, scope, document_id)
                parts.reached("old_points_deleted")
        except IndexUnavailable as error:
            log.warning("ingest.sweep_later", documents=len(replacing), code=error.code)
            await self._claims.release(scope, ids, clean=False)
            return
        await self._claims.release(scope, ids)

    async def _release_refused(self, scope: Scope, refused: Sequence[PreparedVersion]) -> None:
        """Release the claims of versions that exceed the plan; the sweep deletes their points."""
        if refused:
            self._parts.metrics.files.labels(FileState.FAILED).inc(len(refused))
            await self._claims.release(scope, [version.task.document_id for version in refused], clean=False)

    def _report(self, version: PreparedVersion) -> None:
        task, metrics = version.task, self._parts.metrics
        metrics.files.labels(FileState.DONE).inc()
        metrics.chunks.inc(len(version.chunks))
        with working_on(task):
            log.info("ingest.done", document=task.document_id, version=task.version, chunks=len(version.chunks))

    async def _fail(self, tasks: Sequence[Task], error: RagstoneError) -> None:
        """Record a failure, final or with a retry."""
        parts = self._parts
        for task in tasks:
            # Another file of the batch may have caused the error: each file gets an attempt of its own.
            attempts = parts.options.max_attempts if error.retryable or len(tasks) > 1 else 1
            final = await fail(parts.database, self._claims, task, error, max_attempts=attempts)
            if final:
                parts.metrics.files.labels(FileState.FAILED).inc()
            with working_on(task):
                parts.failures.note("ingest", error, tenant=task.scope.tenant)
                log.warning("ingest.failed", document=task.document_id, code=error.code, final=final)
            await self._claims.release(task.scope, [task.document_id], clean=False)

    async def _sweep(self) -> bool:
        """Delete discarded blobs, then the orphaned points of one document; returns whether there were any."""
        await sweep_blobs(self._parts)
        try:
            return await sweep_orphans(self._parts, self._claims)
        except IndexUnavailable as error:
            log.warning("sweep.index_unavailable", code=error.code)
            return False

    @contextmanager
    def _running(self, tasks: Sequence[Task]) -> Iterator[None]:
        """Trace the block and count the jobs of the tasks as running during it."""
        jobs = len({task.job_id for task in tasks})
        running = self._parts.metrics.jobs_running
        with span("ingest", tenant=tasks[0].scope.tenant, jobs=jobs, files=len(tasks)):
            running.inc(jobs)
            try:
                yield
            finally:
                running.dec(jobs)


def working_on(*tasks: Task) -> AbstractContextManager[object]:
    """Bind the tenant, job and request id that all tasks share to the log lines and outgoing calls of the block."""
    ids = [(("tenant", task.scope.tenant), ("job", task.job_id), ("request_id", task.request_id)) for task in tasks]
    shared = {name: value for name, value in set.intersection(*map(set, ids)) if value}
    return structlog.contextvars.bound_contextvars(**shared)


async def _cancelled(tasks: Sequence[asyncio.Task[PreparedVersion]]) -> None:
    """Cancel tasks and wait for their end."""
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)


async def work(parts: IngestionParts, stop: asyncio.Event, finished: Callable[[], Awaitable[bool]]) -> None:
    """Run a worker until `stop` is set or `finished` returns True. Tenants take turns.

    Raises:
        DataDirectoryError: the disk is full or read-only; nothing is lost, call again.
    """
    worker = Worker(parts)
    while not stop.is_set() and not await finished():
        if not await worker.turn(stop):
            with suppress(TimeoutError):
                await asyncio.wait_for(stop.wait(), parts.options.poll_s)
