"""The settings of a tenant. Each is declared once: type, bounds, default and help.

The environment's defaults (`ragstone.settings`), the bodies of /api/interceptor, the
command `ragstone interceptor set`, `.env.example` and docs/settings.md are made from
these classes. Outside of Python a tenant's settings are one flat object; a `WireName`
says which name a setting has there, where it is not the field's own.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Annotated, Any, Literal, get_args
from urllib.parse import SplitResult, urlsplit

from pydantic import (
    AfterValidator,
    BaseModel,
    ConfigDict,
    Field,
    SecretStr,
    StringConstraints,
    TypeAdapter,
    ValidationError,
)
from pydantic.fields import FieldInfo
from pydantic_settings import NoDecode

from ragstone.errors import InvalidInput
from ragstone.vocabulary import COLLECTION_PATTERN, DEFAULT_COLLECTION

MAX_URL_CHARS = 2048
MAX_MODELS = 200
MAX_MODEL_CHARS = 200
MAX_FILTERS = 20
MAX_FILTERS_CHARS = 8192  # as JSON; they travel with every retrieval
MAX_FILTERS_DEPTH = 6
MAX_KEY_CHARS = 8192  # the longest bearer tokens are some kilobytes; servers refuse longer headers
MIN_JWT_SECRET_CHARS = 16  # LibreChat makes its JWT_SECRET with 64; shorter ones than this are guessed
VECTORIZE = "https://api.vectorize.io"  # the server of a pipeline that is named by organisation and id

_HEADER_VALUE = re.compile(rf"[\x21-\x7e]{{1,{MAX_KEY_CHARS}}}")
_UNSTORABLE = re.compile("[\0\ud800-\udfff]")
_PORTS = {"http": 80, "https": 443}
_HOW_TO_ALLOW = "or have the operator add its host and port to RAGSTONE_OUTBOUND__ALLOWED_HOSTS"


@dataclass(frozen=True, slots=True)
class WireName:
    """The name of a setting in the API, on the command line and in the database."""

    name: str


def _storable(text: str) -> str:
    if _UNSTORABLE.search(text):
        raise ValueError("must not hold NUL characters or lone surrogates")
    return text


def _without_slash(url: str) -> str:
    return url.rstrip("/")


def _without_version(url: str) -> str:
    return url.rstrip("/").removesuffix("/v1")


def _visible(name: str) -> str:
    if not name.isprintable() or name != name.strip():
        raise ValueError("must be printable, without blanks around it")
    return name


def _each_once(names: tuple[str, ...]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(names))


def _header_value(secret: SecretStr) -> SecretStr:
    if not _HEADER_VALUE.fullmatch(secret.get_secret_value()):
        raise ValueError(f"must be 1 to {MAX_KEY_CHARS} letters, digits and signs, without blanks")
    return secret


def _jwt_secret(secret: SecretStr) -> SecretStr:
    text = secret.get_secret_value()
    if not MIN_JWT_SECRET_CHARS <= len(text.strip()) <= MAX_KEY_CHARS or not text.isprintable():
        raise ValueError(f"needs at least {MIN_JWT_SECRET_CHARS} characters; it is the JWT_SECRET of LibreChat's .env")
    return secret


def _bounded(filters: tuple[dict[str, Any], ...]) -> tuple[dict[str, Any], ...]:
    if any(_deeper(each, MAX_FILTERS_DEPTH) for each in filters):
        raise ValueError(f"must be nested {MAX_FILTERS_DEPTH} deep at most")
    try:
        written = json.dumps(filters, allow_nan=False)
    except (TypeError, ValueError):
        raise ValueError("must be JSON") from None
    if len(written) > MAX_FILTERS_CHARS:
        raise ValueError(f"must be at most {MAX_FILTERS_CHARS:,} characters of JSON")
    return tuple(json.loads(written))


def _deeper(value: object, levels: int) -> bool:
    """Whether objects and lists are nested more than `levels` deep in a value; recursion stops at that depth."""
    if not isinstance(value, Mapping | list | tuple):
        return False
    inner = value.values() if isinstance(value, Mapping) else value
    return levels == 0 or any(_deeper(each, levels - 1) for each in inner)


CollectionName = Annotated[str, StringConstraints(pattern=COLLECTION_PATTERN)]
Url = Annotated[str, StringConstraints(min_length=1, max_length=MAX_URL_CHARS), AfterValidator(_storable)]
ModelName = Annotated[str, StringConstraints(min_length=1, max_length=MAX_MODEL_CHARS), AfterValidator(_visible)]
PipelinePart = Annotated[str, StringConstraints(pattern=r"^([A-Za-z0-9][A-Za-z0-9_-]{0,99})?$")]
ServerKey = Annotated[SecretStr, AfterValidator(_header_value)]
JwtSecret = Annotated[SecretStr, AfterValidator(_jwt_secret)]
KnowledgeSource = Literal["index", "pipeline", "both"]


class SettingsPart(BaseModel):
    """Settings that belong together. Unknown names are refused; messages never quote a value."""

    model_config = ConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True)


class ChatCollection(SettingsPart):
    """The setting for the collection that a tenant's chats search."""

    collection: CollectionName = Field(DEFAULT_COLLECTION, description="Collection chats are answered from.")


