"""`ragstone interceptor serve`: the real command, between a client, a pipeline and a model's server."""

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

from tests.commands import address_of
from tests.interceptor.setup import asking
from tests.interceptor.upstreams import Fault, ModelServer, upstream
from tests.retrieval.vectorize_server import TOWER, a_pipeline, url_of

TOKEN = "canary-token-" + "t" * 40
QUESTION = "How tall is the tower?"
KEY = "alone-key-" + "k" * 40
FORBIDDEN = (
    *("aiosqlite", "alembic", "argon2", "asyncpg", "fastapi", "httpx2", "numpy", "onnxruntime", "opentelemetry.sdk"),
    *("qdrant_edge", "redis", "sqlalchemy", "tokenizers"),
)
"""Packages that the process does not need, and that have no place in less than 80 MB."""

GRAPH = """
import asyncio, sys
from ragstone.cli import interceptor, main
from ragstone.interceptor import alone
from ragstone.settings import load_settings
from ragstone.wiring.interceptor_alone import open_interceptor_alone
async def opened():
    settings = load_settings(
        interceptor={"upstream_url": "http://127.0.0.1:1/v1"},
        vectorize={"url": "http://127.0.0.1:1/v1/retrieval", "token": "t" * 40},
    )
    async with open_interceptor_alone(settings) as parts:
        alone.create_app(parts)
asyncio.run(opened())
print(" ".join(sys.modules))
"""


@dataclass(frozen=True)
class Running:
    """The process, where it listens, and the model's server behind it."""

    process: subprocess.Popen[str]
    url: str
    model: ModelServer

    async def chat(self, key: str = KEY, **more: object) -> httpx2.Response:
        headers = {"authorization": f"Bearer {key}"}
        async with httpx2.AsyncClient(base_url=self.url, headers=headers, timeout=30, trust_env=False) as client:
            return await client.post("/v1/chat/completions", json=asking(QUESTION, **more))


def started(folder: Path, settings: Mapping[str, str], *command: str) -> subprocess.Popen[str]:
    """The command, on a free port, with these settings in its environment, in a folder that it may not write to."""
    folder.chmod(0o500)
    return subprocess.Popen(
        [sys.executable, "-m", "ragstone", *(command or ("interceptor", "serve")), "--port", "0"],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        cwd=folder,
        env={**os.environ, **settings},
    )


@asynccontextmanager
async def intercepting(folder: Path, *command: str) -> AsyncIterator[Running]:
    """Start the command, and stop it after, if it has not ended by then."""
    async with a_pipeline(TOWER) as pipeline, upstream() as model:
        settings = {
            "RAGSTONE_SERVER__API_KEYS": KEY,
            "RAGSTONE_INTERCEPTOR__UPSTREAM_URL": model.base_url,
            "RAGSTONE_INTERCEPTOR__BUDGET_S": "5",
            "RAGSTONE_VECTORIZE__URL": url_of(pipeline),
            "RAGSTONE_VECTORIZE__TOKEN": TOKEN,
        }
        process = started(folder, settings, *command)
        try:
            yield Running(process, await asyncio.to_thread(address_of, process), model)
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
                headers={"x-api-key": KEY},
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


async def test_secrets_are_in_no_argument_of_it(tmp_path: Path):
    async with intercepting(tmp_path) as running:
        arguments = Path(f"/proc/{running.process.pid}/cmdline").read_bytes()
    assert b"interceptor" in arguments
    assert TOKEN.encode() not in arguments


async def test_any_number_of_copies_answer_the_same_client(tmp_path: Path):
    """Nothing of a chat is kept where another copy would need it: the copies share no file, and no database."""
    one, other = tmp_path / "one", tmp_path / "other"
    one.mkdir()
    other.mkdir()
    async with intercepting(one) as first, intercepting(other) as second:
        answers = [await first.chat(), await second.chat(), await first.chat()]
    assert {answer.headers["x-ragstone-status"] for answer in answers} == {"enriched; sources=1"}
    assert list(one.iterdir()) == list(other.iterdir()) == []


async def test_the_old_name_of_the_command_still_works_and_says_which_is_new(tmp_path: Path):
    async with intercepting(tmp_path, "intercept") as running:
        answer = await running.chat()
        running.process.send_signal(signal.SIGTERM)
        output, _ = await asyncio.to_thread(running.process.communicate, timeout=30)
    assert answer.status_code == 200
    assert running.process.returncode == 0
    assert "Traceback" not in output


def test_without_keys_it_listens_on_loopback_only(tmp_path: Path):
    done = subprocess.run(
        [sys.executable, "-m", "ragstone", "interceptor", "serve", "--host", "0.0.0.0", "--port", "0"],
        capture_output=True,
        text=True,
        cwd=tmp_path,
        check=False,
    )
    assert done.returncode == 4
    assert "RAGSTONE_SERVER__API_KEYS" in done.stderr


def test_it_imports_nothing_heavy():
    done = subprocess.run([sys.executable, "-P", "-c", GRAPH], capture_output=True, text=True, check=True)
    loaded = set(done.stdout.split())
    assert "ragstone.interceptor.handle" in loaded
    assert not loaded & set(FORBIDDEN)
