"""Field types that plans, users and keys share, and the validation of their declared fields.

Each of these entities is a frozen dataclass. The `Annotated` type of a field
carries its bounds and its help. The bodies of the API are made from these types, and
`checked` applies them to values of the command line and the library.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import MISSING, fields
from typing import Annotated, Any, TypeVar, get_type_hints

from pydantic import AfterValidator, StringConstraints, TypeAdapter, ValidationError
from pydantic.fields import FieldInfo

from ragstone.errors import InvalidInput

MAX_NAME_CHARS = 200
MAX_EMAIL_CHARS = 254  # RFC 5321, with the errata
ACCOUNT_ID_PATTERN = r"^[a-z0-9][a-z0-9._-]{0,63}$"
_UNSTORABLE = re.compile("[\0\ud800-\udfff]")


def storable(text: str) -> str:
    """Refuse text that a database cannot store or UTF-8 cannot encode."""
    if _UNSTORABLE.search(text):
        raise ValueError("must not hold NUL characters or lone surrogates")
    return text


PlainText = Annotated[str, AfterValidator(storable)]
AccountId = Annotated[str, StringConstraints(pattern=ACCOUNT_ID_PATTERN)]
DisplayName = Annotated[PlainText, StringConstraints(max_length=MAX_NAME_CHARS)]
Email = Annotated[PlainText, StringConstraints(min_length=3, max_length=MAX_EMAIL_CHARS)]


T = TypeVar("T")


def checked(noun: type[T], values: Mapping[str, Any]) -> T:
    """An instance of a noun, each value within the declared bounds.

    Raises:
        InvalidInput: a value cannot be used; the message begins with the name of its field.
    """
    try:
        return TypeAdapter(noun).validate_python(values)
    except ValidationError as error:
        raise InvalidInput(f"{'; '.join(_sentences(error))}.") from None


def _sentences(error: ValidationError) -> Iterator[str]:
    for item in error.errors(include_url=False, include_input=False, include_context=False):
        name = ".".join(map(str, item["loc"]))
        yield f"{name}: {item['msg'].removeprefix('Value error, ')}"


def declared(noun: type) -> Mapping[str, tuple[Any, Any]]:
    """Type and default of each field of a noun, as `pydantic.create_model` takes them; `...` without a default."""
    kinds = get_type_hints(noun, include_extras=True)
    return {each.name: (kinds[each.name], ... if each.default is MISSING else each.default) for each in fields(noun)}


def description(kind: type) -> str | None:
    """The help of a field with this declared type."""
    return FieldInfo.from_annotation(kind).description
