"""The server as a process: where it listens, what it says, and how it ends."""

from __future__ import annotations

import asyncio
import json
import signal
import socket
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, closing
from pathlib import Path

import httpx2
import pytest
from pydantic import SecretStr

from ragstone.app import create_app
from ragstone.errors import ConfigurationError, PortInUse
from ragstone.http.capabilities import services_of
from ragstone.http.context import server_of
from ragstone.http.server import listen
from ragstone.identity.api_keys import NewKey
from ragstone.identity.users import NewUser
from ragstone.principals import LOCAL, Role
from ragstone.settings import ServerSettings
from ragstone.wiring import check_address, open_records
from tests.platforms import small_settings

KEY = "k" * 40
SERVE = """
import asyncio, json, sys
from ragstone.app import serve
from ragstone.settings import Settings
settings = Settings(_env_file=None, **json.loads(sys.argv[1]))
asyncio.run(serve(settings, port=0, announce=lambda sentence: print(sentence, flush=True)))
"""


@asynccontextmanager
async def server_process(folder: Path, **server: object) -> AsyncIterator[tuple[asyncio.subprocess.Process, str]]:
    """A running server and the sentence it announced itself with."""
    settings = {
        "data_dir": str(folder),
        "embedding": {"model": "hashing"},
        "index": {"engine": "memory"},
        "server": server,
    }
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-c",
        SERVE,
        json.dumps(settings),
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    assert process.stdout
    try:
        while not (line := (await process.stdout.readline()).decode()).startswith("Ragstone listens"):
            assert line, "the server ended before it listened"
        yield process, line
    finally:
        if process.returncode is None:
            process.kill()
        await process.communicate()


async def test_a_server_says_where_it_listens_answers_and_ends_on_a_signal(tmp_path: Path):
    async with server_process(tmp_path) as (process, sentence):
        assert "for programs on this machine only" in sentence
        url = sentence.split()[3].rstrip(",;")
        async with httpx2.AsyncClient(base_url=url) as client:
            assert (await client.get("/ready")).json()["ready"]
            assert (await client.get("/api/stats")).status_code == 200
            assert (await client.get("/api/stats", headers={"host": "evil.example"})).status_code == 403
        process.send_signal(signal.SIGTERM)
        async with asyncio.timeout(20):
            await process.wait()
        assert process.returncode == 0


async def test_with_a_key_the_server_says_so_and_asks_for_it(tmp_path: Path):
    async with server_process(tmp_path, api_keys=[KEY]) as (_, sentence):
        assert "need an API key" in sentence
        url = sentence.split()[3].rstrip(",;")
        async with httpx2.AsyncClient(base_url=url) as client:
            assert (await client.get("/api/stats")).status_code == 401
            assert (await client.get("/api/stats", headers={"x-api-key": KEY})).status_code == 200


def test_a_taken_port_has_its_own_sentence():
    with closing(listen("127.0.0.1", 0)) as first:
        port = first.getsockname()[1]
        with pytest.raises(PortInUse, match=f"Port {port} .* RAGSTONE_SERVER__PORT"):
            listen("127.0.0.1", port)


@pytest.mark.parametrize("host", ["203.0.113.77", "no.such.host.invalid", "1.2.3.4.5", ""])
def test_an_address_of_another_machine_is_a_setting_to_mend(host: str):
    with pytest.raises(ConfigurationError, match="RAGSTONE_SERVER__HOST"):
        listen(host, 0)


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "192.168.1.20", "example.org", "127.0.0.1.example.org", ""])
async def test_without_an_owner_nothing_but_loopback_is_served(tmp_path: Path, host: str):
    with pytest.raises(ConfigurationError, match="Create an owner first"):
        await check_address(small_settings(tmp_path), host)


async def test_an_owner_opens_the_server_to_the_network_a_key_alone_does_not(tmp_path: Path):
    settings = small_settings(tmp_path)
    async with open_records(settings) as records:
        await records.identity.api_keys.create(LOCAL, "default", NewKey())
    with pytest.raises(ConfigurationError, match="Create an owner first"):
        await check_address(settings, "0.0.0.0")
    async with open_records(settings) as records:
        who = {"email": "ada@example.org", "password": "a long sentence"}
        await records.identity.users.create(LOCAL, "default", NewUser(**who, role=Role.OWNER))
    await check_address(settings, "0.0.0.0")


async def test_with_keys_any_address_is_served(tmp_path: Path):
    server = ServerSettings(api_keys=(SecretStr(KEY),))
    await check_address(small_settings(tmp_path, server=server), "0.0.0.0")


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost"])
async def test_loopback_is_served_without_keys(tmp_path: Path, host: str):
    await check_address(small_settings(tmp_path), host)
    with closing(listen(host, 0)) as listener:
        assert listener.family in {socket.AF_INET, socket.AF_INET6}


async def test_an_application_made_from_settings_opens_and_closes_its_own_platform(tmp_path: Path):
    app = create_app(small_settings(tmp_path))
    async with app.router.lifespan_context(app):
        assert await services_of(app).storage.library.collections("default") == []
        working = server_of({"app": app}).worker
    assert working is not None
    assert working.done()
