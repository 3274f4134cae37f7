"""Every setting, in one typed tree. Read at the door only: `cli`, `app`, `worker`, `wiring`.

An environment variable is `RAGSTONE_`, then the path with two underscores between
levels: `RAGSTONE_ANSWER__MODEL`. A `.env` file in the working directory is read too;
real environment variables win. Each group mirrors the options of the part it is for.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import (
    AfterValidator,
    BaseModel,
    ConfigDict,
    Field,
    SecretStr,
    ValidationError,
    field_validator,
    model_validator,
)
from pydantic.fields import FieldInfo
from pydantic_settings import BaseSettings, NoDecode, SettingsConfigDict

from ragstone.errors import ConfigurationError
from ragstone.resilience.destinations import LOOPBACK_HOSTS
from ragstone.vocabulary import COLLECTION_PATTERN


def long_enough(secret: SecretStr | None) -> SecretStr | None:
    """A secret of this installation. Raises: ValueError."""
    if secret is not None and len(secret.get_secret_value()) < 32:
        raise ValueError("needs at least 32 characters; make some with `openssl rand -hex 32`")
    return secret


def long_enough_for_a_token(secret: SecretStr | None) -> SecretStr | None:
    """A secret that another program made. Raises: ValueError."""
    if secret is not None and len(secret.get_secret_value().strip()) < 16:
        raise ValueError("needs at least 16 characters; it is the JWT_SECRET of LibreChat's own .env")
    return secret


def split(values: object, name: str) -> object:
    """A setting of several parts, from one text with commas."""
    if isinstance(values, dict) and isinstance(text := values.get(name), str):
        return {**values, name: tuple(part.strip() for part in text.split(",") if part.strip())}
    return values


class Group(BaseModel):
    """A branch of the tree: unknown names are refused, so that a typing error shows."""

    model_config = ConfigDict(extra="forbid", frozen=True)


_ORIGIN = re.compile(r"https?://[a-z0-9.-]+(:[0-9]{1,5})?/?")


class ServerSettings(Group):
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


class DatabaseSettings(Group):
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


class RedisSettings(Group):
    """Redis, for limits and caches shared by several servers; everything works without."""

    url: SecretStr | None = Field(None, description="redis://:password@host:6379/0; unset, memory of each process.")
    timeout_s: float = Field(0.05, gt=0, description="Seconds to wait for Redis before doing without it.")


class AccountSettings(Group):
    """People, sessions and keys."""

    session_idle_s: float = Field(1800, gt=0, description="Seconds after which an unused session ends.")
    session_max_s: float = Field(43_200, gt=0, description="Seconds after which every session ends.")
    logins_per_minute: int = Field(5, ge=1, description="Failed logins a minute for one account and address.")
    logins_per_hour: int = Field(100, ge=1, description="Failed logins an hour for one account.")


class ParserSettings(Group):
    """Limits of one parse; reaching one ends that parse and nothing else."""

    processes: int = Field(2, ge=1, le=64, description="Parser processes kept warm.")
    max_memory_bytes: int = Field(1 << 30, ge=256 << 20, description="Memory of one parser process, in bytes.")
    max_cpu_s: float = Field(60.0, gt=0, description="CPU seconds for one file.")
    max_wall_s: float = Field(90.0, gt=0, description="Seconds for one file.")
    max_expanded_bytes: int = Field(256 << 20, ge=1 << 20, description="Decompressed size of one archive, in bytes.")
    max_archive_entries: int = Field(10_000, ge=1, description="Entries of one archive (DOCX, XLSX, EPUB, …).")
    max_pages: int = Field(5_000, ge=1, description="Pages of one document.")
    max_text_chars: int = Field(50_000_000, ge=1, description="Characters of one document's text.")


class IngestionSettings(Group):
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


class EmbeddingSettings(Group):
    """The embedding model."""

    model: Literal["minilm", "hashing"] = Field(
        "minilm", description="minilm: all-MiniLM-L6-v2; hashing: no model at all, for tests."
    )
    model_folder: Path | None = Field(None, description="Folder with the files of the package ragstone-minilm.")
    threads: int | None = Field(None, ge=1, le=256, description="CPU threads; unset, all cores.")


class IndexSettings(Group):
    """The search index."""

    engine: Literal["edge", "memory"] = Field(
        "edge", description="edge: Qdrant Edge in a process of its own; memory: exact, in this process, for tests."
    )


class RetrievalSettings(Group):
    """How passages are found."""

    limit: int = Field(8, ge=1, le=100, description="Passages returned, unless the question says otherwise.")
    candidates: int = Field(50, ge=1, le=1000, description="Chunks taken from each leg before fusion.")
    fusion: Literal["convex", "rrf"] = Field("convex", description="How both legs become one ranking.")
    context_tokens: int = Field(3000, ge=64, description="Tokens of passages handed to the answerer, at most.")
    max_question_chars: int = Field(4000, ge=1, le=100_000, description="Characters of a question, at most.")


class AnswerSettings(Group):
    """Who writes the answer."""

    provider: Literal["extractive", "openai", "anthropic"] = Field(
        "extractive", description="extractive needs no key; openai is any OpenAI-compatible server."
    )
    model: str | None = Field(None, description="Model name, for openai and anthropic.")
    base_url: str | None = Field(None, description="Base URL of the model server, if not the vendor's own.")
    api_key: SecretStr | None = Field(None, description="Key for the model server.")
    max_tokens: int = Field(800, ge=16, description="Tokens of an answer, at most.")
    first_token_s: float = Field(10.0, gt=0, description="Seconds to wait for the first token before falling back.")
    total_s: float = Field(60.0, gt=0, description="Seconds for the whole answer before falling back.")

    @model_validator(mode="after")
    def _a_model_is_named(self) -> AnswerSettings:
        if self.provider != "extractive" and not self.model:
            raise ValueError(f"RAGSTONE_ANSWER__PROVIDER={self.provider} needs RAGSTONE_ANSWER__MODEL")
        return self


class ChatSettings(Group):
    """Conversations."""

    memory_exchanges: int = Field(3, ge=0, le=50, description="Past exchanges a question is understood with.")
    memory_tokens: int = Field(1000, ge=0, description="Tokens of past exchanges, at most.")


class LogSettings(Group):
    """Logs."""

    level: Literal["debug", "info", "warning", "error"] = Field("info", description="Least level written.")
    json_lines: bool | None = Field(None, description="JSON lines; unset, only where stderr is no terminal.")


class OutboundSettings(Group):
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


class InterceptorSettings(Group):
    """The interceptor under /v1, for tenants that have not set it up themselves."""

    enabled: bool = Field(True, description="Off, every chat is passed on as it is.")
    rollout_percent: int = Field(100, ge=0, le=100, description="Share of conversations that are enriched.")
    collection: str = Field("default", pattern=COLLECTION_PATTERN, description="Collection chats are answered from.")
    limit: int = Field(8, ge=1, le=50, description="Passages given to the model, at most.")
    context_tokens: int = Field(3000, ge=64, description="Tokens of passages given to the model, at most.")
    budget_s: float = Field(0.8, gt=0, le=5, description="Seconds for retrieval; then the chat goes on without.")
    source_list: bool = Field(True, description="End answers with a list of the sources they cite.")
    streams_only: bool = Field(False, description="Enrich streamed chats only.")
    upstream_url: str | None = Field(
        None, description="Base URL of an OpenAI-compatible server, such as https://api.openai.com/v1."
    )
    upstream_key: SecretStr | None = Field(None, description="Key for that server.")
    anthropic_url: str | None = Field(None, description="Base URL of an Anthropic-compatible server, without /v1.")
    anthropic_key: SecretStr | None = Field(None, description="Key for that server.")
    models: dict[str, str] = Field(
        {}, description='Models offered, as JSON: {"name here": "name upstream"}; empty, all that upstream offers.'
    )
    plain_models: Annotated[tuple[str, ...], NoDecode] = Field(
        (), description="Models that are never enriched, separated by commas, such as one for titles."
    )
    context_window: int = Field(
        128_000, ge=1024, description="Tokens a model reads, where that is not known: a chat is never made longer."
    )

    @model_validator(mode="before")
    @classmethod
    def _split_models(cls, values: object) -> object:
        return split(values, "plain_models")


class LibreChatSettings(Group):
    """A LibreChat that keeps its files here: RAG_API_URL=http://…/librechat."""

    jwt_secret: Annotated[SecretStr | None, AfterValidator(long_enough_for_a_token)] = Field(
        None, description="The JWT_SECRET of that LibreChat; unset, there is nothing under /librechat."
    )
    tenant: str = Field("default", pattern=COLLECTION_PATTERN, description="Tenant its files belong to.")
    collection: str = Field("librechat", pattern=COLLECTION_PATTERN, description="Collection its files are kept in.")
    upload_root: Path | None = Field(None, description="Folder that POST /local/embed may read; unset, it reads none.")


