"""The typed context of a server and of one request, kept under one key of the application and of the ASGI scope."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from starlette.requests import Request
from starlette.types import Scope

from ragstone.principals import Principal
from ragstone.telemetry.failure_buffer import FailureBuffer
from ragstone.telemetry.metrics import Metrics
from ragstone.vocabulary import RateLimitStatus

if TYPE_CHECKING:
    from starlette.applications import Starlette

    from ragstone.http.authentication import Authenticator

REQUEST_KEY = "ragstone.request"


@dataclass(frozen=True, slots=True)
class ServerContext:
    """What every request of one server shares. `worker` is the task of the worker in this process, if one runs."""

    authenticator: Authenticator
    metrics: Metrics
    failures: FailureBuffer
    worker: asyncio.Task[None] | None = None


@dataclass(slots=True)
class RequestContext:
    """One request. Authentication fills in the principal; middleware sends `headers` with the response.

    Attributes:
        user: The end user in whose name a trusted chat server asks, by its own id; empty for others.
        rate_limit: None where the request does not count against a plan.
    """

    request_id: str
    server: ServerContext
    principal: Principal | None = None
    user: str = ""
    rate_limit: RateLimitStatus | None = None
    headers: dict[str, str] = field(default_factory=dict)

    @property
    def authenticated(self) -> Principal:
        """The caller. Fails on a route without authentication: an error of the code, never a way in."""
        assert self.principal is not None, "this route does not authenticate its callers"
        return self.principal

    @property
    def is_overage(self) -> bool:
        """Whether the request is beyond the limit of a plan that allows that."""
        return self.rate_limit is not None and self.rate_limit.overage

    @property
    def labels(self) -> dict[str, str]:
        """Principal and tenant by id, for logs and spans; nothing before authentication."""
        return {"principal": self.principal.id, "tenant": self.principal.tenant} if self.principal else {}


def install_server(app: Starlette, server: ServerContext) -> None:
    """Give an application its context, before its first request."""
    app.state.server = server


def server_of(scope: Scope) -> ServerContext:
    """The context of the server that received the request."""
    server: ServerContext = scope["app"].state.server
    return server


def context_of(at: Request | Scope) -> RequestContext:
    """The context that `RequestMiddleware` made for a request."""
    scope = at.scope if isinstance(at, Request) else at
    context: RequestContext = scope[REQUEST_KEY]
    return context
