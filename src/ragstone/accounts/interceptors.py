"""The interceptor of a tenant: whether and how its chats are enriched, and where they go on to."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from ragstone.vocabulary import DEFAULT_COLLECTION

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
    that of an Anthropic-compatible one (without `/v1`); without them our own answerer
    is the model. `knowledge` says where passages come from.
    """

    enabled: bool = True
    rollout_percent: int = 100
    collection: str = DEFAULT_COLLECTION
    limit: int = 8
    context_tokens: int = 3000
    context_window: int = 32_000
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
