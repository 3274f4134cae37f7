"""Two tenants without people, for tests of what keys do."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from tests.api.conftest import running
from tests.api.people import Installation
from tests.platforms import small_platform


@asynccontextmanager
async def tenants(folder: Path, **settings: object) -> AsyncIterator[Installation]:
    """An installation with the tenants acme and rival; quick, as no password is hashed."""
    async with small_platform(folder, **settings) as platform, running(platform) as app:
        for tenant in ("acme", "rival"):
            await platform.identity.tenants.create("test", tenant)
        yield Installation(app, platform)
