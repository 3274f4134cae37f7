"""Every setting, in one typed tree. Read at the door only: `cli`, `app`, `worker`, `wiring`.

An environment variable is `RAGSTONE_`, then the path with two underscores between
levels: `RAGSTONE_ANSWER__MODEL`. A `.env` file in the working directory is read too;
real environment variables win. Each group mirrors the options of the part it is for.
"""

from __future__ import annotations

import difflib
import os
import re
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Annotated, Literal, TypedDict, TypeVar, Unpack, get_origin

from dotenv import dotenv_values
from pydantic import (
    AfterValidator,
    Field,
    SecretStr,
    ValidationError,
    field_validator,
    model_validator,
)
from pydantic.fields import FieldInfo
from pydantic_settings import BaseSettings, NoDecode, SettingsConfigDict

from ragstone.errors import ConfigurationError
from ragstone.generation.repair import Repair
from ragstone.resilience.destinations import LOOPBACK_HOSTS
from ragstone.tenants.settings import (
    KEYS,
    SETTINGS,
    ChatCollection,
    CollectionName,
    InterceptorSettings,
    KnowledgeSettings,
    LibreChatSettings,
    Pipeline,
    PrivacySettings,
    ServerKey,
    SettingsPart,
    TenantSettings,
)
from ragstone.vocabulary import DEFAULT_TENANT

PREFIX = "RAGSTONE_"
NOT_SETTINGS = frozenset({"RAGSTONE_DEBUG", "RAGSTONE_OPEN_DATA", "RAGSTONE_KEY"})
"""Other variables with the prefix: tracebacks of the CLI, data sets of the benchmarks, a client's key in the docs."""
TEST_PREFIX = "RAGSTONE_TEST_"  # variables of the tests
_MODEL_KEY = re.compile(r"RAGSTONE_(?:(?!__)[A-Z0-9_])*_API_KEY")  # key variables of a plan's models; no group has one
Part = TypeVar("Part", bound=SettingsPart)


def long_enough(secret: SecretStr | None) -> SecretStr | None:
    """A secret of this installation. Raises: ValueError."""
    if secret is not None and len(secret.get_secret_value()) < 32:
        raise ValueError("needs at least 32 characters; make some with `openssl rand -hex 32`")
    return secret


def split(values: object, name: str) -> object:
    """A setting of several parts, from one text with commas."""
    if isinstance(values, dict) and isinstance(text := values.get(name), str):
        return {**values, name: tuple(part.strip() for part in text.split(",") if part.strip())}
    return values


_ORIGIN = re.compile(r"https?://[a-z0-9.-]+(:[0-9]{1,5})?/?")


class ServerSettings(SettingsPart):
    """The HTTP server."""

    host: str = Field("127.0.0.1", description="Address to listen on. Anything but loopback needs API keys.")
    port: int = Field(8000, ge=0, le=65535, description="Port to listen on; 0 takes a free one.")
    api_keys: Annotated[tuple[SecretStr, ...], NoDecode] = Field(
        (), description="Secret keys that may call the API, separated by commas; at least 32 characters each."
    )
    public_url: str | None = Field(
        None,
        description="Where browsers reach the server, such as https://rag.example.com; https makes cookies secure.",
    )
    max_body_bytes: int = Field(256 << 20, ge=1 << 16, description="Largest request body, in bytes.")

    @field_validator("public_url")
    @classmethod
    def _is_an_origin(cls, url: str | None) -> str | None:
        if url is not None and not _ORIGIN.fullmatch(url):
            raise ValueError("needs to be http:// or https:// and a host, in small letters, without a path")
        return url.rstrip("/") if url else None

    @model_validator(mode="before")
    @classmethod
    def _split_keys(cls, values: object) -> object:
        return split(values, "api_keys")

    @model_validator(mode="after")
    def _keys_are_long(self) -> ServerSettings:
        if any(len(key.get_secret_value()) < 32 for key in self.api_keys):
            raise ValueError("each key of RAGSTONE_SERVER__API_KEYS needs at least 32 characters")
        return self


