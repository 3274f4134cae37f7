"""Fixtures every test may use."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest
import structlog

from tests.redis_server import RedisServer, throw_away_redis

REPOSITORY = Path(__file__).resolve().parent.parent


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
