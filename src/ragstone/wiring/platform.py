"""The platform: the public API of the library."""

from __future__ import annotations

from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack, aclosing, asynccontextmanager
from pathlib import Path
from typing import Unpack

from ragstone.chat.ask import Event, Finished
from ragstone.errors import Conflict
from ragstone.retrieval.base import Retrieval
from ragstone.services import Services
from ragstone.settings import Settings, SettingsOverrides, load_settings
from ragstone.vocabulary import Answer, Document, Filters, Job, Query, Scope
from ragstone.wiring.opening import open_services

PAGE_SIZE = 500  # documents that one statement reads


class Platform:
    """An open installation. Every method works in one scope: a tenant and one of its collections."""

    def __init__(self, services: Services, *, on_close: Callable[[], Awaitable[object]]) -> None:
        """`on_close` closes the services."""
        self._opened: Services | None = services
        self._on_close = on_close

    @property
    def _services(self) -> Services:
        if self._opened is None:
            raise Conflict("The platform is closed. Open another one with `ragstone.open_platform`.")
        return self._opened

    async def ingest(self, *paths: str | Path, scope: Scope = Scope(), prune: bool = False) -> Job:
        """Ingest files and folders, and wait until all are searchable or failed.

        Args:
            paths: Files, and folders with all files below them.
            scope: Where the documents belong.
            prune: Whether to remove documents of these folders whose files no longer exist.

        Returns:
            The finished job, with the outcome of each file.
        """
        ingestion = self._services.corpus.ingestion
        job = await ingestion.submit_paths(scope, [Path(path) for path in paths], prune=prune)
        await ingestion.work(until_job=(scope, job.id))
        return await ingestion.job(scope, job.id)

    async def documents(self, *, scope: Scope = Scope()) -> list[Document]:
        """All documents of the scope, ordered by source."""
        library = self._services.storage.library
        found = await library.documents(scope, limit=PAGE_SIZE)
        while found and (page := await library.documents(scope, limit=PAGE_SIZE, after=found[-1].id)):
            found = [*found, *page]
        return found

    async def remove(self, document_id: str, *, scope: Scope = Scope()) -> None:
        """Remove a document with all its versions; searches no longer find it.

        Raises:
            NotFound: there is no such document in the scope.
        """
        await self._services.corpus.ingestion.remove(scope, document_id)

    async def search(
        self, question: str, *, scope: Scope = Scope(), filters: Filters = Filters(), limit: int = 8
    ) -> Retrieval:
        """The passages that are relevant to a question, best first."""
        query = Query(question, filters=filters, limit=limit)
        return await self._services.answers.retriever.search(scope, query)

    async def ask(self, question: str, *, scope: Scope = Scope(), conversation_id: str | None = None) -> Answer:
        """The complete answer to a question, with its citations."""
        async with aclosing(self.stream(question, scope=scope, conversation_id=conversation_id)) as events:
            async for event in events:
                if isinstance(event, Finished):
                    return event.answer
        raise AssertionError("an answer ends with Finished")

    def stream(
        self, question: str, *, scope: Scope = Scope(), conversation_id: str | None = None
    ) -> AsyncGenerator[Event, None]:
        """The answer as it is written: `Retrieved`, then `Delta` and `Citation`, then `Finished`.

        `Finished` names the conversation; pass its id on with the next question of the same conversation.
        """
        return self._services.answers.chat.ask(scope, question, conversation_id=conversation_id)

    async def close(self) -> None:
        """Close everything. `async with open_platform()` does so at its end; a second call does nothing."""
        if self._opened is not None:
            self._opened = None
            await self._on_close()


@asynccontextmanager
async def open_platform(
    settings: Settings | None = None, **overrides: Unpack[SettingsOverrides]
) -> AsyncIterator[Platform]:
    """Open an installation; it is closed at the end of the block.

    Args:
        settings: The settings of the installation; read from the environment unless given.
        overrides: Settings by name, where `settings` is not given: `open_platform(data_dir="./data")`.

    Raises:
        ConfigurationError: a setting, the data directory or the model must be corrected.
    """
    async with AsyncExitStack() as stack:
        services = await stack.enter_async_context(open_services(settings or load_settings(**overrides)))
        yield Platform(services, on_close=stack.aclose)
