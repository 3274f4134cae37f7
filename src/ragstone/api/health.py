"""Routes of health, readiness and metrics.

`/health` and `/ready` are for orchestrators and load balancers, which have no key: they
name the parts that fail, and no addresses. `/metrics` shows how the server is used, so it
needs a key.
"""

from __future__ import annotations

import asyncio
import os
import shutil
from collections.abc import Awaitable, Callable, Mapping
from functools import partial
from pathlib import Path
from typing import Annotated

import structlog
from fastapi import APIRouter, Depends, Request, Response, status
from fastapi.responses import PlainTextResponse
from prometheus_client import CONTENT_TYPE_PLAIN_0_0_4
from pydantic import ConfigDict
from sqlalchemy import text

from ragstone.api.bodies import Out, shown
from ragstone.embedding.base import Embedder
from ragstone.errors import Forbidden, RagstoneError, Unavailable
from ragstone.http.capabilities import (
    DatabaseDep,
    EmbedderDep,
    IndexDep,
    IngestionDep,
    MetricsDep,
    ModelDep,
    RedisDep,
    SettingsDep,
)
from ragstone.http.context import context_of
from ragstone.http.routing import Admitted, admitted_router
from ragstone.index.base import Index
from ragstone.ingestion.service import Ingestion
from ragstone.llm.base import LanguageModel
from ragstone.principals import Permission
from ragstone.storage.database import EVERY_TENANT, Database
from ragstone.storage.redis import Redis
from ragstone.vocabulary import Scope

CHECK_TIMEOUT_S = 2.0  # orchestrators commonly allow a probe 1 to 10 s; a slower part cannot serve
MIN_FREE_BYTES = 100 << 20  # room for some ingestion and for SQLite's log

router = APIRouter(tags=["health"])
admitted = admitted_router(tag="health", needs=Permission.MANAGE)
log = structlog.get_logger()


class HealthOut(Out):
    """The process is alive."""

    model_config = ConfigDict(json_schema_extra=shown({"status": "alive"}))

    status: str = "alive"


class PartOut(Out):
    """One part: whether it works, and if not, what to check."""

    ok: bool
    detail: str


class ReadyOut(Out):
    """Whether each part of the server works."""

    model_config = ConfigDict(
        json_schema_extra=shown({"ready": True, "parts": {"database": {"ok": True, "detail": "answers"}}})
    )

    ready: bool
    parts: Mapping[str, PartOut]


Check = Callable[[], Awaitable[str]]


async def _checks(
    request: Request,
    settings: SettingsDep,
    database: DatabaseDep,
    index: IndexDep,
    ingestion: IngestionDep,
    embedder: EmbedderDep,
    model: ModelDep,
    redis: RedisDep,
) -> dict[str, Check]:
    """The checks by the name of their part. A check returns a detail, or raises."""
    worker = context_of(request).server.worker
    checks: dict[str, Check] = {
        "database": lambda: _database(database),
        "index": lambda: _index(index, ingestion),
        "embedder": lambda: _embedder(embedder),
        "model": lambda: _model(model),
        "disk": lambda: asyncio.to_thread(_disk, settings.data_dir),
        "worker": lambda: _worker(worker),
    }
    if redis:
        checks["redis"] = partial(_redis, redis)
    return checks


Checks = Annotated[dict[str, Check], Depends(_checks)]


@router.get("/health", response_model=HealthOut, summary="Is it alive?")
async def health() -> HealthOut:
    """The process is alive. For its parts see `/ready`."""
    return HealthOut()


@router.get(
    "/ready",
    response_model=ReadyOut,
    summary="Is it ready?",
    responses={503: {"model": ReadyOut, "description": "A part does not work; see `parts`."}},
)
async def ready(checks: Checks, response: Response) -> ReadyOut:
    """Whether each part works: database, index, embedder, model, disk and worker. 503 if one does not."""
    outcomes = await asyncio.gather(*(_outcome(name, check) for name, check in checks.items()))
    parts = dict(zip(checks, outcomes, strict=True))
    everything = all(part.ok for part in outcomes)
    response.status_code = status.HTTP_200_OK if everything else status.HTTP_503_SERVICE_UNAVAILABLE
    return ReadyOut(ready=everything, parts=parts)


@admitted.get(
    "/metrics",
    response_class=PlainTextResponse,
    summary="Numbers for Prometheus",
    responses={
        200: {"content": {"text/plain": {"example": 'ragstone_http_requests_total{route="/health",status="200"} 1.0'}}}
    },
)
async def metrics(metrics: MetricsDep, principal: Admitted) -> Response:
    """All counters and histograms of this process, in Prometheus' text format, for operators."""
    if not principal.runs_the_installation:
        raise Forbidden("The metrics are of all tenants together; only operators may see them.")
    return Response(metrics.render(), media_type=CONTENT_TYPE_PLAIN_0_0_4)


async def _outcome(name: str, check: Callable[[], Awaitable[str]]) -> PartOut:
    try:
        async with asyncio.timeout(CHECK_TIMEOUT_S):
            return PartOut(ok=True, detail=await check())
    except TimeoutError:
        return PartOut(ok=False, detail=f"gives no answer within {CHECK_TIMEOUT_S:g} s; see the log of the server")
    except (RagstoneError, OSError) as error:
        log.warning("ready.failed", part=name, error=str(error))
        code = error.code if isinstance(error, RagstoneError) else "unavailable"
        return PartOut(ok=False, detail=f"fails with {code}; see the log of the server, or run `ragstone doctor`")


async def _database(database: Database) -> str:
    async with database.read(EVERY_TENANT) as connection:
        await connection.execute(text("SELECT 1"))
    return "answers"


async def _index(index: Index, ingestion: Ingestion) -> str:
    await index.count(Scope())
    missing = await ingestion.missing_chunks()
    return f"answers; {missing} chunks are still to be filled in" if missing else "answers"


async def _embedder(embedder: Embedder) -> str:
    await embedder.embed(["ready"], purpose="query")
    return f"answers with {embedder.dimensions} dimensions"


async def _model(model: LanguageModel | None) -> str:
    """The model is not called: a call costs money, and without a model answers are extracted."""
    return "answers are extracted" if model is None else f"{model.name} is configured"


async def _worker(worker: asyncio.Task[None] | None) -> str:
    if worker is None:
        return "runs elsewhere: this server was started without one"
    if worker.done():
        raise Unavailable("The worker has ended. Restart the server.") from worker.exception()
    return "works on submitted documents"


async def _redis(redis: Redis) -> str:
    """Without Redis the server is ready too, with limits and caches of its own."""
    try:
        await redis.run(lambda client: client.ping())
    except Unavailable:
        return "does not answer: each server holds limits by itself, and caches nothing in common"
    return "answers"


def _disk(folder: Path) -> str:
    free = shutil.disk_usage(folder).free
    if free < MIN_FREE_BYTES:
        raise OSError(f"only {free:,} bytes are free")
    if not os.access(folder, os.W_OK):
        raise OSError("the data directory is read-only")
    return f"{free >> 30} GiB free"


ROUTERS: tuple[APIRouter, ...] = (router, admitted)
