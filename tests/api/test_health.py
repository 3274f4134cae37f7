"""Alive, ready, and counted."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import httpx2
from fastapi import FastAPI

from ragstone.http.capabilities import services_of
from ragstone.http.context import install_server, server_of
from tests.api.conftest import KEY, calling, running
from tests.platforms import small_platform
from tests.redis_server import RedisServer


async def test_a_process_that_answers_is_alive(client: httpx2.AsyncClient):
    response = await client.get("/health")
    assert (response.status_code, response.json()) == (200, {"status": "alive"})


async def test_ready_names_each_part(client: httpx2.AsyncClient):
    response = await client.get("/ready")
    assert response.status_code == 200
    assert set(response.json()["parts"]) == {"database", "index", "embedder", "model", "disk", "worker"}
    assert all(part["ok"] for part in response.json()["parts"].values())


async def test_a_part_that_fails_makes_it_not_ready_without_saying_where_it_is(
    app: FastAPI, client: httpx2.AsyncClient, tmp_path: Path
):
    await services_of(app).engines.index.close()
    response = await client.get("/ready")
    assert response.status_code == 503
    body = response.json()
    assert not body["ready"]
    assert [name for name, part in body["parts"].items() if not part["ok"]] == ["index"]
    assert str(tmp_path) not in response.text
    assert "ragstone doctor" in body["parts"]["index"]["detail"]


async def test_a_worker_that_ended_makes_it_not_ready(app: FastAPI, client: httpx2.AsyncClient):
    async def nothing() -> None:
        return

    import asyncio

    ended = asyncio.ensure_future(nothing())
    await ended
    server = server_of({"app": app})
    install_server(app, replace(server, worker=ended))
    response = await client.get("/ready")
    install_server(app, server)
    assert (response.status_code, response.json()["parts"]["worker"]["ok"]) == (503, False)


async def test_without_its_redis_a_server_is_ready_and_says_what_it_does_instead(
    tmp_path: Path, redis_server: RedisServer
):
    redis = {"url": redis_server.url, "timeout_s": 2}
    async with small_platform(tmp_path, redis=redis) as platform, running(platform) as app, calling(app) as client:
        there = (await client.get("/ready")).json()["parts"]["redis"]
        redis_server.stop()
        response = await client.get("/ready")
    away = response.json()["parts"]["redis"]
    assert (there["ok"], there["detail"]) == (True, "answers")
    assert (response.status_code, away["ok"]) == (200, True)
    assert "each server holds limits by itself" in away["detail"]


async def test_metrics_count_requests_by_route(client: httpx2.AsyncClient):
    await client.get("/api/documents/" + "0" * 32)
    response = await client.get("/metrics")
    assert response.headers["content-type"].startswith("text/plain")
    assert 'ragstone_http_requests_total{route="/api/documents/{document_id}",status="404"} 1.0' in response.text


async def test_with_keys_only_the_probes_answer_without_one(keyed_app: FastAPI):
    async with calling(keyed_app) as stranger, calling(keyed_app, authorization=f"Bearer {KEY}") as owner:
        for path, status in {"/health": 200, "/ready": 200, "/metrics": 401, "/api/stats": 401}.items():
            assert (await stranger.get(path)).status_code == status
            assert (await owner.get(path)).status_code == 200
