"""What LibreChat sends: fields as rag_api takes them, others passed over, each with what it may hold."""

from __future__ import annotations

import re
from typing import Annotated

from pydantic import AfterValidator, BaseModel, BeforeValidator, Field

from ragstone.integrations.librechat.find import MAX_K

MAX_FILE_IDS = 1000
MAX_FILE_ID_CHARS = 128
MAX_ENTITY_CHARS = 256
MAX_NAME_CHARS = 1024
_UNUSABLE = re.compile("[\x00-\x1f\x7f-\x9f\ud800-\udfff]")


def _plain(text: str) -> str:
    """Refuse control characters, and what no UTF-8 encodes."""
    if _UNUSABLE.search(text):
        raise ValueError("must not hold control characters or lone surrogates")
    return text


def _capped(k: int) -> int:
    return min(max(k, 1), MAX_K)


def _absent(value: object) -> object:
    """None sent for nothing, as LibreChat's callers do."""
    return "" if value is None else value


FileId = Annotated[str, Field(min_length=1, max_length=MAX_FILE_ID_CHARS), AfterValidator(_plain)]
"""LibreChat's name for a file: a UUID as a rule, and never anything to be taken apart."""

EntityId = Annotated[str, Field(max_length=MAX_ENTITY_CHARS), AfterValidator(_plain), BeforeValidator(_absent)]
"""LibreChat's name for an agent, or for a plain chat; empty: none."""

FileIds = Annotated[list[FileId], Field(min_length=1, max_length=MAX_FILE_IDS)]

Amount = Annotated[int, AfterValidator(_capped)]


class QueryBody(BaseModel):
    """What to look for in one file."""

    query: str
    file_id: FileId
    k: Amount = 4
    entity_id: EntityId = ""


class QueryMultipleBody(BaseModel):
    """What to look for in several files."""

    query: str
    file_ids: FileIds
    k: Amount = 4
    entity_id: EntityId = ""


class LocalBody(BaseModel):
    """A file that the server can read itself."""

    filepath: Annotated[str, Field(min_length=1, max_length=4096), AfterValidator(_plain)]
    filename: Annotated[str, Field(min_length=1, max_length=MAX_NAME_CHARS)]
    file_content_type: str = ""
    file_id: FileId


class Embedded(BaseModel):
    """What became of a file; LibreChat keeps it only where `status` and `known_type` are true."""

    status: bool
    message: str
    file_id: str
    filename: str
    known_type: bool | None


class Extracted(BaseModel):
    """The text of a file that is not kept."""

    text: str
    file_id: str
    filename: str
    known_type: bool = True
