"""INGEST: how submitted bytes become searchable, whatever happens on the way.

Submitting keeps the bytes and writes a job. A worker takes files of it from the queue, and
of each makes a version of its document (see `work`), which one transaction makes the active one.
"""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import AsyncGenerator, Awaitable, Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import structlog

from ragstone.documents.base import Parser
from ragstone.documents.chunking import ChunkingOptions
from ragstone.embedding.base import Embedder
from ragstone.errors import InvalidInput, Unavailable
from ragstone.identity.audit import Audit
from ragstone.index.base import Index
from ragstone.ingestion import folders as changes
from ragstone.ingestion.dead_letters import DeadFile, DeadLetters, Replay
from ragstone.ingestion.ingest import Tools, Worker
from ragstone.ingestion.jobs import Jobs
from ragstone.ingestion.queue import ClaimOptions, Claims, Queue
from ragstone.ingestion.quotas import Quota
from ragstone.ingestion.rebuild import missing_chunks, rebuild
from ragstone.ingestion.remove import remove
from ragstone.ingestion.submit import Submission, Uploads, file_sources, store, write_job
from ragstone.principals import LOCAL
from ragstone.storage.blobs import LocalBlobs
from ragstone.storage.database import Database
from ragstone.storage.library import Library
from ragstone.telemetry.failures import Failures
from ragstone.telemetry.metrics import Metrics
from ragstone.vocabulary import Job, Scope

log = structlog.get_logger()

