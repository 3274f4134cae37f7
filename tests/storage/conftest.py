"""What the storage tests stand on: a fresh database of each kind, and what reads from it."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from ragstone.storage.blobs import LocalBlobs
from ragstone.storage.database import Database
from ragstone.storage.library import Library


@pytest.fixture
async def database(database_url: str) -> AsyncIterator[Database]:
    opened = await Database.open(database_url)
    yield opened
    await opened.close()


@pytest.fixture
def blobs(tmp_path: Path) -> LocalBlobs:
    return LocalBlobs(tmp_path / "blobs")


@pytest.fixture
def library(database: Database, blobs: LocalBlobs) -> Library:
    return Library(database, blobs)
