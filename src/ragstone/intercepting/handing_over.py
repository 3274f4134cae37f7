"""Settings from one process image to the next.

They travel through a pipe that only this process holds: the arguments and the environment
of a process can be read by others, and there are secrets among the settings.
"""

from __future__ import annotations

import json
import os
from pathlib import Path

from pydantic import BaseModel, SecretStr

from ragstone.errors import ConfigurationError
from ragstone.settings import Settings, load_settings

MAX_BYTES = 64 << 10  # what a pipe holds while nobody reads (Linux, pipe(7); macOS lets one grow as far)


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
    """The settings as JSON, with the secrets in the open."""
    return json.dumps(_written(settings)).encode()


def read(content: bytes) -> Settings:
    """What `written` wrote."""
    return load_settings(**json.loads(content))


def _written(value: object) -> object:
    match value:
        case BaseModel():
            return {name: _written(getattr(value, name)) for name in type(value).model_fields}
        case SecretStr():
            return value.get_secret_value()
        case Path():
            return str(value)
        case tuple():
            return [_written(one) for one in value]
        case _:
            return value
