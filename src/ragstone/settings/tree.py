"""The root of the tree, and how it is read."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

from pydantic import AfterValidator, Field, SecretStr, ValidationError
from pydantic.fields import FieldInfo
from pydantic_settings import BaseSettings, SettingsConfigDict

from ragstone.errors import ConfigurationError
from ragstone.settings.base import Group, long_enough
from ragstone.settings.outside import (
    InterceptorSettings,
    LibreChatSettings,
    OutboundSettings,
    PrivacySettings,
    TelemetrySettings,
    UpstreamSettings,
    VectorizeSettings,
)
from ragstone.settings.parts import (
    AccountSettings,
    AnswerSettings,
    ChatSettings,
    DatabaseSettings,
    EmbeddingSettings,
    IndexSettings,
    IngestionSettings,
    LogSettings,
    ParserSettings,
    RedisSettings,
    RetrievalSettings,
    ServerSettings,
)


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
