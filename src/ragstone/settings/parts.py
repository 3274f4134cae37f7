"""The parts of the platform: server, records, documents, retrieval, answers."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field, SecretStr, field_validator, model_validator
from pydantic_settings import NoDecode

from ragstone.settings.base import Group, split

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
    model_folder: Path | None = Field(None, description="Folder with model.safetensors and tokenizer.json.")
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
