"""Whose file is whose: the one place that decides, and reads the rows to decide by.

A file belongs to the user who sent it, or to an entity (an agent of LibreChat) where it
was sent in an entity's name. The two are kept in fields of their own, so that nobody
reaches a user's files by naming that user as an entity.
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
"""Fields of a document's metadata; `owner_entity` is empty where a file is its user's own."""


@dataclass(frozen=True, slots=True)
class Caller:
    """The user a token is for, and the entity in whose name they ask; empty: in their own."""

    user: str
    entity: str = ""


@dataclass(frozen=True, slots=True)
class LibreChatFile:
    """A file of LibreChat, as the row of its document knows it. `version` is None until the first is ready."""

    document_id: str
    file_id: str
    name: str
    owner_user: str
    owner_entity: str
    version: int | None

    @property
    def owner(self) -> str:
        """Whose it is, as rag_api names it: the entity, else the user."""
        return self.owner_entity or self.owner_user


def may_read(caller: Caller, file: LibreChatFile) -> bool:
    """An entity's file is for whoever asks in its name, a user's own for that user, whatever entity is named."""
    if file.owner_entity:
        return file.owner_entity == caller.entity
    return file.owner_user == caller.user


def may_remove(caller: Caller, file: LibreChatFile) -> bool:
    """A user's own file goes by that user alone; an entity's by anybody whom LibreChat signed a token for.

    LibreChat has asked its own permissions by then and names no entity; refused, the file would stay for ever.
    """
    return bool(file.owner_entity) or file.owner_user == caller.user


def may_replace(caller: Caller, file: LibreChatFile) -> bool:
    """Only who sent a file may send it again, and in the same name: nobody's text comes under another's."""
    return file.owner_user == caller.user and file.owner_entity == caller.entity


def metadata_of(caller: Caller, file_id: str, name: str) -> dict[str, MetadataValue]:
    """What a new file carries, in its row and in each of its points."""
    return {FILE_ID: file_id, FILE_NAME: name, OWNER_USER: caller.user, OWNER_ENTITY: caller.entity}


def source_of(file_id: str) -> str:
    """The source of the one document that a file is."""
    return SOURCE_PREFIX + file_id


def filters_of(files: Sequence[LibreChatFile]) -> Filters:
    """A search within these files, and no other: by document, and by owner as the index knows it.

    Without any there is nothing to search: filters without values would let everything pass.
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
    """The files of one LibreChat, as SQL knows them."""

    def __init__(self, database: Database, scope: Scope) -> None:
        self._database = database
        self._scope = scope

    async def readable(self, caller: Caller, file_ids: Sequence[str]) -> list[LibreChatFile]:
        """Those of the files that there are and the caller may read, in the order asked for."""
        found = await self.known(file_ids)
        return [file for file_id in dict.fromkeys(file_ids) if (file := found.get(file_id)) and may_read(caller, file)]

    async def known(self, file_ids: Sequence[str]) -> Mapping[str, LibreChatFile]:
        """The files that there are, by id, whoever owns them: for deciding, not for showing."""
        sources = [source_of(file_id) for file_id in file_ids]
        found = await self._files(self._rows().where(any_of(documents.c.source, sources)))
        return {file.file_id: file for file in found}

    async def all_of(self, caller: Caller) -> list[LibreChatFile]:
        """Every file that the caller may read, by id."""
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
    """The file of a row; None for a document that came another way and only has such a source."""
    fields: Mapping[str, MetadataValue] = row["metadata"]
    user, entity = fields.get(OWNER_USER), fields.get(OWNER_ENTITY)
    if not isinstance(user, str) or not isinstance(entity, str):
        return None
    file_id = row["source"].removeprefix(SOURCE_PREFIX)
    return LibreChatFile(row["id"], file_id, str(fields.get(FILE_NAME) or file_id), user, entity, row["active_version"])
