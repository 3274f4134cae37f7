"""The files of a LibreChat and their owners: `FileStore` reads them, `may_…` decides who may use them.

A file belongs to the user who sent it, or to an entity (an agent of LibreChat) if the
upload names one. User and entity have separate metadata fields, so that a request which
names a user as its entity does not get the files of that user.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Select
from sqlalchemy.engine import RowMapping

from ragstone.documents.base import Parser
from ragstone.embedding.base import Embedder
from ragstone.ingestion.service import Ingestion
from ragstone.retrieval.base import Retriever
from ragstone.settings import Settings
from ragstone.storage.database import Database, any_of, scoped
from ragstone.storage.library import Library
from ragstone.storage.schema import documents
from ragstone.vocabulary import Filters, MetadataValue, Scope

SOURCE_PREFIX = "librechat:"
FILE_ID, FILE_NAME, OWNER_USER, OWNER_ENTITY = "file_id", "file_name", "owner_user", "owner_entity"
"""Fields of a document's metadata; `owner_entity` is empty for a file of a user."""


@dataclass(frozen=True, slots=True)
class Caller:
    """The user of a token, and the entity that the request names; empty: none."""

    user: str
    entity: str = ""


@dataclass(frozen=True, slots=True)
class LibreChatFile:
    """A file of LibreChat, read from the row of its document. `version` is None until the first is ready."""

    document_id: str
    file_id: str
    name: str
    owner_user: str
    owner_entity: str
    version: int | None

    @property
    def owner(self) -> str:
        """The owner as rag_api names it: the entity, else the user."""
        return self.owner_entity or self.owner_user


def may_read(caller: Caller, file: LibreChatFile) -> bool:
    """An entity's file is for requests that name the entity; a user's file is for that user only."""
    if file.owner_entity:
        return file.owner_entity == caller.entity
    return file.owner_user == caller.user


def may_remove(caller: Caller, file: LibreChatFile) -> bool:
    """A user's file may be removed by that user, an entity's file by every user of the LibreChat.

    LibreChat has checked its own permissions before, and its request names no entity. If the
    request were refused, the file would stay for ever.
    """
    return bool(file.owner_entity) or file.owner_user == caller.user


def may_replace(caller: Caller, file: LibreChatFile) -> bool:
    """A file may be replaced by the user who sent it, with the same entity."""
    return file.owner_user == caller.user and file.owner_entity == caller.entity


def metadata_of(caller: Caller, file_id: str, name: str) -> dict[str, MetadataValue]:
    """The metadata of a new file, for its row and its points."""
    return {FILE_ID: file_id, FILE_NAME: name, OWNER_USER: caller.user, OWNER_ENTITY: caller.entity}


def source_of(file_id: str) -> str:
    """The source of the document of a file."""
    return SOURCE_PREFIX + file_id


def filters_of(files: Sequence[LibreChatFile]) -> Filters:
    """Filters that limit a search to these files: by document, and by owner in the index.

    At least one file is needed: filters without values would limit nothing.
    """
    assert files
    owners = {
        OWNER_USER: tuple(sorted({file.owner_user for file in files})),
        OWNER_ENTITY: tuple(sorted({file.owner_entity for file in files})),
    }
    return Filters(documents=tuple(file.document_id for file in files), metadata=owners)


@dataclass(frozen=True, slots=True)
class LibreChatParts:
    """The services that answer the requests of a LibreChat."""

    settings: Settings
    database: Database
    library: Library
    ingestion: Ingestion
    retriever: Retriever
    embedder: Embedder
    parser: Parser


class FileStore:
    """Reads the files of one LibreChat from the database."""

    def __init__(self, database: Database, scope: Scope) -> None:
        self._database = database
        self._scope = scope

    async def readable(self, caller: Caller, file_ids: Sequence[str]) -> list[LibreChatFile]:
        """The existing files that the caller may read, in the order of `file_ids`."""
        found = await self.known(file_ids)
        return [file for file_id in dict.fromkeys(file_ids) if (file := found.get(file_id)) and may_read(caller, file)]

    async def known(self, file_ids: Sequence[str]) -> Mapping[str, LibreChatFile]:
        """The existing files by id, of all owners: for decisions, not for display."""
        sources = [source_of(file_id) for file_id in file_ids]
        found = await self._files(self._rows().where(any_of(documents.c.source, sources)))
        return {file.file_id: file for file in found}

    async def all_of(self, caller: Caller) -> list[LibreChatFile]:
        """All files that the caller may read, ordered by id."""
        mine = documents.c.metadata[OWNER_USER].as_string() == caller.user
        entitys = documents.c.metadata[OWNER_ENTITY].as_string() == caller.entity
        found = await self._files(self._rows().where(mine | entitys).order_by(documents.c.source))
        return [file for file in found if may_read(caller, file)]

    def _rows(self) -> Select[Any]:
        table = documents.c
        columns = (table.id, table.source, table.metadata, table.active_version)
        return scoped(documents, self._scope, *columns).where(table.source.startswith(SOURCE_PREFIX))

    async def _files(self, statement: Select[Any]) -> list[LibreChatFile]:
        async with self._database.read(self._scope, snapshot=False) as connection:
            rows = (await connection.execute(statement)).mappings().all()
        return [file for row in rows if (file := _file(row))]


def _file(row: RowMapping) -> LibreChatFile | None:
    """The file of a row; None for a document of another origin with such a source."""
    fields: Mapping[str, MetadataValue] = row["metadata"]
    user, entity = fields.get(OWNER_USER), fields.get(OWNER_ENTITY)
    if not isinstance(user, str) or not isinstance(entity, str):
        return None
    file_id = row["source"].removeprefix(SOURCE_PREFIX)
    return LibreChatFile(row["id"], file_id, str(fields.get(FILE_NAME) or file_id), user, entity, row["active_version"])