class DatabaseSettings(SettingsPart):
    """The relational database: SQLite in the data directory, or PostgreSQL."""

    url: SecretStr | None = Field(
        None, description="postgresql://user:password@host/name; unset, SQLite in the data directory."
    )
    owner_url: SecretStr | None = Field(
        None, description="The same database for the user who owns the tables; unset, the user of the URL above."
    )
    pool_size: int = Field(10, ge=1, le=200, description="Connections to PostgreSQL kept open by one process.")
    pool_overflow: int = Field(10, ge=0, le=200, description="Connections more than that while they are needed.")
    pool_timeout_s: float = Field(10.0, gt=0, description="Seconds to wait for a free connection.")


class RedisSettings(SettingsPart):
    """Redis, for limits and caches shared by several servers; everything works without."""

    url: SecretStr | None = Field(None, description="redis://:password@host:6379/0; unset, memory of each process.")
    timeout_s: float = Field(0.05, gt=0, description="Seconds to wait for Redis before doing without it.")


class AccountSettings(SettingsPart):
    """People, sessions and keys."""

    session_idle_s: float = Field(1800, gt=0, description="Seconds after which an unused session ends.")
    session_max_s: float = Field(43_200, gt=0, description="Seconds after which every session ends.")
    logins_per_minute: int = Field(5, ge=1, description="Failed logins a minute for one account and address.")
    logins_per_hour: int = Field(100, ge=1, description="Failed logins an hour for one account.")


class ParserSettings(SettingsPart):
    """Limits of one parse; reaching one ends that parse and nothing else."""

    processes: int = Field(2, ge=1, le=64, description="Parser processes kept warm.")
    max_memory_bytes: int = Field(1 << 30, ge=256 << 20, description="Memory of one parser process, in bytes.")
    max_cpu_s: float = Field(60.0, gt=0, description="CPU seconds for one file.")
    max_wall_s: float = Field(90.0, gt=0, description="Seconds for one file.")
    max_expanded_bytes: int = Field(256 << 20, ge=1 << 20, description="Decompressed size of one archive, in bytes.")
    max_archive_entries: int = Field(10_000, ge=1, description="Entries of one archive (DOCX, XLSX, EPUB, …).")
    max_pages: int = Field(5_000, ge=1, description="Pages of one document.")
    max_text_chars: int = Field(50_000_000, ge=1, description="Characters of one document's text.")


class IngestionSettings(SettingsPart):
    """How documents come in."""

    max_file_bytes: int = Field(50 << 20, ge=1, description="Largest file, in bytes.")
    allowed_root: Path | None = Field(
        None, description="Folder that POST /api/ingest may read; unset, it reads no folder."
    )
    max_tokens: int = Field(500, ge=32, le=4096, description="Tokens of a chunk, at most.")
    overlap_tokens: int = Field(50, ge=0, le=1024, description="Tokens a chunk repeats from the one before.")
    lease_s: float = Field(10.0, gt=0, description="Seconds after which the job of a dead process is taken over.")

    @model_validator(mode="after")
    def _overlap_leaves_room(self) -> IngestionSettings:
        if self.overlap_tokens * 2 > self.max_tokens:
            raise ValueError("RAGSTONE_INGESTION__OVERLAP_TOKENS may be at most half of RAGSTONE_INGESTION__MAX_TOKENS")
        return self


class EmbeddingSettings(SettingsPart):
    """The embedding model."""

    model: Literal["minilm", "hashing"] = Field(
        "minilm", description="minilm: all-MiniLM-L6-v2; hashing: no model at all, for tests."
    )
    model_folder: Path | None = Field(None, description="Folder with the files of the package ragstone-minilm.")
    threads: int | None = Field(None, ge=1, le=256, description="CPU threads; unset, all cores.")


class IndexSettings(SettingsPart):
    """The search index."""

    engine: Literal["edge", "memory"] = Field(
        "edge", description="edge: Qdrant Edge in a process of its own; memory: exact, in this process, for tests."
    )


