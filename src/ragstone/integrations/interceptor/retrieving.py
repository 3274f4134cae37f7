"""The passages for a chat, within a time budget.

Whose documents are searched is decided before; here it is only made sure that looking
for them never takes longer than it may, and is left alone where it keeps failing.
"""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from dataclasses import replace

from ragstone.errors import InvalidInput, NotFound
from ragstone.resilience.breaker import Breaker
from ragstone.resilience.guards import Guards
from ragstone.retrieval.base import PassageFinder, Retrieval
from ragstone.retrieval.cached import dumps, loads
from ragstone.storage.cache import Cache, CacheKey, cache_key
from ragstone.telemetry.metrics import Metrics
from ragstone.telemetry.redaction import Redactor
from ragstone.vocabulary import Passage, Query, Scope

TURN_S = 900.0  # a turn's tool calls come back within minutes; OpenAI's prompt cache forgets within 5 to 60
WITHOUT_S = 60.0  # a turn that began without passages goes on without for so long
WITHOUT = b"without"


class TurnRetrieval:
    """Finds the passages of one turn of a chat; the same for each request of its tool loop."""

    def __init__(
        self,
        finder: PassageFinder,
        *,
        guards: Guards,
        cache: Cache,
        metrics: Metrics,
        redactor: Redactor,
    ) -> None:
        self._finder = finder
        self._guards = guards
        self._cache = cache
        self._metrics = metrics
        self._redactor = redactor
        self._deadline = Deadline()

    async def find(
        self, scope: Scope, query: Query, *, budget_s: float, turn: str | None = None, masked: bool = False
    ) -> tuple[Passage, ...]:
        """The passages that bear on the question, best first.

        Args:
            scope: Whose documents, and which collection.
            query: What to look for.
            budget_s: Seconds after which the chat goes on without.
            turn: What the requests of one tool loop share; they get the same passages, or none alike.
            masked: Hide personal data in the passages.

        Raises:
            TimeoutError: the budget is spent.
            CircuitOpen: retrieval failed too often a moment ago.
            NotFound: there is no such collection.
            Exception: whatever else a part of retrieval fails with.
        """
        breaker = self._guards.guard(f"retrieval:{scope.tenant}").breaker
        key = None if turn is None else cache_key(scope.tenant, "turn", scope.collection, turn)
        try:
            with self._metrics.timed("intercept_retrieve"):
                found = await self._deadline.keep(self._observed(breaker, scope, query, key), budget_s)
            return tuple(self._hidden(passage) if masked else passage for passage in found.passages)
        except TimeoutError:
            breaker.failed()
            await self._forgo(key)
            raise
        except Exception:
            await self._forgo(key)
            raise

    async def _observed(self, breaker: Breaker, scope: Scope, query: Query, key: CacheKey | None) -> Retrieval:
        """Look up, if the circuit is closed, and tell the breaker how that went. Raises: CircuitOpen, or anything."""
        call = breaker.admit()
        try:
            found = await self._find(scope, query, key)
        except (NotFound, InvalidInput):
            breaker.succeeded(call)  # it answers; there is just nothing to be found
            raise
        except asyncio.CancelledError:
            breaker.let_go(call)
            raise
        except Exception:
            breaker.failed(call)
            raise
        breaker.succeeded(call)
        return found

    async def _find(self, scope: Scope, query: Query, key: CacheKey | None) -> Retrieval:
        if key is None:
            return await self._finder.retrieve(scope, query)
        stored = (await self._cache.get_many([key])).get(key)
        if stored == WITHOUT:
            return Retrieval(())
        if stored is not None and (known := loads(stored, scope)) is not None:
            return known
        found = await self._finder.retrieve(scope, query)
        await self._cache.put_many({key: dumps(found, scope)}, TURN_S)
        return found

    def _hidden(self, passage: Passage) -> Passage:
        mask = self._redactor.masked
        chunk = replace(passage.chunk, text=mask(passage.chunk.text), table_header=mask(passage.chunk.table_header))
        return replace(passage, chunk=chunk, title=mask(passage.title))

    async def _forgo(self, key: CacheKey | None) -> None:
        """Let the rest of the turn go without passages as well."""
        if key is not None:
            await self._cache.put_many({key: WITHOUT}, WITHOUT_S)


class Deadline:
    """Keeps work within its time, even work that takes long to be cancelled: that ends by itself later."""

    def __init__(self) -> None:
        self._late: set[asyncio.Task[Retrieval]] = set()

    async def keep(self, work: Coroutine[None, None, Retrieval], seconds: float) -> Retrieval:
        """The result of `work`. Raises: TimeoutError, or as `work` does."""
        working = asyncio.create_task(work)
        try:
            done, _ = await asyncio.wait({working}, timeout=seconds)
        finally:
            if not working.done():
                working.cancel()
                self._late.add(working)
                working.add_done_callback(self._over)
        if not done:
            raise TimeoutError
        return working.result()

    def _over(self, working: asyncio.Task[Retrieval]) -> None:
        self._late.discard(working)
        if not working.cancelled():
            working.exception()  # it came too late for anybody to hear of it
