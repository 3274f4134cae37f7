"""Streams over real sockets: they end with an event, and end with their client."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Awaitable, Callable

import httpx2
import pytest
from fastapi import FastAPI, Request, Response
from pydantic import BaseModel

from ragstone.errors import IndexUnavailable, Unavailable
from ragstone.http.context import install_server
from ragstone.http.error_handlers import install_error_handlers
from ragstone.http.middleware import RequestMiddleware
from ragstone.http.streaming import EventStream, StreamEvent, StreamOptions, unless_disconnected
from tests.http.without_accounts import server_without_accounts
from tests.servers import events_of, serving

Source = Callable[[], AsyncGenerator[StreamEvent]]


class Number(BaseModel):
    value: int


class Secret(Exception):
    """An unforeseen error, with a secret in its message."""


class Witness:
    """Sees when work begins and when it has been ended."""

    def __init__(self) -> None:
        self.begun = asyncio.Event()
        self.ended = asyncio.Event()

    async def wait_forever(self) -> None:
        self.begun.set()
        try:
            await asyncio.Event().wait()
        finally:
            self.ended.set()


async def always() -> bool:
    return True


def app_with(source: Source, *, heartbeat_s: float = 15.0, still: Callable[[], Awaitable[bool]] = always) -> FastAPI:
    app = FastAPI()
    install_server(app, server_without_accounts())
    app.add_middleware(RequestMiddleware)
    install_error_handlers(app)

    @app.get("/stream", response_class=Response)
    async def stream() -> Response:
        return EventStream(source(), options=StreamOptions(heartbeat_s=heartbeat_s, still=still, still_s=0.01))

    return app


async def three() -> AsyncGenerator[StreamEvent]:
    for value in range(3):
        yield StreamEvent("number", Number(value=value))


async def test_events_arrive_in_order_with_headers_that_no_proxy_buffers():
    async with (
        serving(app_with(three)) as url,
        httpx2.AsyncClient() as client,
        client.stream("GET", f"{url}/stream") as r,
    ):
        assert [event.data async for event in events_of(r)] == [{"value": 0}, {"value": 1}, {"value": 2}]
        assert r.headers["content-type"] == "text/event-stream; charset=utf-8"
        assert r.headers["x-accel-buffering"] == "no"
        assert r.headers["cache-control"] == "no-store"


@pytest.mark.parametrize("error", [IndexUnavailable("The index does not answer. Try again."), Secret("/srv/secret")])
@pytest.mark.parametrize("sent_before", [0, 2])
async def test_a_failure_becomes_the_last_event_and_tells_nothing_of_the_inside(error: Exception, sent_before: int):
    async def failing() -> AsyncGenerator[StreamEvent]:
        for value in range(sent_before):
            yield StreamEvent("number", Number(value=value))
        raise error

    async with (
        serving(app_with(failing)) as url,
        httpx2.AsyncClient() as client,
        client.stream("GET", f"{url}/stream") as r,
    ):
        received = [event async for event in events_of(r)]
    assert [event.name for event in received] == ["number"] * sent_before + ["error"]
    problem = received[-1].data
    assert problem["code"] == getattr(error, "code", "internal")
    assert problem["request_id"] == r.headers["x-request-id"]
    assert "secret" not in str(problem)


@pytest.mark.parametrize("sent_before", [0, 1])
async def test_when_the_client_goes_the_generator_ends(sent_before: int):
    witness = Witness()

    async def waiting() -> AsyncGenerator[StreamEvent]:
        for value in range(sent_before):
            yield StreamEvent("number", Number(value=value))
        await witness.wait_forever()

    async with serving(app_with(waiting)) as url:
        async with httpx2.AsyncClient() as client, client.stream("GET", f"{url}/stream"):
            await witness.begun.wait()
        async with asyncio.timeout(5):
            await witness.ended.wait()


async def test_when_the_client_goes_work_that_streams_nothing_ends_too():
    witness = Witness()
    app = FastAPI()
    install_server(app, server_without_accounts())
    app.add_middleware(RequestMiddleware)

    @app.post("/work")
    async def work(request: Request, body: dict[str, int]) -> None:
        await unless_disconnected(request.receive, witness.wait_forever())

    async with serving(app) as url:
        async with httpx2.AsyncClient() as client:
            asking = asyncio.create_task(client.post(f"{url}/work", json={"a": 1}))
            await witness.begun.wait()
            asking.cancel()
            await asyncio.gather(asking, return_exceptions=True)
        async with asyncio.timeout(5):
            await witness.ended.wait()


async def test_work_that_ends_first_gives_its_result_or_its_error():
    async def never() -> dict[str, str]:
        await asyncio.Event().wait()
        raise AssertionError

    async def two() -> int:
        return 2

    async def fails() -> int:
        raise IndexUnavailable("The index does not answer.")

    assert await unless_disconnected(never, two()) == 2
    with pytest.raises(IndexUnavailable):
        await unless_disconnected(never, fails())


async def test_a_silent_stream_beats():
    async def waiting() -> AsyncGenerator[StreamEvent]:
        await asyncio.Event().wait()
        yield StreamEvent("never", Number(value=0))

    app = app_with(waiting, heartbeat_s=0.01)
    async with serving(app) as url, httpx2.AsyncClient() as client, client.stream("GET", f"{url}/stream") as r:
        lines = r.aiter_lines()
        assert await anext(lines) == ": ping"
        assert await anext(lines) == ""
        assert await anext(lines) == ": ping"


async def received_by(app: FastAPI) -> list[tuple[str, str | None]]:
    async with serving(app) as url, httpx2.AsyncClient() as client, client.stream("GET", f"{url}/stream") as r:
        async with asyncio.timeout(5):
            return [(event.name, event.data.get("code")) async for event in events_of(r)]


async def test_who_is_no_longer_admitted_gets_an_error_and_the_generator_is_closed():
    witness = Witness()

    async def waiting() -> AsyncGenerator[StreamEvent]:
        yield StreamEvent("number", Number(value=0))
        await witness.wait_forever()

    async def until_it_waits() -> bool:
        return not witness.begun.is_set()

    received = await received_by(app_with(waiting, still=until_it_waits))
    assert received == [("number", None), ("error", "unauthenticated")]
    assert witness.ended.is_set()


async def test_where_admission_cannot_be_checked_the_stream_ends():
    async def waiting() -> AsyncGenerator[StreamEvent]:
        await asyncio.Event().wait()
        yield StreamEvent("never", Number(value=0))

    async def unknown() -> bool:
        raise Unavailable("The database does not answer.")

    assert await received_by(app_with(waiting, still=unknown)) == [("error", "unavailable")]


async def test_a_stream_that_may_go_on_is_left_alone():
    asked = 0
    enough = asyncio.Event()

    async def slow() -> AsyncGenerator[StreamEvent]:
        await enough.wait()
        yield StreamEvent("number", Number(value=1))

    async def counted() -> bool:
        nonlocal asked
        asked += 1
        if asked == 3:
            enough.set()
        return True

    assert await received_by(app_with(slow, still=counted)) == [("number", None)]
