"""Opens the services that need neither an index nor a model: database, Redis, accounts, outbound calls."""

from __future__ import annotations

from contextlib import AsyncExitStack
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
from pathlib import Path

from ragstone.billing.ledger import LIFETIME_S, Ledger
from ragstone.billing.plans import MAX_MODELS, Plans
from ragstone.billing.rate_limits import RateLimits
from ragstone.errors import DataDirectoryError
from ragstone.identity.api_keys import ApiKeys
from ragstone.identity.audit import Audit
from ragstone.identity.authenticate import Admission
from ragstone.identity.cache_revision import CacheRevision
from ragstone.identity.secrets import Secret
from ragstone.identity.sessions import SessionOptions, SessionParts, Sessions
from ragstone.identity.source_links import SourceLinks
from ragstone.identity.tenants import Tenants
from ragstone.identity.users import Users
from ragstone.resilience.upstream_policy import UpstreamPolicies
from ragstone.retrieval.vectorize.client import checked_token
from ragstone.services import Billing, Identity, Operations, Storage, Tenancy
from ragstone.settings import Settings, tenant_defaults
from ragstone.storage.blobs import LocalBlobs
from ragstone.storage.cache import Cache, MemoryCache
from ragstone.storage.database import Database, installation_id
from ragstone.storage.library import Library
from ragstone.storage.redis import PREFIX, Redis
from ragstone.storage.shared_cache import RedisCache
from ragstone.telemetry.failure_buffer import FailureBuffer
from ragstone.telemetry.metrics import Metrics
from ragstone.telemetry.redaction import Redactor
from ragstone.tenants.settings import Pipeline
from ragstone.tenants.settings_store import StoreOptions, TenantSettingsStore
from ragstone.tenants.widgets import Widgets
from ragstone.wiring.outbound import http_client, upstream_options


def check_token(token: str, pipeline: Pipeline | None) -> None:
    """Check the token of a pipeline. Older gateways, which are named by a URL, accept tokens of any form.

    Raises:
        ConfigurationError: the token is malformed or has expired.
    """
    checked_token(token, now=datetime.now(UTC), opaque=pipeline is not None and pipeline.url is not None)


@dataclass(frozen=True, slots=True)
class Infrastructure:
    """The services that need neither an index nor a model."""

    storage: Storage
    identity: Identity
    billing: Billing
    tenancy: Tenancy
    operations: Operations


async def open_infrastructure(settings: Settings, folder: Path, stack: AsyncExitStack) -> Infrastructure:
    """Open database, Redis and accounts; `stack` closes them."""
    metrics = Metrics()
    storage = await _storage(settings, folder, stack, metrics)
    operations = _operations(settings, metrics)
    stack.push_async_callback(operations.http.close)
    identity, billing = await _accounts(settings, folder, storage, metrics)
    stack.push_async_callback(billing.ledger.close)
    return Infrastructure(storage, identity, billing, _tenancy(settings, storage, identity), operations)


async def _storage(settings: Settings, folder: Path, stack: AsyncExitStack, metrics: Metrics) -> Storage:
    database = await _open_database(settings, folder)
    stack.push_async_callback(database.close)
    redis = await _redis(settings, database, metrics)
    if redis:
        stack.push_async_callback(redis.close)
    blobs = LocalBlobs(folder / "blobs")
    cache: Cache = RedisCache(redis) if redis else MemoryCache()
    return Storage(database, blobs, Library(database, blobs), cache, redis)


def _operations(settings: Settings, metrics: Metrics) -> Operations:
    failures = FailureBuffer()
    return Operations(
        http=http_client(settings),
        policies=UpstreamPolicies(upstream_options(settings), metrics=metrics, failures=failures),
        metrics=metrics,
        failures=failures,
        redactor=Redactor(settings.privacy.patterns),
    )


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


async def _accounts(settings: Settings, folder: Path, storage: Storage, metrics: Metrics) -> tuple[Identity, Billing]:
    database = storage.database
    given = settings.secret_key
    secret = await Secret.load(given.get_secret_value() if given else None, folder)
    await secret.prove(database)
    changes = CacheRevision(database, storage.redis)
    audit = Audit(database, secret)
    plans = Plans(database, audit)
    changes.listen(plans.clear_cache)
    users = Users(database, audit, changes)
    limits = RateLimits(plans, storage.redis, metrics)
    identity = Identity(
        secret=secret,
        audit=audit,
        tenants=Tenants(database, audit, changes),
        users=users,
        sessions=Sessions(
            SessionParts(
                database=database, secret=secret, audit=audit, users=users, windows=limits.windows, changes=changes
            ),
            _session_options(settings),
        ),
        api_keys=ApiKeys(database, secret, audit, changes=changes),
        admission=Admission(database, secret, changes=changes, session_idle_s=settings.accounts.session_idle_s),
        changes=changes,
    )
    ledger = Ledger(database, plans, lifetime_s=LIFETIME_S + MAX_MODELS * settings.answer.total_s)
    return identity, Billing(plans, limits, ledger)


def _session_options(settings: Settings) -> SessionOptions:
    given = settings.accounts
    return SessionOptions(
        idle_s=given.session_idle_s,
        max_s=given.session_max_s,
        per_minute=given.logins_per_minute,
        per_hour=given.logins_per_hour,
    )


def _tenancy(settings: Settings, storage: Storage, identity: Identity) -> Tenancy:
    return Tenancy(
        widgets=Widgets(storage.database, identity.audit),
        tenant_settings=TenantSettingsStore(
            storage.database, identity.secret, identity.audit, identity.changes, _store_options(settings)
        ),
        source_links=SourceLinks(identity.secret, settings.server.public_url),
    )


def _store_options(settings: Settings) -> StoreOptions:
    return StoreOptions(
        defaults=partial(tenant_defaults, settings),
        allowed=frozenset(settings.outbound.allowed_hosts),
        check_token=check_token,
    )


def prepare_data_dir(folder: Path) -> Path:
    """Create the data directory, accessible to its owner only, and return its absolute path.

    Raises:
        DataDirectoryError: it cannot be created, or is not a directory.
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
