"""INGEST: how submitted bytes become searchable, whatever happens on the way.

Submitting keeps the bytes and writes a job. A worker claims files of it, and of each
makes the next version of its document: parse → chunk → embed → upsert points. Then one
SQL transaction makes that version the active one, which is the moment searches change,
and the points of older versions are deleted. A worker may die at any step: another one
claims the file again and makes one more version; what the first left behind is swept.
"""

from __future__ import annotations

import asyncio
import secrets
from collections import deque
from collections.abc import AsyncGenerator, Callable, Sequence
from contextlib import aclosing, suppress
from dataclasses import dataclass
from pathlib import Path

import structlog

from ragstone.documents.base import Parser
from ragstone.documents.chunking import ChunkingOptions
from ragstone.embedding.base import Embedder
from ragstone.errors import IndexUnavailable, InvalidInput, RagstoneError
from ragstone.index.base import Index
from ragstone.ingestion import changes
from ragstone.ingestion.claims import ClaimOptions, Claims
from ragstone.ingestion.jobs import Jobs, Task
from ragstone.ingestion.making import EMBED_CHUNKS, make_draft, make_points, sources
from ragstone.ingestion.rebuild import missing_chunks, rebuild
from ragstone.ingestion.remove import remove
from ragstone.ingestion.submit import Uploads, file_sources, store, write_job
from ragstone.ingestion.sweep import clear_points, sweep_blobs, sweep_leftover
from ragstone.ingestion.versions import Draft, fail, publish
from ragstone.storage.blobs import LocalBlobs
from ragstone.storage.database import Database
from ragstone.storage.library import Library
from ragstone.telemetry.metrics import Metrics
from ragstone.vocabulary import FileState, Job, Scope

log = structlog.get_logger()

RECIPE = 1  # raise it when parsing or chunking changes: unchanged files are then ingested anew
FILES_AT_ONCE = 32  # claimed together, so that small files share embedding batches and transactions
PARSE_AHEAD = 2  # files parsed while the one before is embedded


@dataclass(frozen=True, slots=True, kw_only=True)
class IngestionOptions:
    """How documents come in; see `claims.ClaimOptions` for leases and retries.

    `poll_s` is how often an idle worker looks for work.
    """

    chunking: ChunkingOptions = ChunkingOptions()
    max_file_bytes: int = 50 << 20
    lease_s: float = 10.0
    max_attempts: int = 5
    retry_s: float = 1.0
    poll_s: float = 0.5


