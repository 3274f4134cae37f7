"""What SQL knows, opened without model and index."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager

from ragstone.ingestion.jobs import Jobs
from ragstone.settings import Settings
from ragstone.storage.library import Library
from ragstone.wiring.foundation import lay_foundation, prepare_data_dir
from ragstone.wiring.platform import Records


@asynccontextmanager
async def open_records(settings: Settings) -> AsyncIterator[Records]:
    """Open the database alone; quick, as no model is loaded and no index process started.

    Raises:
        ConfigurationError: a setting or the data directory needs mending.
    """
    folder = await asyncio.to_thread(prepare_data_dir, settings.data_dir)
    async with AsyncExitStack() as stack:
        base = await lay_foundation(settings, folder, stack)
        yield Records(Library(base.database, base.blobs), Jobs(base.database), base.accounts, base.database)
