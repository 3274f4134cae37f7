"""Opens the services that the settings describe, and closes them in reverse order."""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from functools import partial
from pathlib import Path

import structlog

from ragstone.chat.ask import Chat, ChatOptions, ChatParts, ModelChain
from ragstone.chat.conversations import Conversations, MemoryOptions
from ragstone.chat.feedback import FeedbackStore
from ragstone.embedding.base import Embedder
from ragstone.errors import ConfigurationError
from ragstone.generation.answer import AnswerOptions, Generator
from ragstone.generation.base import Answerer
from ragstone.generation.extractive import ExtractiveAnswerer
from ragstone.generation.prompted import PromptedAnswerer
from ragstone.generation.reading import Models
from ragstone.ingestion.parts import IngestionParts
from ragstone.ingestion.service import Ingestion
from ragstone.ingestion.tenant_deletion import DeletionCheck, TenantDeletion
from ragstone.ingestion.webhooks import Webhooks
from ragstone.resilience.destinations import LOOPBACK_HOSTS
from ragstone.retrieval.base import Retriever
from ragstone.retrieval.cache import CachedRetriever
from ragstone.retrieval.retrieve import HybridRetriever
from ragstone.retrieval.vectorize.client import VectorizeClient
from ragstone.services import Answers, Corpus, Engines, Services
from ragstone.settings import Settings
from ragstone.storage.shared_cache import tenant_vectors
from ragstone.telemetry.logs import leave_logs_to_the_host
from ragstone.telemetry.metrics import Metrics
from ragstone.telemetry.redaction import Redactor
from ragstone.telemetry.tracing import configure_tracing
from ragstone.wiring.engines import (
    ingestion_options,
    language_model,
    matcher_of,
    open_embedder,
    open_index,
    open_judge,
    plan_models,
    retrieval_options,
    sandboxed_parser,
)
from ragstone.wiring.infrastructure import Infrastructure, open_infrastructure, prepare_data_dir
from ragstone.wiring.knowledge import routed
from ragstone.wiring.local_model import answer_settings

log = structlog.get_logger()


@asynccontextmanager
async def open_services(settings: Settings, *, recreate_index: bool = False) -> AsyncIterator[Services]:
    """Open all services; they are closed in reverse order at the end of the block.

    Args:
        settings: The settings of the installation.
        recreate_index: Start with an empty index, for `rebuild`, even if the old one cannot be opened.

    Raises:
        ConfigurationError: a setting, the data directory or the model must be corrected.
    """
    leave_logs_to_the_host()
    folder = await asyncio.to_thread(prepare_data_dir, settings.data_dir)
    async with AsyncExitStack() as stack:
        base = await open_infrastructure(settings, folder, stack)
        trace(settings, base.operations.redactor, stack)
        engines = await _open_engines(settings, folder, base, stack, recreate_index=recreate_index)
        services = _assemble(settings, base, engines, stack)
        if not recreate_index:
            await _check_index(services)
        yield services


@asynccontextmanager
async def open_records(settings: Settings) -> AsyncIterator[Infrastructure]:
    """Open the infrastructure only; fast, because no model is loaded and no index process is started.

    Raises:
        ConfigurationError: a setting or the data directory must be corrected.
    """
    folder = await asyncio.to_thread(prepare_data_dir, settings.data_dir)
    async with AsyncExitStack() as stack:
        yield await open_infrastructure(settings, folder, stack)


async def check_address(settings: Settings, host: str) -> None:
    """Refuse to listen on a network address before the installation has an owner.

    Raises:
        ConfigurationError: `host` is not loopback, and there is neither an owner nor a key in the settings.
    """
    if host in LOOPBACK_HOSTS or settings.server.api_keys:
        return
    async with open_records(settings) as records:
        if not await records.identity.users.has_owner():
            raise ConfigurationError(
                f"This installation has no owner yet, so the server does not listen on {host}. Create an owner first: "
                "`ragstone accounts users create --role owner you@example.org`."
            )


def trace(settings: Settings, redactor: Redactor, stack: AsyncExitStack) -> None:
    """Send the spans of this process to the collector of the settings, if there is one."""
    given = settings.telemetry
    if given.otlp_endpoint:
        close = configure_tracing(given.otlp_endpoint, given.service_name, redactor=redactor)
        stack.push_async_callback(asyncio.to_thread, close)


async def _check_index(services: Services) -> None:
    """Fill an index in memory from SQL; log an error if an index on disk lacks chunks."""
    ingestion = services.corpus.ingestion
    if services.settings.index.engine == "memory":
        await ingestion.heal()
    elif missing := await ingestion.missing_chunks():
        log.error("index.incomplete", missing_chunks=missing, mend="run `ragstone rebuild`, or start the server")


async def _open_engines(
    settings: Settings, folder: Path, base: Infrastructure, stack: AsyncExitStack, *, recreate_index: bool
) -> Engines:
    embedder, judge = await asyncio.gather(open_embedder(settings, folder), open_judge(settings))
    stack.push_async_callback(asyncio.to_thread, embedder.close)
    index = await open_index(settings, folder, embedder, recreate=recreate_index)
    stack.push_async_callback(index.close)
    parser = sandboxed_parser(settings)
    stack.push_async_callback(parser.close)
    model = language_model(settings, await answer_settings(settings, folder), base.operations.policies)
    if model:
        stack.push_async_callback(model.close)
    return Engines(embedder, index, parser, model, judge, matcher_of(settings, embedder))


