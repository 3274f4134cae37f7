"""Uploaded files on their way into ingestion: names made safe, one file in memory at a time."""

from __future__ import annotations

import json
import re
from collections.abc import AsyncIterator, Sequence

from fastapi import UploadFile
from pydantic import TypeAdapter, ValidationError

from ragstone.api.requests import Metadata
from ragstone.errors import InvalidInput
from ragstone.http.file_names import safe_name
from ragstone.ingestion.submit import Upload
from ragstone.vocabulary import MetadataValue

MAX_FILES = 1000  # a folder of documents, not a mirror of a site
MAX_FIELDS = 8
MAX_FIELD_BYTES = 64 << 10

_METADATA: TypeAdapter[dict[str, MetadataValue]] = TypeAdapter(Metadata)
_MEDIA_TYPE = re.compile(r"[a-z0-9.+-]{1,60}/[a-z0-9.+-]{1,100}", re.ASCII)


def named(files: Sequence[UploadFile]) -> list[tuple[str, UploadFile]]:
    """Each file with its safe name.

    Raises:
        InvalidInput: a file has no usable name, or two have the same; the second would replace the first.
    """
    pairs = [(safe_name(file.filename or ""), file) for file in files]
    names = [name for name, _ in pairs]
    if twice := sorted({name for name in names if names.count(name) > 1}):
        raise InvalidInput(
            f"Two files are called {twice[0]!r}; the second would replace the first. Rename one, or send them apart."
        )
    return pairs


def metadata_field(text: str) -> dict[str, MetadataValue]:
    """The metadata of a form field.

    Raises:
        InvalidInput: it is no JSON object of plain values.
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
    """Read one file after the other; of one that is too large only enough for ingestion to see it."""
    for name, file in files:
        content = await file.read(max_file_bytes + 1)
        yield Upload(f"upload:{name}", "", content, _hint(file.content_type), metadata)


def _hint(content_type: str | None) -> str | None:
    media_type = (content_type or "").partition(";")[0].strip().lower()
    return media_type if _MEDIA_TYPE.fullmatch(media_type) else None