class Pipeline(SettingsPart):
    """A Vectorize.io pipeline: organization and pipeline, or url."""

    organization: PipelinePart = Field("", description="Organisation id.")
    pipeline: PipelinePart = Field("", description="Pipeline id.")
    url: Url | None = Field(None, description="Full retrieval URL instead, such as that of an older gateway.")
    rerank: bool = Field(False, description="Let the pipeline rerank; counts against a quota of its own.")
    filters: Annotated[tuple[dict[str, Any], ...], AfterValidator(_bounded)] = Field(
        (), max_length=MAX_FILTERS, description='Metadata filters, as JSON: [{"department": ["eng"]}].'
    )

    @property
    def is_named(self) -> bool:
        """Whether the settings say where the pipeline is."""
        return bool(self.url or (self.organization and self.pipeline))


def _named(pipeline: Pipeline | None) -> Pipeline | None:
    if pipeline is not None and not pipeline.is_named:
        raise ValueError("needs organization and pipeline, or url")
    return pipeline


class KnowledgeSettings(ChatCollection):
    """The sources of passages for a tenant's questions."""

    source: Annotated[KnowledgeSource, WireName("knowledge")] = Field(
        "index", description="Where passages come from: the index of this installation, a pipeline, or both."
    )
    pipeline: Annotated[Pipeline | None, AfterValidator(_named)] = Field(
        None, description="A Vectorize.io pipeline; null: the operator's, or none."
    )
    pipeline_key: Annotated[ServerKey | None, WireName("pipeline")] = Field(
        None, description="API access token of the pipeline's organisation."
    )


