"""Routes of rag_api for LibreChat and its other clients, with the bodies of rag_api.

Each route exists below `/librechat` and below `/librechat/tenants/{tenant}`. The OpenAPI
description leaves them out, since it describes our own API; docs/librechat.md lists them.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import Callable, Sequence
from typing import Annotated, Any

import sqlalchemy
import structlog
from fastapi import APIRouter, Body, Depends, Form, Path, Query, Request, UploadFile
from fastapi.responses import JSONResponse
from fastapi.routing import APIRoute
from pydantic import AfterValidator, BaseModel, BeforeValidator, Field

from ragstone.errors import InvalidInput, NotFound, RagstoneError, UnreadableDocument, Unsupported
from ragstone.http.capabilities import (
    DatabaseDep,
    EmbedderDep,
    IndexDep,
    IngestionDep,
    LibraryDep,
    ParserDep,
    RetrieverDep,
    SettingsDep,
)
from ragstone.http.context import context_of
from ragstone.http.routing import Admitted, AdmittedAsking, ChatExchange, guarded_route
from ragstone.http.streaming import unless_disconnected
from ragstone.index.base import Index
from ragstone.ingestion.submit import too_large
from ragstone.librechat.authentication import (
    BY_TOKEN,
    PREFIX,
    QUERY,
    SEARCH,
    UPLOAD,
    failure,
    not_connected,
)
from ragstone.librechat.content import UNKNOWN_IDS, chunks_of, local_file, whole_text
from ragstone.librechat.files import Caller, FileStore, LibreChatParts, may_remove
from ragstone.librechat.query import MAX_K, query_files, searchable
from ragstone.librechat.upload import FileUpload, UploadOutcome, display_name, upload_file
from ragstone.principals import Principal
from ragstone.storage.database import EVERY_TENANT, Database
from ragstone.vocabulary import Scope

MAX_FILE_IDS = 1000
MAX_FILE_ID_CHARS = 128
MAX_ENTITY_CHARS = 256
MAX_NAME_CHARS = 1024
_UNUSABLE = re.compile("[\x00-\x1f\x7f-\x9f\ud800-\udfff]")


def _plain(text: str) -> str:
    """Refuse control characters, and text that UTF-8 cannot encode."""
    if _UNUSABLE.search(text):
        raise ValueError("must not hold control characters or lone surrogates")
    return text


def _capped(k: int) -> int:
    return min(max(k, 1), MAX_K)


def _absent(value: object) -> object:
    """Read null as empty: LibreChat's clients send null for no entity."""
    return "" if value is None else value


FileId = Annotated[str, Field(min_length=1, max_length=MAX_FILE_ID_CHARS), AfterValidator(_plain)]
"""LibreChat's id of a file: usually a UUID; opaque."""

EntityId = Annotated[str, Field(max_length=MAX_ENTITY_CHARS), AfterValidator(_plain), BeforeValidator(_absent)]
"""LibreChat's id of an agent or a chat; empty: none."""

FileIds = Annotated[list[FileId], Field(min_length=1, max_length=MAX_FILE_IDS)]

Amount = Annotated[int, AfterValidator(_capped)]


class QueryBody(BaseModel):
    """A question about one file."""

    query: str
    file_id: FileId
    k: Amount = 4
    entity_id: EntityId = ""


class QueryMultipleBody(BaseModel):
    """A question about several files."""

    query: str
    file_ids: FileIds
    k: Amount = 4
    entity_id: EntityId = ""


class LocalBody(BaseModel):
    """A file below the upload root of the server."""

    filepath: Annotated[str, Field(min_length=1, max_length=4096), AfterValidator(_plain)]
    filename: Annotated[str, Field(min_length=1, max_length=MAX_NAME_CHARS)]
    file_content_type: str = ""
    file_id: FileId


class Embedded(BaseModel):
    """The outcome of an upload; LibreChat lists the file only if `status` and `known_type` are true."""

    status: bool
    message: str
    file_id: str
    filename: str
    known_type: bool | None


class Extracted(BaseModel):
    """The text of a file that is not stored."""

    text: str
    file_id: str
    filename: str
    known_type: bool = True


CHECK_S = 2.0  # LibreChat's timeout is 10 s; then it reads the file itself

log = structlog.get_logger()


async def _parts(
    settings: SettingsDep,
    database: DatabaseDep,
    library: LibraryDep,
    ingestion: IngestionDep,
    retriever: RetrieverDep,
    embedder: EmbedderDep,
    parser: ParserDep,
) -> LibreChatParts:
    return LibreChatParts(settings, database, library, ingestion, retriever, embedder, parser)


Parts = Annotated[LibreChatParts, Depends(_parts)]