RECIPE = 1  # raise it when parsing or chunking changes: unchanged files are then ingested anew


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

    `cached` gives each tenant the embedder with its own cache, `quota` its plan; without it
    there are no limits. `audit` records who submitted and removed. `forget` empties what
    caches hold of a tenant when documents are removed. `faults` is called with the name of
    each step before the next one begins, so that a test can end the process there.
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
        failures: Failures | None = None,
        options: IngestionOptions = IngestionOptions(),
        audit: Audit | None = None,
        quota: Quota | None = None,
        forget: Callable[[str], Awaitable[None]] | None = None,
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
        self._failures = failures if failures is not None else Failures()
        self._options = options
        self._quota = quota
        self._forget = forget
        self._audit = audit
        self._reached = faults
        self._jobs = Jobs(database)
        self._dead_letters = DeadLetters(database)

    async def submit(
        self, scope: Scope, uploads: Uploads, *, principal: str = LOCAL.id, callback_url: str | None = None
    ) -> Job:
        """Keep the bytes of `uploads` and queue a job for them; read one at a time.

        `principal` is who submits. When the job is finished, `callback_url` is told, if given.

        Raises:
            InvalidInput: a source or metadata that cannot be used; nothing is queued.
            QuotaExceeded: the plan has no room for all of it; nothing is queued.
            DataDirectoryError: the disk is full or read-only; nothing is queued.
        """
        return await self._submit(scope, uploads, Submission(principal=principal, callback_url=callback_url))

    async def submit_directory(
        self, scope: Scope, directory: Path, *, pattern: str = "**/*", prune: bool = False, principal: str = LOCAL.id
    ) -> Job:
        """Queue a job for the files below `directory`; see `submit_paths`.

        Raises:
            NotFound: there is no such directory.
            InvalidInput: it is a file, or the pattern cannot match anything.
        """
        if await asyncio.to_thread(directory.is_file):
            raise InvalidInput(f"{str(directory)!r} is a file. Name the folder it lies in.")
        return await self.submit_paths(scope, [directory], pattern=pattern, prune=prune, principal=principal)

    async def submit_paths(
        self,
        scope: Scope,
        paths: Sequence[Path],
        *,
        pattern: str = "**/*",
        prune: bool = False,
        principal: str = LOCAL.id,
    ) -> Job:
        """Queue one job for files and the folders' files that match `pattern` (see `changes`).

        With `prune`, documents are removed whose file lay below one of the folders,
        matches the pattern, and exists no more.

        Raises:
            NotFound: one of the paths does not exist.
            InvalidInput: one is neither file nor folder, or the pattern cannot match anything.
            QuotaExceeded: the plan has no room for all of it; nothing is queued.
        """
        resolved = await asyncio.to_thread(changes.resolve, paths, pattern)
        files = changes.uploads(resolved, pattern=pattern, max_file_bytes=self._options.max_file_bytes)
        vanished: list[str] = []
        if prune:
            known = await file_sources(self._database, scope)
            vanished = await asyncio.to_thread(changes.vanished, resolved, pattern, known)
        return await self._submit(scope, changes.in_threads(files), Submission(principal=principal, vanished=vanished))

    async def remove(self, scope: Scope, document_id: str, *, principal: str = LOCAL.id) -> None:
        """Remove a document: searches miss it when this returns, and its points and bytes are gone.

        Should the index be down, the points are deleted when it is back. What a cache holds
        of the tenant is forgotten; one that is down forgets it with its time.

        Raises:
            NotFound: no such document in the scope.
        """
        cached = self._cached(scope.tenant)
        await remove(
            self._database,
            self._index,
            self._blobs,
            self._claims(),
            cached,
            scope,
            document_id,
            principal=principal,
            audit=self._audit,
        )
        await self._empty_caches(scope.tenant)

    async def job(self, scope: Scope, job_id: str) -> Job:
        """See `Jobs.job`."""
        return await self._jobs.job(scope, job_id)

    async def jobs(self, scope: Scope, *, limit: int = 50) -> list[Job]:
        """See `Jobs.jobs`."""
        return await self._jobs.jobs(scope, limit=limit)

    def watch(self, scope: Scope, job_id: str, *, poll_s: float = 0.2) -> AsyncGenerator[Job, None]:
        """See `Jobs.watch`."""
        return self._jobs.watch(scope, job_id, poll_s=poll_s)

    async def dead(self, tenant: str | None = None) -> list[DeadFile]:
        """See `DeadLetters.dead`."""
        return await self._dead_letters.dead(tenant)

    async def replay(self, tenant: str, *, files: Sequence[int] = (), job_id: str | None = None) -> Replay:
        """See `DeadLetters.replay`."""
        return await self._dead_letters.replay(tenant, files=files, job_id=job_id)

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
        worker = Worker(self._tools(), claims, Queue(self._database, claims, self._lease_options()))
        while not stop.is_set():
            if until_job is not None and await self._jobs.finished(*until_job):
                return
            if not await worker.turn(stop):
                await _either(stop, self._options.poll_s)

    async def _submit(self, scope: Scope, uploads: Uploads, submission: Submission) -> Job:
        recipe = f"{RECIPE}|{self._options.chunking!r}|{self._embedder.name}"
        limit = self._options.max_file_bytes
        entries = await store(self._blobs, scope, uploads, recipe=recipe, max_file_bytes=limit)
        self._reached("stored")
        plan = await self._quota(scope.tenant) if self._quota else None
        job_id = await write_job(self._database, self._blobs, scope, entries, submission, plan=plan, audit=self._audit)
        if submission.vanished:
            await self._empty_caches(scope.tenant)
        log.info("submit.done", job=job_id, files=len(entries), vanished=len(submission.vanished))
        return await self._jobs.job(scope, job_id)

    async def _empty_caches(self, tenant: str) -> None:
        """Nobody finds a removed document's words by asking; here they also stop lying in memory.

        A cache that is down forgets them with its time.
        """
        if self._forget:
            with suppress(Unavailable):
                await self._forget(tenant)

    def _tools(self) -> Tools:
        return Tools(
            database=self._database,
            blobs=self._blobs,
            parser=self._parser,
            embedder=self._embedder,
            cached=self._cached,
            index=self._index,
            metrics=self._metrics,
            failures=self._failures,
            chunking=self._options.chunking,
            max_attempts=self._options.max_attempts,
            quota=self._quota,
            reached=self._reached,
        )

    def _claims(self) -> Claims:
        return Claims(self._database, secrets.token_hex(16), self._lease_options())

    def _lease_options(self) -> ClaimOptions:
        options = self._options
        return ClaimOptions(lease_s=options.lease_s, max_attempts=options.max_attempts, retry_s=options.retry_s)


async def _either(stop: asyncio.Event, seconds: float) -> None:
    """Wait until `stop` is set, at most for `seconds`."""
    with suppress(TimeoutError):
        await asyncio.wait_for(stop.wait(), seconds)