class VectorizeSettings(Group):
    """A Vectorize.io pipeline that the default tenant's questions are looked up in."""

    organization: str | None = Field(None, description="Organisation id; with the pipeline id and token, it is used.")
    pipeline: str | None = Field(None, description="Pipeline id.")
    token: SecretStr | None = Field(None, description="API access token.")
    url: str | None = Field(None, description="Full retrieval URL instead, such as that of an older gateway.")
    mode: Literal["alone", "fused"] = Field("alone", description="alone, or fused with the index of this installation.")
    rerank: bool = Field(False, description="Let the pipeline rerank; counts against a quota of its own.")
    filters: list[dict[str, Any]] = Field([], description='Metadata filters, as JSON: [{"department": ["eng"]}].')
    floor: float = Field(0.3, ge=0, le=1, description="Passages that score less are left out.")
    timeout_s: float = Field(5.0, gt=0, le=60, description="Seconds for one retrieval.")


class UpstreamSettings(Group):
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


class PrivacySettings(Group):
    """Personal data: e-mail addresses, telephone numbers, IBANs, cards and IP addresses. Logs never show any."""

    patterns: dict[str, str] = Field({}, description='More to hide, as JSON: {"name": "regular expression"}.')
    mask_context: bool = Field(False, description="Hide them in passages that are given to a model upstream.")
    mask_answers: bool = Field(False, description="Hide them in answers.")