async def health(request: Request, settings: SettingsDep, database: DatabaseDep, index: IndexDep) -> JSONResponse:
    """200 if database and index answer, else 503. The answer does not depend on the tenant."""
    if "tenant" not in request.path_params and settings.librechat.jwt_secret is None:
        response = failure(request, not_connected())
        assert isinstance(response, JSONResponse)
        return response
    up = await _answers(database, index)
    return JSONResponse({"status": "UP" if up else "DOWN"}, 200 if up else 503)


async def _answers(database: Database, index: Index) -> bool:
    try:
        async with asyncio.timeout(CHECK_S):
            await _check_database(database)
            await index.count(Scope())
    except (RagstoneError, OSError) as error:  # TimeoutError is one
        log.warning("librechat.down", error=type(error).__name__)
        return False
    return True


async def _check_database(database: Database) -> None:
    async with database.read(EVERY_TENANT) as connection:
        await connection.execute(sqlalchemy.text("SELECT 1"))


MAX_FORM_FIELDS = 8
MAX_FIELD_BYTES = 64 << 10
FORM_LIMITS: Any = {"max_files": 1, "max_fields": MAX_FORM_FIELDS, "max_part_size": MAX_FIELD_BYTES}


async def _user(request: Request) -> str:
    user = context_of(request).user
    assert user, "this route does not authenticate its clients"
    return user


async def _scope(principal: Admitted, parts: Parts) -> Scope:
    return principal.scope(parts.settings.librechat.collection)


User = Annotated[str, Depends(_user)]
InScope = Annotated[Scope, Depends(_scope)]
FormFileId = Annotated[FileId, Form()]
FormEntity = Annotated[EntityId, Form()]
QueryEntity = Annotated[EntityId, Query()]


async def query(body: QueryBody, parts: Parts, scope: InScope, user: User, asking: AdmittedAsking) -> JSONResponse:
    """The passages of one file nearest to a question; none if the file is unknown or not readable."""
    caller, question = Caller(user, body.entity_id), await _asked(parts, asking, body.query)
    return JSONResponse(await query_files(parts, scope, caller, question=question, file_ids=[body.file_id], k=body.k))


async def query_multiple(
    body: QueryMultipleBody, parts: Parts, scope: InScope, user: User, asking: AdmittedAsking
) -> JSONResponse:
    """The passages of several files nearest to a question; 404 if there are none."""
    caller, question = Caller(user, body.entity_id), await _asked(parts, asking, body.query)
    pairs = await query_files(parts, scope, caller, question=question, file_ids=body.file_ids, k=body.k)
    if not pairs:
        raise NotFound("No documents found for the given query")
    return JSONResponse(pairs)


async def embed(
    request: Request,
    parts: Parts,
    scope: InScope,
    principal: Admitted,
    user: User,
    file_id: FormFileId,
    file: UploadFile,
    entity_id: FormEntity = "",
) -> Embedded:
    """Store a file, and answer when it can be queried."""
    return await _embedded(request, parts, scope, principal, Caller(user, entity_id), file_id, file)


async def embed_upload(
    request: Request,
    parts: Parts,
    scope: InScope,
    principal: Admitted,
    user: User,
    file_id: FormFileId,
    uploaded_file: UploadFile,
    entity_id: FormEntity = "",
) -> Embedded:
    """As `embed`, with another name of the form field."""
    return await _embedded(request, parts, scope, principal, Caller(user, entity_id), file_id, uploaded_file)


async def embed_local(
    request: Request,
    body: LocalBody,
    parts: Parts,
    scope: InScope,
    principal: Admitted,
    user: User,
    entity_id: QueryEntity = "",
) -> Embedded:
    """As `embed`, for a file below the upload root, in the user's folder; only for the LibreChat of the settings."""
    root = None if "tenant" in request.path_params else parts.settings.librechat.upload_root
    limit = parts.settings.ingestion.max_file_bytes
    content = await asyncio.to_thread(local_file, root, body.filepath, user=user, max_bytes=limit + 1)
    incoming = FileUpload(body.file_id, display_name(body.filename), content)
    caller = Caller(user, entity_id)
    outcome = await upload_file(parts, scope, principal, caller, incoming, receive=request.receive)
    return _embedded_body(incoming, outcome)


async def text(
    request: Request, parts: Parts, file_id: FormFileId, file: UploadFile, entity_id: FormEntity = ""
) -> Extracted:
    """The text of a file, which is not stored. `entity_id` is accepted and has no effect."""
    incoming = await _incoming(parts, file_id, file)
    limit = parts.settings.ingestion.max_file_bytes
    try:
        if len(incoming.content) > limit:
            raise too_large(limit)
        parsed = await unless_disconnected(request.receive, parts.parser.parse(incoming.content, name=incoming.name))
    except (Unsupported, UnreadableDocument) as error:
        raise InvalidInput(f"Error during text extraction: {error.message}") from error
    return Extracted(text=parsed.text, file_id=file_id, filename=incoming.name)


