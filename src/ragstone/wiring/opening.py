"""Settings become an open platform, and close again in reverse order."""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Unpack

import structlog

from ragstone.chat.ask import Chat, ChatOptions, ChatParts, ModelChain
from ragstone.chat.conversations import Conversations, MemoryOptions
from ragstone.chat.feedback import FeedbackStore
from ragstone.documents.parser import SandboxedParser
from ragstone.embedding.base import Embedder
from ragstone.generation.answer import AnswerOptions, Generator
from ragstone.generation.base import Answerer
from ragstone.generation.extractive import ExtractiveAnswerer
from ragstone.generation.prompted import PromptedAnswerer
from ragstone.index.base import Index
from ragstone.ingestion.parts import IngestionParts
from ragstone.ingestion.service import Ingestion
from ragstone.ingestion.tenant_deletion import DeletionCheck, TenantDeletion
from ragstone.ingestion.webhooks import Webhooks
from ragstone.llm.base import LanguageModel
from ragstone.retrieval.base import Retriever
from ragstone.retrieval.cache import CachedRetriever
from ragstone.retrieval.retrieve import HybridRetriever
from ragstone.retrieval.vectorize.client import VectorizeClient
from ragstone.settings import Settings, SettingsOverrides, load_settings
from ragstone.storage.cache import Cache, MemoryCache, RedisCache, tenant_vectors
from ragstone.storage.library import Library
from ragstone.telemetry.logs import leave_logs_to_the_host
from ragstone.telemetry.metrics import Metrics
from ragstone.telemetry.redaction import Redactor
from ragstone.telemetry.tracing import configure_tracing
from ragstone.wiring.engines import (
    ingestion_options,
    language_model,
    open_embedder,
    open_index,
    plan_models,
    retrieval_options,
    sandboxed_parser,
)
from ragstone.wiring.infrastructure import Infrastructure, open_infrastructure, prepare_data_dir
from ragstone.wiring.knowledge import routed
from ragstone.wiring.platform import Platform

log = structlog.get_logger()


@asynccontextmanager
async def open_platform(
    settings: Settings | None = None, *, recreate_index: bool = False, **overrides: Unpack[SettingsOverrides]
) -> AsyncIterator[Platform]:
    """Open everything, hand it out, and close it in reverse order.

    Args:
        settings: Everything that can be set; read from the environment unless given.
        recreate_index: Begin with an empty index, for `rebuild`, even if the old one cannot be opened.
        overrides: Settings by name, where `settings` is not given: `open_platform(data_dir="./data")`.

    Raises:
        ConfigurationError: a setting, the data directory or the model needs mending.
    """
    leave_logs_to_the_host()
    settings = settings or load_settings(**overrides)
    folder = await asyncio.to_thread(prepare_data_dir, settings.data_dir)
    async with AsyncExitStack() as stack:
        foundation = await open_infrastructure(settings, folder, stack)
        _trace(settings, foundation.redactor, stack)
        platform = await _assemble(settings, folder, foundation, stack, recreate_index=recreate_index)
        if not recreate_index:
            await _look_after_index(platform)
        yield platform


def _trace(settings: Settings, redactor: Redactor, stack: AsyncExitStack) -> None:
    """Send the spans of this process to where the settings say, if they do."""
    given = settings.telemetry
    if given.otlp_endpoint:
        close = configure_tracing(given.otlp_endpoint, given.service_name, redactor=redactor)
        stack.push_async_callback(asyncio.to_thread, close)


async def _look_after_index(platform: Platform) -> None:
    """An index in memory is filled from SQL; one on disk that lacks something is reported."""
    if platform.settings.index.engine == "memory":
        await platform.ingestion.heal()
    elif missing := await platform.ingestion.missing_chunks():
        log.error("index.incomplete", missing_chunks=missing, mend="run `ragstone rebuild`, or start the server")


@dataclass(frozen=True, slots=True)
class _Engines:
    """What finds and makes: opened after the foundation, closed before it."""

    library: Library
    embedder: Embedder
    index: Index
    parser: SandboxedParser
    model: LanguageModel | None
    cache: Cache

    def count_tokens(self, text: str) -> int:
        """How many tokens the embedding model reads in `text`."""
        return len(self.embedder.token_offsets(text))


async def _open_engines(
    settings: Settings, folder: Path, base: Infrastructure, stack: AsyncExitStack, *, recreate_index: bool
) -> _Engines:
    embedder = await open_embedder(settings, folder)
    stack.push_async_callback(asyncio.to_thread, embedder.close)
    index = await open_index(settings, folder, embedder, recreate=recreate_index)
    stack.push_async_callback(index.close)
    parser = sandboxed_parser(settings)
    stack.push_async_callback(parser.close)
    model = language_model(settings, base.guards)
    if model:
        stack.push_async_callback(model.close)
    cache: Cache = RedisCache(base.redis) if base.redis else MemoryCache()
    return _Engines(Library(base.database, base.blobs), embedder, index, parser, model, cache)


