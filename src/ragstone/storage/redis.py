"""The Redis connection: every call has a deadline; after a failure, calls are refused for a moment.

Redis holds derived data only: counts of limits, cached results, notifications. Every caller has
a fallback, so the only error is `Unavailable`, and it is raised quickly.
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

CONNECTIONS = 16  # of one process; a command takes 0.1 ms, so this is far more than one CPU can use
QUEUE_S = 1.0  # how long a call waits for a connection in a burst of requests
REST_S = 1.0  # time after a failure before one call tries again
SLICES = 5  # number of parts of a deadline; see `_answers_in_time`
PING_S = 2.0  # silence after which a subscription is pinged
PREFIX = "ragstone"  # prefix of every key and channel, so that other programs can share the Redis server


@dataclass(frozen=True, slots=True)
class Script:
    """A Lua script, which Redis runs as one atomic step."""

    text: str
    sha: str = field(init=False)

    def __post_init__(self) -> None:
        # Redis names scripts by SHA-1; nothing is protected by it.
        object.__setattr__(self, "sha", sha1(self.text.encode(), usedforsecurity=False).hexdigest())


class Redis:
    """A pool of `CONNECTIONS` connections to Redis. A call's deadline begins when it has a connection."""

    def __init__(
        self,
        url: str,
        *,
        prefix: str = PREFIX,
        timeout_s: float = 0.05,
        metrics: Metrics | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """Does not connect yet. `prefix` separates installations that share a Redis server.

        Raises:
            ConfigurationError: the redis extra is not installed, or the URL is not valid.
        """
        self._url = url
        self._client = _client(url)
        self._failures = _failures()
        self._prefix = prefix
        self._timeout_s = timeout_s
        self._metrics = metrics
        self._clock = clock
        self._slots = asyncio.Semaphore(CONNECTIONS)
        self._try_again_at: float | None = None  # None: the last call succeeded
        self._trying = False

    @property
    def works(self) -> bool:
        """Whether the last call succeeded."""
        return self._try_again_at is None

    def key(self, kind: str, name: str) -> str:
        """The full name of a key or channel."""
        return f"{self._prefix}:{kind}:{name}"

    async def run(self, call: Callable[[Client], Awaitable[T]]) -> T:
        """Run `call` within the deadline and return its result.

        Raises:
            Unavailable: Redis does not answer or answers with an error, now or a moment ago.
        """
        self._refuse_while_broken()
        async with self._connection():
            self._refuse_while_broken()  # Redis may have failed while this call waited
            with self._one_at_a_time_while_broken():
                try:
                    answer = await self._within_deadline(call)
                except self._failures as error:
                    raise self._broken(error) from error
        self._works()
        return answer

    async def run_script(self, script: Script, keys: Sequence[str], arguments: Sequence[str | bytes | float]) -> Any:  # noqa: ANN401 — the result depends on the script
        """Run a script, sending its text only if Redis does not know it. Raises: Unavailable."""
        from redis.exceptions import NoScriptError

        async def call(client: Client) -> Any:  # noqa: ANN401
            try:
                return await client.evalsha(script.sha, len(keys), *keys, *arguments)
            except NoScriptError:
                return await client.eval(script.text, len(keys), *keys, *arguments)

        return await self.run(call)

    async def publish(self, channel: str, message: str) -> None:
        """Publish a message to all subscribers; it is lost while Redis is down."""
        with suppress(Unavailable):
            await self.run(lambda client: client.publish(self.key("news", channel), message))

    async def messages(self, channel: str) -> AsyncGenerator[str, None]:
        """The messages of a channel from now on, without end. Messages during a lost connection are lost."""
        client = _client(self._url)
        try:
            while True:
                try:
                    async for message in self._subscription(client, self.key("news", channel)):
                        yield message
                except self._failures as error:
                    log.info("redis.not_listening", channel=channel, error=type(error).__name__)
                await asyncio.sleep(REST_S)
        finally:
            await client.aclose()

    async def close(self) -> None:
        """Close all connections."""
        await self._client.aclose()

    async def _subscription(self, client: Client, channel: str) -> AsyncGenerator[str, None]:
        """The messages of one subscription. Raises: TimeoutError, when it no longer answers."""
        async with client.pubsub() as subscription:
            async with asyncio.timeout(PING_S):
                await subscription.subscribe(channel)
            pinged = False
            while True:
                message = await subscription.get_message(timeout=PING_S)
                if message is None:
                    if pinged:
                        raise TimeoutError
                    await subscription.ping()
                pinged = message is None
                if message is not None and message["type"] == "message":
                    yield message["data"].decode(errors="replace")

    @asynccontextmanager
    async def _connection(self) -> AsyncGenerator[None, None]:
        """Wait for one of the connections, at most `QUEUE_S`."""
        try:
            async with asyncio.timeout(QUEUE_S):
                await self._slots.acquire()
        except TimeoutError as error:
            self._count("refused")
            raise Unavailable("Redis has too many waiting calls. Try again in a moment.") from error
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
                # The client closes the connection of a cancelled call, so that no other call reads its answer.
                task.cancel()
                await asyncio.wait({task})

    async def _answers_in_time(self, task: asyncio.Task[T]) -> bool:
        """Whether the task is done before the deadline.

        A process that was busy for 100 ms would find the deadline over although the answer has
        arrived. So it waits in slices and counts each slice as at most twice its length.
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
            raise Unavailable("Redis did not answer a moment ago. It is called again in a second.")

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
        return Unavailable("Redis does not answer. Check that it is running and has free memory.")

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
    """A client without deadlines and retries of its own, and without CLIENT SETINFO, which saves a round trip."""
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
        pool.connection_class(**pool.connection_kwargs)  # unknown options would otherwise fail at the first call only
    except (ValueError, TypeError):
        # Without its cause, whose message may contain the password of the URL.
        raise ConfigurationError(
            "RAGSTONE_REDIS__URL is not a Redis URL. Write redis://:password@host:6379/0, "
            "rediss:// with TLS, or unix:///path/to/redis.sock."
        ) from None
    return client


def _failures() -> tuple[type[Exception], ...]:
    from redis.exceptions import RedisError

    return RedisError, OSError  # a TimeoutError is an OSError
