"""GET /rage/health: the address at which the interceptor's forerunner was asked how it is."""

from __future__ import annotations

from fastapi import APIRouter
from fastapi.responses import JSONResponse
from starlette.requests import Request

from ragstone import __version__
from ragstone.errors import Forbidden, Unauthenticated
from ragstone.http.capabilities import UpstreamPoliciesDep
from ragstone.http.context import context_of
from ragstone.http.routing import open_router
from ragstone.principals import Permission
from ragstone.resilience.upstream_policy import UpstreamPolicies


async def health_of(request: Request, policies: UpstreamPolicies) -> dict[str, object]:
    """`status` for anyone; `circuits` by name too where the caller is an operator of the installation."""
    told: dict[str, object] = {"status": "ok", "version": __version__}
    if await _by_an_operator(request):
        told["circuits"] = {circuit.name: circuit.state.name.lower() for circuit in policies.states()}
    return told


async def _by_an_operator(request: Request) -> bool:
    try:
        principal = await context_of(request).server.authenticator.authenticate(request, Permission.MANAGE)
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
async def rage_health(request: Request, policies: UpstreamPoliciesDep) -> JSONResponse:
    """It answers. Whoever runs the installation, and shows a key, is told the state of each circuit too."""
    return JSONResponse(await health_of(request, policies))


ROUTERS: tuple[APIRouter, ...] = (router,)
