"""Redis is stopped, hangs, is full or emptied while people ask: no request fails for it, and limits hold."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from pathlib import Path

import httpx2
import pytest

from ragstone.identity.api_keys import NewKey
from ragstone.principals import LOCAL
from ragstone.vocabulary import DEFAULT_COLLECTION, Scope
from tests.api.conftest import calling, running
from tests.platforms import small_platform
from tests.redis_server import RedisServer
from tests.waiting import until

LIMIT = 100  # of the shipped plan `free`
TIMEOUT_S = 0.2


async def ask(client: httpx2.AsyncClient, times: int) -> Counter[int]:
    statuses: Counter[int] = Counter()
    for _ in range(times):
        answer = await client.post("/api/search", json={"query": "Where does the Danube rise?"})
        statuses[answer.status_code] += 1
    return statuses


@pytest.mark.parametrize("fault", ["stopped", "hung", "full", "emptied"])
async def test_no_request_fails_and_limits_hold(tmp_path: Path, redis_server: RedisServer, fault: str):
    (tmp_path / "danube.md").write_text("The Danube rises in the Black Forest.", encoding="utf-8")
    redis = {"url": redis_server.url, "timeout_s": TIMEOUT_S}
    async with small_platform(tmp_path / "data", redis=redis) as platform, running(platform) as app:
        await platform.identity.tenants.create("test", "acme", plan="free")
        _, key = await platform.identity.api_keys.create(replace(LOCAL, id="test"), "acme", NewKey())
        await platform.ingest(tmp_path / "danube.md", scope=Scope("acme", DEFAULT_COLLECTION))
        async with calling(app, authorization=f"Bearer {key}") as client:
            assert await ask(client, 10) == {200: 10}
            match fault:
                case "stopped":
                    redis_server.stop()
                case "hung":
                    redis_server.pause()
                case "full":
                    redis_server.command("CONFIG", "SET", "maxmemory", "1")
                case "emptied":
                    redis_server.command("FLUSHALL")
            assert await ask(client, LIMIT + 10) == {200: LIMIT - 10, 429: 20}
            match fault:
                case "stopped":
                    redis_server.start()
                case "hung":
                    redis_server.resume()
                case "full":
                    redis_server.command("CONFIG", "SET", "maxmemory", "0")
            assert (await ask(client, 1)).keys() == {429}
        policies = {
            policy: platform.operations.metrics.registry.get_sample_value("ragstone_degraded_total", {"policy": policy})
            or 0
            for policy in ("redis_unavailable", "limits_local")
        }
        assert all(count > 0 for count in policies.values()) is (fault != "emptied")
        await _until_back(platform.storage.redis)


async def _until_back(redis) -> None:
    """One call a moment later finds that it works again."""
    clock = redis._clock
    broken_until = redis._try_again_at or 0.0
    await until(lambda: clock() >= broken_until)
    assert await redis.run(lambda client: client.ping())
    assert redis.works
