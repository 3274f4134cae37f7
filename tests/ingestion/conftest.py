"""The harness that ingestion tests share, on each kind of database."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.ingestion.harness import Harness, open_harness


@pytest.fixture
async def harness(tmp_path: Path, database_url: str) -> AsyncIterator[Harness]:
    async with open_harness(tmp_path, database_url) as opened:
        yield opened
