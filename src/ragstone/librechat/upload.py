"""UPLOAD: submits a file of LibreChat, waits for its job, and reports the outcome.

LibreChat queries a file only after a success response, and shows one generic error otherwise, so
the response waits for the end of the job. If the client disconnects, the job continues.
"""

from __future__ import annotations

import re
from contextlib import aclosing, suppress
from dataclasses import dataclass

import structlog
from starlette.types import Receive

from ragstone.errors import NotFound, QuotaExceeded, Unsupported
from ragstone.http.file_names import safe_name
from ragstone.http.streaming import unless_disconnected
from ragstone.ingestion.submit import Upload
from ragstone.librechat.files import (
    Caller,
    FileStore,
    LibreChatFile,
    LibreChatParts,
    may_replace,
    metadata_of,
    source_of,
)
from ragstone.principals import Principal
from ragstone.vocabulary import FileState, JobFile, Scope

POLL_S = 0.25  # interval of polling the job: a file takes seconds, a poll a fraction of a millisecond

_MADE_UNIQUE = re.compile(r"(.+)_[0-9a-f]{32}(\.[^.]+)?")  # temporary files of rag_api and its clients
_ID_IN_USE = "This file id is in use. Send the file under an id of its own."

log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class FileUpload:
    """A file to ingest, with the name that its owner sees."""

    file_id: str
    name: str
    content: bytes


@dataclass(frozen=True, slots=True)
class UploadOutcome:
    """The outcome of an upload. `known_type` False: no parser reads this type; None: not parsed."""

    stored: bool
    message: str
    known_type: bool | None


def display_name(raw: str) -> str:
    """The name of a file without its folders, and without the suffix of a temporary file.

    Raises:
        InvalidInput: no character is left.
    """
    name = safe_name(raw)
    unique = _MADE_UNIQUE.fullmatch(name)
    return unique[1] + (unique[2] or "") if unique else name


async def upload_file(
    parts: LibreChatParts, scope: Scope, principal: Principal, caller: Caller, file: FileUpload, *, receive: Receive
) -> UploadOutcome:
    """Ingest a file, in place of its earlier version.

    Raises:
        ClientDisconnect: the client has disconnected; the job continues.
        Unavailable: the database does not answer.
    """
    before = await _file(parts, scope, file.file_id)
    if before and not may_replace(caller, before):
        return UploadOutcome(stored=False, message=_ID_IN_USE, known_type=None)
    upload = Upload(
        source=source_of(file.file_id),
        title=file.name,
        content=file.content,
        metadata=metadata_of(caller, file.file_id, file.name),
        name=file.name,
    )
    try:
        job = await parts.ingestion.submit(scope, [upload], principal=principal.id)
    except QuotaExceeded as error:
        return UploadOutcome(stored=False, message=error.message, known_type=None)
    result = await unless_disconnected(receive, _result(parts, scope, job.id))
    return await _outcome(parts, scope, principal, caller, file.file_id, result)


async def _result(parts: LibreChatParts, scope: Scope, job_id: str) -> JobFile:
    """The result of the job's only file, as soon as it is known."""
    async with aclosing(parts.ingestion.watch(scope, job_id, poll_s=POLL_S)) as states:
        async for job in states:
            if job.files:
                return job.files[0]
    raise AssertionError("a job ends with its files")


async def _outcome(
    parts: LibreChatParts, scope: Scope, principal: Principal, caller: Caller, file_id: str, result: JobFile
) -> UploadOutcome:
    now = await _file(parts, scope, file_id)
    if result.state is FileState.FAILED:
        if now and now.version is None and may_replace(caller, now):
            await _drop(parts, scope, principal, now)
        log.info("librechat.not_kept", code=result.error_code)
        known = result.error_code != Unsupported.code
        return UploadOutcome(stored=False, message=result.error or "The file could not be read.", known_type=known)
    if now is None or now.version is None:
        return UploadOutcome(stored=False, message="The file was deleted while it was read.", known_type=True)
    if not may_replace(caller, now):  # another process stored the same id at the same time
        return UploadOutcome(stored=False, message=_ID_IN_USE, known_type=None)
    return UploadOutcome(stored=True, message="File processed successfully.", known_type=True)


async def _drop(parts: LibreChatParts, scope: Scope, principal: Principal, file: LibreChatFile) -> None:
    """Remove a file that was never readable: LibreChat forgets it, and would never delete it."""
    with suppress(NotFound):
        await parts.ingestion.remove(scope, file.document_id, principal=principal.id)


async def _file(parts: LibreChatParts, scope: Scope, file_id: str) -> LibreChatFile | None:
    return (await FileStore(parts.database, scope).known([file_id])).get(file_id)
