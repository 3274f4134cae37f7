"""Streaming responses: one class writes the bytes, and a response of server-sent events on top of it.

A handler writes the response: its status when that is known, then bytes as they come. The handler is
cancelled when the client disconnects, also before the first byte. A failure before the start becomes a
response with a status of its own; after it, only the last bytes of the stream can tell. One task watches
each response once a second: a time-out for each piece of a stream would cost more than the piece.
"""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import AsyncGenerator, Awaitable, Callable, Coroutine, Sequence
from contextlib import aclosing
from dataclasses import dataclass, replace
from typing import Any, Protocol, TypeVar

import structlog
from pydantic import BaseModel
from starlette.requests import ClientDisconnect
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from ragstone.errors import RagstoneError, Unauthenticated
from ragstone.http.problems import PROBLEM_JSON, fault_of, problem_fields
from ragstone.sse import KEEPALIVE
from ragstone.sse import event as sse_event

STILL_S = 2.0  # a revocation is known within a second; with this it ends a stream within five
HEARTBEAT_S = 15.0  # below the idle limit of common proxies (nginx 60 s, Azure 230 s, AWS ALB 60 s)
STALL_S = 30.0  # a client that reads nothing for this long is treated as disconnected
LOOK_S = 1.0  # between two checks of a running response
AFTERWARDS_S = 5.0  # for what a handler still has to store when its client has the whole answer
HEARTBEAT = b": keepalive\n\n"

T = TypeVar("T")
Header = tuple[str, str]
log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class StreamEvent:
    """One event: its name and its data, sent as JSON."""

    name: str
    data: BaseModel


@dataclass(frozen=True, slots=True)
class Refusal:
    """A complete response in place of the one that was asked for."""

    status: int
    headers: Sequence[Header]
    body: bytes


class StreamErrors(Protocol):
    """How the client's protocol reports failures."""

    def refusal(self, error: Exception) -> Refusal:
        """The response for a failure before anything was sent."""
        ...

    def broken(self, error: Exception) -> bytes:
        """The last bytes of a stream that failed after it had begun."""
        ...


class Writer:
    """Sends one response.

    Attributes:
        at_boundary: Whether a heartbeat may be sent now.
        is_complete: Whether the client has all it needs and may disconnect: from the event on that
            ends a stream, which may come before the last byte.
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


Handler = Callable[[Writer], Awaitable[None]]
Still = Callable[[], Awaitable[bool]]


@dataclass(frozen=True, slots=True, kw_only=True)
class StreamOptions:
    """How a response is watched.

    Attributes:
        still: Whether the caller would still be authenticated; if not, the handler is cancelled and the
            stream ends with an error. None: never asked.
        still_s: Seconds between two calls of `still`.
        heartbeat_s: Seconds of silence after which `heartbeat` is sent.
    """

    still: Still | None = None
    still_s: float = STILL_S
    heartbeat_s: float = HEARTBEAT_S
    heartbeat: bytes = HEARTBEAT

    @property
    def look_s(self) -> float:
        """Seconds between two checks."""
        return min(LOOK_S, self.still_s, self.heartbeat_s)


class StreamingHandler(Response):
    """Lets a handler write the response, until it ends, fails, or its client disconnects."""

    def __init__(self, handler: Handler, errors: StreamErrors, *, options: StreamOptions = StreamOptions()) -> None:
        self._handler = handler
        self._errors = errors
        self._options = options
        super().__init__()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Respond; ends with the client. Raises: ClientDisconnect."""
        writer = Writer(send)
        handling = asyncio.ensure_future(self._handler(writer))
        watching = asyncio.create_task(self._watch(writer))
        leaving = asyncio.create_task(disconnected(receive))
        try:
            await asyncio.wait({handling, watching, leaving}, return_when=asyncio.FIRST_COMPLETED)
            if leaving.done() and not handling.done():
                await self._left(writer, handling)
            failure = _failure(handling) if handling.done() else watching.exception()
        finally:
            await cancelled(handling, watching, leaving)
        if isinstance(failure, ClientDisconnect):
            raise failure
        if isinstance(failure, Exception):
            await self._report(writer, failure, self._error_format(scope))
        await writer.end()

    def _error_format(self, scope: Scope) -> StreamErrors:  # a subclass needs the scope
        return self._errors

    async def _left(self, writer: Writer, handling: asyncio.Future[None]) -> None:
        """The client disconnected: a handler that has sent everything may end; any other is cancelled."""
        if writer.is_complete():
            await asyncio.wait({handling}, timeout=AFTERWARDS_S)
        if not handling.done():
            raise ClientDisconnect

    async def _report(self, writer: Writer, failure: Exception, errors: StreamErrors) -> None:
        if not writer.started:
            await writer.respond(errors.refusal(failure))
        elif writer.streaming:
            await writer.write(errors.broken(failure))
        else:
            raise failure  # a body with an announced length: only a cut connection tells

    async def _watch(self, writer: Writer) -> None:
        """Never returns. Raises: ClientDisconnect, Unauthenticated, and what `still` raises."""
        options, unasked_s = self._options, 0.0
        while True:
            await asyncio.sleep(options.look_s)
            unasked_s += options.look_s
            if writer.sending:
                if writer.idle_s() > STALL_S:
                    raise ClientDisconnect
            elif writer.streaming and writer.idle_s() > options.heartbeat_s and writer.at_boundary():
                await writer.write(options.heartbeat)
            if options.still is not None and unasked_s >= options.still_s:
                unasked_s = 0.0
                if not await options.still():
                    raise Unauthenticated("The key or session of this request has ended. Send one that works.")


