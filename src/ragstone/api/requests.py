"""Request bodies, and the kinds of value they are made of.

Unknown fields are refused, so that a typing error shows.
"""

from __future__ import annotations

import re
from typing import Annotated, Self

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, StringConstraints, model_validator

from ragstone.api.examples import shown
from ragstone.http.routing import ID_PATTERN
from ragstone.vocabulary import COLLECTION_PATTERN, DEFAULT_COLLECTION, Filters, MetadataValue

MAX_METADATA_FIELDS = 32
MAX_METADATA_CHARS = 1000
MAX_FILTER_VALUES = 1000
MAX_PASSAGES = 100
_UNSTORABLE = re.compile("[\0\ud800-\udfff]")


def _plain(text: str) -> str:
    """Refuse what no database stores and no UTF-8 encodes."""
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


class Request(BaseModel):
    """Base of request bodies."""

    model_config = ConfigDict(extra="forbid")


class FilterBody(Request):
    """Narrows a search. Fields combine with AND, values within one field with OR."""

    documents: list[Id] = Field([], max_length=MAX_FILTER_VALUES, description="Only these document ids.")
    media_types: list[PlainText] = Field([], max_length=MAX_FILTER_VALUES, description="Only these media types.")
    metadata: dict[MetadataName, Annotated[list[MetadataField], Field(max_length=MAX_FILTER_VALUES)]] = Field(
        {}, max_length=MAX_METADATA_FIELDS, description="Only documents whose field has one of these values."
    )

    def inside(self) -> Filters:
        """The noun it stands for."""
        metadata = {name: tuple(values) for name, values in self.metadata.items()}
        return Filters(tuple(self.documents), tuple(self.media_types), metadata)


class SearchBody(Request):
    """What to look for."""

    model_config = ConfigDict(json_schema_extra=shown({"query": "At what temperature does water boil?", "limit": 3}))

    query: PlainText = Field(description="A question or key words.")
    collection: Collection = DEFAULT_COLLECTION
    filters: FilterBody = FilterBody()
    limit: int = Field(8, ge=1, le=MAX_PASSAGES, description="Passages to return, at most.")


class ChatBody(Request):
    """A question, alone or in a conversation."""

    model_config = ConfigDict(json_schema_extra=shown({"question": "At what temperature does water boil?"}))

    question: PlainText = Field(description="The question, in words.")
    collection: Collection = DEFAULT_COLLECTION
    conversation_id: Id | None = Field(None, description="The conversation to go on with; without it, a new one.")
    filters: FilterBody = FilterBody()
    limit: int | None = Field(None, ge=1, le=MAX_PASSAGES, description="Passages to answer from, at most.")
    stream: bool = Field(False, description="Whether to send the answer as server-sent events while it is written.")


class IngestBody(Request):
    """Either a folder on the server, or a text with a title."""

    model_config = ConfigDict(
        json_schema_extra=shown({"title": "Opening hours", "text": "# Opening hours\n\nWe open at nine."})
    )

    collection: Collection = DEFAULT_COLLECTION
    directory: PlainText | None = Field(
        None,
        min_length=1,
        max_length=4096,
        description="Folder on the server, within RAGSTONE_INGESTION__ALLOWED_ROOT.",
    )
    pattern: PlainText = Field("**/*", min_length=1, max_length=200, description="Which files of the folder.")
    prune: bool = Field(False, description="Whether to remove documents whose file is gone from the folder.")
    text: PlainText | None = Field(None, description="A text in Markdown.")
    title: PlainText | None = Field(
        None, min_length=1, max_length=200, description="Its title; the same title again replaces the text."
    )
    metadata: Metadata = {}

    @model_validator(mode="after")
    def _one_kind(self) -> Self:
        if (self.directory is None) == (self.text is None):
            raise ValueError("send either directory, or text and title")
        of_the_other_kind = {"title", "metadata"} if self.directory is not None else {"pattern", "prune"}
        if strangers := sorted(of_the_other_kind & self.model_fields_set):
            raise ValueError(f"{' and '.join(strangers)} cannot go with {'directory' if self.directory else 'text'}")
        if self.text is not None and self.title is None:
            raise ValueError("a text needs a title")
        return self
