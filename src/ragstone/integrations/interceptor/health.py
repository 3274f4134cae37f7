"""Whether the interceptor lives, and for those who run it, how the servers behind it do."""

from __future__ import annotations

from starlette.requests import Request

from ragstone import __version__
from ragstone.errors import Forbidden, Unauthenticated
from ragstone.http.door import Door
from ragstone.principals import Permission
from ragstone.resilience.guards import Guards
from ragstone.wiring.accounts import Accounts


async def health_of(request: Request, accounts: Accounts, guards: Guards) -> dict[str, object]:
    """`status`, for everybody; `circuits` by name too where the caller runs the installation."""
    told: dict[str, object] = {"status": "ok", "version": __version__}
    if await _by_an_operator(request, accounts):
        told["circuits"] = {circuit.name: circuit.state.name.lower() for circuit in guards.states()}
    return told


async def _by_an_operator(request: Request, accounts: Accounts) -> bool:
    door: Door = request.app.state.door
    try:
        principal = await door.admit(request, accounts, Permission.MANAGE)
    except (Unauthenticated, Forbidden):
        return False
    return principal.runs_the_installation
