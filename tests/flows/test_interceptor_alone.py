"""`ragstone intercept`: the real command, between a client, a pipeline and a model's server."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import httpx2

from ragstone.identity.api_keys import NewKey
from ragstone.wiring import open_records
from tests.commands import address_of
from tests.interceptor.setup import asking
from tests.interceptor.upstreams import Fault, ModelServer, upstream
from tests.platforms import small_settings
from tests.retrieval.vectorize_server import TOWER, a_pipeline, url_of

TOKEN = "canary-token-" + "t" * 40
QUESTION = "How tall is the tower?"
FORBIDDEN = (
    *("alembic", "argon2", "fastapi", "httpcore2", "httpx2", "numpy", "onnxruntime", "pydantic", "pydantic_settings"),
    *("qdrant_edge", "rich", "sqlalchemy.orm", "tokenizers", "typer"),
)
"""What a process of less than 80 MB has no room for."""

GRAPH = """
import runpy, sys
sys.argv = ["ragstone.intercepting"]
runpy.run_module("ragstone.intercepting", run_name="loaded")
import ragstone.intercepting.serving, ragstone.storage.sqlite, ragstone.telemetry.logs
print(" ".join(name for name, module in sys.modules.items() if module is not None))
"""


@dataclass(frozen=True)
class Running:
    """The process, where it listens, a key of the database, and the server behind it."""

    process: subprocess.Popen[str]
    url: str
    key: str
    model: ModelServer

    async def chat(self, key: str | None = None, **more: object) -> httpx2.Response:
        headers = {"authorization": f"Bearer {self.key if key is None else key}"}
        async with httpx2.AsyncClient(base_url=self.url, headers=headers, timeout=30, trust_env=False) as client:
            return await client.post("/v1/chat/completions", json=asking(QUESTION, **more))


async def a_key(folder: Path) -> str:
    """A key in the database; the first of an installation shuts its door to those without one."""
    async with open_records(small_settings(folder)) as records:
        _, shown = await records.identity.api_keys.create("local", "default", NewKey())
        return shown


def started(folder: Path, settings: Mapping[str, str]) -> subprocess.Popen[str]:
    """The command, on a free port, with these settings in its environment."""
    return subprocess.Popen(
        [sys.executable, "-m", "ragstone", "--data-dir", str(folder), "intercept", "--port", "0"],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        env={**os.environ, **settings},
    )


@asynccontextmanager
async def intercepting(folder: Path) -> AsyncIterator[Running]:
    """Start the command, and stop it after, if it has not ended by then."""
    key = await a_key(folder)
    async with a_pipeline(TOWER) as pipeline, upstream() as model:
        settings = {
            "RAGSTONE_INTERCEPTOR__UPSTREAM_URL": model.base_url,
            "RAGSTONE_INTERCEPTOR__BUDGET_S": "5",
            "RAGSTONE_VECTORIZE__URL": url_of(pipeline),
            "RAGSTONE_VECTORIZE__TOKEN": TOKEN,
        }
        process = started(folder, settings)
        try:
            yield Running(process, await asyncio.to_thread(address_of, process), key, model)
        finally:
            process.kill()
            await asyncio.to_thread(process.communicate)


async def test_a_chat_passes_through_it_enriched_from_the_pipeline(tmp_path: Path):
    async with intercepting(tmp_path) as running:
        whole = await running.chat()
        async with (
            httpx2.AsyncClient(trust_env=False, timeout=30) as client,
            client.stream(
                "POST",
                f"{running.url}/v1/chat/completions",
                json=asking(QUESTION, stream=True),
                headers={"x-api-key": running.key},
            ) as response,
        ):
            text = "".join([line async for line in response.aiter_lines()])
        refused = await running.chat(key="nobodys-" + "n" * 40)
    assert whole.headers["x-ragstone-status"] == "enriched; sources=1"
    assert "330 metres" in running.model.seen[0].body.decode()
    assert "[DONE]" in text
    assert refused.status_code == 401
    assert len(running.model.seen) == 2


async def test_it_ends_on_sigterm_when_its_chats_have_ended(tmp_path: Path):
    async with intercepting(tmp_path) as running:
        running.model.fault = Fault.SLOW
        asking_on = asyncio.create_task(running.chat(stream=True))
        await running.model.asked.wait()
        running.process.send_signal(signal.SIGTERM)
        output, _ = await asyncio.to_thread(running.process.communicate, timeout=30)
        answer = await asking_on
    assert running.process.returncode == 0
    assert answer.text.rstrip().endswith("data: [DONE]")
    assert "Traceback" not in output
    assert TOKEN not in output


async def test_what_it_was_told_is_in_no_argument_and_no_variable_of_it(tmp_path: Path):
    async with intercepting(tmp_path) as running:
        arguments = Path(f"/proc/{running.process.pid}/cmdline").read_bytes().split(b"\0")
        variables = Path(f"/proc/{running.process.pid}/environ").read_bytes()
    assert b"ragstone.intercepting" in arguments
    assert TOKEN.encode() not in b" ".join(arguments)
    assert TOKEN.encode() not in variables


def test_it_imports_nothing_heavy():
    done = subprocess.run([sys.executable, "-P", "-c", GRAPH], capture_output=True, text=True, check=True)
    loaded = set(done.stdout.split())
    assert "ragstone.interceptor.handle" in loaded
    assert not loaded & set(FORBIDDEN)
