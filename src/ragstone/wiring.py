"""Settings become a platform: the only place that names adapters, one `match` per port."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, aclosing, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import assert_never

import structlog

from ragstone.chat.ask import Chat
from ragstone.chat.condense import Condenser, ModelCondenser, RuleCondenser
from ragstone.chat.events import Finished
from ragstone.chat.memory import Conversations, MemoryOptions
from ragstone.documents.base import ParserLimits
from ragstone.documents.chunking import ChunkingOptions
from ragstone.documents.parsing import SandboxedParser
from ragstone.embedding.base import Embedder
from ragstone.embedding.cached import CachedEmbedder
from ragstone.errors import DataDirectoryError
from ragstone.generation.answer import AnswerOptions, Generator
from ragstone.generation.base import Answerer
from ragstone.generation.extractive import ExtractiveAnswerer
from ragstone.generation.prompted import PromptedAnswerer
from ragstone.index.base import Index
from ragstone.ingestion.ingest import Ingestion, IngestionOptions
from ragstone.ingestion.jobs import Jobs
from ragstone.llm.base import LanguageModel
from ragstone.retrieval.retrieve import Retrieval, RetrievalOptions, Retriever
from ragstone.settings import Settings, load_settings
from ragstone.storage.blobs import LocalBlobs
from ragstone.storage.cache import SqlVectorStore
from ragstone.storage.database import Database
from ragstone.storage.library import Library
from ragstone.telemetry.logs import leave_logs_to_the_host
from ragstone.telemetry.metrics import Metrics
from ragstone.vocabulary import Answer, Filters, Job, Query, Scope

log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class Platform:
    """The stories of Ragstone, wired and open."""

    settings: Settings
    database: Database
    blobs: LocalBlobs
    library: Library
    embedder: Embedder
    index: Index
    ingestion: Ingestion
    retriever: Retriever
    conversations: Conversations
    chat: Chat
    metrics: Metrics
    model: LanguageModel | None = None

    async def ingest(self, *paths: str | Path, scope: Scope = Scope(), prune: bool = False) -> Job:
        """Ingest files and folders, and wait until all are searchable or failed.

        Returns:
            The finished job, with the fate of each file.
        """
        job = await self.ingestion.submit_paths(scope, [Path(path) for path in paths], prune=prune)
        await self.ingestion.work(until_job=(scope, job.id))
        return await self.ingestion.job(scope, job.id)

    async def search(
        self, question: str, *, scope: Scope = Scope(), filters: Filters = Filters(), limit: int = 8
    ) -> Retrieval:
        """The passages that bear on a question, best first."""
        return await self.retriever.search(scope, Query(question, filters=filters, limit=limit))

    async def ask(self, question: str, *, scope: Scope = Scope(), conversation_id: str | None = None) -> Answer:
        """The complete answer to a question, with its citations."""
        async with aclosing(self.chat.ask(scope, question, conversation_id=conversation_id)) as events:
            async for event in events:
                if isinstance(event, Finished):
                    return event.answer
        raise AssertionError("an answer ends with Finished")


@asynccontextmanager
async def open_platform(
    settings: Settings | None = None, *, recreate_index: bool = False, **overrides: object
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
        database = await _open_database(folder)
        stack.push_async_callback(database.close)
        platform = await _assemble(settings, folder, database, stack, recreate_index=recreate_index)
        if not recreate_index:
            await _look_after_index(platform)
        yield platform


async def _look_after_index(platform: Platform) -> None:
    """An index in memory is filled from SQL; one on disk that lacks something is reported."""
    if platform.settings.index.engine == "memory":
        await platform.ingestion.heal()
    elif missing := await platform.ingestion.missing_chunks():
        log.error("index.incomplete", missing_chunks=missing, mend="run `ragstone rebuild`, or start the server")


@dataclass(frozen=True, slots=True)
class Records:
    """What SQL knows, for those who only look: it opens though model or index are broken."""

    library: Library
    jobs: Jobs


@asynccontextmanager
async def open_records(settings: Settings) -> AsyncIterator[Records]:
    """Open the database alone; quick, as no model is loaded and no index process started.

    Raises:
        DataDirectoryError: the data directory needs mending.
    """
    folder = await asyncio.to_thread(prepare_data_dir, settings.data_dir)
    database = await _open_database(folder)
    try:
        yield Records(Library(database, LocalBlobs(folder / "blobs")), Jobs(database))
    finally:
        await database.close()


async def _open_database(folder: Path) -> Database:
    return await Database.open(f"sqlite+aiosqlite:///{folder / 'ragstone.db'}")


async def _assemble(
    settings: Settings, folder: Path, database: Database, stack: AsyncExitStack, *, recreate_index: bool
) -> Platform:
    metrics = Metrics()
    blobs = LocalBlobs(folder / "blobs")
    library = Library(database, blobs)
    embedder = CachedEmbedder(await open_embedder(settings, folder), SqlVectorStore(database), metrics=metrics)
    stack.push_async_callback(asyncio.to_thread, embedder.close)
    index = await open_index(settings, folder, embedder, recreate=recreate_index)
    stack.push_async_callback(index.close)
    parser = _parser(settings)
    stack.push_async_callback(parser.close)
    model = _language_model(settings)
    if model:
        stack.push_async_callback(model.close)
    ingestion = Ingestion(
        database=database,
        blobs=blobs,
        library=library,
        parser=parser,
        embedder=embedder,
        index=index,
        metrics=metrics,
        options=_ingestion_options(settings),
    )
    retriever = Retriever(
        embedder=embedder, index=index, library=library, metrics=metrics, options=_retrieval_options(settings)
    )
    conversations = Conversations(
        database,
        count_tokens=lambda text: len(embedder.token_offsets(text)),
        options=MemoryOptions(max_exchanges=settings.chat.memory_exchanges, max_tokens=settings.chat.memory_tokens),
    )
    chat = Chat(
        retriever=retriever,
        generator=_generator(settings, model, metrics),
        conversations=conversations,
        condenser=_condenser(model),
        metrics=metrics,
        default_limit=settings.retrieval.limit,
    )
    return Platform(
        settings=settings,
        database=database,
        blobs=blobs,
        library=library,
        embedder=embedder,
        index=index,
        ingestion=ingestion,
        retriever=retriever,
        conversations=conversations,
        chat=chat,
        metrics=metrics,
        model=model,
    )


def prepare_data_dir(folder: Path) -> Path:
    """Create the data directory, for its owner alone, and return its absolute path.

    Raises:
        DataDirectoryError: it cannot be created, or is no directory.
    """
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    except (FileExistsError, NotADirectoryError) as error:
        raise DataDirectoryError(f"{folder} is a file. Set RAGSTONE_DATA_DIR to a folder.") from error
    except OSError as error:
        raise DataDirectoryError(
            f"The data directory {folder} cannot be created: {error.strerror}. "
            "Set RAGSTONE_DATA_DIR to a folder that you may write to."
        ) from error
    return folder.resolve()


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


def _language_model(settings: Settings) -> LanguageModel | None:
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


def _generator(settings: Settings, model: LanguageModel | None, metrics: Metrics) -> Generator:
    extractive = ExtractiveAnswerer()
    answerer: Answerer = PromptedAnswerer(model, max_tokens=settings.answer.max_tokens) if model else extractive
    options = AnswerOptions(first_token_s=settings.answer.first_token_s, total_s=settings.answer.total_s)
    return Generator(answerer=answerer, fallback=extractive, metrics=metrics, options=options)


def _condenser(model: LanguageModel | None) -> Condenser:
    return ModelCondenser(model) if model else RuleCondenser()


def _parser(settings: Settings) -> SandboxedParser:
    limits = settings.parser.model_dump(exclude={"processes"})
    return SandboxedParser(ParserLimits(**limits), processes=settings.parser.processes)


def _ingestion_options(settings: Settings) -> IngestionOptions:
    ingestion = settings.ingestion
    return IngestionOptions(
        chunking=ChunkingOptions(max_tokens=ingestion.max_tokens, overlap_tokens=ingestion.overlap_tokens),
        max_file_bytes=ingestion.max_file_bytes,
        lease_s=ingestion.lease_s,
    )


def _retrieval_options(settings: Settings) -> RetrievalOptions:
    retrieval = settings.retrieval
    return RetrievalOptions(
        candidates=retrieval.candidates,
        fusion=retrieval.fusion,
        context_tokens=retrieval.context_tokens,
        max_question_chars=retrieval.max_question_chars,
    )
