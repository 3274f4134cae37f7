"""GET /rage/health: the address at which the interceptor's forerunner was asked how it is."""

from __future__ import annotations

from fastapi import APIRouter
from fastapi.responses import JSONResponse
from starlette.requests import Request

from ragstone import __version__
from ragstone.errors import Forbidden, Unauthenticated
from ragstone.http.authentication import Authenticator
from ragstone.http.routing import open_router
from ragstone.principals import Permission
from ragstone.resilience.upstream_policy import UpstreamPolicies
from ragstone.wiring import Platform
from ragstone.wiring.infrastructure import Accounts


async def health_of(request: Request, accounts: Accounts, guards: UpstreamPolicies) -> dict[str, object]:
    """`status`, for everybody; `circuits` by name too where the caller runs the installation."""
    told: dict[str, object] = {"status": "ok", "version": __version__}
    if await _by_an_operator(request, accounts):
        told["circuits"] = {circuit.name: circuit.state.name.lower() for circuit in guards.states()}
    return told


async def _by_an_operator(request: Request, accounts: Accounts) -> bool:
    door: Authenticator = request.app.state.door
    try:
        principal = await door.admit(request, accounts, Permission.MANAGE)
    except (Unauthenticated, Forbidden):
        return False
    return principal.runs_the_installation


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
