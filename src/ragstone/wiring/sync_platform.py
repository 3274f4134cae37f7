"""The platform for code without `async`: scripts and notebooks, also inside a running event loop."""

from __future__ import annotations

import asyncio
import queue
import threading
import weakref
from collections.abc import Callable, Coroutine, Iterator
from concurrent.futures import Future
from functools import partial
from pathlib import Path
from types import TracebackType
from typing import Any, NoReturn, Self, TypeVar, Unpack

from ragstone.chat.ask import Event
from ragstone.errors import Conflict
from ragstone.retrieval.base import Retrieval
from ragstone.settings import Settings, SettingsOverrides
from ragstone.vocabulary import Answer, Document, Filters, Job, Scope
from ragstone.wiring.platform import Platform, open_platform

T = TypeVar("T")


class SyncPlatform:
    """The methods of `Platform`, each of which returns its result. The platform runs in a thread of its own.

    Any thread may call it. Ctrl-C in a call cancels the work of that call alone.
    """

    def __init__(self, settings: Settings | None = None, **overrides: Unpack[SettingsOverrides]) -> None:
        """Raises: ConfigurationError; see `open_platform`."""
        self._loop = asyncio.new_event_loop()
        self._stop = asyncio.Event()
        self._running: set[asyncio.Task[Any]] = set()
        opened: Future[Platform] = Future()
        opening = self._serve(opened, settings, overrides)
        self._thread = threading.Thread(target=self._run_loop, args=(opening,), name="ragstone-sync", daemon=True)
        self._thread.start()
        try:
            self._platform = opened.result()
        except BaseException:
            self.close()
            raise
        _OPEN.add(self)

    def _run_loop(self, serving: Coroutine[Any, Any, None]) -> None:
        with asyncio.Runner(loop_factory=lambda: self._loop) as runner:
            runner.run(serving)

    async def _serve(self, opened: Future[Platform], settings: Settings | None, overrides: SettingsOverrides) -> None:
        """Open, wait until `close` is called, and close, all in one task."""
        try:
            async with open_platform(settings, **overrides) as platform:
                opened.set_result(platform)
                await self._stop.wait()
                await self._cancel_running()
        except BaseException as error:
            if opened.done():
                raise
            opened.set_exception(error)

    async def _cancel_running(self) -> None:
        """Cancel the calls that still run: a platform that closes under them would leave their connections open."""
        running = list(self._running)
        for task in running:
            task.cancel()
        await asyncio.gather(*running, return_exceptions=True)

    def _start(self, work: Coroutine[Any, Any, T]) -> Future[T]:
        """Run a coroutine in the thread of the platform."""

        async def tracked() -> T:
            task = asyncio.current_task()
            assert task is not None
            self._running.add(task)
            task.add_done_callback(self._running.discard)
            return await work

        return asyncio.run_coroutine_threadsafe(tracked(), self._loop)

    def _wait(self, work: Callable[[], Coroutine[Any, Any, T]]) -> T:
        """The result of a coroutine that runs in the thread of the platform."""
        self._check_open()
        # The caller waits at a queue, not at the future: Ctrl-C may leave a future's lock taken, which stops the loop.
        outcome: queue.SimpleQueue[Callable[[], T]] = queue.SimpleQueue()

        async def deliver() -> None:
            try:
                result = await work()
            except BaseException as error:
                outcome.put(partial(_raise, error))
                raise
            outcome.put(lambda: result)

        running = self._start(deliver())
        try:
            return outcome.get()()
        except BaseException:
            running.cancel()  # Ctrl-C is raised here, while the work goes on there
            raise

    def _check_open(self) -> None:
        if self._stop.is_set() or not self._thread.is_alive():
            raise Conflict("The platform is closed. Open another one with `ragstone.open_sync`.")

    def ingest(self, *paths: str | Path, scope: Scope = Scope(), prune: bool = False) -> Job:
        """See `Platform.ingest`."""
        return self._wait(lambda: self._platform.ingest(*paths, scope=scope, prune=prune))

    def documents(self, *, scope: Scope = Scope()) -> list[Document]:
        """See `Platform.documents`."""
        return self._wait(lambda: self._platform.documents(scope=scope))

    def remove(self, document_id: str, *, scope: Scope = Scope()) -> None:
        """See `Platform.remove`."""
        self._wait(lambda: self._platform.remove(document_id, scope=scope))

    def search(
        self, question: str, *, scope: Scope = Scope(), filters: Filters = Filters(), limit: int = 8
    ) -> Retrieval:
        """See `Platform.search`."""
        return self._wait(lambda: self._platform.search(question, scope=scope, filters=filters, limit=limit))

    def ask(self, question: str, *, scope: Scope = Scope(), conversation_id: str | None = None) -> Answer:
        """See `Platform.ask`."""
        return self._wait(lambda: self._platform.ask(question, scope=scope, conversation_id=conversation_id))

    def stream(self, question: str, *, scope: Scope = Scope(), conversation_id: str | None = None) -> Iterator[Event]:
        """See `Platform.stream`. The work ends with the iterator."""
        self._check_open()
        events: queue.SimpleQueue[Event | None] = queue.SimpleQueue()

        async def pump() -> None:
            try:
                async for event in self._platform.stream(question, scope=scope, conversation_id=conversation_id):
                    events.put(event)
            finally:
                events.put(None)

        pumping = self._start(pump())
        try:
            while (event := events.get()) is not None:
                yield event
            pumping.result()
        finally:
            pumping.cancel()

    def close(self) -> None:
        """Close everything, and end the thread; a second call does nothing."""
        _OPEN.discard(self)
        if self._thread.is_alive():
            self._loop.call_soon_threadsafe(self._stop.set)
            self._thread.join()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


def open_sync(settings: Settings | None = None, **overrides: Unpack[SettingsOverrides]) -> SyncPlatform:
    """Open an installation; close it with `close`, or use it in a `with` statement.

    Args:
        settings: Everything that can be set; read from the environment unless given.
        overrides: Settings by name, where `settings` is not given: `open_sync(data_dir="./data")`.

    Raises:
        ConfigurationError: a setting, the data directory or the model must be corrected.
    """
    return SyncPlatform(settings, **overrides)


def _raise(error: BaseException) -> NoReturn:
    raise error


_OPEN: weakref.WeakSet[SyncPlatform] = weakref.WeakSet()


def _close_all() -> None:
    for platform in list(_OPEN):
        platform.close()


# `atexit` is too late: it runs after all threads have ended, and a database's threads end only when it is closed.
threading._register_atexit(_close_all)  # type: ignore[attr-defined]  # noqa: SLF001
