"""What a Vectorize.io pipeline answers, read as what it is: bytes from somebody else's server.

The shape is that of vectorize-client 0.4.0 (OpenAPI 0.1.2). Its own client demands every
field and its exact type; here numbers may be strings and strings numbers, and whatever is
missing or of another type is left out, as long as a text remains.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from itertools import islice
from typing import Any

from ragstone.vocabulary import MetadataValue

MAX_DOCUMENTS = 100
MAX_TEXT_CHARS = 32_000  # a pipeline's chunks have some 2,000; what lies beyond is cut
MAX_FIELD_CHARS = 2048  # of a source, as of a URL
MAX_METADATA = 64  # fields of one document
MAX_VALUES = 64  # of one metadata field

_NOT_METADATA = frozenset({"text", "relevancy", "similarity"})
_PAGE_FIELDS = ("page", "page_number", "pageNumber")  # what readers of PDFs call it; the API itself names none


@dataclass(frozen=True, slots=True, kw_only=True)
class PipelineDocument:
    """One chunk that a pipeline found; strings are empty where it does not say.

    `relevancy` is the reranker's score and `similarity` the vectors', both in [0, 1].
    `metadata` holds every other field that has one value or a list of them. Nothing here
    was checked for what it says, invisible characters included.
    """

    text: str
    id: str = ""
    chunk_id: str = ""
    name: str = ""
    source: str = ""
    unique_source: str = ""
    origin: str = ""
    relevancy: float | None = None
    similarity: float | None = None
    page: int | None = None
    metadata: Mapping[str, tuple[MetadataValue, ...]] = field(default_factory=dict)


def read_documents(body: bytes) -> tuple[PipelineDocument, ...]:
    """The documents that have a text, in the order of the answer; those beyond the hundredth are not looked at.

    Raises:
        ValueError: the body is no such answer; the message quotes nothing of it.
    """
    try:
        answer = json.loads(body)
    except (ValueError, RecursionError):
        raise ValueError("It is no JSON.") from None  # the cause holds all of it
    listed = _listed(answer)
    if listed is None:
        raise ValueError("It has no list of documents.")
    found = (_document(raw) for raw in listed[:MAX_DOCUMENTS] if isinstance(raw, dict))
    return tuple(document for document in found if document.text.strip())


def _listed(answer: object) -> list[object] | None:
    documents = answer.get("documents") if isinstance(answer, dict) else None
    return documents if isinstance(documents, list) else None


def _document(raw: dict[str, Any]) -> PipelineDocument:
    metadata = _metadata(raw)
    return PipelineDocument(
        text=raw["text"][:MAX_TEXT_CHARS] if isinstance(raw.get("text"), str) else "",
        id=_word(raw.get("id")),
        chunk_id=_word(raw.get("chunk_id")),
        name=_word(raw.get("source_display_name")),
        source=_word(raw.get("source")),
        unique_source=_word(raw.get("unique_source")),
        origin=_word(raw.get("origin")),
        relevancy=_share(raw.get("relevancy")),
        similarity=_share(raw.get("similarity")),
        page=_page(metadata),
        metadata=metadata,
    )


def _word(value: object) -> str:
    """A short string; a number as its digits; nothing for anything else."""
    if isinstance(value, bool) or not isinstance(value, str | int | float):
        return ""
    return str(value)[:MAX_FIELD_CHARS]


def _share(value: object) -> float | None:
    """A score, clamped to [0, 1]; `None` where it is no finite number."""
    if isinstance(value, bool) or not isinstance(value, str | int | float):
        return None
    try:
        number = float(value)
    except (ValueError, OverflowError):
        return None
    return min(max(number, 0.0), 1.0) if math.isfinite(number) else None


def _metadata(raw: Mapping[str, Any]) -> dict[str, tuple[MetadataValue, ...]]:
    fields = ((name[:MAX_FIELD_CHARS], _values(value)) for name, value in raw.items() if name not in _NOT_METADATA)
    return dict(islice((one for one in fields if one[1]), MAX_METADATA))


def _values(value: object) -> tuple[MetadataValue, ...]:
    values = value[:MAX_VALUES] if isinstance(value, list) else [value]
    plain = (_plain(one) for one in values)
    return tuple(one for one in plain if one is not None)


def _plain(value: object) -> MetadataValue | None:
    if isinstance(value, str):
        return value[:MAX_FIELD_CHARS]
    if isinstance(value, int) or (isinstance(value, float) and math.isfinite(value)):
        return value
    return None


def _page(metadata: Mapping[str, tuple[MetadataValue, ...]]) -> int | None:
    """The page, from 1, where a field of a usual name carries one."""
    for name in _PAGE_FIELDS:
        digits = str(metadata.get(name, ("",))[0])
        if digits.isascii() and digits.isdigit() and 0 < len(digits) <= len("100000") and int(digits):
            return int(digits)
    return None
