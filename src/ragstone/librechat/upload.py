"""The story KEEP: a file that LibreChat sends is submitted, waited for, and answered for.

LibreChat asks for a file only after it was told that it can be found, and shows one
sentence if not, so the answer waits for the job, however long that takes. Who leaves
meanwhile leaves the job running.
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

POLL_S = 0.25  # between two looks at the job: a file takes seconds, and a look a fraction of a millisecond

_MADE_UNIQUE = re.compile(r"(.+)_[0-9a-f]{32}(\.[^.]+)?")  # how rag_api and its callers name their temporary files
_SOMEBODY_ELSES = "This file id is in use. Send the file under an id of its own."

log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class FileUpload:
    """A file on its way in, under the name its owner knows."""

    file_id: str
    name: str
    content: bytes


@dataclass(frozen=True, slots=True)
class UploadOutcome:
    """What became of a file. `known_type` False: no parser reads its kind; None: none has tried."""

    kept: bool
    message: str
    known_type: bool | None


def display_name(raw: str) -> str:
    """The name of a file without folders, and without what made it unique in a temporary folder.

    Raises:
        InvalidInput: nothing is left.
    """
    name = safe_name(raw)
    unique = _MADE_UNIQUE.fullmatch(name)
    return unique[1] + (unique[2] or "") if unique else name


async def keep(
    parts: LibreChatParts, scope: Scope, principal: Principal, caller: Caller, file: FileUpload, *, receive: Receive
) -> UploadOutcome:
    """Make the file one that its owner finds, in place of what it was before.

    Raises:
        ClientDisconnect: whoever sent it has gone; its job goes on.
        Unavailable: the database does not answer.
    """
    before = await _file(parts, scope, file.file_id)
    if before and not may_replace(caller, before):
        return UploadOutcome(kept=False, message=_SOMEBODY_ELSES, known_type=None)
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
        return UploadOutcome(kept=False, message=error.message, known_type=None)
    fate = await unless_disconnected(receive, _fate(parts, scope, job.id))
    return await _outcome(parts, scope, principal, caller, file.file_id, fate)


async def _fate(parts: LibreChatParts, scope: Scope, job_id: str) -> JobFile:
    """What became of the job's only file, as soon as that is known."""
    async with aclosing(parts.ingestion.watch(scope, job_id, poll_s=POLL_S)) as states:
        async for job in states:
            if job.files:
                return job.files[0]
    raise AssertionError("a job ends with its files")


async def _outcome(
    parts: LibreChatParts, scope: Scope, principal: Principal, caller: Caller, file_id: str, fate: JobFile
) -> UploadOutcome:
    now = await _file(parts, scope, file_id)
    if fate.state is FileState.FAILED:
        if now and now.version is None and may_replace(caller, now):
            await _drop(parts, scope, principal, now)
        log.info("librechat.not_kept", code=fate.error_code)
        known = fate.error_code != Unsupported.code
        return UploadOutcome(kept=False, message=fate.error or "The file could not be read.", known_type=known)
    if now is None or now.version is None:
        return UploadOutcome(kept=False, message="The file was deleted while it was read.", known_type=True)
    if not may_replace(caller, now):  # another process took the same id in at the same moment
        return UploadOutcome(kept=False, message=_SOMEBODY_ELSES, known_type=None)
    return UploadOutcome(kept=True, message="File processed successfully.", known_type=True)


async def _drop(parts: LibreChatParts, scope: Scope, principal: Principal, file: LibreChatFile) -> None:
    """Keep nothing of a file that never became readable: LibreChat forgets it, and would never delete it."""
    with suppress(NotFound):
        await parts.ingestion.remove(scope, file.document_id, principal=principal.id)


async def _file(parts: LibreChatParts, scope: Scope, file_id: str) -> LibreChatFile | None:
    return (await FileStore(parts.database, scope).known([file_id])).get(file_id)
