"""What reaches out of the process, or is reached from other programs: interceptor, LibreChat, pipelines, upstreams."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, Field, SecretStr, model_validator
from pydantic_settings import NoDecode

from ragstone.settings.base import Group, long_enough_for_a_token, split
from ragstone.vocabulary import COLLECTION_PATTERN


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
