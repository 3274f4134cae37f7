"""Which adapter stands behind each port: one `match` a port, and nowhere else."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import assert_never

from ragstone.accounts.plans import ModelEntry
from ragstone.chat.models import ModelFactory
from ragstone.documents.base import ParserLimits
from ragstone.documents.chunking import ChunkingOptions
from ragstone.documents.parsing import SandboxedParser
from ragstone.embedding.base import Embedder
from ragstone.index.base import Index
from ragstone.ingestion.ingest import IngestionOptions
from ragstone.llm.base import LanguageModel
from ragstone.retrieval.retrieve import RetrievalOptions
from ragstone.settings import Settings


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


async def open_index(settings: Settings, folder: Path, embedder: Embedder, *, recreate: bool = False) -> Index:
    """The search index, connected; the process it lives in is started if none runs.

    With `recreate` it is emptied, which also works where the old one cannot be opened.

    Raises:
        IndexUnavailable: it does not come up.
    """
    match settings.index.engine:
        case "edge":
            from ragstone.index.qdrant_edge import EdgeIndex

            return await EdgeIndex.connect(
                folder / "index", dimensions=embedder.dimensions, embedder=embedder.name, recreate=recreate
            )
        case "memory":
            from ragstone.index.memory import MemoryIndex

            return MemoryIndex(embedder.dimensions)
        case unknown:
            assert_never(unknown)


def language_model(settings: Settings) -> LanguageModel | None:
    """The model of the settings; None where answers are extractive."""
    answer = settings.answer
    key = answer.api_key.get_secret_value() if answer.api_key else None
    match answer.provider:
        case "extractive":
            return None
        case "openai":
            from ragstone.llm.openai import OpenAIModel

            return OpenAIModel(answer.model or "", api_key=key, base_url=answer.base_url, timeout_s=answer.total_s)
        case "anthropic":
            from ragstone.llm.anthropic import AnthropicModel

            return AnthropicModel(answer.model or "", api_key=key, base_url=answer.base_url, timeout_s=answer.total_s)
        case unknown:
            assert_never(unknown)


def plan_models(settings: Settings) -> ModelFactory:
    """Opens the models that plans name; they report usage under their id in the price list."""

    def opened(entry: ModelEntry, key: str | None) -> LanguageModel | None:
        timeout_s = settings.answer.total_s
        match entry.provider:
            case "extractive":
                return None
            case "openai":
                from ragstone.llm.openai import OpenAIModel

                return OpenAIModel(
                    entry.model, api_key=key, base_url=entry.base_url, timeout_s=timeout_s, name=entry.id
                )
            case "anthropic":
                from ragstone.llm.anthropic import AnthropicModel

                return AnthropicModel(
                    entry.model, api_key=key, base_url=entry.base_url, timeout_s=timeout_s, name=entry.id
                )
            case unknown:
                assert_never(unknown)

    return opened


def sandboxed_parser(settings: Settings) -> SandboxedParser:
    """The parser, with its limits."""
    limits = settings.parser.model_dump(exclude={"processes"})
    return SandboxedParser(ParserLimits(**limits), processes=settings.parser.processes)


def ingestion_options(settings: Settings) -> IngestionOptions:
    """How documents come in."""
    ingestion = settings.ingestion
    return IngestionOptions(
        chunking=ChunkingOptions(max_tokens=ingestion.max_tokens, overlap_tokens=ingestion.overlap_tokens),
        max_file_bytes=ingestion.max_file_bytes,
        lease_s=ingestion.lease_s,
    )


def retrieval_options(settings: Settings) -> RetrievalOptions:
    """How passages are found."""
    retrieval = settings.retrieval
    return RetrievalOptions(
        candidates=retrieval.candidates,
        fusion=retrieval.fusion,
        context_tokens=retrieval.context_tokens,
        max_question_chars=retrieval.max_question_chars,
    )
