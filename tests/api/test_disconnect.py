"""When the client disconnects, the call of the language model is cancelled, and nothing is saved."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import httpx2
import pytest

from tests.api.calls import NOTES, upload
from tests.api.conftest import calling, running
from tests.platforms import small_platform
from tests.servers import events_of, serving

QUESTION = "Where does water boil at 100 degrees?"


class SilentModel:
    """A model server that takes a request and never answers."""

    def __init__(self) -> None:
        self.asked = asyncio.Event()
        self.let_go = asyncio.Event()

    async def __call__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        self.asked.set()
        while await reader.read(65536):
            pass
        self.let_go.set()
        writer.close()


@asynccontextmanager
async def silent_model() -> AsyncIterator[tuple[SilentModel, str]]:
    model = SilentModel()
    async with await asyncio.start_server(model, "127.0.0.1", 0) as server:
        yield model, f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/v1"


@pytest.mark.parametrize("stream", [True, False])
async def test_a_client_that_goes_before_the_first_word_frees_the_model(tmp_path: Path, stream: bool):
    async with silent_model() as (model, base_url):
        answer = {
            "provider": "openai",
            "model": "m",
            "base_url": base_url,
            "api_key": "none",
            "first_token_s": 100,
            "total_s": 100,
        }
        async with small_platform(tmp_path, answer=answer) as platform, running(platform) as app:
            async with calling(app) as client:
                await upload(client, {"notes.md": NOTES})
            async with serving(app) as url, httpx2.AsyncClient(base_url=url, timeout=60) as asker:
                await ask_and_go(asker, model, stream=stream)
                async with asyncio.timeout(5):
                    await model.let_go.wait()
                assert (await asker.get("/api/conversations")).json()["conversations"] == []


async def ask_and_go(asker: httpx2.AsyncClient, model: SilentModel, *, stream: bool) -> None:
    body = {"question": QUESTION, "stream": stream}
    if stream:
        async with asker.stream("POST", "/api/chat", json=body) as response:
            events = events_of(response)  # held: letting go of it would close the response
            assert (await anext(events)).name == "retrieved"
            await model.asked.wait()
        return
    asking = asyncio.create_task(asker.post("/api/chat", json=body))
    await model.asked.wait()
    asking.cancel()
    await asyncio.gather(asking, return_exceptions=True)
