"""Settings become an open platform, and close again in reverse order."""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import structlog

from ragstone.accounts.admit import Admission
from ragstone.accounts.api_keys import ApiKeys
from ragstone.accounts.audit import Audit
from ragstone.accounts.plans import MAX_MODELS, Plan, Plans
from ragstone.accounts.rate_limits import RateLimits
from ragstone.accounts.revisions import Changes
from ragstone.accounts.secret import Secret
from ragstone.accounts.sessions import SessionOptions, Sessions
from ragstone.accounts.tenants import Tenants
from ragstone.accounts.usage import LIFETIME_S, Ledger
from ragstone.accounts.users import Users
from ragstone.accounts.widgets import Widgets
from ragstone.chat.ask import Chat
from ragstone.chat.feedback import FeedbackBook
from ragstone.chat.memory import Conversations, MemoryOptions
from ragstone.chat.models import ModelChain
from ragstone.embedding.base import Embedder
from ragstone.embedding.cached import CachedEmbedder
from ragstone.errors import DataDirectoryError, NotFound
from ragstone.generation.answer import AnswerOptions, Generator
from ragstone.generation.base import Answerer
from ragstone.generation.extractive import ExtractiveAnswerer
from ragstone.generation.prompted import PromptedAnswerer
from ragstone.ingestion.callbacks import Deliveries
from ragstone.ingestion.erase import Eraser
from ragstone.ingestion.ingest import Ingestion
from ragstone.ingestion.jobs import Jobs
from ragstone.ingestion.remains import Remains
from ragstone.llm.base import LanguageModel
from ragstone.principals import UNLIMITED_PLAN
from ragstone.resilience.outbound import Outbound
from ragstone.retrieval.cached import CachedRetriever
from ragstone.retrieval.retrieve import Retriever
from ragstone.settings import Settings, load_settings
from ragstone.storage.blobs import LocalBlobs
from ragstone.storage.cache import Cache, CachedVectors, MemoryCache, RedisCache, SqlVectorStore
from ragstone.storage.database import Database
from ragstone.storage.installation import installation_id
from ragstone.storage.library import Library
from ragstone.storage.redis import PREFIX, Redis
from ragstone.telemetry.logs import leave_logs_to_the_host
from ragstone.telemetry.metrics import Metrics
from ragstone.wiring.engines import (
    ingestion_options,
    language_model,
    open_embedder,
    open_index,
    plan_models,
    retrieval_options,
    sandboxed_parser,
)
from ragstone.wiring.platform import Accounts, Platform, Records

log = structlog.get_logger()


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
        foundation = await _lay_foundation(settings, folder, stack)
        platform = await _assemble(settings, folder, foundation, stack, recreate_index=recreate_index)
        if not recreate_index:
            await _look_after_index(platform)
        yield platform


async def _look_after_index(platform: Platform) -> None:
    """An index in memory is filled from SQL; one on disk that lacks something is reported."""
    if platform.settings.index.engine == "memory":
        await platform.ingestion.heal()
    elif missing := await platform.ingestion.missing_chunks():
        log.error("index.incomplete", missing_chunks=missing, mend="run `ragstone rebuild`, or start the server")


@asynccontextmanager
async def open_records(settings: Settings) -> AsyncIterator[Records]:
    """Open the database alone; quick, as no model is loaded and no index process started.

    Raises:
        ConfigurationError: a setting or the data directory needs mending.
    """
    folder = await asyncio.to_thread(prepare_data_dir, settings.data_dir)
    async with AsyncExitStack() as stack:
        base = await _lay_foundation(settings, folder, stack)
        yield Records(Library(base.database, base.blobs), Jobs(base.database), base.accounts, base.database)


@dataclass(frozen=True, slots=True)
class _Foundation:
    """What everything else stands on."""

    database: Database
    blobs: LocalBlobs
    redis: Redis | None
    accounts: Accounts
    metrics: Metrics


async def _lay_foundation(settings: Settings, folder: Path, stack: AsyncExitStack) -> _Foundation:
    database = await _open_database(settings, folder)
    stack.push_async_callback(database.close)
    metrics = Metrics()
    redis = await _redis(settings, database, metrics)
    if redis:
        stack.push_async_callback(redis.close)
    accounts = await _accounts(settings, folder, database, redis, metrics)
    stack.push_async_callback(accounts.ledger.close)
    return _Foundation(database, LocalBlobs(folder / "blobs"), redis, accounts, metrics)


async def _open_database(settings: Settings, folder: Path) -> Database:
    given = settings.database
    return await Database.open(
        given.url.get_secret_value() if given.url else f"sqlite+aiosqlite:///{folder / 'ragstone.db'}",
        owner_url=given.owner_url.get_secret_value() if given.owner_url else None,
        pool_size=given.pool_size,
        pool_overflow=given.pool_overflow,
        pool_timeout_s=given.pool_timeout_s,
    )


async def _redis(settings: Settings, database: Database, metrics: Metrics) -> Redis | None:
    url = settings.redis.url
    if url is None:
        return None
    prefix = f"{PREFIX}:{await installation_id(database)}"
    return Redis(url.get_secret_value(), prefix=prefix, timeout_s=settings.redis.timeout_s, metrics=metrics)


