"""Fixtures of the identity tests: a fresh database, the stores on it, and a clock that tests set."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from argon2 import PasswordHasher

from ragstone.billing.plans import Plans
from ragstone.billing.rate_limits import RateLimits
from ragstone.identity.api_keys import ApiKeys, NewKey
from ragstone.identity.audit import Audit
from ragstone.identity.authenticate import Admission
from ragstone.identity.cache_revision import CacheRevision
from ragstone.identity.secrets import Secret
from ragstone.identity.sessions import SessionOptions, SessionParts, Sessions
from ragstone.identity.tenants import Tenants
from ragstone.identity.users import NewUser, Passwords, User, Users
from ragstone.principals import LOCAL, Role
from ragstone.telemetry.metrics import Metrics
from tests.clocks import Clock
from tests.identity.counting import CountingDatabase

PASSWORD = "correct horse battery"
QUICK = PasswordHasher(1, 8, 1)  # tests of what passwords cost use the real one


@dataclass
class Stores:
    """All stores of one process."""

    database: CountingDatabase
    secret: Secret
    audit: Audit
    tenants: Tenants
    users: Users
    sessions: Sessions
    keys: ApiKeys
    admission: Admission
    clock: Clock

    async def user(self, tenant: str = "acme", email: str = "ann@acme.example", role: Role = Role.OWNER) -> User:
        return await self.users.create(LOCAL, tenant, NewUser(email=email, password=PASSWORD, role=role))

    async def key(self, tenant: str = "acme", **what: object) -> tuple[str, str]:
        """A key's id, and the key."""
        key, shown = await self.keys.create(LOCAL, tenant, NewKey(**what))  # type: ignore[arg-type]
        return key.id, shown

    async def login(self, email: str = "ann@acme.example") -> str:
        _, token = await self.sessions.login(email, PASSWORD, address="192.0.2.1")
        return token


def stores_on(database: CountingDatabase, secret: Secret, clock: Clock) -> Stores:
    """The stores of one process. A second call makes those of another process, with caches of its own."""
    changes = CacheRevision(database)
    audit = Audit(database, secret)
    users = Users(database, audit, changes, Passwords(QUICK))
    limits = RateLimits(Plans(database, audit), None, Metrics(), clock=clock)
    options = SessionOptions(idle_s=1800, max_s=43_200, per_minute=5, per_hour=100)
    return Stores(
        database=database,
        secret=secret,
        audit=audit,
        tenants=Tenants(database, audit, changes),
        users=users,
        sessions=Sessions(
            SessionParts(
                database=database, secret=secret, audit=audit, users=users, windows=limits.windows, changes=changes
            ),
            options,
            clock=clock,
        ),
        keys=ApiKeys(database, secret, audit, changes=changes, clock=clock),
        admission=Admission(database, secret, changes=changes, session_idle_s=options.idle_s, clock=clock),
        clock=clock,
    )


on_both = pytest.mark.parametrize("kind_of_database", ["sqlite", "postgres"])


@pytest.fixture
def kind_of_database() -> str:
    """The database of a test; SQLite, which is faster, unless the test is marked `on_both`."""
    return "sqlite"


@pytest.fixture
async def database(
    kind_of_database: str, request: pytest.FixtureRequest, tmp_path: Path
) -> AsyncIterator[CountingDatabase]:
    url = f"sqlite+aiosqlite:///{tmp_path / 'ragstone.db'}"
    if kind_of_database == "postgres":
        url = request.getfixturevalue("postgres_url")
    opened = await CountingDatabase.open(url)
    assert isinstance(opened, CountingDatabase)
    yield opened
    await opened.close()


@pytest.fixture
def secret() -> Secret:
    return Secret(b"a secret for tests")


@pytest.fixture
def clock() -> Clock:
    return Clock(float(int(time.time())))


@pytest.fixture
async def stores(database: CountingDatabase, secret: Secret, clock: Clock) -> Stores:
    """The stores, with the tenants acme and other."""
    made = stores_on(database, secret, clock)
    for tenant in ("acme", "other"):
        await made.tenants.create("local", tenant)
    return made


@pytest.fixture
def other_process(database: CountingDatabase, secret: Secret, clock: Clock, stores: Stores) -> Stores:
    """The stores of another process on the same database."""
    return stores_on(database, secret, clock)
