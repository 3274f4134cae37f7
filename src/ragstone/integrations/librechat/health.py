"""Whether files can be kept and found, for LibreChat, which asks without a token and believes the status."""

from __future__ import annotations

import asyncio

import structlog
from fastapi import Request
from fastapi.responses import JSONResponse
from fastapi.routing import APIRoute
from sqlalchemy import text
from starlette.routing import Match
from starlette.types import Scope as Connection

from ragstone.errors import RagstoneError
from ragstone.http.dependencies import OpenPlatform
from ragstone.integrations.librechat.door import failure, not_connected, single_slashed
from ragstone.storage.database import EVERY_TENANT
from ragstone.vocabulary import Scope
from ragstone.wiring import Platform

CHECK_S = 2.0  # LibreChat gives up after 10 s, and reads the file itself

log = structlog.get_logger()


class HealthRoute(APIRoute):
    """A route for everybody. Its address may hold doubled slashes."""

    def matches(self, scope: Connection) -> tuple[Match, Connection]:
        """See `LibreChatRoute.matches`."""
        return super().matches(single_slashed(scope))


async def health(request: Request, platform: OpenPlatform) -> JSONResponse:
    """200 where database and index answer, else 503; the same for every tenant, known or not."""
    if "tenant" not in request.path_params and platform.settings.librechat.jwt_secret is None:
        response = failure(request, not_connected())
        assert isinstance(response, JSONResponse)
        return response
    up = await _answers(platform)
    return JSONResponse({"status": "UP" if up else "DOWN"}, 200 if up else 503)


async def _answers(platform: Platform) -> bool:
    try:
        async with asyncio.timeout(CHECK_S):
            await _database(platform)
            await platform.index.count(Scope())
    except (RagstoneError, OSError) as error:  # TimeoutError is one
        log.warning("librechat.down", error=type(error).__name__)
        return False
    return True


async def _database(platform: Platform) -> None:
    async with platform.database.read(EVERY_TENANT) as connection:
        await connection.execute(text("SELECT 1"))
