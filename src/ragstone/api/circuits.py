"""Route of the circuit breakers of upstream servers, for operators."""

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
    """The circuit breaker of one upstream server in this process."""

    name: str
    state: StateName = Field(
        description="`closed`: calls go through. `open`: calls fail at once. `half_open`: one trial call goes through."
    )
    running: int = Field(description="Calls in progress.")
    recent_calls: int = Field(description="Calls in the breaker's window of some seconds.")
    recent_failures: int = Field(description="Failed calls in the same window.")
    opened_s_ago: float | None = Field(description="Seconds since the circuit last opened; null if it is closed.")

    @classmethod
    def of(cls, circuit: CircuitState) -> Self:
        """The response body for a circuit."""
        return cls(
            name=circuit.name,
            state=NAMES[circuit.state],
            running=circuit.running,
            recent_calls=circuit.recent_calls,
            recent_failures=circuit.recent_failures,
            opened_s_ago=circuit.opened_s_ago,
        )


class CircuitsOut(Out):
    """All circuits, ordered by name."""

    model_config = ConfigDict(json_schema_extra=shown({"circuits": [_CIRCUIT]}))

    circuits: list[CircuitOut]


@router.get("/api/operate/circuits", response_model=CircuitsOut, summary="List circuits")
async def circuits(policies: UpstreamPoliciesDep, principal: Admitted) -> CircuitsOut:
    """The circuit breakers of the servers that this process has called.

    Each process has its own. A circuit closes by itself after one successful call.
    """
    if not principal.runs_the_installation:
        raise Forbidden("Upstream servers are called for all tenants together; only operators may see their state.")
    return CircuitsOut(circuits=[CircuitOut.of(circuit) for circuit in policies.states()])


ROUTERS: tuple[APIRouter, ...] = (router,)
