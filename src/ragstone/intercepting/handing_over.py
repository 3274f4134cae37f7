"""Settings from one process image to the next, which has no pydantic to read them with.

They travel through a pipe that only this process holds: the arguments and the environment
of a process can be read by others, and there are secrets among the settings.
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from pathlib import Path
from types import SimpleNamespace
from typing import TYPE_CHECKING, cast

from ragstone.errors import ConfigurationError

if TYPE_CHECKING:
    from ragstone.settings import Settings

MAX_BYTES = 64 << 10  # what a pipe holds while nobody reads (Linux, pipe(7); macOS lets one grow as far)


class Hidden:
    """See pydantic's `SecretStr`: a text that no `repr` shows."""

    __slots__ = ("_text",)

    def __init__(self, text: str) -> None:
        self._text = text

    def __repr__(self) -> str:
        return "Hidden('**********')"

    def get_secret_value(self) -> str:
        """The text."""
        return self._text


def handed_over(settings: Settings) -> int:
    """The file descriptor of a pipe that holds the settings; the next image inherits it.

    Raises:
        ConfigurationError: they are larger than a pipe.
    """
    content = written(settings)
    reading, writing = os.pipe()
    os.set_blocking(writing, False)
    sent = os.write(writing, content) if len(content) <= MAX_BYTES else 0
    os.close(writing)
    if sent < len(content):
        os.close(reading)
        raise ConfigurationError(
            f"The settings are longer than {MAX_BYTES} bytes together. Keep models, filters and patterns shorter."
        )
    os.set_inheritable(reading, True)
    return reading


def taken_over(reading: int) -> Settings:
    """The settings that lie in a pipe; it is closed."""
    with os.fdopen(reading, "rb") as pipe:
        return read(pipe.read(MAX_BYTES))


def written(settings: Settings) -> bytes:
    """The settings as JSON; what JSON has no form for is tagged."""
    return json.dumps(_written(settings)).encode()


def read(content: bytes) -> Settings:
    """What `written` wrote: it has the values of `Settings` in the same places, and none of its methods."""
    return cast("Settings", _read(json.loads(content)))


def _written(value: object) -> object:
    from pydantic import BaseModel, SecretStr

    match value:
        case BaseModel():
            return {"group": {name: _written(getattr(value, name)) for name in type(value).model_fields}}
        case SecretStr():
            return {"secret": value.get_secret_value()}
        case Path():
            return {"path": str(value)}
        case tuple():
            return {"tuple": [_written(one) for one in value]}
        case dict() | list():
            return {"json": value}
        case _:
            return value


def _read(value: object) -> object:
    match value:
        case {"group": Mapping() as group}:
            return SimpleNamespace(**{str(name): _read(one) for name, one in group.items()})
        case {"secret": str() as text}:
            return Hidden(text)
        case {"path": str() as text}:
            return Path(text)
        case {"tuple": list() as several}:
            return tuple(_read(one) for one in several)
        case {"json": plain}:
            return plain
        case _:
            return value
