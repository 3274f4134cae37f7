"""Documents: send, list, look at, read, remove."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Form, Query, UploadFile, status
from pydantic import ConfigDict, Field

from ragstone.api.requests import Collection, PlainText, Request
from ragstone.api.responses import DocumentOut, DocumentPage, JobOut, TextOut
from ragstone.api.uploads import MAX_FIELD_BYTES, MAX_FIELDS, MAX_FILES, metadata_field, named, uploads
from ragstone.errors import InvalidInput
from ragstone.http.capabilities import IngestionDep, LibraryDep, SettingsDep
from ragstone.http.error_handlers import problems
from ragstone.http.routing import Admitted, AdmittedScope, PathId, admitted_router
from ragstone.principals import Permission
from ragstone.vocabulary import DEFAULT_COLLECTION, Document, Job

MAX_PAGE = 500

router = admitted_router(tag="documents", needs=Permission.READ)
write_router = admitted_router(tag="documents", needs=Permission.WRITE)
upload_router = admitted_router(tag="documents", needs=Permission.WRITE, max_body_bytes=None)


class UploadForm(Request):
    """Files to take in, all into one collection."""

    model_config = ConfigDict(
        json_schema_extra={"examples": [{"files": ["notes.md"], "collection": "default", "metadata": '{"lang": "en"}'}]}
    )

    files: list[UploadFile] = Field(min_length=1, max_length=MAX_FILES, description="The files, each with its name.")
    collection: Collection = DEFAULT_COLLECTION
    metadata: PlainText = Field("", description="JSON object of plain values that all the files get.")


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
    """Take files in and answer at once with the job that makes them searchable.

    A file whose name is known replaces that document when it is ready; unchanged bytes are skipped.
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
    """One document: its state, its active version, and why its newest bytes failed, if they did."""
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
        int | None, Query(ge=0, description="End of the span, exclusive; without it, the whole rest.")
    ] = None,
    version: Annotated[
        int | None, Query(ge=1, description="The version that offsets were taken from; refused if it was replaced.")
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


ROUTERS: tuple[APIRouter, ...] = (upload_router, router, write_router)