async def _accounts(
    settings: Settings, folder: Path, database: Database, redis: Redis | None, metrics: Metrics
) -> Accounts:
    given = settings.secret_key
    secret = await Secret.load(given.get_secret_value() if given else None, folder)
    await secret.prove(database)
    changes = Changes(database, redis)
    audit = Audit(database, secret)
    plans = Plans(database, audit)
    changes.listen(plans.forget)
    users = Users(database, audit, changes)
    limits = RateLimits(plans, redis, metrics)
    times = settings.accounts
    sessions = SessionOptions(
        idle_s=times.session_idle_s,
        max_s=times.session_max_s,
        per_minute=times.logins_per_minute,
        per_hour=times.logins_per_hour,
    )
    return Accounts(
        secret=secret,
        audit=audit,
        plans=plans,
        tenants=Tenants(database, audit, changes),
        users=users,
        sessions=Sessions(database, secret, audit, users, limits, sessions, changes=changes),
        api_keys=ApiKeys(database, secret, audit, changes=changes),
        widgets=Widgets(database, audit),
        limits=limits,
        ledger=Ledger(database, plans, lifetime_s=LIFETIME_S + MAX_MODELS * settings.answer.total_s),
        admission=Admission(database, secret, changes=changes, session_idle_s=times.session_idle_s),
        changes=changes,
    )


async def _assemble(
    settings: Settings, folder: Path, base: _Foundation, stack: AsyncExitStack, *, recreate_index: bool
) -> Platform:
    database, blobs, metrics = base.database, base.blobs, base.metrics
    library = Library(database, blobs)
    embedder = await open_embedder(settings, folder)
    stack.push_async_callback(asyncio.to_thread, embedder.close)

    cache: Cache = RedisCache(base.redis) if base.redis else MemoryCache()

    def cached(tenant: str) -> Embedder:
        kept = SqlVectorStore(database, tenant)
        # Without Redis a cache before the database would be this process's memory, for what is rarely read twice.
        store = CachedVectors(cache, kept, tenant) if base.redis else kept
        return CachedEmbedder(embedder, store, metrics=metrics)

    index = await open_index(settings, folder, embedder, recreate=recreate_index)
    stack.push_async_callback(index.close)
    parser = sandboxed_parser(settings)
    stack.push_async_callback(parser.close)
    model = language_model(settings)
    if model:
        stack.push_async_callback(model.close)
    ingestion = Ingestion(
        database=database,
        blobs=blobs,
        library=library,
        parser=parser,
        embedder=embedder,
        cached=cached,
        index=index,
        metrics=metrics,
        options=ingestion_options(settings),
        quota=partial(_plan_of, base.accounts),
        forget=cache.delete_tenant,
    )
    options = retrieval_options(settings)
    retriever = CachedRetriever(
        Retriever(embedder=embedder, index=index, library=library, metrics=metrics, options=options),
        cache,
        library=library,
        embedder_name=embedder.name,
        metrics=metrics,
        options=options,
    )

    def count_tokens(text: str) -> int:
        return len(embedder.token_offsets(text))

    chain = ModelChain(
        plans=base.accounts.plans,
        open_model=plan_models(settings),
        keys=os.environ,
        extractive=ExtractiveAnswerer(),
        settings_model=model,
        max_tokens=settings.answer.max_tokens,
    )
    stack.push_async_callback(chain.close)
    conversations = Conversations(
        database,
        count_tokens=count_tokens,
        options=MemoryOptions(max_exchanges=settings.chat.memory_exchanges, max_tokens=settings.chat.memory_tokens),
    )
    chat = Chat(
        retriever=retriever,
        generator=_generator(settings, model, metrics),
        conversations=conversations,
        chain=chain,
        ledger=base.accounts.ledger,
        metrics=metrics,
        count_tokens=count_tokens,
        default_limit=settings.retrieval.limit,
    )
    outbound = Outbound(allowed=frozenset(settings.outbound.allowed_hosts))
    stack.push_async_callback(outbound.close)
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
        feedback=FeedbackBook(database),
        outbound=outbound,
        deliveries=Deliveries(database, base.accounts.secret, outbound, metrics=metrics),
        chat=chat,
        metrics=metrics,
        accounts=base.accounts,
        eraser=Eraser(
            database=database,
            index=index,
            blobs=blobs,
            audit=base.accounts.audit,
            changes=base.accounts.changes,
            caches=(cache.delete_tenant,),
        ),
        remains=Remains(
            database=database,
            index=index,
            blobs=blobs,
            dimensions=embedder.dimensions,
            caches={"of answers and vectors": cache.count},
        ),
        cache=cache,
        redis=base.redis,
        model=model,
    )


async def _plan_of(accounts: Accounts, tenant: str) -> Plan:
    """The plan of a tenant. A name that no tenant has is the program's own that embeds the platform."""
    try:
        return await accounts.plans.get((await accounts.tenants.get(tenant)).plan)
    except NotFound:
        return Plan(id=UNLIMITED_PLAN, name="Unlimited")


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


def _generator(settings: Settings, model: LanguageModel | None, metrics: Metrics) -> Generator:
    extractive = ExtractiveAnswerer()
    answerer: Answerer = PromptedAnswerer(model, max_tokens=settings.answer.max_tokens) if model else extractive
    options = AnswerOptions(first_token_s=settings.answer.first_token_s, total_s=settings.answer.total_s)
    return Generator(answerer=answerer, fallback=extractive, metrics=metrics, options=options)