async def delete_documents(
    file_ids: Annotated[FileIds, Body()], parts: Parts, scope: InScope, principal: Admitted, user: User
) -> dict[str, str]:
    """Remove files; then 404 if a file is unknown or may not be removed."""
    known = await FileStore(parts.database, scope).known(file_ids)
    mine = [file for file in known.values() if may_remove(Caller(user), file)]
    for file in mine:
        await parts.ingestion.remove(scope, file.document_id, principal=principal.id)
    if len(mine) < len(set(file_ids)):
        raise NotFound(UNKNOWN_IDS)
    return {"message": f"Documents for {len(mine)} file{'s' if len(mine) > 1 else ''} deleted successfully"}


async def context(
    file_id: Annotated[FileId, Path()], parts: Parts, scope: InScope, user: User, entity_id: QueryEntity = ""
) -> str:
    """The whole text of a file, with its name and page numbers."""
    return await whole_text(parts, scope, Caller(user, entity_id), file_id)


async def list_documents(
    parts: Parts,
    scope: InScope,
    user: User,
    ids: Annotated[FileIds, Query()],
    entity_id: QueryEntity = "",
) -> JSONResponse:
    """All chunks of some files; 404 if a file is unknown or not readable."""
    return JSONResponse(await chunks_of(parts, scope, Caller(user, entity_id), ids))


async def list_ids(parts: Parts, scope: InScope, user: User, entity_id: QueryEntity = "") -> list[str]:
    """The ids of the files that the caller may read."""
    files = await FileStore(parts.database, scope).all_of(Caller(user, entity_id))
    return [file.file_id for file in files if file.version is not None]


async def _asked(parts: LibreChatParts, asking: ChatExchange, sent: str) -> str:
    """The question to search for; its tokens count as usage of the tenant."""
    question = searchable(sent, max_chars=parts.settings.retrieval.max_question_chars)
    usage = await asking.meter("search")
    usage.embedded(len(parts.embedder.token_offsets(question)))
    return question


async def _embedded(
    request: Request,
    parts: LibreChatParts,
    scope: Scope,
    principal: Principal,
    caller: Caller,
    file_id: str,
    file: UploadFile,
) -> Embedded:
    incoming = await _incoming(parts, file_id, file)
    outcome = await upload_file(parts, scope, principal, caller, incoming, receive=request.receive)
    return _embedded_body(incoming, outcome)


async def _incoming(parts: LibreChatParts, file_id: str, file: UploadFile) -> FileUpload:
    """The uploaded file; if it is too large, one byte more than the limit."""
    name = display_name(file.filename or "")
    return FileUpload(file_id, name, await file.read(parts.settings.ingestion.max_file_bytes + 1))


def _embedded_body(incoming: FileUpload, outcome: UploadOutcome) -> Embedded:
    return Embedded(
        status=outcome.stored,
        message=outcome.message,
        file_id=incoming.file_id,
        filename=incoming.name,
        known_type=outcome.known_type,
    )


_ROUTES: Sequence[tuple[str, str, Callable[..., Any], type[APIRoute]]] = (
    ("GET", "/health", health, APIRoute),
    ("GET", "/ids", list_ids, guarded_route(BY_TOKEN)),
    ("GET", "/documents", list_documents, guarded_route(BY_TOKEN)),
    ("DELETE", "/documents", delete_documents, guarded_route(BY_TOKEN)),
    ("GET", "/documents/{file_id}/context", context, guarded_route(BY_TOKEN)),
    ("POST", "/query", query, guarded_route(QUERY)),
    ("POST", "/query_multiple", query_multiple, guarded_route(SEARCH)),
    ("POST", "/embed", embed, guarded_route(UPLOAD)),
    ("POST", "/embed-upload", embed_upload, guarded_route(UPLOAD)),
    ("POST", "/local/embed", embed_local, guarded_route(BY_TOKEN)),
    ("POST", "/text", text, guarded_route(UPLOAD)),
)


def _router(prefix: str) -> APIRouter:
    router = APIRouter(include_in_schema=False, strict_content_type=False)
    for method, path, handler, kind in _ROUTES:
        router.add_api_route(
            prefix + path, handler, methods=[method], route_class_override=kind, form_limits=FORM_LIMITS
        )
    return router


ROUTERS: tuple[APIRouter, ...] = (_router(PREFIX), _router(PREFIX + "/tenants/{tenant}"))
