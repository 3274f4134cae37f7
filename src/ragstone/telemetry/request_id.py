"""What belongs together: the id of the request that a line, a job or an outside call is part of."""

from __future__ import annotations

import structlog

from ragstone.telemetry.tracing import traceparent

MAX_CHARS = 64


def request_id() -> str:
    """The id of the request that is being worked on; "" if there is none."""
    return str(structlog.contextvars.get_contextvars().get("request_id", ""))[:MAX_CHARS]


def outgoing_headers() -> list[tuple[str, str]]:
    """What tells another server which request it works for: `x-request-id`, and `traceparent` in a recorded trace."""
    headers = [("x-request-id", request_id()), ("traceparent", traceparent())]
    return [(name, value) for name, value in headers if value]


def bound_tenant() -> str:
    """Whose request or job this is; empty where nobody was admitted."""
    return str(structlog.contextvars.get_contextvars().get("tenant", ""))
