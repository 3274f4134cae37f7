"""What the bodies of several resources share: base classes, kinds of value, filters and example ids.

Unknown fields of a request are refused, so that a typing error is noticed.
"""

from __future__ import annotations

import re
from typing import Annotated, Any

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, StringConstraints

from ragstone.http.routing import ID_PATTERN
from ragstone.vocabulary import COLLECTION_PATTERN, Filters, MetadataValue

MAX_METADATA_FIELDS = 32
MAX_METADATA_CHARS = 1000
MAX_FILTER_VALUES = 1000
MAX_PASSAGES = 100
DOCUMENT_ID = "3f1c9a52d0b84c6e9b7d2f60a1e4c8d7"  # of the document in all examples
_UNSTORABLE = re.compile("[\0\ud800-\udfff]")


def _plain(text: str) -> str:
    """Refuse text that a database cannot store or UTF-8 cannot encode."""
    if _UNSTORABLE.search(text):
        raise ValueError("must not hold NUL characters or lone surrogates")
    return text


def _plain_value(value: MetadataValue) -> MetadataValue:
    return _plain(value) if isinstance(value, str) else value


PlainText = Annotated[str, AfterValidator(_plain)]
Id = Annotated[str, StringConstraints(pattern=ID_PATTERN)]
Collection = Annotated[str, StringConstraints(pattern=COLLECTION_PATTERN)]
MetadataName = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9_.-]{1,64}$")]
MetadataField = Annotated[
    Annotated[str, StringConstraints(max_length=MAX_METADATA_CHARS)]
    | bool
    | Annotated[int, Field(ge=-(2**63), lt=2**63)]
    | Annotated[float, Field(allow_inf_nan=False)],
    AfterValidator(_plain_value),
]
Metadata = Annotated[dict[MetadataName, MetadataField], Field(max_length=MAX_METADATA_FIELDS)]
NextPage = Annotated[str | None, Field(description="Send it as `after` for the next page; null on the last page.")]
"""The `next` of a page."""


class Request(BaseModel):
    """Base of request bodies."""

    model_config = ConfigDict(extra="forbid")


class Out(BaseModel):
    """Base of response bodies. They are read from domain objects by attribute."""

    model_config = ConfigDict(from_attributes=True, validate_by_name=True)


class FilterBody(Request):
    """Narrows a search. Fields combine with AND, values within one field with OR."""

    documents: list[Id] = Field([], max_length=MAX_FILTER_VALUES, description="Only these document ids.")
    media_types: list[PlainText] = Field([], max_length=MAX_FILTER_VALUES, description="Only these media types.")
    metadata: dict[MetadataName, Annotated[list[MetadataField], Field(max_length=MAX_FILTER_VALUES)]] = Field(
        {}, max_length=MAX_METADATA_FIELDS, description="Only documents whose field has one of these values."
    )

    def to_domain(self) -> Filters:
        """The filters for the retriever."""
        metadata = {name: tuple(values) for name, values in self.metadata.items()}
        return Filters(tuple(self.documents), tuple(self.media_types), metadata)


def shown(example: dict[str, Any]) -> dict[str, Any]:
    """The part of a JSON schema that shows `example` in OpenAPI. The tests send and parse these examples."""
    return {"examples": [example]}
