"""The passages for a chat, within a time budget; whatever fails, the chat goes on without them.

This is the one place that fails open, and so the one with a broad `except`: a chat must
not break because a document could not be found. What fails closed lies outside: who may
ask, and whose documents are searched, is decided before.
"""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from dataclasses import dataclass, replace
from typing import Literal, Protocol

import structlog

from ragstone.errors import CircuitOpen, InvalidInput, NotFound
from ragstone.resilience.breaker import Breaker
from ragstone.resilience.guards import Guards
from ragstone.retrieval.cached import dumps, loads
from ragstone.retrieval.retrieve import PassageFinder, Retrieval
from ragstone.storage.cache import Cache, CacheKey, cache_key
from ragstone.telemetry.metrics import Metrics
from ragstone.telemetry.redaction import Redactor
from ragstone.vocabulary import Passage, Query, Scope

TURN_S = 900.0  # a turn's tool calls come back within minutes; OpenAI's prompt cache forgets within 5 to 60
WITHOUT_S = 60.0  # a turn that began without passages goes on without for so long
WITHOUT = b"without"

log = structlog.get_logger()

Outcome = Literal["found", "nothing", "no_collection", "timeout", "open", "error"]


class Failures(Protocol):
    """Where failures are noted."""

    def note(self, stage: str, error: BaseException | str, *, upstream: str = "", tenant: str = "") -> None:
        """Note one; never fails."""
        ...


@dataclass(frozen=True, slots=True)
class Found:
    """Passages, best first, or none and why."""

    passages: tuple[Passage, ...]
    outcome: Outcome


class TurnRetrieval:
    """Finds the passages of one turn of a chat; the same for each request of its tool loop."""

    def __init__(
        self,
        finder: PassageFinder,
        *,
        guards: Guards,
        cache: Cache,
        metrics: Metrics,
        failures: Failures,
        redactor: Redactor,
    ) -> None:
        self._finder = finder
        self._guards = guards
        self._cache = cache
        self._metrics = metrics
        self._failures = failures
        self._redactor = redactor
        self._deadline = Deadline()

    async def find(
        self, scope: Scope, query: Query, *, budget_s: float, turn: str | None = None, masked: bool = False
    ) -> Found:
        """The passages that bear on the question, within `budget_s` seconds; never raises but for cancellation.

        Args:
            scope: Whose documents, and which collection.
            query: What to look for.
            budget_s: After so long the chat goes on without.
            turn: What the requests of one tool loop share; they get the same passages, or none alike.
            masked: Hide personal data in the passages. Where that fails, there are none.
        """
        breaker = self._guards.guard(f"retrieval:{scope.tenant}").breaker
        key = None if turn is None else cache_key(scope.tenant, "turn", scope.collection, turn)
        with self._metrics.timed("intercept_retrieve"):
            try:
                found = await self._deadline.keep(self._observed(breaker, scope, query, key), budget_s)
                found = self._shown(found, masked)
            except CircuitOpen:
                return Found((), "open")
            except (NotFound, InvalidInput) as error:
                log.info("intercept.nothing_to_search", code=error.code)
                return Found((), "no_collection")
            except TimeoutError as error:
                breaker.failed()
                return await self._failed(scope, key, error, "timeout")
            except Exception as error:  # noqa: BLE001 — see the module
                return await self._failed(scope, key, error, "error")
        return Found(found.passages, "found" if found.passages else "nothing")

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

    def _shown(self, found: Retrieval, masked: bool) -> Retrieval:
        if not masked:
            return found
        return replace(found, passages=tuple(self._hidden(passage) for passage in found.passages))

    def _hidden(self, passage: Passage) -> Passage:
        mask = self._redactor.masked
        chunk = replace(passage.chunk, text=mask(passage.chunk.text), table_header=mask(passage.chunk.table_header))
        return replace(passage, chunk=chunk, title=mask(passage.title))

    async def _failed(self, scope: Scope, key: CacheKey | None, error: Exception, outcome: Outcome) -> Found:
        log.warning("intercept.retrieval_failed", outcome=outcome, error=type(error).__name__)
        self._failures.note("retrieve", error, tenant=scope.tenant)
        if key is not None:  # the rest of the turn goes without as well
            await self._cache.put_many({key: WITHOUT}, WITHOUT_S)
        return Found((), outcome)


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
