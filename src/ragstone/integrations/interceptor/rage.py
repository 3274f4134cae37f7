"""GET /rage/health: the address at which the interceptor's forerunner was asked how it is."""

from __future__ import annotations

from fastapi import APIRouter, Request
from fastapi.responses import JSONResponse

from ragstone.http.auth import open_router
from ragstone.integrations.interceptor.health import health_of
from ragstone.wiring import Platform

_TOLD = {"status": "ok", "version": "0.1.0", "circuits": {"api.openai.com": "closed"}}

router = open_router(tag="interceptor")


@router.get(
    "/rage/health",
    summary="Is the interceptor alive?",
    responses={200: {"content": {"application/json": {"example": _TOLD}}}},
)
async def rage_health(request: Request) -> JSONResponse:
    """It answers. Whoever runs the installation, and shows a key, is told the state of each circuit too."""
    platform: Platform = request.app.state.platform
    return JSONResponse(await health_of(request, platform.accounts, platform.guards))


ROUTERS: tuple[APIRouter, ...] = (router,)
