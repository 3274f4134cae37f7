"""What an interceptor consists of that has no index and no model of its own."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

from ragstone.errors import NoIndex
from ragstone.retrieval.base import Retrieval, Retriever
from ragstone.retrieval.vectorize.client import VectorizeClient
from ragstone.telemetry.tracing import configure_tracing
from ragstone.vocabulary import Query, Scope
from ragstone.wiring.infrastructure import Infrastructure, open_infrastructure, prepare_data_dir
from ragstone.wiring.knowledge import routed

if TYPE_CHECKING:
    from ragstone.settings import Settings


@dataclass(frozen=True, slots=True)
class Station:
    """The open infrastructure, and what finds passages."""

    settings: Settings
    base: Infrastructure
    retriever: Retriever


class NoIndexRetriever:
    """See `Retriever`: the index of a process that has none. Beside a pipeline it finds nothing."""

    async def search(self, scope: Scope, query: Query) -> Retrieval:
        """Raises: NoIndex."""
        await self.check(scope, query)
        raise AssertionError("unreachable")

    async def check(self, scope: Scope, query: Query) -> None:
        """Raises: NoIndex."""
        raise NoIndex(
            f"The collection {scope.collection!r} lies in an index, and this process has none. "
            "Give the tenant a pipeline, or send its chats to `ragstone serve`."
        )


@asynccontextmanager
async def open_station(settings: Settings) -> AsyncIterator[Station]:
    """Open everything, hand it out, and close it in reverse order.

    Raises:
        ConfigurationError: a setting, the data directory or the database needs mending.
    """
    folder = await asyncio.to_thread(prepare_data_dir, settings.data_dir)
    async with AsyncExitStack() as stack:
        base = await open_infrastructure(settings, folder, stack)
        if endpoint := settings.telemetry.otlp_endpoint:
            stop_tracing = configure_tracing(
                endpoint, settings.telemetry.service_name, redactor=base.operations.redactor
            )
            stack.push_async_callback(asyncio.to_thread, stop_tracing)
        client = VectorizeClient(base.operations.http, base.operations.policies)
        retriever = routed(NoIndexRetriever(), settings, base.tenancy.tenant_settings, client, base.operations.metrics)
        yield Station(settings, base, retriever)