class RetrievalSettings(SettingsPart):
    """How passages are found."""

    limit: int = Field(8, ge=1, le=100, description="Passages returned, unless the question says otherwise.")
    candidates: int = Field(50, ge=1, le=1000, description="Chunks taken from each leg before fusion.")
    fusion: Literal["convex", "rrf"] = Field("convex", description="How both legs become one ranking.")
    context_tokens: int = Field(3000, ge=64, description="Tokens of passages handed to the answerer, at most.")
    max_question_chars: int = Field(4000, ge=1, le=100_000, description="Characters of a question, at most.")


class AnswerSettings(SettingsPart):
    """Who writes the answer."""

    provider: Literal["extractive", "openai", "anthropic", "auto"] = Field(
        "extractive",
        description="extractive needs no key; openai is any OpenAI-compatible server; auto is one on this machine.",
    )
    model: str | None = Field(None, description="Model name, for openai and anthropic.")
    base_url: str | None = Field(None, description="Base URL of the model server, if not the vendor's own.")
    api_key: SecretStr | None = Field(None, description="Key for the model server.")
    local_ports: Annotated[tuple[int, ...], NoDecode] = Field(
        (11434, 8080, 1234, 8000), description="Ports of loopback where model servers are looked for; 0: nowhere."
    )
    max_tokens: int = Field(800, ge=16, description="Tokens of an answer, at most.")
    first_token_s: float = Field(10.0, gt=0, description="Seconds to wait for the first token before falling back.")
    total_s: float = Field(60.0, gt=0, description="Seconds for the whole answer before falling back.")
    repair: Repair = Field("off", description="What happens to a sentence that its source contradicts.")

    @model_validator(mode="before")
    @classmethod
    def _split_ports(cls, values: object) -> object:
        return split(values, "local_ports")

    @field_validator("local_ports")
    @classmethod
    def _are_ports(cls, ports: tuple[int, ...]) -> tuple[int, ...]:
        if any(not 0 <= port <= 65535 for port in ports):
            raise ValueError("needs ports from 0 to 65535, separated by commas")
        return tuple(port for port in ports if port)

    @model_validator(mode="after")
    def _a_model_is_named(self) -> AnswerSettings:
        if self.provider in {"openai", "anthropic"} and not self.model:
            raise ValueError(f"RAGSTONE_ANSWER__PROVIDER={self.provider} needs RAGSTONE_ANSWER__MODEL")
        return self


class ChatSettings(SettingsPart):
    """Conversations."""

    memory_exchanges: int = Field(3, ge=0, le=50, description="Past exchanges a question is understood with.")
    memory_tokens: int = Field(1000, ge=0, description="Tokens of past exchanges, at most.")


class LogSettings(SettingsPart):
    """Logs."""

    level: Literal["debug", "info", "warning", "error"] = Field("info", description="Least level written.")
    json_lines: bool | None = Field(None, description="JSON lines; unset, only where stderr is no terminal.")


class OutboundSettings(SettingsPart):
    """Calls to URLs that tenants name, such as callbacks: they reach the public internet only."""

    allowed_hosts: Annotated[tuple[str, ...], NoDecode] = Field(
        (), description="Hosts with port that may be called though they are private, separated by commas."
    )

    @model_validator(mode="before")
    @classmethod
    def _split_hosts(cls, values: object) -> object:
        return split(values, "allowed_hosts")

    @model_validator(mode="after")
    def _hosts_have_ports(self) -> OutboundSettings:
        for host in self.allowed_hosts:
            if not re.fullmatch(r"([a-z0-9._-]+|\[[0-9a-f:.]+\]):[0-9]{1,5}", host):
                raise ValueError(f"{host!r} is no host with port, such as hooks.intranet.example:8443")
        return self


class InterceptorDefaults(ChatCollection, InterceptorSettings):
    """The interceptor under /v1, for tenants that have not set it up themselves."""

    @model_validator(mode="before")
    @classmethod
    def _split_models(cls, values: object) -> object:
        return split(values, "plain_models")


