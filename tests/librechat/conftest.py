"""A connected LibreChat and two of its users."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.api.people import Installation
from tests.librechat.setup import BOB, Calls, calls_of, connected


@pytest.fixture
async def made(tmp_path: Path) -> AsyncIterator[Installation]:
    async with connected(tmp_path / "data", ingestion={"max_file_bytes": 200_000}) as made:
        yield made


@pytest.fixture
async def alice(made: Installation) -> AsyncIterator[Calls]:
    async with calls_of(made) as calls:
        yield calls


@pytest.fixture
async def bob(made: Installation) -> AsyncIterator[Calls]:
    async with calls_of(made, BOB) as calls:
        yield calls
