"""How the servers do that this one calls: their circuits, for whoever runs the installation."""

from __future__ import annotations

from typing import Literal, Self

from fastapi import APIRouter
from pydantic import ConfigDict, Field

from ragstone.api.bodies import Out, shown
from ragstone.errors import Forbidden
from ragstone.http.capabilities import UpstreamPoliciesDep
from ragstone.http.routing import Admitted, admitted_router
from ragstone.principals import Permission
from ragstone.resilience.breaker import State
from ragstone.resilience.upstream_policy import CircuitState

router = admitted_router(tag="operating", needs=Permission.MANAGE)

StateName = Literal["closed", "half_open", "open"]
NAMES: dict[State, StateName] = {State.CLOSED: "closed", State.HALF_OPEN: "half_open", State.OPEN: "open"}

_CIRCUIT = {
    "name": "api.openai.com",
    "state": "open",
    "running": 0,
    "recent_calls": 20,
    "recent_failures": 20,
    "opened_s_ago": 2.5,
}


class CircuitOut(Out):
    """One server that is called, as seen from this process."""

    name: str
    state: StateName = Field(
        description="`closed`: calls go through. `open`: they fail at once. `half_open`: one call tries it."
    )
    running: int = Field(description="Calls under way.")
    recent_calls: int = Field(description="Calls of the last seconds.")
    recent_failures: int = Field(description="Of these, those that failed.")
    opened_s_ago: float | None = Field(description="Seconds since it last opened; null if it is closed.")

    @classmethod
    def of(cls, circuit: CircuitState) -> Self:
        """The circuit as others see it."""
        return cls(
            name=circuit.name,
            state=NAMES[circuit.state],
            running=circuit.running,
            recent_calls=circuit.recent_calls,
            recent_failures=circuit.recent_failures,
            opened_s_ago=circuit.opened_s_ago,
        )


class CircuitsOut(Out):
    """All of them, by name."""

    model_config = ConfigDict(json_schema_extra=shown({"circuits": [_CIRCUIT]}))

    circuits: list[CircuitOut]


@router.get("/api/operate/circuits", response_model=CircuitsOut, summary="List circuits")
async def circuits(policies: UpstreamPoliciesDep, principal: Admitted) -> CircuitsOut:
    """The servers that this process has called: how they do, and whether they are left alone for now.

    Each process knows its own. A circuit closes by itself, after one call has gone well.
    """
    if not principal.runs_the_installation:
        raise Forbidden("Servers are called for all tenants together; this is for those who run the installation.")
    return CircuitsOut(circuits=[CircuitOut.of(circuit) for circuit in policies.states()])


ROUTERS: tuple[APIRouter, ...] = (router,)