class InterceptorSettings(SettingsPart):
    """How the chats of a tenant are enriched, and the servers that they are forwarded to.

    `models` maps the names that clients use to names upstream; if it is not empty, there are
    no others. A tenant without a server uses the operator's, else Ragstone answers itself.
    """

    enabled: bool = Field(True, description="Off, every chat is forwarded as it is.")
    rollout_percent: int = Field(100, ge=0, le=100, description="Share of conversations that are enriched.")
    limit: int = Field(8, ge=1, le=50, description="Passages given to the model, at most.")
    context_tokens: int = Field(3000, ge=64, le=100_000, description="Tokens of passages given to the model, at most.")
    context_window: int = Field(
        128_000,
        ge=1024,
        le=10_000_000,
        description="Tokens a model reads, where that is not known: a chat is never made longer.",
    )
    budget_s: float = Field(0.8, gt=0, le=5, description="Seconds for retrieval; then the chat goes on without.")
    source_list: bool = Field(True, description="End answers with a list of the sources they cite.")
    streams_only: bool = Field(False, description="Enrich streamed chats only.")
    upstream_url: Annotated[Url, AfterValidator(_without_slash)] | None = Field(
        None, description="Base URL of an OpenAI-compatible server, such as https://api.openai.com/v1."
    )
    upstream_key: Annotated[ServerKey | None, WireName("upstream")] = Field(
        None, description="Key for the OpenAI-compatible server."
    )
    anthropic_url: Annotated[Url, AfterValidator(_without_version)] | None = Field(
        None, description="Base URL of an Anthropic-compatible server, without /v1."
    )
    anthropic_key: Annotated[ServerKey | None, WireName("anthropic")] = Field(
        None, description="Key for the Anthropic-compatible server."
    )
    models: dict[ModelName, ModelName] = Field(
        {},
        max_length=MAX_MODELS,
        description='Models offered, as JSON: {"name here": "name upstream"}; empty, all that upstream offers.',
    )
    plain_models: Annotated[tuple[ModelName, ...], AfterValidator(_each_once), NoDecode] = Field(
        (),
        max_length=MAX_MODELS,
        description="Models that are never enriched, such as one for titles; in the environment, separated by commas.",
    )


class LibreChatSettings(SettingsPart):
    """The connection of a tenant's LibreChat."""

    jwt_secret: Annotated[JwtSecret | None, WireName("librechat")] = Field(
        None, description="The JWT_SECRET of that LibreChat; unset, there is nothing under /librechat."
    )


class PrivacySettings(SettingsPart):
    """The masking of personal data."""

    mask_context: bool = Field(False, description="Hide personal data in passages that are given to a model upstream.")
    mask_answers: bool = Field(False, description="Hide personal data in answers.")


class TenantSettings(SettingsPart):
    """All settings of one tenant."""

    knowledge: KnowledgeSettings = KnowledgeSettings()
    interceptor: InterceptorSettings = InterceptorSettings()
    librechat: LibreChatSettings = LibreChatSettings()
    privacy: PrivacySettings = PrivacySettings()


@dataclass(frozen=True, slots=True)
class Declared:
    """A setting's declaration: its wire name, and the part and field that declare it."""

    name: str
    part: str
    field: str
    info: FieldInfo

    @property
    def adapter(self) -> TypeAdapter[Any]:
        """Validates one value, within the declared bounds."""
        declared: Any = Annotated[self.info.annotation, self.info]
        return TypeAdapter(declared)

    @property
    def is_text(self) -> bool:
        """Whether the value is a text, or null."""
        schema = self.adapter.json_schema()
        return any(each.get("type") == "string" for each in schema.get("anyOf", [schema]))

    @property
    def bounds(self) -> str:
        """The bounds in words, such as `1 to 50`; empty if there are none."""
        schema = self.adapter.json_schema()
        if "enum" in schema:
            return ", ".join(schema["enum"])
        if "minimum" in schema:
            return f"{schema['minimum']} to {schema['maximum']}"
        if "exclusiveMinimum" in schema:
            return f"more than {schema['exclusiveMinimum']}, up to {schema['maximum']}"
        most = schema.get("maxProperties", schema.get("maxItems"))
        return f"{most} at most" if most else ""


def _declared(*, secret: bool) -> Mapping[str, Declared]:
    found: dict[str, Declared] = {}
    for part, outer in TenantSettings.model_fields.items():
        kind = outer.annotation
        assert isinstance(kind, type)
        assert issubclass(kind, SettingsPart)
        for field, info in kind.model_fields.items():
            if _is_secret(info) is secret:
                name = next((each.name for each in info.metadata if isinstance(each, WireName)), field)
                found[name] = Declared(name, part, field, info)
    return found


def _is_secret(info: FieldInfo) -> bool:
    return any(SecretStr in (kind, *get_args(kind)) for kind in (info.annotation, *get_args(info.annotation)))


SETTINGS: Mapping[str, Declared] = _declared(secret=False)
"""The settings that may be shown, by wire name."""
KEYS: Mapping[str, Declared] = _declared(secret=True)
"""The secrets, by wire name. They are stored encrypted and never shown."""