def _assemble(settings: Settings, base: Infrastructure, engines: Engines, stack: AsyncExitStack) -> Services:
    retriever = _retriever(settings, base, engines)
    conversations = Conversations(
        base.storage.database,
        count_tokens=partial(_count_tokens, engines.embedder),
        options=MemoryOptions(max_exchanges=settings.chat.memory_exchanges, max_tokens=settings.chat.memory_tokens),
    )
    return Services(
        settings=settings,
        storage=base.storage,
        identity=base.identity,
        billing=base.billing,
        tenancy=base.tenancy,
        operations=base.operations,
        engines=engines,
        corpus=_corpus(settings, base, engines),
        answers=Answers(
            retriever=retriever,
            chat=_chat(settings, base, engines, retriever, conversations, stack),
            conversations=conversations,
            feedback=FeedbackStore(base.storage.database),
        ),
    )


def _corpus(settings: Settings, base: Infrastructure, engines: Engines) -> Corpus:
    parts = _ingestion_parts(settings, base, engines)
    identity, operations = base.identity, base.operations
    return Corpus(
        ingestion=Ingestion(parts),
        webhooks=Webhooks(base.storage.database, identity.secret, operations.http, metrics=operations.metrics),
        tenant_deletion=TenantDeletion(parts, identity.audit, changes=identity.changes),
        deletion_check=_deletion_check(base, engines),
    )


def _count_tokens(embedder: Embedder, text: str) -> int:
    """The number of tokens of `text` for the embedding model."""
    return len(embedder.token_offsets(text))


def _ingestion_parts(settings: Settings, base: Infrastructure, engines: Engines) -> IngestionParts:
    storage, operations = base.storage, base.operations
    # Without Redis the cache would use this process's memory for vectors that are rarely read twice.
    cache = storage.cache if storage.redis else None
    return IngestionParts(
        database=storage.database,
        blobs=storage.blobs,
        parser=engines.parser,
        embedder=engines.embedder,
        index=engines.index,
        metrics=operations.metrics,
        failures=operations.failures,
        options=ingestion_options(settings),
        vectors=partial(tenant_vectors, storage.database, cache),
        plans=base.billing.plans,
        audit=base.identity.audit,
        purge_cache=storage.cache.delete_tenant,
    )


def _retriever(settings: Settings, base: Infrastructure, engines: Engines) -> Retriever:
    options = retrieval_options(settings)
    inner = HybridRetriever(
        embedder=engines.embedder,
        index=engines.index,
        library=base.storage.library,
        metrics=base.operations.metrics,
        options=options,
    )
    local = CachedRetriever(
        inner,
        base.storage.cache,
        library=base.storage.library,
        embedder_name=engines.embedder.name,
        metrics=base.operations.metrics,
        options=options,
    )
    client = VectorizeClient(base.operations.http, base.operations.policies)
    return routed(local, settings, base.tenancy.tenant_settings, client, base.operations.metrics)


def _chat(
    settings: Settings,
    base: Infrastructure,
    engines: Engines,
    retriever: Retriever,
    conversations: Conversations,
    stack: AsyncExitStack,
) -> Chat:
    models = Models(engines.judge, engines.matcher) if engines.judge and engines.matcher else None
    extractive = ExtractiveAnswerer(models=models)
    chain = ModelChain(
        plans=base.billing.plans,
        open_model=plan_models(settings, base.operations.policies),
        keys=os.environ,
        extractive=extractive,
        settings_model=engines.model,
        max_tokens=settings.answer.max_tokens,
    )
    stack.push_async_callback(chain.close)
    parts = ChatParts(
        retriever=retriever,
        generator=_generator(settings, engines, extractive, base.operations.metrics),
        conversations=conversations,
        models=chain,
        ledger=base.billing.ledger,
        count_tokens=partial(_count_tokens, engines.embedder),
        metrics=base.operations.metrics,
    )
    return Chat(parts, ChatOptions(limit=settings.retrieval.limit, context_tokens=settings.retrieval.context_tokens))


def _deletion_check(base: Infrastructure, engines: Engines) -> DeletionCheck:
    return DeletionCheck(
        database=base.storage.database,
        index=engines.index,
        blobs=base.storage.blobs,
        dimensions=engines.embedder.dimensions,
        caches={"of answers and vectors": base.storage.cache.count},
    )


def _generator(settings: Settings, engines: Engines, extractive: ExtractiveAnswerer, metrics: Metrics) -> Generator:
    model, max_tokens = engines.model, settings.answer.max_tokens
    answerer: Answerer = PromptedAnswerer(model, max_tokens=max_tokens) if model else extractive
    answer = settings.answer
    options = AnswerOptions(first_token_s=answer.first_token_s, total_s=answer.total_s, repair=answer.repair)
    return Generator(
        answerer=answerer,
        fallback=extractive,
        metrics=metrics,
        options=options,
        judge=engines.judge,
        matcher=engines.matcher,
    )