async def _assemble(
    settings: Settings, folder: Path, base: Infrastructure, stack: AsyncExitStack, *, recreate_index: bool
) -> Platform:
    engines = await _open_engines(settings, folder, base, stack, recreate_index=recreate_index)
    ingestion_parts = _ingestion_parts(settings, base, engines)
    retriever = _retriever(settings, base, engines)
    conversations = Conversations(
        base.database,
        count_tokens=engines.count_tokens,
        options=MemoryOptions(max_exchanges=settings.chat.memory_exchanges, max_tokens=settings.chat.memory_tokens),
    )
    return Platform(
        settings=settings,
        database=base.database,
        blobs=base.blobs,
        library=engines.library,
        parser=engines.parser,
        embedder=engines.embedder,
        index=engines.index,
        ingestion=Ingestion(ingestion_parts),
        retriever=retriever,
        conversations=conversations,
        feedback=FeedbackStore(base.database),
        deliveries=Webhooks(base.database, base.accounts.secret, base.http, metrics=base.metrics),
        chat=_chat(settings, base, engines, retriever, conversations, stack),
        metrics=base.metrics,
        accounts=base.accounts,
        eraser=TenantDeletion(ingestion_parts, base.accounts.audit, changes=base.accounts.changes),
        remains=_remains(base, engines),
        cache=engines.cache,
        http=base.http,
        guards=base.guards,
        failures=base.failures,
        redactor=base.redactor,
        redis=base.redis,
        model=engines.model,
    )


def _ingestion_parts(settings: Settings, base: Infrastructure, engines: _Engines) -> IngestionParts:
    # Without Redis a cache before the database would be this process's memory, for vectors that are rarely read twice.
    return IngestionParts(
        database=base.database,
        blobs=base.blobs,
        parser=engines.parser,
        embedder=engines.embedder,
        index=engines.index,
        metrics=base.metrics,
        failures=base.failures,
        options=ingestion_options(settings),
        vectors=partial(tenant_vectors, base.database, engines.cache if base.redis else None),
        plans=base.accounts.plans,
        audit=base.accounts.audit,
        purge_cache=engines.cache.delete_tenant,
    )


def _retriever(settings: Settings, base: Infrastructure, engines: _Engines) -> Retriever:
    options = retrieval_options(settings)
    inner = HybridRetriever(
        embedder=engines.embedder,
        index=engines.index,
        library=engines.library,
        metrics=base.metrics,
        options=options,
    )
    local = CachedRetriever(
        inner,
        engines.cache,
        library=engines.library,
        embedder_name=engines.embedder.name,
        metrics=base.metrics,
        options=options,
    )
    client = VectorizeClient(base.http, base.guards)
    return routed(local, settings, base.accounts.tenant_settings, client, base.metrics)


def _chat(
    settings: Settings,
    base: Infrastructure,
    engines: _Engines,
    retriever: Retriever,
    conversations: Conversations,
    stack: AsyncExitStack,
) -> Chat:
    chain = ModelChain(
        plans=base.accounts.plans,
        open_model=plan_models(settings, base.guards),
        keys=os.environ,
        extractive=ExtractiveAnswerer(),
        settings_model=engines.model,
        max_tokens=settings.answer.max_tokens,
    )
    stack.push_async_callback(chain.close)
    parts = ChatParts(
        retriever=retriever,
        generator=_generator(settings, engines.model, base.metrics),
        conversations=conversations,
        models=chain,
        ledger=base.accounts.ledger,
        count_tokens=engines.count_tokens,
        metrics=base.metrics,
    )
    return Chat(parts, ChatOptions(limit=settings.retrieval.limit, context_tokens=settings.retrieval.context_tokens))


def _remains(base: Infrastructure, engines: _Engines) -> DeletionCheck:
    return DeletionCheck(
        database=base.database,
        index=engines.index,
        blobs=base.blobs,
        dimensions=engines.embedder.dimensions,
        caches={"of answers and vectors": engines.cache.count},
    )


def _generator(settings: Settings, model: LanguageModel | None, metrics: Metrics) -> Generator:
    extractive = ExtractiveAnswerer()
    answerer: Answerer = PromptedAnswerer(model, max_tokens=settings.answer.max_tokens) if model else extractive
    options = AnswerOptions(first_token_s=settings.answer.first_token_s, total_s=settings.answer.total_s)
    return Generator(answerer=answerer, fallback=extractive, metrics=metrics, options=options)
