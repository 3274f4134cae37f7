"""Request id and tenant of the current context, and the headers that carry the id to other servers."""

from __future__ import annotations

import structlog

from ragstone.telemetry.tracing import traceparent

MAX_CHARS = 64


def request_id() -> str:
    """Id of the current request; "" outside of a request."""
    return str(structlog.contextvars.get_contextvars().get("request_id", ""))[:MAX_CHARS]


def outgoing_headers() -> list[tuple[str, str]]:
    """Headers of an outgoing call: `x-request-id`, and `traceparent` in a recorded trace."""
    headers = [("x-request-id", request_id()), ("traceparent", traceparent())]
    return [(name, value) for name, value in headers if value]


def bound_tenant() -> str:
    """Tenant of the current request or job; empty without authentication."""
    return str(structlog.contextvars.get_contextvars().get("tenant", ""))