class Ingestion:
    """Submits, ingests, removes and rebuilds; any number of processes may do so at once.

    `cached` gives each tenant the embedder with its own cache. `faults` is called with the
    name of each step before the next one begins, so that a test can end the process there.
    """

    def __init__(
        self,
        *,
        database: Database,
        blobs: LocalBlobs,
        library: Library,
        parser: Parser,
        embedder: Embedder,
        cached: Callable[[str], Embedder] | None = None,
        index: Index,
        metrics: Metrics,
        options: IngestionOptions = IngestionOptions(),
        faults: Callable[[str], None] = lambda _step: None,
    ) -> None:
        self._database = database
        self._blobs = blobs
        self._library = library
        self._parser = parser
        self._embedder = embedder
        self._cached = cached or (lambda _tenant: embedder)
        self._index = index
        self._metrics = metrics
        self._options = options
        self._reached = faults
        self._jobs = Jobs(database)

    async def submit(self, scope: Scope, uploads: Uploads) -> Job:
        """Keep the bytes of `uploads` and queue a job for them; read one at a time.

        Raises:
            InvalidInput: a source or metadata that cannot be used; nothing is queued.
            DataDirectoryError: the disk is full or read-only; nothing is queued.
        """
        return await self._submit(scope, uploads)

    async def submit_directory(
        self, scope: Scope, directory: Path, *, pattern: str = "**/*", prune: bool = False
    ) -> Job:
        """Queue a job for the files below `directory`; see `submit_paths`.

        Raises:
            NotFound: there is no such directory.
            InvalidInput: it is a file, or the pattern cannot match anything.
        """
        if await asyncio.to_thread(directory.is_file):
            raise InvalidInput(f"{str(directory)!r} is a file. Name the folder it lies in.")
        return await self.submit_paths(scope, [directory], pattern=pattern, prune=prune)

    async def submit_paths(
        self, scope: Scope, paths: Sequence[Path], *, pattern: str = "**/*", prune: bool = False
    ) -> Job:
        """Queue one job for files and the folders' files that match `pattern` (see `changes`).

        With `prune`, documents are removed whose file lay below one of the folders,
        matches the pattern, and exists no more.

        Raises:
            NotFound: one of the paths does not exist.
            InvalidInput: one is neither file nor folder, or the pattern cannot match anything.
        """
        resolved = await asyncio.to_thread(changes.resolve, paths, pattern)
        files = changes.uploads(resolved, pattern=pattern, max_file_bytes=self._options.max_file_bytes)
        vanished: list[str] = []
        if prune:
            known = await file_sources(self._database, scope)
            vanished = await asyncio.to_thread(changes.vanished, resolved, pattern, known)
        return await self._submit(scope, changes.in_threads(files), vanished)

    async def remove(self, scope: Scope, document_id: str) -> None:
        """Remove a document: searches miss it when this returns, and its points and bytes are gone.

        Should the index be down, the points are deleted when it is back.

        Raises:
            NotFound: no such document in the scope.
        """
        await remove(self._database, self._index, self._blobs, self._claims(), scope, document_id)

    async def job(self, scope: Scope, job_id: str) -> Job:
        """See `Jobs.job`."""
        return await self._jobs.job(scope, job_id)

    async def jobs(self, scope: Scope, *, limit: int = 50) -> list[Job]:
        """See `Jobs.jobs`."""
        return await self._jobs.jobs(scope, limit=limit)

    def watch(self, scope: Scope, job_id: str, *, poll_s: float = 0.2) -> AsyncGenerator[Job, None]:
        """See `Jobs.watch`."""
        return self._jobs.watch(scope, job_id, poll_s=poll_s)

    async def rebuild(self, *, progress: Callable[[int, int], None] | None = None) -> int:
        """See `rebuild.rebuild`."""
        count = await rebuild(self._database, self._index, self._cached, self._claims(), progress=progress)
        log.info("rebuild.done", chunks=count)
        return count

    async def missing_chunks(self) -> int:
        """See `rebuild.missing_chunks`."""
        return await missing_chunks(self._database, self._index)

    async def heal(self) -> int:
        """Fill the index if it lacks chunks, while searches go on.

        Returns:
            How many chunks were lacking.
        """
        missing = await self.missing_chunks()
        if missing:
            log.warning("index.healing", missing=missing)
            await rebuild(self._database, self._index, self._cached, self._claims(), clear=False)
        return missing

    async def work(self, *, stop: asyncio.Event | None = None, until_job: tuple[Scope, str] | None = None) -> None:
        """Ingest what waits, of all tenants in turn, until `stop` is set or `until_job` is finished.

        Raises:
            DataDirectoryError: the disk is full or read-only; nothing is lost, call again.
            NotFound: there is no such job as `until_job`.
        """
        stop = stop or asyncio.Event()
        claims = self._claims()
        while not stop.is_set():
            if until_job is not None and await self._jobs.finished(*until_job):
                return
            if not await self._round(claims, stop):
                await _either(stop, self._options.poll_s)

    async def _submit(self, scope: Scope, uploads: Uploads, vanished: Sequence[str] = ()) -> Job:
        recipe = f"{RECIPE}|{self._options.chunking!r}|{self._embedder.name}"
        limit = self._options.max_file_bytes
        entries = await store(self._blobs, scope, uploads, recipe=recipe, max_file_bytes=limit)
        self._reached("stored")
        job_id = await write_job(self._database, self._blobs, scope, entries, vanished=vanished)
        log.info("submit.done", job=job_id, files=len(entries), vanished=len(vanished))
        return await self._jobs.job(scope, job_id)

    def _claims(self) -> Claims:
        options = self._options
        leases = ClaimOptions(lease_s=options.lease_s, max_attempts=options.max_attempts, retry_s=options.retry_s)
        return Claims(self._database, secrets.token_hex(16), leases)

    async def _round(self, claims: Claims, stop: asyncio.Event) -> bool:
        """One turn of a worker; whether there was anything to do."""
        tasks = await claims.take(FILES_AT_ONCE)
        if tasks is None:
            return await self._sweep(claims)
        if tasks:
            self._reached("claimed")
            async with claims.kept(tasks[0].scope.tenant):
                await self._ingest(claims, tasks, stop)
        return True

    async def _sweep(self, claims: Claims) -> bool:
        await sweep_blobs(self._database, self._blobs)
        try:
            return await sweep_leftover(self._database, self._index, claims)
        except IndexUnavailable as error:
            log.warning("sweep.index_unavailable", code=error.code)
            return False

    async def _ingest(self, claims: Claims, tasks: Sequence[Task], stop: asyncio.Event) -> None:
        """Make and publish a version of each task's document; small ones in common batches."""
        batch: list[Draft] = []
        async with aclosing(self._drafts(claims, tasks, stop)) as drafts:
            async for draft in drafts:
                batch.append(draft)
                if sum(len(each.chunks) for each in batch) >= EMBED_CHUNKS:
                    await self._finish(claims, batch)
                    batch = []
        if batch:
            await self._finish(claims, batch)

    async def _drafts(self, claims: Claims, tasks: Sequence[Task], stop: asyncio.Event) -> AsyncGenerator[Draft, None]:
        """Drafts in order, parsing ahead of whoever takes them; failures are recorded and left out."""
        waiting = deque(tasks)
        ahead: deque[tuple[Task, asyncio.Task[Draft]]] = deque()
        try:
            while (waiting or ahead) and not stop.is_set():
                while waiting and len(ahead) < PARSE_AHEAD:
                    ahead.append((waiting[0], asyncio.create_task(self._draft(waiting.popleft()))))
                task, making = ahead[0]
                try:
                    draft = await making
                except RagstoneError as error:
                    await self._fail(claims, [task], error)
                else:
                    self._reached("parsed")
                    yield draft
                ahead.popleft()
        finally:
            unfinished = [making for _, making in ahead]
            for making in unfinished:
                making.cancel()
            await asyncio.gather(*unfinished, return_exceptions=True)
        await claims.give_back([*(task for task, _ in ahead), *waiting])

    async def _draft(self, task: Task) -> Draft:
        with self._metrics.timed("parse_and_chunk"):
            return await make_draft(
                task,
                blobs=self._blobs,
                parser=self._parser,
                embedder=self._embedder,
                chunking=self._options.chunking,
            )

    async def _finish(self, claims: Claims, drafts: Sequence[Draft]) -> None:
        """Index the drafts' points, make the drafts active, delete what they replace."""
        tasks = [draft.task for draft in drafts]
        try:
            await self._index_points(drafts)
        except RagstoneError as error:
            await self._fail(claims, tasks, error)
            return
        published = await publish(self._database, claims, drafts)
        self._reached("published")
        await self._clear(claims, [*published.active, *published.gone])
        self._reached("cleared")
        for draft in published.active:
            self._metrics.files.labels(FileState.DONE).inc()
            self._metrics.chunks.inc(len(draft.chunks))
            log.info(
                "ingest.done", document=draft.task.document_id, version=draft.task.version, chunks=len(draft.chunks)
            )

    async def _index_points(self, drafts: Sequence[Draft]) -> None:
        scope = drafts[0].task.scope
        chunks = [source for draft in drafts for source in sources(draft)]
        async with aclosing(make_points(chunks, self._cached(scope.tenant))) as batches:
            async for points in batches:
                self._reached("embedded")
                with self._metrics.timed("index_upsert"):
                    await self._index.upsert(scope, points)
                self._reached("upserted")

    async def _clear(self, claims: Claims, drafts: Sequence[Draft]) -> None:
        """Delete the points of older versions, and let go of the documents."""
        if not drafts:
            return
        scope = drafts[0].task.scope
        older = [draft.task.document_id for draft in drafts if draft.task.version > 1]
        try:
            for document_id in older:
                await clear_points(self._database, self._index, scope, document_id)
                self._reached("old_points_deleted")
        except IndexUnavailable as error:
            log.warning("ingest.sweep_later", documents=len(older), code=error.code)
            await claims.release(scope, [draft.task.document_id for draft in drafts], clean=False)
            return
        await claims.release(scope, [draft.task.document_id for draft in drafts])

    async def _fail(self, claims: Claims, tasks: Sequence[Task], error: RagstoneError) -> None:
        for task in tasks:
            # In a batch the fault may be another file's: then each gets an attempt alone.
            attempts = self._options.max_attempts if error.retryable or len(tasks) > 1 else 1
            final = await fail(self._database, claims, task, error, max_attempts=attempts)
            if final:
                self._metrics.files.labels(FileState.FAILED).inc()
            log.warning("ingest.failed", document=task.document_id, code=error.code, final=final)
            await claims.release(task.scope, [task.document_id], clean=False)


async def _either(stop: asyncio.Event, seconds: float) -> None:
    """Wait until `stop` is set, at most for `seconds`."""
    with suppress(TimeoutError):
        await asyncio.wait_for(stop.wait(), seconds)
