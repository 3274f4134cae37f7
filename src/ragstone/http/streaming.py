"""A response that a story writes itself: its status when it is known, then bytes as they come.

The story runs while somebody watches whether the client has gone, so that work ends with
its client even before the first byte. What fails before the start becomes a refusal with
a status of its own; later, only bytes can tell. One task looks after a whole response
once a second: a time-out for each piece of a stream would cost more than the piece.
"""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import AsyncGenerator, Awaitable, Callable, Coroutine, Sequence
from contextlib import aclosing
from dataclasses import dataclass
from typing import Any, Protocol, TypeVar

import structlog
from pydantic import BaseModel
from starlette.requests import ClientDisconnect
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from ragstone.errors import RagstoneError, Unauthenticated
from ragstone.http.problems import fault_of, problem_fields
from ragstone.sse import KEEPALIVE
from ragstone.sse import event as sse_event

T = TypeVar("T")


async def unless_disconnected(receive: Receive, work: Coroutine[Any, Any, T]) -> T:
    """The result of `work`, which is cancelled as soon as the client has gone.

    Call it when the request's body has been read.

    Raises:
        ClientDisconnect: the client has gone.
    """
    working = asyncio.create_task(work)
    watching = asyncio.create_task(disconnected(receive))
    try:
        await asyncio.wait({working, watching}, return_when=asyncio.FIRST_COMPLETED)
        if working.done():
            return working.result()
        raise ClientDisconnect
    finally:
        await cancelled(working, watching)


async def disconnected(receive: Receive) -> None:
    """Returns when the client has gone; uvicorn says so also when it has the whole response."""
    while (await receive())["type"] != "http.disconnect":
        pass


async def cancelled(*tasks: asyncio.Future[Any]) -> None:
    """End tasks, and wait until they have."""
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)


STILL_S = 2.0  # a revocation is known within a second; with this it ends a stream within five
HEARTBEAT_S = 15.0  # below the idle limit of common proxies (nginx 60 s, Azure 230 s, AWS ALB 60 s)
STALL_S = 30.0  # a client that reads nothing for so long has gone for all practical purposes

__all__ = ["EventStream", "StreamEvent", "unless_disconnected"]

log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class StreamEvent:
    """One event: its name and its data, sent as JSON."""

    name: str
    data: BaseModel


