"""What each setting of a tenant's interceptor may be: one table, for what arrives and for what was stored."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping
from typing import Any

from ragstone.errors import InvalidInput
from ragstone.vocabulary import COLLECTION_PATTERN

Check = Callable[[object], object]
"""Returns the value in its canonical form. Raises InvalidInput whose sentence goes on after the field's name."""

MAX_MODELS = 200
MAX_MODEL_CHARS = 200
MAX_FILTERS = 20
MAX_FILTERS_CHARS = 8192  # as JSON; they travel with every retrieval
MAX_FILTERS_DEPTH = 6
MAX_KEY_CHARS = 8192  # the longest bearer tokens are some kilobytes; servers refuse longer headers
MIN_JWT_SECRET_CHARS = 16  # as in `settings.base.long_enough_for_a_token`
_PIPELINE_PART = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]{0,99}", re.ASCII)
_HEADER_VALUE = re.compile(rf"[\x21-\x7e]{{1,{MAX_KEY_CHARS}}}")


def checked_fields(values: Mapping[str, object], checks: Mapping[str, Check], *, prefix: str = "") -> dict[str, Any]:
    """The values that are known here, each in its canonical form; others are passed over.

    Raises:
        InvalidInput: one is not what it may be; the sentence begins with its name.
    """
    checked: dict[str, Any] = {}
    for name, check in checks.items():
        if name in values:
            try:
                checked[name] = check(values[name])
            except InvalidInput as error:
                raise InvalidInput(f"{prefix}{name} {error.message}") from None
    return checked


def checked_key(name: str, text: str) -> str:
    """A secret that is sent in a header, or (`librechat`) that tokens are signed with.

    Raises:
        InvalidInput: it cannot be one; the sentence says nothing of it but its name.
    """
    if name == "librechat":
        if not MIN_JWT_SECRET_CHARS <= len(text.strip()) <= MAX_KEY_CHARS or not text.isprintable():
            raise InvalidInput(f"The librechat key has to be its JWT_SECRET, of {MIN_JWT_SECRET_CHARS} characters up.")
    elif not _HEADER_VALUE.fullmatch(text):
        raise InvalidInput(f"The {name} key has to be 1 to {MAX_KEY_CHARS} letters, digits and signs, without blanks.")
    return text


def _truth(value: object) -> bool:
    if not isinstance(value, bool):
        raise InvalidInput("has to be true or false.")
    return value


def _whole(least: int, most: int) -> Check:
    def check(value: object) -> int:
        if isinstance(value, bool) or not isinstance(value, int) or not least <= value <= most:
            raise InvalidInput(f"has to be a whole number from {least:,} to {most:,}.")
        return value

    return check


def _seconds(most: float) -> Check:
    def check(value: object) -> float:
        if isinstance(value, bool) or not isinstance(value, int | float) or not 0 < value <= most:
            raise InvalidInput(f"has to be more than 0 and at most {most:g} seconds.")
        return float(value)

    return check


def _one_of(*names: str) -> Check:
    def check(value: object) -> str:
        if not isinstance(value, str) or value not in names:
            raise InvalidInput(f"has to be one of {', '.join(names)}.")
        return value

    return check


def _collection(value: object) -> str:
    if not isinstance(value, str) or not re.fullmatch(COLLECTION_PATTERN, value):
        raise InvalidInput("has to be up to 64 small letters, digits, - and _.")
    return value


def _url(value: object) -> str | None:
    """Its shape only; where it may lead is for `checked_place` and for whoever connects."""
    if value is not None and (not isinstance(value, str) or not value or len(value) > 2048):
        raise InvalidInput("has to be a URL of up to 2048 characters.")
    return value


def _model(value: object) -> str:
    if not isinstance(value, str) or not 1 <= len(value) <= MAX_MODEL_CHARS or not value.isprintable():
        raise InvalidInput(f"has to hold names of 1 to {MAX_MODEL_CHARS} characters that can be seen.")
    if value != value.strip():
        raise InvalidInput("has to hold names without blanks around them.")
    return value


def _models(value: object) -> dict[str, str]:
    if not isinstance(value, Mapping) or len(value) > MAX_MODELS:
        raise InvalidInput(f"has to map names to names, {MAX_MODELS} at most.")
    return {_model(here): _model(upstream) for here, upstream in value.items()}


def _plain_models(value: object) -> tuple[str, ...]:
    if not isinstance(value, list | tuple) or len(value) > MAX_MODELS:
        raise InvalidInput(f"has to be a list of names, {MAX_MODELS} at most.")
    return tuple(dict.fromkeys(_model(name) for name in value))


def _pipeline_part(value: object) -> str:
    if not isinstance(value, str) or (value and not _PIPELINE_PART.fullmatch(value)):
        raise InvalidInput("has to be an id of up to 100 letters, digits, - and _.")
    return value


def _filters(value: object) -> tuple[Mapping[str, Any], ...]:
    if not isinstance(value, list | tuple) or len(value) > MAX_FILTERS:
        raise InvalidInput(f"has to be a list of {MAX_FILTERS} filters at most.")
    if any(not isinstance(each, Mapping) or _deeper(each, MAX_FILTERS_DEPTH) for each in value):
        raise InvalidInput(f"has to hold objects, nested {MAX_FILTERS_DEPTH} deep at most.")
    try:
        written = json.dumps(value, allow_nan=False)
    except (TypeError, ValueError):
        raise InvalidInput("has to be JSON.") from None
    if len(written) > MAX_FILTERS_CHARS:
        raise InvalidInput(f"is longer than {MAX_FILTERS_CHARS:,} characters of JSON.")
    return tuple(json.loads(written))


def _deeper(value: object, levels: int) -> bool:
    """Whether objects and lists are nested in it more than `levels` deep; it goes no deeper itself."""
    if not isinstance(value, Mapping | list | tuple):
        return False
    inner = value.values() if isinstance(value, Mapping) else value
    return levels == 0 or any(_deeper(each, levels - 1) for each in inner)


def _pipeline(value: object) -> dict[str, Any] | None:
    """The fields of a pipeline, which say together where it is."""
    if value is None:
        return None
    if not isinstance(value, Mapping):
        raise InvalidInput("has to be an object with organization and pipeline, or url.")
    checked = checked_fields(value, PIPELINE_FIELDS)
    if not checked.get("url") and not (checked.get("organization") and checked.get("pipeline")):
        raise InvalidInput("needs organization and pipeline, or url.")
    return checked


PIPELINE_FIELDS: Mapping[str, Check] = {
    "organization": _pipeline_part,
    "pipeline": _pipeline_part,
    "url": _url,
    "rerank": _truth,
    "filters": _filters,
}
FIELDS: Mapping[str, Check] = {
    "enabled": _truth,
    "rollout_percent": _whole(0, 100),
    "collection": _collection,
    "limit": _whole(1, 50),
    "context_tokens": _whole(64, 100_000),
    "context_window": _whole(1024, 10_000_000),
    "budget_s": _seconds(5.0),
    "source_list": _truth,
    "streams_only": _truth,
    "upstream_url": _url,
    "anthropic_url": _url,
    "models": _models,
    "plain_models": _plain_models,
    "knowledge": _one_of("index", "pipeline", "both"),
    "pipeline": _pipeline,
    "mask_context": _truth,
    "mask_answers": _truth,
}