class TelemetrySettings(Group):
    """Traces, and the table of recent failures."""

    otlp_endpoint: str | None = Field(
        None, description="Where traces go, such as http://127.0.0.1:4318; needs the extra `otel`."
    )
    service_name: str = Field("ragstone", description="What traces call this process.")
    max_failures: int = Field(10_000, ge=100, description="Recent failures kept for `ragstone operate errors`.")


class Settings(BaseSettings):
    """The root of the tree."""

    model_config = SettingsConfigDict(
        env_prefix="RAGSTONE_",
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
    interceptor: InterceptorSettings = InterceptorSettings()
    librechat: LibreChatSettings = LibreChatSettings()
    vectorize: VectorizeSettings = VectorizeSettings()
    upstream: UpstreamSettings = UpstreamSettings()
    privacy: PrivacySettings = PrivacySettings()
    telemetry: TelemetrySettings = TelemetrySettings()
    log: LogSettings = LogSettings()


def load_settings(**overrides: object) -> Settings:
    """Settings from the environment; `overrides` win over it.

    Raises:
        ConfigurationError: a value cannot be used; the message names its variable.
    """
    try:
        return Settings(**overrides)  # type: ignore[arg-type]  # pydantic checks the values
    except ValidationError as error:
        raise ConfigurationError(_sentence(error)) from error


def variable_name(path: tuple[str, ...]) -> str:
    """The environment variable of a setting: `("answer", "model")` is `RAGSTONE_ANSWER__MODEL`."""
    return "RAGSTONE_" + "__".join(path).upper()


def _sentence(error: ValidationError) -> str:
    problems = []
    for item in error.errors(include_url=False, include_input=False, include_context=False):
        path = tuple(str(part) for part in item["loc"])
        text = item["msg"].removeprefix("Value error, ")
        problems.append(f"{variable_name(path)}: {text}" if path else text)
    return "The settings cannot be used. " + "; ".join(problems) + "."


def env_example() -> str:
    """The text of `.env.example`: each setting with its default, commented out."""
    lines = ["# Settings of Ragstone. Uncomment what you change; the values shown are the defaults."]
    for name, field in Settings.model_fields.items():
        group = field.annotation
        if isinstance(group, type) and issubclass(group, Group):
            lines += ["", f"# --- {(group.__doc__ or '').strip()}"]
            for inner, setting in group.model_fields.items():
                lines += _example((name, inner), setting)
        else:
            lines += ["", *_example((name,), field)]
    return "\n".join(lines) + "\n"


def _example(path: tuple[str, ...], field: FieldInfo) -> list[str]:
    default = field.default
    shown = "" if default is None or default in ((), {}, []) else str(default)
    return [f"# {field.description}", f"#{variable_name(path)}={shown}"]


__all__ = [
    "LOOPBACK_HOSTS",
    "RedisSettings",
    "ServerSettings",
    "Settings",
    "env_example",
    "load_settings",
    "variable_name",
]
