"""Routes of documents: upload, list, show, read, remove."""

from __future__ import annotations

import json
import re
from collections.abc import AsyncIterator, Mapping, Sequence
from datetime import datetime
from typing import Annotated, Any, Self

from fastapi import APIRouter, Form, Query, UploadFile, status
from pydantic import AliasPath, ConfigDict, Field, TypeAdapter, ValidationError

from ragstone.api.bodies import DOCUMENT_ID, Collection, Metadata, NextPage, Out, Request, shown
from ragstone.api.jobs import JobOut
from ragstone.errors import InvalidInput
from ragstone.http.capabilities import IngestionDep, LibraryDep, SettingsDep
from ragstone.http.error_handlers import problems
from ragstone.http.file_names import safe_name
from ragstone.http.routing import Admitted, AdmittedScope, PathId, admitted_router
from ragstone.identity.fields import PlainText
from ragstone.ingestion.submit import Upload
from ragstone.principals import Permission
from ragstone.vocabulary import DEFAULT_COLLECTION, Document, DocumentState, Job, MetadataValue

MAX_PAGE = 500
MAX_FILES = 1000  # one upload holds a folder of documents; a larger collection takes several
MAX_FIELDS = 8  # form fields beside the files
MAX_FIELD_BYTES = 64 << 10

router = admitted_router(tag="documents", needs=Permission.READ)
write_router = admitted_router(tag="documents", needs=Permission.WRITE)
upload_router = admitted_router(tag="documents", needs=Permission.WRITE, max_body_bytes=None)


_METADATA: TypeAdapter[dict[str, MetadataValue]] = TypeAdapter(Metadata)
_MEDIA_TYPE = re.compile(r"[a-z0-9.+-]{1,60}/[a-z0-9.+-]{1,100}", re.ASCII)

DOCUMENT: dict[str, Any] = {
    "id": DOCUMENT_ID,
    "collection": "default",
    "source": "upload:notes.md",
    "title": "Notes",
    "media_type": "text/markdown",
    "fingerprint": "9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08",
    "size_bytes": 60,
    "state": "ready",
    "active_version": 1,
    "created_at": "2026-11-21T10:00:00Z",
    "updated_at": "2026-11-21T10:00:00.400000Z",
    "chunk_count": 1,
    "page_count": None,
    "error": None,
    "metadata": {"lang": "en"},
}


class DocumentOut(Out):
    """One document."""

    model_config = ConfigDict(json_schema_extra=shown(DOCUMENT))

    id: str
    collection: str = Field(validation_alias=AliasPath("scope", "collection"))
    source: str = Field(description="Identifies it within its collection, for example `upload:report.pdf`.")
    title: str
    media_type: str
    fingerprint: str = Field(description="Equal for equal bytes that are parsed with the same options.")
    size_bytes: int
    state: DocumentState
    active_version: int | None = Field(description="The version that searches see; null until the first is ready.")
    created_at: datetime
    updated_at: datetime
    chunk_count: int
    page_count: int | None
    error: str | None = Field(description="Why the newest bytes could not be read; an older version stays active.")
    metadata: Mapping[str, MetadataValue]


class DocumentPage(Out):
    """Some documents, ordered by source."""

    model_config = ConfigDict(json_schema_extra=shown({"documents": [DOCUMENT], "next": None}))

    documents: list[DocumentOut]
    next: NextPage

    @classmethod
    def of(cls, found: list[Document], *, limit: int) -> Self:
        """The first `limit` of `found`, which has one more if another page follows."""
        page = [DocumentOut.model_validate(document) for document in found[:limit]]
        return cls(documents=page, next=page[-1].id if len(found) > limit else None)


class TextOut(Out):
    """The canonical Markdown text of a document, or a span of it; citations count its characters."""

    model_config = ConfigDict(
        json_schema_extra=shown(
            {
                "document_id": DOCUMENT_ID,
                "version": 1,
                "page_count": None,
                "length": 59,
                "start": 19,
                "end": 59,
                "text": "Water boils at 100 degrees at sea level.",
            }
        )
    )

    document_id: str
    version: int
    page_count: int | None = None
    length: int = Field(description="Characters (Unicode code points) of the whole text.")
    start: int = Field(description="Where `text` begins in the whole text.")
    end: int = Field(description="Where `text` ends in the whole text, exclusive.")
    text: str


class UploadForm(Request):
    """Files to ingest into one collection."""

    model_config = ConfigDict(
        json_schema_extra={"examples": [{"files": ["notes.md"], "collection": "default", "metadata": '{"lang": "en"}'}]}
    )

    files: list[UploadFile] = Field(min_length=1, max_length=MAX_FILES, description="The files, each with its name.")
    collection: Collection = DEFAULT_COLLECTION
    metadata: PlainText = Field("", description="JSON object of plain values; metadata of all the files.")


