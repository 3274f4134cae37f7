"""The Redis connection: every call has a deadline; after a failure it is not called for a moment.

What Redis holds is derived: counts of limits, cached results, news. Whoever calls has a
way to go on without, so the only error from here is `Unavailable`, and it comes soon.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncGenerator, Awaitable, Callable, Iterator, Sequence
from contextlib import asynccontextmanager, contextmanager, suppress
from dataclasses import dataclass, field
from hashlib import sha1
from typing import TYPE_CHECKING, Any, TypeVar

import structlog

from ragstone.errors import ConfigurationError, Unavailable
from ragstone.telemetry.metrics import Metrics

if TYPE_CHECKING:  # an extra: a program without Redis does not have it
    from redis.asyncio import Redis as Client

T = TypeVar("T")

log = structlog.get_logger()

CONNECTIONS = 16  # of one process; a command takes 0.1 ms, so this is far more than one CPU can keep busy
QUEUE_S = 1.0  # how long a call waits for one of them, in a burst of requests, before it does without
REST_S = 1.0  # how long a broken Redis is left alone before one call may try it again
SLICES = 5  # a deadline is waited for in so many parts; see `_answers_in_time`
PING_S = 2.0  # how long a subscription is silent before it is asked whether it still lives
PREFIX = "ragstone"  # what every key and channel begins with, so that a Redis may serve others as well


@dataclass(frozen=True, slots=True)
class Script:
    """A Lua script, which Redis runs as one atomic step."""

    text: str
    sha: str = field(init=False)

    def __post_init__(self) -> None:
        # Redis names scripts by SHA-1; nothing is protected by it.
        object.__setattr__(self, "sha", sha1(self.text.encode(), usedforsecurity=False).hexdigest())


class Redis:
    """Connections to Redis, as many as `CONNECTIONS`; what waits for one of them is not on the clock yet."""

    def __init__(
        self,
        url: str,
        *,
        prefix: str = PREFIX,
        timeout_s: float = 0.05,
        metrics: Metrics | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """Nothing is connected yet; `prefix` keeps installations apart that share one Redis.

        Raises:
            ConfigurationError: the redis extra is not installed, or the URL is none.
        """
        self._url = url
        self._client = _client(url)
        self._failures = _failures()
        self._prefix = prefix
        self._timeout_s = timeout_s
        self._metrics = metrics
        self._clock = clock
        self._slots = asyncio.Semaphore(CONNECTIONS)
        self._try_again_at: float | None = None  # None: it works, as far as is known
        self._trying = False

    @property
    def works(self) -> bool:
        """Whether it does, as far as the last call knows."""
        return self._try_again_at is None

    def key(self, kind: str, name: str) -> str:
        """The full name of a key or channel."""
        return f"{self._prefix}:{kind}:{name}"

    async def run(self, call: Callable[[Client], Awaitable[T]]) -> T:
        """What `call` gets from Redis, within the deadline.

        Raises:
            Unavailable: it does not answer, answers with an error, or did so a moment ago.
        """
        self._refuse_while_broken()
        async with self._turn():
            self._refuse_while_broken()  # it may have broken while this call waited for its turn
            with self._one_at_a_time_while_broken():
                try:
                    answer = await self._within_deadline(call)
                except self._failures as error:
                    raise self._broken(error) from error
        self._works()
        return answer

    async def run_script(self, script: Script, keys: Sequence[str], arguments: Sequence[str | bytes | float]) -> Any:  # noqa: ANN401 — what a script returns is the script's business
        """Run a script, sending its text only if Redis does not know it. Raises: Unavailable."""
        from redis.exceptions import NoScriptError

        async def call(client: Client) -> Any:  # noqa: ANN401
            try:
                return await client.evalsha(script.sha, len(keys), *keys, *arguments)
            except NoScriptError:
                return await client.eval(script.text, len(keys), *keys, *arguments)

        return await self.run(call)

    async def publish(self, channel: str, message: str) -> None:
        """Publish a message to all listeners; it is lost while Redis is down."""
        with suppress(Unavailable):
            await self.run(lambda client: client.publish(self.key("news", channel), message))

    async def messages(self, channel: str) -> AsyncGenerator[str, None]:
        """What is published from now on, for ever; what is said while the connection is lost, is lost."""
        client = _client(self._url)
        try:
            while True:
                try:
                    async for message in self._heard(client, self.key("news", channel)):
                        yield message
                except self._failures as error:
                    log.info("redis.not_listening", channel=channel, error=type(error).__name__)
                await asyncio.sleep(REST_S)
        finally:
            await client.aclose()

    async def close(self) -> None:
        """Let go of all connections."""
        await self._client.aclose()

    async def _heard(self, client: Client, channel: str) -> AsyncGenerator[str, None]:
        """The messages of one subscription. Raises: TimeoutError, when it no longer answers."""
        async with client.pubsub() as subscription:
            async with asyncio.timeout(PING_S):
                await subscription.subscribe(channel)
            asked = False
            while True:
                heard = await subscription.get_message(timeout=PING_S)
                if heard is None:
                    if asked:
                        raise TimeoutError
                    await subscription.ping()
                asked = heard is None
                if heard is not None and heard["type"] == "message":
                    yield heard["data"].decode(errors="replace")

    @asynccontextmanager
    async def _turn(self) -> AsyncGenerator[None, None]:
        """One of the connections; a Redis that is slow, but not too slow, makes a long queue."""
        try:
            async with asyncio.timeout(QUEUE_S):
                await self._slots.acquire()
        except TimeoutError as error:
            self._count("refused")
            raise Unavailable("Redis is asked for more than it answers at the moment.") from error
        try:
            yield
        finally:
            self._slots.release()

    async def _within_deadline(self, call: Callable[[Client], Awaitable[T]]) -> T:
        async def answer() -> T:
            return await call(self._client)

        task = asyncio.create_task(answer())
        try:
            if not await self._answers_in_time(task):
                raise TimeoutError
            return task.result()
        finally:
            if not task.done():
                # The client closes a connection whose answer is not awaited any more, so that no other call reads it.
                task.cancel()
                await asyncio.wait({task})

    async def _answers_in_time(self, task: asyncio.Task[T]) -> bool:
        """Whether it is done before the deadline, as far as this process looked.

        A process that is busy for 100 ms finds the deadline over and the answer waiting.
        So it waits in slices, and of each counts no more than twice what it was to take.
        """
        slice_s = self._timeout_s / SLICES
        left_s = self._timeout_s
        while left_s > 0 and not task.done():
            start = time.monotonic()
            await asyncio.wait({task}, timeout=min(slice_s, left_s))
            left_s -= min(time.monotonic() - start, 2 * slice_s)
        return task.done()

    def _refuse_while_broken(self) -> None:
        if self._try_again_at is None:
            return
        if self._trying or self._clock() < self._try_again_at:
            self._count("refused")
            raise Unavailable("Redis did not answer a moment ago; it is tried again in a second.")

    @contextmanager
    def _one_at_a_time_while_broken(self) -> Iterator[None]:
        tries = self._try_again_at is not None
        self._trying |= tries
        try:
            yield
        finally:
            self._trying &= not tries

    def _broken(self, error: Exception) -> Unavailable:
        if self._try_again_at is None:
            log.warning("redis.unavailable", error=type(error).__name__)
        self._try_again_at = self._clock() + REST_S
        self._count("failed")
        return Unavailable("Redis does not answer. Look whether it runs, and whether it has memory left.")

    def _works(self) -> None:
        if self._try_again_at is not None:
            log.info("redis.back")
        self._try_again_at = None
        self._count("ok")

    def _count(self, outcome: str) -> None:
        if self._metrics is None:
            return
        self._metrics.redis.labels(outcome).inc()
        if outcome != "ok":
            self._metrics.degraded.labels("redis_unavailable").inc()


def _client(url: str) -> Client:
    """A client without deadlines and retries of its own, and without greetings: one round trip less to connect."""
    try:
        from redis.asyncio import Redis as Client
        from redis.asyncio.retry import Retry
        from redis.backoff import NoBackoff
    except ImportError as error:
        raise ConfigurationError(
            "RAGSTONE_REDIS__URL is set, but the package for Redis is missing. "
            "Install it: pip install 'ragstone[redis]'"
        ) from error
    try:
        client: Client = Client.from_url(
            url,
            protocol=2,
            driver_info=None,
            socket_timeout=None,
            socket_connect_timeout=None,
            retry=Retry(NoBackoff(), 0),
            max_connections=2 * CONNECTIONS,
        )
        pool = client.connection_pool
        pool.connection_class(**pool.connection_kwargs)  # options that there are not would show at the first call only
    except (ValueError, TypeError):
        # Without its cause: the URL, or the part of it that is wrong, may hold the password.
        raise ConfigurationError(
            "RAGSTONE_REDIS__URL is not an address of Redis. Write redis://:password@host:6379/0, "
            "rediss:// with TLS, or unix:///path/to/redis.sock."
        ) from None
    return client


def _failures() -> tuple[type[Exception], ...]:
    from redis.exceptions import RedisError

    return RedisError, OSError  # a TimeoutError is an OSError
