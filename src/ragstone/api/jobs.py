"""Routes of ingestion from a server folder or a text, and of ingestion jobs."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from contextlib import aclosing
from datetime import datetime
from pathlib import Path
from typing import Annotated, Any, Self

from fastapi import APIRouter, Query, Response, status
from fastapi.responses import StreamingResponse
from pydantic import AliasPath, ConfigDict, Field, model_validator

from ragstone.api.bodies import DOCUMENT_ID, Collection, Metadata, Out, Request, shown
from ragstone.errors import Forbidden, InvalidInput
from ragstone.http.capabilities import IngestionDep, SettingsDep
from ragstone.http.error_handlers import problems
from ragstone.http.file_names import visible_line
from ragstone.http.routing import Admitted, AdmittedScope, AdmittedStream, PathId, admitted_router
from ragstone.http.streaming import StreamEvent
from ragstone.identity.fields import PlainText
from ragstone.ingestion.service import Ingestion
from ragstone.ingestion.submit import Upload
from ragstone.principals import Permission, Principal
from ragstone.vocabulary import DEFAULT_COLLECTION, FileState, Job, JobState, Scope

MAX_JOBS = 500
FINISHED = frozenset({JobState.DONE, JobState.FAILED})

router = admitted_router(tag="ingestion", needs=Permission.READ)
write_router = admitted_router(tag="ingestion", needs=Permission.WRITE)

JOB_ID = "c07e5b1d9f3a4286b8d4e1f25a6c9037"
FILE: dict[str, Any] = {
    "source": "upload:notes.md",
    "state": "done",
    "document_id": DOCUMENT_ID,
    "error_code": None,
    "error": None,
    "warnings": [],
}
JOB: dict[str, Any] = {
    "id": JOB_ID,
    "collection": "default",
    "state": "done",
    "total": 1,
    "done": 1,
    "skipped": 0,
    "removed": 0,
    "failed": 0,
    "chunks": 1,
    "created_at": "2026-11-21T10:00:00Z",
    "started_at": "2026-11-21T10:00:00.100000Z",
    "finished_at": "2026-11-21T10:00:00.400000Z",
    "error": None,
    "files": [FILE],
}


class IngestBody(Request):
    """Either a folder on the server, or a text with a title."""

    model_config = ConfigDict(
        json_schema_extra=shown({"title": "Opening hours", "text": "# Opening hours\n\nWe open at nine."})
    )

    collection: Collection = DEFAULT_COLLECTION
    directory: PlainText | None = Field(
        None,
        min_length=1,
        max_length=4096,
        description="Folder on the server, within RAGSTONE_INGESTION__ALLOWED_ROOT.",
    )
    pattern: PlainText = Field(
        "**/*", min_length=1, max_length=200, description="Glob pattern of the files in the folder."
    )
    prune: bool = Field(False, description="Whether to remove documents without a file in the folder.")
    text: PlainText | None = Field(None, description="A text in Markdown.")
    title: PlainText | None = Field(
        None, min_length=1, max_length=200, description="Its title; the same title again replaces the text."
    )
    metadata: Metadata = Field({})

    @model_validator(mode="after")
    def _one_kind(self) -> Self:
        if (self.directory is None) == (self.text is None):
            raise ValueError("send either directory, or text and title")
        of_the_other_kind = {"title", "metadata"} if self.directory is not None else {"pattern", "prune"}
        if misplaced := sorted(of_the_other_kind & self.model_fields_set):
            raise ValueError(f"{' and '.join(misplaced)} cannot go with {'directory' if self.directory else 'text'}")
        if self.text is not None and self.title is None:
            raise ValueError("a text needs a title")
        return self


class FileOut(Out):
    """The result of one file of a job."""

    source: str
    state: FileState
    document_id: str | None
    error_code: str | None
    error: str | None = Field(description="What is wrong with the file, and what to do.")
    warnings: list[str] = Field(description="Content that could not be read, for example pages without text.")


class JobOut(Out):
    """A batch of files that is being ingested."""

    model_config = ConfigDict(json_schema_extra=shown(JOB))

    id: str
    collection: str = Field(validation_alias=AliasPath("scope", "collection"))
    state: JobState
    total: int = Field(description="Files; `done + skipped + removed + failed` of them are finished.")
    done: int
    skipped: int = Field(description="Files with unchanged bytes.")
    removed: int
    failed: int
    chunks: int
    created_at: datetime
    started_at: datetime | None
    finished_at: datetime | None
    error: str | None
    files: list[FileOut] = Field(description="The result of each file; empty in listings.")


class JobList(Out):
    """The latest jobs, newest first."""

    model_config = ConfigDict(json_schema_extra=shown({"jobs": [{**JOB, "files": []}]}))

    jobs: list[JobOut]


@write_router.post(
    "/api/ingest",
    status_code=status.HTTP_202_ACCEPTED,
    response_model=JobOut,
    summary="Ingest a folder on the server, or a text",
    responses=problems(400, 402, 403, 413),
)
async def ingest(body: IngestBody, principal: Admitted, settings: SettingsDep, ingestion: IngestionDep) -> Job:
    """Ingest a folder within RAGSTONE_INGESTION__ALLOWED_ROOT, or a text with a title."""
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
            "Only operators may ingest folders of the server. Send the files to POST /api/documents instead."
        )


def _text_upload(body: IngestBody) -> Upload:
    title = visible_line(body.title or "")
    if not title:
        raise InvalidInput("The title has no visible character. Give the text a readable title.")
    return Upload(f"text:{title}", title, (body.text or "").encode(), "text/markdown", body.metadata)


def folder_within(root: Path | None, directory: str) -> Path:
    """Resolve a folder relative to `root`; after all links are followed it must lie within `root`.

    Raises:
        Forbidden: no root is set.
        InvalidInput: not a folder within the root; always the same message, so that nothing outside can be explored.
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
    """One job, with the result of each of its files."""
    return await ingestion.job(scope, job_id)


_EVENTS: dict[int | str, dict[str, Any]] = {
    200: {
        "description": "`progress` when the job has advanced, `done` when it has finished; the data is the job.",
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
    """Server-sent events until the job has finished; on failure, the event `error` with a problem."""
    await ingestion.job(scope, job_id)  # an unknown job is a 404, not a stream that fails
    return stream(_progress(ingestion, scope, job_id))


async def _progress(ingestion: Ingestion, scope: Scope, job_id: str) -> AsyncGenerator[StreamEvent]:
    async with aclosing(ingestion.watch(scope, job_id)) as changes:
        async for job in changes:
            yield StreamEvent("done" if job.state in FINISHED else "progress", JobOut.model_validate(job))


ROUTERS: tuple[APIRouter, ...] = (write_router, router)