class LibreChatDefaults(LibreChatSettings):
    """A LibreChat that keeps its files here: RAG_API_URL=http://…/librechat."""

    tenant: CollectionName = Field(DEFAULT_TENANT, description="Tenant its files belong to.")
    collection: CollectionName = Field("librechat", description="Collection its files are kept in.")
    upload_root: Path | None = Field(None, description="Folder that POST /local/embed may read; unset, it reads none.")


class VectorizeSettings(Pipeline):
    """A Vectorize.io pipeline that the default tenant's questions are looked up in."""

    token: ServerKey | None = Field(None, description="API access token; with it, the pipeline is used.")
    mode: Literal["alone", "fused"] = Field("alone", description="alone, or fused with the index of this installation.")
    floor: float = Field(0.3, ge=0, le=1, description="Passages that score less are left out.")
    timeout_s: float = Field(5.0, gt=0, le=60, description="Seconds for one retrieval.")


class UpstreamSettings(SettingsPart):
    """Calls to other servers: models, pipelines, and those that chats are passed on to."""

    connect_s: float = Field(5.0, gt=0, description="Seconds to connect.")
    first_byte_s: float = Field(120.0, gt=0, description="Seconds until an answer begins.")
    idle_s: float = Field(120.0, gt=0, description="Seconds between two pieces of an answer.")
    total_s: float = Field(900.0, gt=0, description="Seconds for a whole answer.")
    attempts: int = Field(3, ge=1, le=10, description="Times a call is tried, before its first byte only.")
    retry_budget: float = Field(0.1, ge=0, le=1, description="Retries for each call, on average, at most.")
    failure_rate: float = Field(0.5, gt=0, le=1, description="Share of failed calls that opens the circuit.")
    open_s: float = Field(5.0, gt=0, description="Seconds an open circuit waits before it lets one call through.")
    max_calls: int = Field(1000, ge=1, description="Calls to one server at once.")
    max_calls_per_tenant: int = Field(500, ge=1, description="Of these, of one tenant.")
    queue_s: float = Field(1.0, ge=0, description="Seconds a call waits for a place before it is refused.")


class PrivacyDefaults(PrivacySettings):
    """Personal data: e-mail addresses, telephone numbers, IBANs, cards and IP addresses. Logs never show any."""

    patterns: dict[str, str] = Field({}, description='More to hide, as JSON: {"name": "regular expression"}.')


class TelemetrySettings(SettingsPart):
    """Traces, and the table of recent failures."""

    otlp_endpoint: str | None = Field(
        None, description="Where traces go, such as http://127.0.0.1:4318; needs the extra `otel`."
    )
    service_name: str = Field("ragstone", description="What traces call this process.")
    max_failures: int = Field(10_000, ge=100, description="Recent failures kept for `ragstone operate errors`.")


class Settings(BaseSettings):
    """The root of the tree."""

    model_config = SettingsConfigDict(
        env_prefix=PREFIX,
        env_nested_delimiter="__",
        env_file=".env",
        env_ignore_empty=True,
        extra="ignore",
        frozen=True,
    )

    profile: Literal["development", "staging", "production"] = Field(
        "development", description="Where this runs; later checks are stricter in production."
    )
    data_dir: Path = Field(Path("data"), description="Folder for everything Ragstone keeps.")
    secret_key: Annotated[SecretStr | None, AfterValidator(long_enough)] = Field(
        None, description="At least 32 characters that keys are hashed with; unset, made once in the data directory."
    )
    server: ServerSettings = ServerSettings()
    database: DatabaseSettings = DatabaseSettings()
    redis: RedisSettings = RedisSettings()
    accounts: AccountSettings = AccountSettings()
    parser: ParserSettings = ParserSettings()
    ingestion: IngestionSettings = IngestionSettings()
    embedding: EmbeddingSettings = EmbeddingSettings()
    index: IndexSettings = IndexSettings()
    retrieval: RetrievalSettings = RetrievalSettings()
    answer: AnswerSettings = AnswerSettings()
    chat: ChatSettings = ChatSettings()
    outbound: OutboundSettings = OutboundSettings()
    interceptor: InterceptorDefaults = InterceptorDefaults()
    librechat: LibreChatDefaults = LibreChatDefaults()
    vectorize: VectorizeSettings = VectorizeSettings()
    upstream: UpstreamSettings = UpstreamSettings()
    privacy: PrivacyDefaults = PrivacyDefaults()
    telemetry: TelemetrySettings = TelemetrySettings()
    log: LogSettings = LogSettings()