def flat(settings: TenantSettings) -> dict[str, Any]:
    """The settings as one JSON object by wire name, without the secrets."""
    parts = {name: getattr(settings, name).model_dump(mode="json") for name in TenantSettings.model_fields}
    return {name: parts[each.part][each.field] for name, each in SETTINGS.items()}


def from_flat(values: Mapping[str, object], *, lenient: bool = False) -> TenantSettings:
    """Parse the settings from a flat JSON object; missing names have their default.

    Args:
        values: By wire name. JSON types are strict: "8" is not a number.
        lenient: Ignore unknown names, such as those of a newer version.

    Raises:
        InvalidInput: a value or name is not valid; the message begins with the name.
    """
    nested: dict[str, dict[str, object]] = {}
    for name, value in values.items():
        if each := SETTINGS.get(name):
            nested.setdefault(each.part, {})[each.field] = value
        elif not lenient:
            raise InvalidInput(f"There is no setting {name[:80]!r}. Use one of {', '.join(SETTINGS)}.")
    try:
        written = json.dumps(nested)
        return TenantSettings.model_validate_json(written, strict=True, extra="ignore" if lenient else "forbid")
    except ValidationError as error:
        raise InvalidInput(f"{'; '.join(_messages(error))}.") from None
    except (TypeError, ValueError, RecursionError):
        raise InvalidInput("The settings are not valid JSON, or nested too deep. Send a flat JSON object.") from None


def _messages(error: ValidationError) -> Iterator[str]:
    names = {(each.part, each.field): each.name for each in SETTINGS.values()}
    for item in error.errors(include_url=False, include_input=False, include_context=False):
        part, field, *inner = item["loc"]
        name = ".".join((names.get((str(part), str(field)), str(field)), *map(str, inner)))
        yield f"{name}: {item['msg'].removeprefix('Value error, ')}"


def checked_key(name: str, text: str | None) -> str | None:
    """Validate a secret by its wire name; None removes it.

    Raises:
        InvalidInput: the name or the text is not valid; the message does not quote the text.
    """
    if name not in KEYS:
        raise InvalidInput(f"There is no key {name[:80]!r}. Use {', '.join(KEYS)}.")
    try:
        KEYS[name].adapter.validate_python(text)
    except ValidationError as error:
        message = error.errors(include_url=False, include_input=False, include_context=False)[0]["msg"]
        raise InvalidInput(f"The {name} key {message.removeprefix('Value error, ')}.") from None
    return text


def with_keys(settings: TenantSettings, keys: Mapping[str, str | None]) -> TenantSettings:
    """The settings with these secrets, by wire name; other secrets are unchanged."""
    changes: dict[str, dict[str, SecretStr | None]] = {}
    for name, text in keys.items():
        changes.setdefault(KEYS[name].part, {})[KEYS[name].field] = None if text is None else SecretStr(text)
    parts = {part: getattr(settings, part).model_copy(update=values) for part, values in changes.items()}
    return settings.model_copy(update=parts)


def without_keys(settings: TenantSettings) -> TenantSettings:
    """The settings without any secret."""
    return with_keys(settings, dict.fromkeys(KEYS))


def without_servers(settings: TenantSettings) -> TenantSettings:
    """The operator's settings as a tenant may see them: without servers, their models and all secrets."""
    hidden: dict[str, object] = {"upstream_url": None, "anthropic_url": None, "models": {}}
    shown = settings.model_copy(
        update={
            "interceptor": settings.interceptor.model_copy(update=hidden),
            "knowledge": settings.knowledge.model_copy(update={"pipeline": None}),
        }
    )
    return without_keys(shown)


_SERVERS = ("upstream_url", "upstream_key", "anthropic_url", "anthropic_key", "models")


