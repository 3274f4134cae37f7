"""The stand that ingestion tests share, on each kind of database."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.ingestion.workbench import Stand, open_stand


@pytest.fixture
async def stand(tmp_path: Path, database_url: str) -> AsyncIterator[Stand]:
    async with open_stand(tmp_path, database_url) as opened:
        yield opened