class EventStream(Response):
    """Sends events as they come, a comment as heartbeat, and `error` (a problem) if they fail.

    When the client goes, the generator is closed at once, and with it whatever it waits for. When
    `still` says no, asked every `still_s` seconds, it is closed too, and `error` is the last event.
    """

    media_type = "text/event-stream"

    def __init__(
        self,
        events: AsyncGenerator[StreamEvent],
        *,
        still: Callable[[], Awaitable[bool]] | None = None,
        still_s: float = STILL_S,
        heartbeat_s: float = HEARTBEAT_S,
    ) -> None:
        self._events = events
        self._still = still
        self._still_s = still_s
        self._heartbeat_s = heartbeat_s
        super().__init__(headers={"x-accel-buffering": "no"})  # nginx would hold events back
        del self.headers["content-length"]

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Stream until the events or the client end."""
        await unless_disconnected(receive, self._stream(scope, send))

    async def _stream(self, scope: Scope, send: Send) -> None:
        await send({"type": "http.response.start", "status": self.status_code, "headers": self.raw_headers})
        frames = asyncio.create_task(self._send_frames(scope, send))
        heartbeat = asyncio.create_task(self._beat(send))
        watch = asyncio.create_task(self._until_refused())
        try:
            await asyncio.wait({frames, watch}, return_when=asyncio.FIRST_COMPLETED)
            if not frames.done():
                await cancelled(frames)
                await _send_body(send, _error_frame(scope, _refusal(watch)))
            else:
                frames.result()
        finally:
            await cancelled(frames, heartbeat, watch)
        await send({"type": "http.response.body", "body": b"", "more_body": False})

    async def _send_frames(self, scope: Scope, send: Send) -> None:
        async with aclosing(_ending_with_an_event(self._events, scope)) as frames:
            async for frame in frames:
                await _send_body(send, frame)

    async def _until_refused(self) -> None:
        """Returns when the caller would no longer be admitted; fails when that cannot be found out."""
        if self._still is None:
            await asyncio.Event().wait()
            return
        while True:
            await asyncio.sleep(self._still_s)
            if not await self._still():
                return

    async def _beat(self, send: Send) -> None:
        while True:
            await asyncio.sleep(self._heartbeat_s)
            await _send_body(send, KEEPALIVE)


def _refusal(watch: asyncio.Task[None]) -> Exception:
    error = watch.exception()
    if isinstance(error, Exception):
        log.warning("http.stream_unwatched", error=type(error).__name__)
        return error
    return Unauthenticated("The key or session of this stream has ended. Send one that works, and ask again.")


async def _ending_with_an_event(events: AsyncGenerator[StreamEvent], scope: Scope) -> AsyncGenerator[bytes]:
    try:
        async with aclosing(events):
            async for event in events:
                yield _frame(event)
    except RagstoneError as error:
        log.warning("http.stream_failed", code=error.code)
        yield _error_frame(scope, error)
    except Exception as error:  # ASGI edge: the status is sent, only an event can tell
        log.exception("http.stream_failed", code="internal")
        yield _error_frame(scope, error)


def _frame(one: StreamEvent) -> bytes:
    return sse_event(one.data.model_dump_json().encode(), name=one.name)


def _error_frame(scope: Scope, error: Exception) -> bytes:
    problem = problem_fields(fault_of(error, scope), scope)
    return sse_event(json.dumps({"errors": None, **problem}, ensure_ascii=False).encode(errors="replace"), name="error")


async def _send_body(send: Send, body: bytes) -> None:
    try:
        async with asyncio.timeout(STALL_S):
            await send({"type": "http.response.body", "body": body, "more_body": True})
    except (TimeoutError, OSError) as error:
        raise ClientDisconnect from error


LOOK_S = 1.0  # how often a running response is looked after
AFTERWARDS_S = 5.0  # for what a story has to write down when its client has all it wants
HEARTBEAT = b": keepalive\n\n"

Header = tuple[str, str]


@dataclass(frozen=True, slots=True)
class Refusal:
    """A complete response in place of what was asked."""

    status: int
    headers: Sequence[Header]
    body: bytes


class Dialect(Protocol):
    """How the client wants to hear of failures."""

    def refusal(self, error: Exception) -> Refusal:
        """The response for what failed before anything was sent."""
        ...

    def broken(self, error: Exception) -> bytes:
        """What ends a stream that failed after it had begun."""
        ...


class Writer:
    """Sends one response.

    Attributes:
        at_boundary: Whether a heartbeat may be sent now.
        is_complete: Whether the client has all it wants, and so may go: not only when nothing
            follows, but from the mark on that ends a stream.
    """

    def __init__(self, send: Send, *, clock: Callable[[], float] = time.monotonic) -> None:
        self._send = send
        self._clock = clock
        self.started = False
        self.streaming = False
        self.ended = False
        self.at_boundary: Callable[[], bool] = lambda: True
        self.is_complete: Callable[[], bool] = lambda: self.ended
        self.sent_at = clock()
        self.sending = False

    async def start(self, status: int, headers: Sequence[Header], *, streaming: bool = False) -> None:
        """Send status and headers; once."""
        raw = [(name.lower().encode("latin-1"), value.encode("latin-1", "replace")) for name, value in headers]
        self.started, self.streaming = True, streaming
        await self._send({"type": "http.response.start", "status": status, "headers": raw})

    async def write(self, body: bytes) -> None:
        """Send some of the body. Waits while the client reads too slowly."""
        self.sending, self.sent_at = True, self._clock()
        try:
            await self._send({"type": "http.response.body", "body": body, "more_body": True})
        except OSError as error:
            raise ClientDisconnect from error
        finally:
            self.sending = False
            self.sent_at = self._clock()

    async def respond(self, refusal: Refusal) -> None:
        """Send a whole response."""
        await self.start(refusal.status, [*refusal.headers, ("content-length", str(len(refusal.body)))])
        await self.end(refusal.body)

    async def end(self, body: bytes = b"") -> None:
        """Send the last of the body, if that has not been sent."""
        if not self.ended:
            self.ended = True
            await self._send({"type": "http.response.body", "body": body, "more_body": False})

    def idle_s(self) -> float:
        """Seconds since something was last sent, or since what is being sent began to be."""
        return self._clock() - self.sent_at


Story = Callable[[Writer], Awaitable[None]]
Still = Callable[[], Awaitable[bool]]


class StreamingHandler(Response):
    """Lets a story write the response, until it ends, fails, or its client goes.

    `still` is asked now and then whether the caller would still be admitted; if not, the
    story is cancelled and the stream ends with an error.
    """

    def __init__(self, story: Story, dialect: Dialect, *, still: Still | None = None, look_s: float = LOOK_S) -> None:
        self._story = story
        self._dialect = dialect
        self._still = still
        self._look_s = look_s
        super().__init__()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Respond; ends with the client. Raises: ClientDisconnect."""
        writer = Writer(send)
        telling = asyncio.ensure_future(self._story(writer))
        looking = asyncio.create_task(self._look_after(writer))
        leaving = asyncio.create_task(disconnected(receive))
        try:
            await asyncio.wait({telling, looking, leaving}, return_when=asyncio.FIRST_COMPLETED)
            if leaving.done() and not telling.done():
                await self._left(writer, telling)
            failure = _failure(telling) if telling.done() else looking.exception()
        finally:
            await cancelled(telling, looking, leaving)
        if isinstance(failure, ClientDisconnect):
            raise failure
        if isinstance(failure, Exception):
            await self._tell(writer, failure)
        await writer.end()

    async def _left(self, writer: Writer, telling: asyncio.Future[None]) -> None:
        """The client has gone: with all that it wanted, then the story may end; or else it has to."""
        if writer.is_complete():
            await asyncio.wait({telling}, timeout=AFTERWARDS_S)
        if not telling.done():
            raise ClientDisconnect

    async def _tell(self, writer: Writer, failure: Exception) -> None:
        if not writer.started:
            await writer.respond(self._dialect.refusal(failure))
        elif writer.streaming:
            await writer.write(self._dialect.broken(failure))
        else:
            raise failure  # a body whose length was announced: only a cut connection tells

    async def _look_after(self, writer: Writer) -> None:
        """Never returns. Raises: ClientDisconnect, Unauthenticated."""
        looked = 0.0
        while True:
            await asyncio.sleep(self._look_s)
            looked += self._look_s
            if writer.sending:
                if writer.idle_s() > STALL_S:
                    raise ClientDisconnect
            elif writer.streaming and writer.idle_s() > HEARTBEAT_S and writer.at_boundary():
                await writer.write(HEARTBEAT)
            if self._still is not None and looked >= STILL_S:
                looked = 0.0
                if not await self._still():
                    raise Unauthenticated("The key or session of this request has ended. Send one that works.")


def _failure(telling: asyncio.Future[None]) -> BaseException | None:
    """What the story ended with; what nobody foresaw is logged here, as only the client's dialect tells it on."""
    failure = telling.exception()
    if isinstance(failure, RagstoneError):
        log.warning("http.relay_failed", code=failure.code)
    elif isinstance(failure, Exception) and not isinstance(failure, ClientDisconnect):
        log.error("http.relay_failed", code="internal", exc_info=failure)
    return failure