def tenant_defaults(settings: Settings, tenant: str) -> TenantSettings:
    """The settings of a tenant that has none of its own.

    The pipeline is the default tenant's, and the secret of the LibreChat that of the tenant
    its files belong to: other tenants get neither.
    """
    librechat = settings.librechat if tenant == settings.librechat.tenant else LibreChatSettings()
    return TenantSettings(
        knowledge=_knowledge(settings, tenant),
        interceptor=_part(InterceptorSettings, settings.interceptor),
        librechat=_part(LibreChatSettings, librechat),
        privacy=_part(PrivacySettings, settings.privacy),
    )


def _knowledge(settings: Settings, tenant: str) -> KnowledgeSettings:
    given, collection = settings.vectorize, settings.interceptor.collection
    if tenant != DEFAULT_TENANT or given.token is None or not given.is_named:
        return KnowledgeSettings(collection=collection)
    source: Literal["both", "pipeline"] = "both" if given.mode == "fused" else "pipeline"
    return KnowledgeSettings(
        collection=collection, source=source, pipeline=_part(Pipeline, given), pipeline_key=given.token
    )


def _part(kind: type[Part], group: SettingsPart) -> Part:
    """The fields of a part, of a group that has more."""
    return kind(**{name: getattr(group, name) for name in kind.model_fields})


class SettingsOverrides(TypedDict, total=False):
    """The settings as keywords, with their types; a group is an instance or a mapping."""

    profile: Literal["development", "staging", "production"]
    data_dir: Path | str
    secret_key: SecretStr | str | None
    server: ServerSettings | Mapping[str, object]
    database: DatabaseSettings | Mapping[str, object]
    redis: RedisSettings | Mapping[str, object]
    accounts: AccountSettings | Mapping[str, object]
    parser: ParserSettings | Mapping[str, object]
    ingestion: IngestionSettings | Mapping[str, object]
    embedding: EmbeddingSettings | Mapping[str, object]
    index: IndexSettings | Mapping[str, object]
    retrieval: RetrievalSettings | Mapping[str, object]
    answer: AnswerSettings | Mapping[str, object]
    chat: ChatSettings | Mapping[str, object]
    outbound: OutboundSettings | Mapping[str, object]
    interceptor: InterceptorDefaults | Mapping[str, object]
    librechat: LibreChatDefaults | Mapping[str, object]
    vectorize: VectorizeSettings | Mapping[str, object]
    upstream: UpstreamSettings | Mapping[str, object]
    privacy: PrivacyDefaults | Mapping[str, object]
    telemetry: TelemetrySettings | Mapping[str, object]
    log: LogSettings | Mapping[str, object]


def load_settings(**overrides: Unpack[SettingsOverrides]) -> Settings:
    """Settings from the environment and `.env`; `overrides` win over both.

    Raises:
        ConfigurationError: a value cannot be used, or a name is not known; the message says which.
    """
    unknown = [
        *(_unknown(name, Settings.model_fields) for name in overrides if name not in Settings.model_fields),
        *(_unknown(name, setting_variables()) for name in _unknown_variables()),
    ]
    if unknown:
        raise ConfigurationError(f"The settings cannot be used. {'; '.join(unknown)}.")
    try:
        return Settings(**overrides)
    except ValidationError as error:
        raise ConfigurationError(_sentence(error)) from error


def variable_name(path: tuple[str, ...]) -> str:
    """The environment variable of a setting: `("answer", "model")` is `RAGSTONE_ANSWER__MODEL`."""
    return PREFIX + "__".join(path).upper()


def setting_variables() -> list[str]:
    """The environment variable of every setting."""
    return [variable_name(path) for path, _ in _settings()]


