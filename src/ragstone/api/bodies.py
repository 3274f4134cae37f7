"""What the bodies of several resources share: base classes, kinds of value, filters and example ids.

Unknown fields of a request are refused, so that a typing error is noticed.
"""

from __future__ import annotations

from collections.abc import Callable
from collections.abc import Collection as Names
from typing import Annotated, Any, TypeVar, get_type_hints

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, SecretStr, StringConstraints, create_model

from ragstone.http.routing import ID_PATTERN
from ragstone.identity.fields import PlainText, declared, description, storable
from ragstone.vocabulary import COLLECTION_PATTERN, Filters, MetadataValue

MAX_METADATA_FIELDS = 32
MAX_METADATA_CHARS = 1000
MAX_FILTER_VALUES = 1000
MAX_PASSAGES = 100
DOCUMENT_ID = "3f1c9a52d0b84c6e9b7d2f60a1e4c8d7"  # of the document in all examples
USER_ID = "5b0d2f8e47c14a6cb3e9a1f07d62c8e4"
KEY_ID = "e81c6a3fd05b4f2793ac6de1487b90f5"


def _plain_value(value: MetadataValue) -> MetadataValue:
    return storable(value) if isinstance(value, str) else value


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

    def values(self) -> dict[str, Any]:
        """The fields by name, with secrets as text."""
        return {name: value.get_secret_value() if isinstance(value, SecretStr) else value for name, value in self}


class Out(BaseModel):
    """Base of response bodies. They are read from domain objects by attribute."""

    model_config = ConfigDict(from_attributes=True, validate_by_name=True)


B = TypeVar("B", bound=BaseModel)


def request_for(noun: type, *, without: Names[str] = ()) -> Callable[[type[B]], type[B]]:
    """Class decorator: adds the fields of a noun to a request body, as declared, except for its own and `without`."""

    def with_fields(body: type[B]) -> type[B]:
        left_out = {*without, *body.model_fields}
        found = {name: field for name, field in declared(noun).items() if name not in left_out}
        return _extended(body, found)

    return with_fields


def response_for(noun: type, *, without: Names[str] = ()) -> Callable[[type[B]], type[B]]:
    """Class decorator: adds the fields of a noun to a response body, with their help and without bounds."""

    def with_fields(body: type[B]) -> type[B]:
        left_out = {*without, *body.model_fields}
        kinds = get_type_hints(noun)
        found = {
            name: (kinds[name], Field(description=description(kind)))
            for name, (kind, _) in declared(noun).items()
            if name not in left_out
        }
        return _extended(body, found)

    return with_fields


def _extended(body: type[B], found: dict[str, Any]) -> type[B]:
    extended: type[B] = create_model(
        body.__name__,
        __base__=body,
        __doc__=body.__doc__,
        __module__=body.__module__,
        **found,
    )
    return extended


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
