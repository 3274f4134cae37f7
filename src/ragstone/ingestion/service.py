"""The ingestion service: the public functions of the package as methods of one class."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Callable, Sequence
from pathlib import Path

import structlog

from ragstone.errors import InvalidInput
from ragstone.ingestion import folders
from ragstone.ingestion.dead_letters import DeadFile, DeadLetters, Replay
from ragstone.ingestion.ingest import work
from ragstone.ingestion.jobs import Jobs
from ragstone.ingestion.parts import IngestionParts
from ragstone.ingestion.rebuild import missing_chunks, rebuild
from ragstone.ingestion.remove import remove
from ragstone.ingestion.submit import Submission, Uploads, file_sources, submit
from ragstone.principals import LOCAL
from ragstone.vocabulary import Job, Scope

log = structlog.get_logger()


class Ingestion:
    """Submits, ingests, removes and rebuilds documents; any number of processes may use it at once."""

    def __init__(self, parts: IngestionParts) -> None:
        self._parts = parts
        self._jobs = Jobs(parts.database)
        self._dead_letters = DeadLetters(parts.database)

    async def submit(
        self, scope: Scope, uploads: Uploads, *, principal: str = LOCAL.id, callback_url: str | None = None
    ) -> Job:
        """Store the bytes of `uploads` and queue a job for them (see `submit.submit`).

        `principal` is the id of the submitter. When the job has finished, a webhook is sent to `callback_url`.
        """
        return await self._submit(scope, uploads, Submission(principal=principal, callback_url=callback_url))

    async def submit_directory(
        self, scope: Scope, directory: Path, *, pattern: str = "**/*", prune: bool = False, principal: str = LOCAL.id
    ) -> Job:
        """Queue a job for the files below `directory`; see `submit_paths`.

        Raises:
            NotFound: the directory does not exist.
            InvalidInput: it is a file, or the pattern is invalid.
        """
        if await asyncio.to_thread(directory.is_file):
            raise InvalidInput(f"{str(directory)!r} is a file. Name the folder that contains it.")
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
        """Queue one job for files, and for the files of folders that match `pattern` (see `folders`).

        `prune` removes the documents of files that were in one of the folders, match the
        pattern, and no longer exist.

        Raises:
            NotFound: one of the paths does not exist.
            InvalidInput: one is neither file nor folder, or the pattern is invalid.
            QuotaExceeded: the files together exceed the plan; nothing is queued.
        """
        resolved = await asyncio.to_thread(folders.resolve, paths, pattern)
        files = folders.uploads(resolved, pattern=pattern, max_file_bytes=self._parts.options.max_file_bytes)
        vanished: list[str] = []
        if prune:
            known = await file_sources(self._parts.database, scope)
            vanished = await asyncio.to_thread(folders.vanished, resolved, pattern, known)
        return await self._submit(scope, folders.in_threads(files), Submission(principal=principal, vanished=vanished))

    async def _submit(self, scope: Scope, uploads: Uploads, submission: Submission) -> Job:
        return await self.job(scope, await submit(self._parts, scope, uploads, submission))

    async def work(self, *, stop: asyncio.Event | None = None, until_job: tuple[Scope, str] | None = None) -> None:
        """Run a worker for all tenants until `stop` is set or `until_job` has finished.

        Raises:
            DataDirectoryError: the disk is full or read-only; nothing is lost, call again.
            NotFound: the job `until_job` does not exist.
        """

        async def finished() -> bool:
            return until_job is not None and await self._jobs.finished(*until_job)

        await work(self._parts, stop or asyncio.Event(), finished)

    async def remove(self, scope: Scope, document_id: str, *, principal: str = LOCAL.id) -> None:
        """Remove a document: searches no longer find it, and its points and bytes are deleted.

        If the index is down, a worker deletes the points later.

        Raises:
            NotFound: the scope has no such document.
        """
        await remove(self._parts, scope, document_id, principal=principal)

    async def job(self, scope: Scope, job_id: str) -> Job:
        """One job with its files; see `Jobs.job`."""
        return await self._jobs.job(scope, job_id)

    async def jobs(self, scope: Scope, *, limit: int = 50) -> list[Job]:
        """The newest jobs; see `Jobs.jobs`."""
        return await self._jobs.jobs(scope, limit=limit)

    def watch(self, scope: Scope, job_id: str, *, poll_s: float = 0.2) -> AsyncGenerator[Job]:
        """Yield the job after each change; see `Jobs.watch`."""
        return self._jobs.watch(scope, job_id, poll_s=poll_s)

    async def dead(self, tenant: str | None = None) -> list[DeadFile]:
        """Dead letters; see `DeadLetters.dead`."""
        return await self._dead_letters.dead(tenant)

    async def replay(self, tenant: str, *, files: Sequence[int] = (), job_id: str | None = None) -> Replay:
        """Queue dead letters again; see `DeadLetters.replay`."""
        return await self._dead_letters.replay(tenant, files=files, job_id=job_id)

    async def rebuild(self, *, progress: Callable[[int, int], None] | None = None) -> int:
        """Empty the index and fill it from SQL (see `rebuild.rebuild`); returns the number of chunks written."""
        count = await rebuild(self._parts, progress=progress)
        log.info("rebuild.done", chunks=count)
        return count

    async def missing_chunks(self) -> int:
        """Number of chunks that the index lacks; see `rebuild.missing_chunks`."""
        return await missing_chunks(self._parts)

    async def heal(self) -> int:
        """Fill the index if it lacks chunks; searches work during it.

        Returns:
            Number of chunks that it lacked.
        """
        missing = await missing_chunks(self._parts)
        if missing:
            log.warning("index.healing", missing=missing)
            await rebuild(self._parts, clear=False)
        return missing
