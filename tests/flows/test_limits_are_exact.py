"""Four servers, one database, one Redis: of a thousand requests at once exactly the plan's hundred are served."""

from __future__ import annotations

import asyncio
from collections import Counter
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path

import httpx2

from ragstone.identity.api_keys import NewKey
from ragstone.principals import LOCAL
from ragstone.vocabulary import DEFAULT_COLLECTION, Scope
from tests.commands import running_server
from tests.platforms import small_platform

SERVERS = 4
REQUESTS = 1000
LIMIT = 100  # of the shipped plan `free`
SMALL = {
    "RAGSTONE_EMBEDDING__MODEL": "hashing",
    "RAGSTONE_INDEX__ENGINE": "memory",
    "RAGSTONE_PARSER__PROCESSES": "1",
    "RAGSTONE_REDIS__TIMEOUT_S": "2",  # all run on one machine here, Redis too: it is not to be given up for being busy
}
PATIENCE_S = 60.0


async def a_key_of_the_free_plan(data: Path) -> str:
    """The key of a tenant that has one document."""
    (data.parent / "danube.md").write_text("The Danube rises in the Black Forest.", encoding="utf-8")
    async with small_platform(data) as platform:
        await platform.identity.tenants.create("test", "acme", plan="free")
        _, shown = await platform.identity.api_keys.create(replace(LOCAL, id="test"), "acme", NewKey())
        await platform.ingest(data.parent / "danube.md", scope=Scope("acme", DEFAULT_COLLECTION))
    return shown


def started(data: Path, redis_url: str, stack: ExitStack) -> str:
    return stack.enter_context(running_server(data, RAGSTONE_REDIS__URL=redis_url, **SMALL))


async def ask(client: httpx2.AsyncClient, server: str) -> httpx2.Response:
    return await client.post(f"{server}/api/search", json={"query": "Where does the Danube rise?"})


async def test_of_a_thousand_requests_at_once_to_four_servers_a_hundred_are_served(tmp_path: Path, redis_url: str):
    key = await a_key_of_the_free_plan(tmp_path / "data")
    with ExitStack() as stack:
        servers = [started(tmp_path / "data", redis_url, stack) for _ in range(SERVERS)]
        async with httpx2.AsyncClient(
            headers={"authorization": f"Bearer {key}"},
            timeout=PATIENCE_S,
            limits=httpx2.Limits(max_connections=REQUESTS, max_keepalive_connections=0),
        ) as client:
            answers = await asyncio.gather(*(ask(client, servers[number % SERVERS]) for number in range(REQUESTS)))
            late = [await ask(client, server) for server in servers]
    assert Counter(answer.status_code for answer in answers) == {200: LIMIT, 429: REQUESTS - LIMIT}
    refused = [answer for answer in answers if answer.status_code == 429]
    assert all(0 < int(answer.headers["retry-after"]) <= 3600 for answer in refused)
    assert [answer.status_code for answer in late] == [429] * SERVERS
    assert all(answer.json()["passages"] for answer in answers if answer.status_code == 200)
