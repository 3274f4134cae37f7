"""Real servers for tests: an application on a free port of loopback, and what a raw client reads."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, closing
from dataclasses import dataclass
from typing import Any

import httpx2
import uvicorn
from starlette.applications import Starlette

from ragstone.http.server import listen


@asynccontextmanager
async def serving(app: Starlette) -> AsyncIterator[str]:
    """The base URL of `app`, whose lifespan is its owner's, served by uvicorn without its signals."""
    config = uvicorn.Config(app, log_config=None, access_log=False, lifespan="off", timeout_graceful_shutdown=1)
    server = uvicorn.Server(config)
    with closing(listen("127.0.0.1", 0)) as listener:
        running = asyncio.create_task(server._serve([listener]))
        try:
            yield f"http://127.0.0.1:{listener.getsockname()[1]}"
        finally:
            server.should_exit = True
            await running


@dataclass(frozen=True, slots=True)
class Received:
    """One server-sent event."""

    name: str
    data: dict[str, Any]


async def events_of(response: httpx2.Response) -> AsyncIterator[Received]:
    """The events of a stream, as they come; comments are passed over."""
    name = ""
    async for line in response.aiter_lines():
        field, _, value = line.partition(": ")
        if field == "event":
            name = value
        elif field == "data":
            yield Received(name, json.loads(value))