@upload_router.post(
    "/api/documents",
    status_code=status.HTTP_202_ACCEPTED,
    response_model=JobOut,
    summary="Send files",
    responses=problems(400, 402, 413),
    form_limits={"max_files": MAX_FILES, "max_fields": MAX_FIELDS, "max_part_size": MAX_FIELD_BYTES},
)
async def send_documents(
    form: Annotated[UploadForm, Form(media_type="multipart/form-data")],
    principal: Admitted,
    settings: SettingsDep,
    ingestion: IngestionDep,
) -> Job:
    """Accept files and answer at once with the job that makes them searchable.

    A file with the name of a document replaces it when the job is done; unchanged bytes are skipped.
    """
    files = named(form.files)
    limit = settings.ingestion.max_file_bytes
    sent = uploads(files, metadata_field(form.metadata), max_file_bytes=limit)
    return await ingestion.submit(principal.scope(form.collection), sent, principal=principal.id)


@router.get("/api/documents", response_model=DocumentPage, summary="List documents", responses=problems(404))
async def list_documents(
    scope: AdmittedScope,
    library: LibraryDep,
    limit: Annotated[int, Query(ge=1, le=MAX_PAGE, description="Documents on this page, at most.")] = 100,
    after: Annotated[PathId | None, Query(description="`next` of the page before.")] = None,
) -> DocumentPage:
    """The documents of a collection, ordered by source."""
    found = await library.documents(scope, limit=limit + 1, after=after)
    return DocumentPage.of(found, limit=limit)


@router.get(
    "/api/documents/{document_id}", response_model=DocumentOut, summary="Show a document", responses=problems(404)
)
async def show_document(document_id: PathId, scope: AdmittedScope, library: LibraryDep) -> Document:
    """One document: its state, its active version, and why its newest bytes failed."""
    return await library.document(scope, document_id)


@router.get(
    "/api/documents/{document_id}/text", response_model=TextOut, summary="Read a document", responses=problems(400, 404)
)
async def read_document(
    document_id: PathId,
    scope: AdmittedScope,
    library: LibraryDep,
    start: Annotated[int, Query(ge=0, description="First character of the span.")] = 0,
    end: Annotated[
        int | None, Query(ge=0, description="End of the span, exclusive; by default the end of the text.")
    ] = None,
    version: Annotated[
        int | None, Query(ge=1, description="The version that the offsets belong to; refused if it was replaced.")
    ] = None,
) -> TextOut:
    """The canonical text of a document, or the span that a citation names."""
    document = await library.document(scope, document_id)
    text = await library.text(scope, document_id, version=version or document.active_version)
    stop = len(text) if end is None else end
    if not start <= stop <= len(text):
        raise InvalidInput(f"The span {start} to {stop} is not within the text, which has {len(text)} characters.")
    return TextOut(
        document_id=document_id,
        version=version or document.active_version or 0,
        page_count=document.page_count,
        length=len(text),
        start=start,
        end=stop,
        text=text[start:stop],
    )


@write_router.delete(
    "/api/documents/{document_id}",
    status_code=status.HTTP_204_NO_CONTENT,
    summary="Remove a document",
    responses=problems(404, 503),
)
async def remove_document(
    document_id: PathId, scope: AdmittedScope, principal: Admitted, ingestion: IngestionDep
) -> None:
    """Remove a document with all its versions; searches no longer find it."""
    await ingestion.remove(scope, document_id, principal=principal.id)


def named(files: Sequence[UploadFile]) -> list[tuple[str, UploadFile]]:
    """Pair each file with a safe name.

    Raises:
        InvalidInput: a file has no usable name, or two files have the same name.
    """
    pairs = [(safe_name(file.filename or ""), file) for file in files]
    names = [name for name, _ in pairs]
    if twice := sorted({name for name in names if names.count(name) > 1}):
        raise InvalidInput(
            f"Two files are called {twice[0]!r}; the second would replace the first. Rename one, or send each alone."
        )
    return pairs


def metadata_field(text: str) -> dict[str, MetadataValue]:
    """Parse the form field `metadata`.

    Raises:
        InvalidInput: the text is not a JSON object of plain values.
    """
    try:
        return _METADATA.validate_python(json.loads(text)) if text else {}
    except (ValidationError, ValueError, RecursionError) as error:
        raise InvalidInput(
            'The field metadata has to be a JSON object of plain values, such as {"lang": "en", "year": 2026}, '
            "with names of letters, digits, `_`, `.` and `-`."
        ) from error


async def uploads(
    files: Sequence[tuple[str, UploadFile]], metadata: dict[str, MetadataValue], *, max_file_bytes: int
) -> AsyncIterator[Upload]:
    """Read one file after the other, so that one is in memory at a time.

    Of a file that is too large, one byte more than the limit is read: ingestion rejects it.
    """
    for name, file in files:
        content = await file.read(max_file_bytes + 1)
        yield Upload(f"upload:{name}", "", content, _hint(file.content_type), metadata)


def _hint(content_type: str | None) -> str | None:
    media_type = (content_type or "").partition(";")[0].strip().lower()
    return media_type if _MEDIA_TYPE.fullmatch(media_type) else None


ROUTERS: tuple[APIRouter, ...] = (upload_router, router, write_router)
