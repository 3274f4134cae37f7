"""Data model of the points in Qdrant, the same for Edge and the server: ids, payload, selections.

One chunk is one point. Its windows are a multi-vector, scored by the best one (MaxSim with
a single query vector), so limits, counts and inverse document frequencies count chunks.
Metadata is one list of keywords, such as `["lang","de"]` for lang = de: searches can filter
by any field without an index per field, and no external name becomes a path in the payload.
"""

from __future__ import annotations

import json
import uuid
from dataclasses import dataclass

from ragstone.index.base import Point
from ragstone.vocabulary import Filters, MetadataValue, Scope

_POINT_NAMESPACE = uuid.UUID("1c2fb1b6-5f0a-4c79-9d4e-7f3f7f0f6a55")

Value = str | int
Condition = tuple[str, tuple[Value, ...]]
"""Condition: the payload field contains one of the values."""


@dataclass(frozen=True, slots=True)
class Selection:
    """Selection of the points that meet all conditions of `must` and none of `must_not`."""

    must: tuple[Condition, ...]
    must_not: tuple[Condition, ...] = ()


def point_id(scope: Scope, chunk_id: str) -> str:
    """Point id of a chunk; a UUID, because the engine accepts only numbers and UUIDs."""
    return str(uuid.uuid5(_POINT_NAMESPACE, json.dumps([scope.tenant, scope.collection, chunk_id])))


def payload(scope: Scope, point: Point) -> dict[str, str | int | list[str]]:
    """Payload of a point: the fields that the engine stores beside the vectors."""
    return {
        "tenant": scope.tenant,
        "collection": scope.collection,
        "document": point.document_id,
        "version": point.version,
        "chunk": point.chunk_id,
        "media_type": point.media_type,
        "metadata": [_keyword(name, value) for name, value in point.metadata.items()],
    }


def tenant_points(tenant: str) -> Selection:
    """Selection of all points of a tenant: the corpus of the inverse document frequencies."""
    return Selection((("tenant", (tenant,)),))


def scope_points(scope: Scope, filters: Filters | None = None) -> Selection:
    """Selection of the points of a scope that pass the filters."""
    must: list[Condition] = [("tenant", (scope.tenant,)), ("collection", (scope.collection,))]
    if filters is not None:
        must += [
            ("document", filters.documents),
            ("media_type", filters.media_types),
            *(("metadata", _keywords(name, values)) for name, values in filters.metadata.items()),
        ]
    return Selection(tuple(condition for condition in must if condition[1]))


def document_points(scope: Scope, document_id: str, *, keep_version: int | None) -> Selection:
    """Selection of the points of a document, except those of `keep_version`."""
    kept: tuple[Condition, ...] = () if keep_version is None else (("version", (keep_version,)),)
    return Selection((*scope_points(scope).must, ("document", (document_id,))), kept)


def _keywords(name: str, values: tuple[MetadataValue, ...]) -> tuple[str, ...]:
    return tuple(_keyword(name, value) for value in values)


def _keyword(name: str, value: MetadataValue) -> str:
    """Keyword of a name and value; 1.0 is written as 1, because they are equal."""
    whole = isinstance(value, float) and value.is_integer()
    return json.dumps([name, int(value) if whole else value])