def _unknown_variables() -> list[str]:
    """Variables with the prefix that set something, and are neither a setting nor `NOT_SETTINGS`."""
    given = {name.upper() for source in (dotenv_values(".env"), os.environ) for name, value in source.items() if value}
    names = {name for name in given if name.startswith(PREFIX)}
    known = {*setting_variables(), *map(variable_name, ((name,) for name in Settings.model_fields))}
    entries = tuple(f"{variable_name(path)}__" for path, field in _settings() if get_origin(field.annotation) is dict)
    return sorted(
        name
        for name in names - known - NOT_SETTINGS
        if not name.startswith((*entries, TEST_PREFIX)) and not _MODEL_KEY.fullmatch(name)
    )


def _unknown(name: str, known: Iterable[str]) -> str:
    nearest = difflib.get_close_matches(name, list(known), n=1, cutoff=0)
    return f"{name}: is not a setting; did you mean {nearest[0]}?"


def _sentence(error: ValidationError) -> str:
    problems = []
    for item in error.errors(include_url=False, include_input=False, include_context=False):
        path = tuple(str(part) for part in item["loc"])
        text = item["msg"].removeprefix("Value error, ")
        if item["type"] == "extra_forbidden":
            problems.append(_unknown(variable_name(path), setting_variables()))
        else:
            problems.append(f"{variable_name(path)}: {text}" if path else text)
    return "The settings cannot be used. " + "; ".join(problems) + "."


def _settings() -> Iterator[tuple[tuple[str, ...], FieldInfo]]:
    """Each setting with its path."""
    for name, field in Settings.model_fields.items():
        group = field.annotation
        if isinstance(group, type) and issubclass(group, SettingsPart):
            yield from (((name, inner), setting) for inner, setting in group.model_fields.items())
        else:
            yield (name,), field


def env_example() -> str:
    """The text of `.env.example`: each setting with its default, commented out."""
    lines = ["# Settings of Ragstone. Uncomment what you change; the values shown are the defaults."]
    for name, field in Settings.model_fields.items():
        group = field.annotation
        if isinstance(group, type) and issubclass(group, SettingsPart):
            lines += ["", f"# --- {(group.__doc__ or '').strip()}"]
            for inner, setting in group.model_fields.items():
                lines += _example((name, inner), setting)
        else:
            lines += ["", *_example((name,), field)]
    return "\n".join(lines) + "\n"


def settings_page() -> str:
    """The text of docs/settings.md: the settings of a tenant, then every variable."""
    lines = [
        "# Settings",
        "",
        "This page is generated from the code. A tenant's settings are set with `ragstone interceptor set NAME=VALUE`",
        "or `PUT /api/interceptor` ([interceptor](interceptor.md#setting-it-up)); variables are the installation's.",
        "",
        "## Settings of a tenant",
        "",
        "| name | default | bounds | meaning |",
        "|---|---|---|---|",
    ]
    lines += [_row(name, _shown(each.info), each.bounds, each.info.description) for name, each in SETTINGS.items()]
    lines += ["", "Keys, which are stored sealed and never shown:", "", "| name | meaning |", "|---|---|"]
    lines += [_row(name, each.info.description) for name, each in KEYS.items()]
    lines += ["", "## Environment variables", "", "| variable | default | meaning |", "|---|---|---|"]
    lines += [_row(f"`{variable_name(path)}`", _shown(field), field.description) for path, field in _settings()]
    return "\n".join(lines) + "\n"


def _row(*cells: object) -> str:
    return "| " + " | ".join(str(cell).replace("|", "\\|") for cell in cells) + " |"


def _example(path: tuple[str, ...], field: FieldInfo) -> list[str]:
    return [f"# {field.description}", f"#{variable_name(path)}={_shown(field)}"]


def _shown(field: FieldInfo) -> str:
    default = field.default
    if isinstance(default, tuple):
        return ",".join(map(str, default))
    return "" if default is None or default in ({}, []) else str(default)


__all__ = [
    "LOOPBACK_HOSTS",
    "RedisSettings",
    "ServerSettings",
    "Settings",
    "env_example",
    "load_settings",
    "variable_name",
]
