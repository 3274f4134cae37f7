"""An upload, its ingestion, a question and an intercepted chat enter few modules of Ragstone.

The parts are those of a first run: SQLite, Qdrant Edge, MiniLM, extractive answers, the parser's process. Each trip
is made once before it is counted, with other words, so that what happens only once in a process does not count.
`tests/modules_entered.py` says what counts. `pytest -s` on this file prints the modules.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import httpx2
import pytest

from ragstone.app import create_app
from tests.api.calls import finished, upload
from tests.api.conftest import calling
from tests.cli.conftest import command_line
from tests.llm.mock_upstreams import openai_events, telling
from tests.llm.mock_upstreams import serving as serving_model
from tests.modules_entered import Recorder, named, profiled
from tests.platforms import default_settings

MOST = {"upload": 26, "ingestion": 33, "question": 77, "intercepted chat": 59}
"""As counted when the bound was last set; lower it when a trip gets shorter."""

FIRST = "# The lighthouse\n\nThe lighthouse keeper trims the lamp every evening at nine.\n"
SECOND = "# The harbour\n\nThe harbour crane lifts forty tonnes.\n\nIts operator is called Adele Quist.\n"
THIRD = "# The canteen\n\nOn Fridays the canteen serves fish.\n"


@asynccontextmanager
async def server(folder: Path, *, works: bool) -> AsyncIterator[httpx2.AsyncClient]:
    """A client of an application in this process, whose chats go to a model's server on loopback."""
    async with serving_model(telling(openai_events(["The crane ", "lifts forty tonnes [1]."]))) as model:
        interceptor = {"upstream_url": f"{model.url}/v1", "upstream_key": "sk-theirs", "budget_s": 5}
        app = create_app(default_settings(folder, interceptor=interceptor), works=works)
        async with app.router.lifespan_context(app), calling(app) as client:
            yield client


async def submit(client: httpx2.AsyncClient, name: str, text: str) -> str:
    """Upload a document.

    Returns:
        The id of its job.
    """
    response = await client.post("/api/documents", files=[("files", (name, text))])
    assert response.status_code == 202, response.text
    return str(response.json()["id"])


async def ask(client: httpx2.AsyncClient, question: str) -> None:
    response = await client.post("/api/chat", json={"question": question})
    assert response.json()["citations"], response.text


async def chat(client: httpx2.AsyncClient, question: str) -> None:
    body = {"model": "mock", "stream": True, "messages": [{"role": "user", "content": question}]}
    response = await client.post("/v1/chat/completions", json=body)
    assert response.headers["x-ragstone-status"].startswith("enriched"), response.headers
    assert "data: [DONE]" in response.text


async def three_requests(folder: Path, recorder: Recorder) -> None:
    async with server(folder, works=True) as client:
        await upload(client, {"first.md": FIRST})
        await ask(client, "When does the keeper trim the lamp?")
        await chat(client, "Who trims the lamp?")
        with recorder.recording(), named("upload"):
            job = await submit(client, "second.md", SECOND)
        await finished(client, {"id": job})
        with recorder.recording(), named("question"):
            await ask(client, "How many tonnes does the harbour crane lift?")
        with recorder.recording(), named("intercepted chat"):
            await chat(client, "Who operates the harbour crane?")


async def submit_alone(folder: Path) -> str:
    """Upload a document to a server that is no worker."""
    async with server(folder, works=False) as client:
        return await submit(client, "third.md", THIRD)


def ingest_alone(folder: Path, recorder: Recorder) -> set[str]:
    """Ingest what waits by the command line, whose worker ends with the job.

    Returns:
        The modules of the worker: the innermost task that parses, embeds and indexes.
    """
    job = asyncio.run(submit_alone(folder))
    with recorder.recording(), named("ingestion"):
        result = command_line(folder)("jobs", job, "--resume", RAGSTONE_EMBEDDING__MODEL="minilm")
    assert "1 ingested" in result.output, result.output
    return recorder.modules(recorder.innermost("ingestion", "documents", "embedding", "index"))


@pytest.fixture(scope="module")
def trips(tmp_path_factory: pytest.TempPathFactory) -> dict[str, set[str]]:
    """The modules that each trip entered."""
    folder = tmp_path_factory.mktemp("trips")
    with profiled() as recorder:
        asyncio.run(three_requests(folder, recorder))
        ingestion = ingest_alone(folder, recorder)
        return {trip: recorder.modules((trip,)) for trip in MOST} | {"ingestion": ingestion}


@pytest.mark.parametrize("trip", MOST)
def test_a_trip_enters_few_modules(trip: str, trips: dict[str, set[str]]):
    modules = sorted(trips[trip])
    print(f"\n{trip}: {len(modules)} modules\n  " + "\n  ".join(modules))  # noqa: T201  # this test reports
    assert 0 < len(modules) <= MOST[trip]
