"""The data model in Qdrant, the same for Edge and the server: ids, payload, selections.

One chunk is one point. Its windows are a multi-vector compared by the best of them
(MaxSim with a single query vector), so limits, counts and inverse document frequencies
count chunks without further ado. Metadata becomes one list of keywords, `["lang","de"]`
for lang = de: any field can be filtered by without an index of its own, and no name from
outside ever becomes a path into the payload.
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
"""A payload field, and the values of which it has to hold one."""


@dataclass(frozen=True, slots=True)
class Selection:
    """Points that meet every condition of `must` and none of `must_not`."""

    must: tuple[Condition, ...]
    must_not: tuple[Condition, ...] = ()


def point_id(scope: Scope, chunk_id: str) -> str:
    """The chunk's id in the engine, which takes nothing but numbers and UUIDs."""
    return str(uuid.uuid5(_POINT_NAMESPACE, json.dumps([scope.tenant, scope.collection, chunk_id])))


def payload(scope: Scope, point: Point) -> dict[str, str | int | list[str]]:
    """What the engine stores beside the vectors."""
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
    """All points of the tenant: the corpus that inverse document frequencies count."""
    return Selection((("tenant", (tenant,)),))


def scope_points(scope: Scope, filters: Filters | None = None) -> Selection:
    """The points of the scope that pass the filters."""
    must: list[Condition] = [("tenant", (scope.tenant,)), ("collection", (scope.collection,))]
    if filters is not None:
        must += [
            ("document", filters.documents),
            ("media_type", filters.media_types),
            *(("metadata", _keywords(name, values)) for name, values in filters.metadata.items()),
        ]
    return Selection(tuple(condition for condition in must if condition[1]))


def document_points(scope: Scope, document_id: str, *, keep_version: int | None) -> Selection:
    """The points of a document, but those of `keep_version`."""
    kept: tuple[Condition, ...] = () if keep_version is None else (("version", (keep_version,)),)
    return Selection((*scope_points(scope).must, ("document", (document_id,))), kept)


def _keywords(name: str, values: tuple[MetadataValue, ...]) -> tuple[str, ...]:
    return tuple(_keyword(name, value) for value in values)


def _keyword(name: str, value: MetadataValue) -> str:
    """One string for name and value; 1.0 is written as 1, since they are equal."""
    whole = isinstance(value, float) and value.is_integer()
    return json.dumps([name, int(value) if whole else value])
