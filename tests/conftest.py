"""Fixtures every test may use."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest
import structlog
from hypothesis import HealthCheck, settings

from tests.postgres import APP, PostgresServer, running_postgres
from tests.redis_server import RedisServer, throw_away_redis

REPOSITORY = Path(__file__).resolve().parent.parent

pytest_plugins = ["tests.quick"]

# One profile for all: how fast a machine is decides nothing, and CI tries the same examples each time.
settings.register_profile(
    "ragstone", deadline=None, suppress_health_check=[HealthCheck.too_slow], derandomize="CI" in os.environ
)
settings.load_profile("ragstone")


@pytest.fixture(autouse=True)
def logs_as_at_the_start() -> Iterator[None]:
    """Commands and platforms configure structlog for their process; no test inherits that from another."""
    yield
    structlog.reset_defaults()


@pytest.fixture(scope="session")
def open_data() -> Path:
    """The folder of public data sets beside the repository, or a skip that says how to get past it."""
    folder = Path(os.environ.get("RAGSTONE_OPEN_DATA", REPOSITORY.parent / "shared" / "data"))
    if not (folder / "scifact").is_dir():
        pytest.skip(f"No public data sets in {folder}; set RAGSTONE_OPEN_DATA to a folder that has them.")
    return folder


@pytest.fixture(scope="session")
def redis_of_this_run() -> Iterator[RedisServer]:
    """One Redis for all tests of a process; ask for `redis_url`."""
    with throw_away_redis() as server:
        yield server


@pytest.fixture
def redis_url(redis_of_this_run: RedisServer) -> str:
    """The address of an empty Redis."""
    assert redis_of_this_run.command("FLUSHALL") == b"+OK"
    return redis_of_this_run.url


@pytest.fixture
def redis_server() -> Iterator[RedisServer]:
    """A Redis of this test alone, to be stopped and broken."""
    with throw_away_redis() as server:
        yield server


@pytest.fixture(scope="session")
def postgres() -> Iterator[PostgresServer]:
    """One PostgreSQL for all tests of a process; ask for `postgres_url` unless it is the server you want."""
    with running_postgres() as server:
        yield server


@pytest.fixture
def postgres_url(postgres: PostgresServer) -> Iterator[str]:
    """The address of a fresh database with all tables, for a user who owns nothing."""
    name = postgres.migrated_database()
    yield postgres.url(name, user=APP)
    postgres.drop(name)


@pytest.fixture(params=["sqlite", "postgres"])
def database_url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """A fresh database of each kind, one after the other."""
    if request.param == "postgres":
        return str(request.getfixturevalue("postgres_url"))
    return f"sqlite+aiosqlite:///{tmp_path / 'ragstone.db'}"
