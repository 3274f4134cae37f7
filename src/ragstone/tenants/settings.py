"""The settings of a tenant: their bounds, and the servers that a tenant may name."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, fields, replace
from typing import Any, Literal
from urllib.parse import SplitResult, urlsplit

from ragstone.errors import InvalidInput
from ragstone.vocabulary import COLLECTION_PATTERN, DEFAULT_COLLECTION

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


Knowledge = Literal["index", "pipeline", "both"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Pipeline:
    """A Vectorize.io pipeline; `url` is the full retrieval URL where organisation and id do not say it."""

    organization: str = ""
    pipeline: str = ""
    url: str | None = None
    rerank: bool = False
    filters: tuple[Mapping[str, Any], ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class InterceptorSettings:
    """How the chats of a tenant are treated.

    `models` maps names that clients use to names upstream; where it is not empty, there
    are no others. `plain_models` are never enriched. `budget_s` bounds retrieval;
    `context_tokens` the passages, and `context_window` the whole chat with them.
    `upstream_url` is the base of an OpenAI-compatible server (`…/v1`), `anthropic_url`
    that of an Anthropic-compatible one (without `/v1`); without them the operator's hold,
    and without those our own answerer is the model. `knowledge` says where passages come from.
    """

    enabled: bool = True
    rollout_percent: int = 100
    collection: str = DEFAULT_COLLECTION
    limit: int = 8
    context_tokens: int = 3000
    context_window: int = 128_000
    budget_s: float = 0.8
    source_list: bool = True
    streams_only: bool = False
    upstream_url: str | None = None
    anthropic_url: str | None = None
    models: Mapping[str, str] = field(default_factory=dict)
    plain_models: tuple[str, ...] = ()
    knowledge: Knowledge = "index"
    pipeline: Pipeline | None = None
    mask_context: bool = False
    mask_answers: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class InterceptorKeys:
    """Secrets of a tenant's interceptor, in plain text, in memory only; never printed."""

    upstream: str | None = field(default=None, repr=False)
    anthropic: str | None = field(default=None, repr=False)
    pipeline: str | None = field(default=None, repr=False)
    librechat: str | None = field(default=None, repr=False)


@dataclass(frozen=True, slots=True)
class Interceptor:
    """What is known of one tenant's interceptor."""

    settings: InterceptorSettings = InterceptorSettings()
    keys: InterceptorKeys = InterceptorKeys()


KEY_NAMES = tuple(each.name for each in fields(InterceptorKeys))


def checked(settings: InterceptorSettings, *, allowed: frozenset[str] = frozenset()) -> InterceptorSettings:
    """The settings in their canonical form, if a tenant may have them.

    Args:
        settings: What somebody wants.
        allowed: Hosts with port that may be called though they are private, or without TLS.

    Raises:
        InvalidInput: a value is out of its range, or a URL is none that a tenant may name.
    """
    wanted = {each.name: getattr(settings, each.name) for each in fields(settings)}
    if settings.pipeline is not None:
        wanted["pipeline"] = {each.name: getattr(settings.pipeline, each.name) for each in fields(Pipeline)}
    return checked_places(settings_of(checked_fields(wanted, FIELDS)), allowed)


def settings_of(values: Mapping[str, Any]) -> InterceptorSettings:
    """The settings made of checked values."""
    pipeline = values.get("pipeline")
    return InterceptorSettings(**{**values, "pipeline": Pipeline(**pipeline) if pipeline else None})


VECTORIZE = "https://api.vectorize.io"  # where a pipeline is that is named by organisation and id
_PORTS = {"http": 80, "https": 443}
_HOW_TO_ALLOW = "or have the operator add its host and port to RAGSTONE_OUTBOUND__ALLOWED_HOSTS"


def checked_places(settings: InterceptorSettings, allowed: frozenset[str]) -> InterceptorSettings:
    """The settings with each URL in its canonical form.

    Raises:
        InvalidInput: see `resilience.destinations.checked_url`; or a key would travel readable.
    """
    pipeline = settings.pipeline
    if pipeline and pipeline.url:
        pipeline = replace(pipeline, url=_checked("pipeline.url", pipeline.url, allowed))
    upstream, anthropic = settings.upstream_url, settings.anthropic_url
    return replace(
        settings,
        upstream_url=_base("upstream_url", upstream, allowed) if upstream else None,
        anthropic_url=_base("anthropic_url", anthropic, allowed).removesuffix("/v1") if anthropic else None,
        pipeline=pipeline,
    )