class EventStream(StreamingHandler):
    """Server-sent events as they come; a failure is sent as a last event `error`, a problem.

    The generator is closed when the client disconnects.
    """

    media_type = "text/event-stream"

    def __init__(self, events: AsyncGenerator[StreamEvent], *, options: StreamOptions = StreamOptions()) -> None:
        self._events = events
        super().__init__(self._send_events, _ProblemFormat({}), options=replace(options, heartbeat=KEEPALIVE))

    async def _send_events(self, writer: Writer) -> None:
        kind = f"{self.media_type}; charset={self.charset}"
        # nginx would hold events back without the second header
        await writer.start(200, [("content-type", kind), ("x-accel-buffering", "no")], streaming=True)
        async with aclosing(self._events):
            async for one in self._events:
                await writer.write(sse_event(one.data.model_dump_json().encode(), name=one.name))

    def _error_format(self, scope: Scope) -> StreamErrors:
        return _ProblemFormat(scope)


@dataclass(frozen=True, slots=True)
class _ProblemFormat:
    """Failures as problems (RFC 9457)."""

    scope: Scope

    def refusal(self, error: Exception) -> Refusal:
        """The problem as a response."""
        return Refusal(fault_of(error, self.scope).status, [("content-type", PROBLEM_JSON)], self._problem(error))

    def broken(self, error: Exception) -> bytes:
        """The problem as an event `error`."""
        return sse_event(self._problem(error), name="error")

    def _problem(self, error: Exception) -> bytes:
        problem = problem_fields(fault_of(error, self.scope), self.scope)
        return json.dumps({"errors": None, **problem}, ensure_ascii=False).encode(errors="replace")


def _failure(handling: asyncio.Future[None]) -> BaseException | None:
    """What the handler ended with. An unforeseen error is logged here: the client learns only that there was one."""
    failure = handling.exception()
    if isinstance(failure, RagstoneError):
        log.warning("http.stream_failed", code=failure.code)
    elif isinstance(failure, Exception) and not isinstance(failure, ClientDisconnect):
        log.error("http.stream_failed", code="internal", exc_info=failure)
    return failure


async def unless_disconnected(receive: Receive, work: Coroutine[Any, Any, T]) -> T:
    """The result of `work`, which is cancelled as soon as the client disconnects.

    Call it after the request's body has been read.

    Raises:
        ClientDisconnect: the client disconnected.
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
    """Returns when the client disconnects; uvicorn reports that also once the whole response is sent."""
    while (await receive())["type"] != "http.disconnect":
        pass


async def cancelled(*tasks: asyncio.Future[Any]) -> None:
    """Cancel tasks, and wait until they have ended."""
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