def inherited(own: TenantSettings, operators: TenantSettings) -> TenantSettings:
    """The settings in force for a tenant: its own, with the operator's servers where it names none.

    A server is inherited with its key and its models, or not at all: the operator's key is never sent
    to a tenant's URL, and a tenant uses only models that the operator offers.
    """
    interceptor, knowledge = own.interceptor, own.knowledge
    if interceptor.upstream_url is None and interceptor.anthropic_url is None:
        given = {name: getattr(operators.interceptor, name) for name in _SERVERS}
        interceptor = interceptor.model_copy(update=given)
    if knowledge.pipeline is None:
        default = operators.knowledge
        given = {"pipeline": default.pipeline, "pipeline_key": default.pipeline_key}
        # The operator may have removed the pipeline since.
        knowledge = knowledge.model_copy(update=given if default.pipeline else {**given, "source": "index"})
    librechat = own.librechat if own.librechat.jwt_secret else operators.librechat
    return TenantSettings.model_construct(
        knowledge=knowledge, interceptor=interceptor, librechat=librechat, privacy=own.privacy
    )


def with_allowed_servers(settings: TenantSettings, *, allowed: frozenset[str] = frozenset()) -> TenantSettings:
    """The settings with each URL in its canonical form, if a tenant may name it.

    Args:
        settings: A tenant's own.
        allowed: Hosts with port that may be called although they are private, or without TLS.

    Raises:
        InvalidInput: see `resilience.destinations.checked_url`; or a key would travel readable.
    """
    interceptor, pipeline = settings.interceptor, settings.knowledge.pipeline
    bases = {
        name: _base(name, url, allowed)
        for name in ("upstream_url", "anthropic_url")
        if (url := getattr(interceptor, name))
    }
    changes: dict[str, object] = {
        "interceptor": InterceptorSettings.model_validate({**dict(interceptor), **bases}),
    }
    if pipeline and pipeline.url:
        url = _checked("pipeline.url", pipeline.url, allowed)
        moved = pipeline.model_copy(update={"url": url})
        changes["knowledge"] = settings.knowledge.model_copy(update={"pipeline": moved})
    return settings.model_copy(update=changes)


def urls(settings: TenantSettings) -> tuple[str, ...]:
    """All URLs that the settings name."""
    pipeline = settings.knowledge.pipeline.url if settings.knowledge.pipeline else None
    return tuple(
        url for url in (settings.interceptor.upstream_url, settings.interceptor.anthropic_url, pipeline) if url
    )


def key_destinations(stored: Mapping[str, Any]) -> Mapping[str, str]:
    """Scheme, host and port that each server key is sent to, of settings in their flat form.

    Never raises: if a value has no usable form, its key has no destination.
    """
    pipeline = stored.get("pipeline")
    url = (pipeline.get("url") or VECTORIZE) if isinstance(pipeline, Mapping) else None
    found = {"upstream": stored.get("upstream_url"), "anthropic": stored.get("anthropic_url"), "pipeline": url}
    return {name: _origin(value) if isinstance(value, str) else "" for name, value in found.items()}


def refuse_moved(before: Mapping[str, str], after: Mapping[str, str], staying: frozenset[str]) -> None:
    """Keep a key from a server that it was not set for.

    A caller may change settings but not read keys; to send a key to a server of the
    caller's own would be to read it.

    Raises:
        InvalidInput: a key of `staying` would be sent elsewhere.
    """
    for name in sorted(staying & after.keys()):
        if before.get(name, "") != after[name]:
            raise InvalidInput(
                f"The {name} key was set for another server, and is not sent to this one. "
                f"Send the key anew with the URL, or null to remove it."
            )


def _base(name: str, url: str, allowed: frozenset[str]) -> str:
    checked = _checked(name, url, allowed)
    if urlsplit(checked).query:
        raise InvalidInput(f"{name} has to be a base that paths are added to. Leave the question mark out.")
    return checked


def _checked(name: str, url: str, allowed: frozenset[str]) -> str:
    # Imported on use: it brings an HTTP client, which a process that only reads settings does without.
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