def without_servers(settings: InterceptorSettings) -> InterceptorSettings:
    """The settings of an operator as a tenant sees them: servers inside, and what they offer, are not its business."""
    return replace(settings, upstream_url=None, anthropic_url=None, models={}, pipeline=None)


def inherited(own: Interceptor, operators: Interceptor) -> Interceptor:
    """What holds for a tenant: its own settings, with the operator's servers where it names none.

    A server is inherited with its key and its models, or not at all: so no URL of a tenant
    gets a key of the operator, and no model is used at his cost that he does not offer.
    """
    settings, keys = own.settings, own.keys
    if settings.upstream_url is None and settings.anthropic_url is None:
        given = operators.settings
        settings = replace(
            settings, upstream_url=given.upstream_url, anthropic_url=given.anthropic_url, models=given.models
        )
        keys = replace(keys, upstream=operators.keys.upstream, anthropic=operators.keys.anthropic)
    if settings.pipeline is None:
        settings = replace(settings, pipeline=operators.settings.pipeline)
        keys = replace(keys, pipeline=operators.keys.pipeline)
    if settings.pipeline is None:
        settings = replace(settings, knowledge="index")  # the operator has taken his pipeline away
    return replace(own, settings=settings, keys=replace(keys, librechat=keys.librechat or operators.keys.librechat))


def urls(settings: InterceptorSettings) -> tuple[str, ...]:
    """All URLs that the settings name."""
    pipeline = settings.pipeline.url if settings.pipeline else None
    return tuple(url for url in (settings.upstream_url, settings.anthropic_url, pipeline) if url)


def places(settings: Mapping[str, Any]) -> Mapping[str, str]:
    """For each kind of key, scheme, host and port of where it is sent; of settings as they are stored.

    Raises nothing: where something else is stored than there should be, the key has no place.
    """
    pipeline = settings.get("pipeline")
    url = (pipeline.get("url") or VECTORIZE) if isinstance(pipeline, Mapping) else None
    found = {"upstream": settings.get("upstream_url"), "anthropic": settings.get("anthropic_url"), "pipeline": url}
    return {name: _origin(value) if isinstance(value, str) else "" for name, value in found.items()}


def refuse_moved(before: Mapping[str, str], after: Mapping[str, str], staying: frozenset[str]) -> None:
    """Keep a key from a server that it was not set for.

    Who may change settings may not read keys; sending one to a server of his own would be reading it.

    Raises:
        InvalidInput: a key of `staying` would be sent elsewhere.
    """
    for name in sorted(staying & after.keys()):
        if before.get(name, "") != after[name]:
            raise InvalidInput(
                f"The {name} key was set for another server, and is not sent to this one. "
                f"Send the key anew with the URL, or null to remove it."
            )


def host(origin: str) -> str:
    """The host of a place, for records."""
    return urlsplit(origin).netloc


def _base(name: str, url: str, allowed: frozenset[str]) -> str:
    checked = _checked(name, url, allowed)
    if urlsplit(checked).query:
        raise InvalidInput(f"{name} has to be a base that paths are added to. Leave the question mark out.")
    return checked.rstrip("/")


def _checked(name: str, url: str, allowed: frozenset[str]) -> str:
    # Imported when first needed: it brings an HTTP client, which a process that only reads settings does without.
    from ragstone.resilience.destinations import checked_url

    try:
        checked = checked_url(url, allowed=allowed)
    except InvalidInput as error:
        raise InvalidInput(f"{name}: {error.message}") from None
    parts = urlsplit(checked)
    if parts.scheme != "https" and _host_and_port(parts) not in allowed:
        raise InvalidInput(f"{name}: keys and chats would travel readable. Use https://, {_HOW_TO_ALLOW}.")
    return checked


def _origin(url: str) -> str:
    try:
        parts = urlsplit(url)
        return f"{parts.scheme}://{_host_and_port(parts)}"
    except ValueError:
        return ""


def _host_and_port(parts: SplitResult) -> str:
    name = parts.hostname or ""
    port = parts.port or _PORTS.get(parts.scheme, 0)
    return f"[{name}]:{port}" if ":" in name else f"{name}:{port}"
