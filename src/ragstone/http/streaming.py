"""Server-sent events that end with an event, and work that ends with its client.

Two traps decide the shape. An exception inside a streaming body cuts the connection,
so whatever happens after the first byte becomes an `error` event. And a handler that
waits for the first event before it returns its response does not notice that the
client has gone, so the response starts at once and a watcher runs beside the work.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import aclosing
from dataclasses import dataclass

import structlog
from fastapi.sse import KEEPALIVE_COMMENT, format_sse_event
from pydantic import BaseModel
from starlette.requests import ClientDisconnect
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from ragstone.errors import RagstoneError, Unauthenticated
from ragstone.http.disconnects import cancelled, unless_disconnected
from ragstone.http.errors import problem_of

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
                await _send_body(send, _frame(StreamEvent("error", problem_of(scope, _refusal(watch)))))
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
            await _send_body(send, KEEPALIVE_COMMENT)


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
        yield _frame(StreamEvent("error", problem_of(scope, error)))
    except Exception as error:  # ASGI edge: the status is sent, only an event can tell
        log.exception("http.stream_failed", code="internal")
        yield _frame(StreamEvent("error", problem_of(scope, error)))


def _frame(event: StreamEvent) -> bytes:
    return format_sse_event(event=event.name, data_str=event.data.model_dump_json())


async def _send_body(send: Send, body: bytes) -> None:
    try:
        async with asyncio.timeout(STALL_S):
            await send({"type": "http.response.body", "body": body, "more_body": True})
    except (TimeoutError, OSError) as error:
        raise ClientDisconnect from error
