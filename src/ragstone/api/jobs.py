"""Ingestion of what is on the server or typed in, and the jobs that all ingestion becomes."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from contextlib import aclosing
from pathlib import Path
from typing import Annotated, Any

from fastapi import APIRouter, Query, Response, status
from fastapi.responses import StreamingResponse

from ragstone.api.examples import JOB
from ragstone.api.requests import IngestBody
from ragstone.api.responses import JobList, JobOut
from ragstone.errors import Forbidden, InvalidInput
from ragstone.http.capabilities import IngestionDep, SettingsDep
from ragstone.http.error_handlers import problems
from ragstone.http.file_names import visible_line
from ragstone.http.routing import Admitted, AdmittedScope, AdmittedStream, PathId, admitted_router
from ragstone.http.streaming import StreamEvent
from ragstone.ingestion.service import Ingestion
from ragstone.ingestion.submit import Upload
from ragstone.principals import Permission, Principal
from ragstone.vocabulary import Job, JobState, Scope

MAX_JOBS = 500
FINISHED = frozenset({JobState.DONE, JobState.FAILED})

router = admitted_router(tag="ingestion", needs=Permission.READ)
write_router = admitted_router(tag="ingestion", needs=Permission.WRITE)


@write_router.post(
    "/api/ingest",
    status_code=status.HTTP_202_ACCEPTED,
    response_model=JobOut,
    summary="Ingest a folder on the server, or a text",
    responses=problems(400, 402, 403, 413),
)
async def ingest(body: IngestBody, principal: Admitted, settings: SettingsDep, ingestion: IngestionDep) -> Job:
    """Take in a folder within RAGSTONE_INGESTION__ALLOWED_ROOT, or a text with a title."""
    scope = principal.scope(body.collection)
    if body.directory is not None:
        _may_read_folders(principal)
        folder = await asyncio.to_thread(folder_within, settings.ingestion.allowed_root, body.directory)
        return await ingestion.submit_directory(
            scope, folder, pattern=body.pattern, prune=body.prune, principal=principal.id
        )
    return await ingestion.submit(scope, [_text_upload(body)], principal=principal.id)


def _may_read_folders(principal: Principal) -> None:
    if not principal.runs_the_installation:
        raise Forbidden(
            "Folders of the server are for those who run it. Send the files to POST /api/documents instead."
        )


def _text_upload(body: IngestBody) -> Upload:
    title = visible_line(body.title or "")
    if not title:
        raise InvalidInput("The title has no visible character. Give the text a title to find it by.")
    return Upload(f"text:{title}", title, (body.text or "").encode(), "text/markdown", body.metadata)


def folder_within(root: Path | None, directory: str) -> Path:
    """The real path of a folder, relative to `root`, that lies within `root` after all links are followed.

    Raises:
        Forbidden: no root is set.
        InvalidInput: outside the root, or no folder; the sentence is the same, so that nothing outside can be explored.
    """
    if root is None:
        raise Forbidden(
            "This server reads no folders. Its operator can set RAGSTONE_INGESTION__ALLOWED_ROOT to one it may read."
        )
    refusal = InvalidInput(
        f"{directory!r} is not a folder within the root that this server may read. Name one relative to it."
    )
    try:
        real_root = root.resolve(strict=True)
        real = (real_root / directory).resolve(strict=True)
    except (OSError, ValueError, RuntimeError) as error:
        raise refusal from error
    if not real.is_relative_to(real_root) or not real.is_dir():
        raise refusal
    return real


@router.get("/api/jobs", response_model=JobList, summary="List jobs")
async def list_jobs(
    scope: AdmittedScope,
    ingestion: IngestionDep,
    limit: Annotated[int, Query(ge=1, le=MAX_JOBS, description="Jobs to list, at most.")] = 50,
) -> JobList:
    """The latest jobs of a collection, newest first."""
    return JobList(jobs=[JobOut.model_validate(job) for job in await ingestion.jobs(scope, limit=limit)])


@router.get("/api/jobs/{job_id}", response_model=JobOut, summary="Show a job", responses=problems(404))
async def show_job(job_id: PathId, scope: AdmittedScope, ingestion: IngestionDep) -> Job:
    """One job, with the fate of each of its files."""
    return await ingestion.job(scope, job_id)


_EVENTS: dict[int | str, dict[str, Any]] = {
    200: {
        "description": "`progress` whenever the job has moved, `done` when it has finished; each carries the job.",
        "content": {
            "text/event-stream": {
                "schema": {"type": "string"},
                "example": f"event: done\ndata: {JobOut.model_validate(JOB, by_name=True).model_dump_json()}\n\n",
            }
        },
    }
}


@router.get(
    "/api/jobs/{job_id}/events",
    summary="Watch a job",
    response_class=StreamingResponse,
    responses={**_EVENTS, **problems(404)},
)
async def watch_job(job_id: PathId, scope: AdmittedScope, ingestion: IngestionDep, stream: AdmittedStream) -> Response:
    """Server-sent events until the job has finished; `error` carries a problem if watching fails."""
    await ingestion.job(scope, job_id)  # an unknown job is a 404, not a stream that fails
    return stream(_progress(ingestion, scope, job_id))


async def _progress(ingestion: Ingestion, scope: Scope, job_id: str) -> AsyncGenerator[StreamEvent]:
    async with aclosing(ingestion.watch(scope, job_id)) as changes:
        async for job in changes:
            yield StreamEvent("done" if job.state in FINISHED else "progress", JobOut.model_validate(job))


ROUTERS: tuple[APIRouter, ...] = (write_router, router)
