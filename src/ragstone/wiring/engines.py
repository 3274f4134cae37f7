"""Selects the adapter of each port from the settings: one `match` per port."""

from __future__ import annotations

import asyncio
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, assert_never
from urllib.parse import urlsplit

from ragstone.billing.plans import ModelEntry
from ragstone.chat.ask import ModelFactory
from ragstone.documents.base import ParserLimits
from ragstone.documents.chunking import ChunkingOptions
from ragstone.documents.parser import SandboxedParser
from ragstone.embedding.base import Embedder
from ragstone.index.base import Index
from ragstone.ingestion.parts import IngestionOptions
from ragstone.llm.base import LanguageModel
from ragstone.llm.guarded import GuardedModel
from ragstone.resilience.upstream_policy import UpstreamPolicies
from ragstone.retrieval.base import RetrievalOptions
from ragstone.settings import AnswerSettings, Settings
from ragstone.telemetry.tracing import bound_tenant

if TYPE_CHECKING:
    from ragstone.inference.judge import PairJudge
    from ragstone.inference.matching import TokenMatcher

PATIENCE = 0.9  # share of the time to the first token after which a model counts as hanging


async def open_embedder(settings: Settings, folder: Path) -> Embedder:
    """The embedding model, loaded; `folder` is the data directory.

    Raises:
        ModelFileError: weights are missing or altered.
    """
    match settings.embedding.model:
        case "minilm":
            from ragstone.embedding.minilm import MiniLMEmbedder

            return await asyncio.to_thread(
                MiniLMEmbedder.load,
                settings.embedding.model_folder,
                threads=settings.embedding.threads,
            )
        case "hashing":
            from ragstone.embedding.hashing import HashingEmbedder

            return HashingEmbedder()
        case unknown:
            assert_never(unknown)


async def open_judge(settings: Settings) -> PairJudge | None:
    """The model that judges pairs of texts, loaded; None beside an embedder that needs no model.

    Raises:
        ModelFileError: weights are missing or altered.
    """
    match settings.embedding.model:
        case "minilm":
            from ragstone.inference.judge import PairJudge

            return await asyncio.to_thread(
                PairJudge.load, settings.embedding.model_folder, threads=settings.embedding.threads
            )
        case "hashing":
            return None
        case unknown:
            assert_never(unknown)


def matcher_of(settings: Settings, embedder: Embedder) -> TokenMatcher | None:
    """The model that matches the words of a question, with the embedder's session; None beside another embedder."""
    match settings.embedding.model:
        case "minilm":
            from ragstone.embedding.minilm import MiniLMEmbedder

            return embedder.matcher() if isinstance(embedder, MiniLMEmbedder) else None
        case "hashing":
            return None
        case unknown:
            assert_never(unknown)


async def open_index(settings: Settings, folder: Path, embedder: Embedder, *, recreate: bool = False) -> Index:
    """The search index, connected; its process is started if none is running.

    With `recreate` it is emptied, which also works if the old one cannot be opened.

    Raises:
        IndexUnavailable: the index does not start.
    """
    match settings.index.engine:
        case "edge":
            from ragstone.index.qdrant_edge.index import EdgeIndex

            return await EdgeIndex.connect(
                folder / "index", dimensions=embedder.dimensions, embedder=embedder.name, recreate=recreate
            )
        case "memory":
            from ragstone.index.memory import MemoryIndex

            return MemoryIndex(embedder.dimensions)
        case unknown:
            assert_never(unknown)


def language_model(settings: Settings, answer: AnswerSettings, guards: UpstreamPolicies) -> LanguageModel | None:
    """The model of `answer` with the policy of its server; None if answers are extractive.

    `answer` are the settings in force, in which `auto` has become a model (`wiring.local_model`).
    """
    if answer.provider == "auto":
        return None
    key = answer.api_key.get_secret_value() if answer.api_key else None
    entry = ModelEntry(
        id=answer.model or "", provider=answer.provider, model=answer.model or "", base_url=answer.base_url
    )
    return _opened(entry, key, settings, guards)


def _guarded(model: LanguageModel, guards: UpstreamPolicies, settings: Settings, base_url: str) -> LanguageModel:
    """The model with the policy of its server, which all models of that server share."""
    guard = guards.guard(urlsplit(base_url).netloc)
    # A generator gives up after `first_token_s`; the policy has to count a hanging server as failed before that.
    return GuardedModel(model, guard, tenant=bound_tenant, patience_s=PATIENCE * settings.answer.first_token_s)


def plan_models(settings: Settings, guards: UpstreamPolicies) -> ModelFactory:
    """A factory of the models that plans name; they report usage under their id in the price list."""
    return partial(_opened, settings=settings, guards=guards)


def _opened(entry: ModelEntry, key: str | None, settings: Settings, guards: UpstreamPolicies) -> LanguageModel | None:
    timeout_s = settings.answer.total_s
    match entry.provider:
        case "extractive":
            return None
        case "openai":
            from ragstone.llm.openai import OPENAI_URL, OpenAIModel

            openai = OpenAIModel(entry.model, api_key=key, base_url=entry.base_url, timeout_s=timeout_s, name=entry.id)
            return _guarded(openai, guards, settings, entry.base_url or OPENAI_URL)
        case "anthropic":
            from ragstone.llm.anthropic import ANTHROPIC_URL, AnthropicModel

            claude = AnthropicModel(
                entry.model, api_key=key, base_url=entry.base_url, timeout_s=timeout_s, name=entry.id
            )
            return _guarded(claude, guards, settings, entry.base_url or ANTHROPIC_URL)
        case unknown:
            assert_never(unknown)


def sandboxed_parser(settings: Settings) -> SandboxedParser:
    """The parser, with its limits."""
    limits = settings.parser.model_dump(exclude={"processes"})
    return SandboxedParser(ParserLimits(**limits), processes=settings.parser.processes)


def ingestion_options(settings: Settings) -> IngestionOptions:
    """The options of ingestion."""
    ingestion = settings.ingestion
    return IngestionOptions(
        chunking=ChunkingOptions(max_tokens=ingestion.max_tokens, overlap_tokens=ingestion.overlap_tokens),
        max_file_bytes=ingestion.max_file_bytes,
        lease_s=ingestion.lease_s,
    )


def retrieval_options(settings: Settings) -> RetrievalOptions:
    """The options of retrieval."""
    retrieval = settings.retrieval
    return RetrievalOptions(
        candidates=retrieval.candidates,
        fusion=retrieval.fusion,
        max_question_chars=retrieval.max_question_chars,
    )
