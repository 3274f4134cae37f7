"""SUBMIT: what comes in is checked, and its bytes become blobs; `submission` writes the job that ingests them."""

from __future__ import annotations

import asyncio
import hashlib
import json
import unicodedata
from collections.abc import AsyncIterable, AsyncIterator, Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import PurePosixPath
from urllib.parse import unquote

from ragstone.errors import InvalidInput, RagstoneError, TooLarge
from ragstone.storage.blobs import LocalBlobs
from ragstone.storage.database import Database, scoped
from ragstone.storage.schema import documents
from ragstone.vocabulary import MetadataValue, Scope

MAX_SOURCE_CHARS = 2048
MAX_METADATA_BYTES = 16 << 10
GROUP_FILES = 16  # stored side by side
GROUP_BYTES = 8 << 20


@dataclass(frozen=True, slots=True)
class Upload:
    """One file on its way in.

    `source` identifies the document within its collection: a second upload of the same
    source replaces the first. An empty `title` is taken from the text, else from the
    source. `media_type` is a hint. `metadata` can be filtered by. `name` is the file's, for
    the parser, where the source does not end in it.
    """

    source: str
    title: str
    content: bytes
    media_type: str | None = None
    metadata: Mapping[str, MetadataValue] = field(default_factory=dict)
    name: str = ""


@dataclass(frozen=True, slots=True)
class Rejected:
    """A file that could not be read; its job tells why."""

    source: str
    error: RagstoneError


@dataclass(frozen=True, slots=True)
class Entry:
    """What a job keeps of an upload or a rejected file: all but the bytes."""

    source: str
    title: str = ""
    media_type: str | None = None
    metadata: Mapping[str, MetadataValue] = field(default_factory=dict)
    blob_key: str = ""
    fingerprint: str = ""
    size_bytes: int = 0
    error: RagstoneError | None = None
    name: str = ""


Uploads = Iterable[Upload | Rejected] | AsyncIterable[Upload | Rejected]


async def store(blobs: LocalBlobs, scope: Scope, uploads: Uploads, *, recipe: str, max_file_bytes: int) -> list[Entry]:
    """Keep the bytes of each upload; memory holds a few small files, or one large one, at a time.

    Raises:
        InvalidInput: a source or metadata that cannot be used; nothing is submitted.
    """
    entries: list[Entry] = []
    async for group in _groups(uploads):
        # Side by side, for the disk flushes many small files nearly as fast as one.
        entries += await asyncio.gather(
            *(_store(blobs, scope, upload, recipe=recipe, max_file_bytes=max_file_bytes) for upload in group)
        )
    return entries


async def file_sources(database: Database, scope: Scope) -> list[str]:
    """The sources of all documents that came from files."""
    from_files = scoped(documents, scope, documents.c.source).where(documents.c.source.startswith("file://"))
    async with database.read(scope) as connection:
        return list((await connection.scalars(from_files)).all())


def name_of(source: str) -> str:
    """The file name that a source ends in, for the parser and as a last resort for the title."""
    path = unquote(source.split("://", 1)[-1]) if source.startswith("file://") else source.split(":", 1)[-1]
    return PurePosixPath(path.replace("\\", "/")).name or source


async def _groups(uploads: Uploads) -> AsyncIterator[list[Upload | Rejected]]:
    group: list[Upload | Rejected] = []
    size_bytes = 0
    async for upload in _each(uploads):
        group.append(upload)
        size_bytes += 0 if isinstance(upload, Rejected) else len(upload.content)
        if len(group) == GROUP_FILES or size_bytes >= GROUP_BYTES:
            yield group
            group, size_bytes = [], 0
    yield group


async def _each(uploads: Uploads) -> AsyncIterator[Upload | Rejected]:
    if isinstance(uploads, AsyncIterable):
        async for upload in uploads:
            yield upload
        return
    for upload in uploads:
        yield upload


async def _store(
    blobs: LocalBlobs, scope: Scope, upload: Upload | Rejected, *, recipe: str, max_file_bytes: int
) -> Entry:
    _check_source(upload.source)
    if isinstance(upload, Rejected):
        return Entry(upload.source, error=upload.error)
    _check_metadata(upload.metadata)
    if len(upload.content) > max_file_bytes:
        return Entry(upload.source, size_bytes=len(upload.content), error=too_large(max_file_bytes))
    key = await blobs.put(scope, upload.content)
    return Entry(
        source=upload.source,
        title=upload.title,
        media_type=upload.media_type,
        metadata=dict(upload.metadata),
        blob_key=key,
        fingerprint=_fingerprint(upload, key, recipe),
        size_bytes=len(upload.content),
        name=upload.name,
    )


def too_large(max_file_bytes: int) -> TooLarge:
    """The error of a file beyond the limit."""
    return TooLarge(
        f"The file is larger than {max_file_bytes:,} bytes. Split it, or raise RAGSTONE_INGESTION__MAX_FILE_BYTES."
    )


def _fingerprint(upload: Upload, key: str, recipe: str) -> str:
    """Equal for equal bytes treated equally: a changed title or setting makes the document anew."""
    parts = [key, recipe, upload.title, upload.media_type, sorted(upload.metadata.items())]
    return hashlib.sha256(json.dumps(parts).encode()).hexdigest()


def _check_source(source: str) -> None:
    if not 0 < len(source) <= MAX_SOURCE_CHARS or any(unicodedata.category(char) in ("Cc", "Cs") for char in source):
        raise InvalidInput(
            f"{source[:80]!r} cannot name a document. "
            f"Use 1 to {MAX_SOURCE_CHARS} characters, without control characters."
        )


def _check_metadata(metadata: Mapping[str, MetadataValue]) -> None:
    for name, value in metadata.items():
        if not isinstance(name, str) or not isinstance(value, str | int | float | bool):
            raise InvalidInput(f"The metadata field {name!r} cannot be kept. Use text, numbers and truth values only.")
    try:
        size = len(json.dumps(dict(metadata), allow_nan=False))
    except ValueError as error:
        raise InvalidInput("A metadata number is not finite. Leave it out.") from error
    if size > MAX_METADATA_BYTES:
        raise InvalidInput(f"The metadata has {size} bytes; keep it below {MAX_METADATA_BYTES}.")
