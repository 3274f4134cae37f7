"""Middleware of every request: id, log line, metrics, security headers, and the handler of unexpected errors."""

from __future__ import annotations

import re
from collections.abc import Mapping
from time import perf_counter
from uuid import uuid4

import structlog
from starlette.datastructures import Headers, MutableHeaders
from starlette.requests import ClientDisconnect
from starlette.responses import Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from ragstone.http.browser_origin import preflight_headers
from ragstone.http.context import REQUEST_KEY, RequestContext, server_of
from ragstone.http.problems import problem_response
from ragstone.telemetry.tracing import Span, served

CLIENT_GONE = 499  # nginx's number for a client that left before its answer; only logged and counted
SECURITY_HEADERS = {
    "x-content-type-options": "nosniff",
    "cache-control": "no-store",
    "content-security-policy": "default-src 'none'; frame-ancestors 'none'",
    "cross-origin-resource-policy": "same-origin",
    "referrer-policy": "no-referrer",
}
_SANE_ID = re.compile(r"[A-Za-z0-9_-]{8,64}", re.ASCII)

log = structlog.get_logger()


class RequestMiddleware:
    """Makes the `RequestContext`. Takes the caller's `x-request-id` if it is 8 to 64 letters, digits, `-` or `_`."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Run the application for one request, and record it."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        context = RequestContext(_request_id(scope), server_of(scope))
        scope[REQUEST_KEY] = context
        exchange = _Exchange(scope, send, context)
        with (
            structlog.contextvars.bound_contextvars(request_id=context.request_id),
            served(scope["method"], _traceparent(scope)) as span,
        ):
            try:
                await self._run(scope, receive, exchange)
            finally:
                exchange.record(span)

    async def _run(self, scope: Scope, receive: Receive, exchange: _Exchange) -> None:
        try:
            await self._app(scope, receive, exchange.send)
        except ClientDisconnect:
            exchange.status = CLIENT_GONE
        except Exception as error:
            log.exception("http.failed", error=type(error).__name__)
            context = exchange.context
            context.server.failures.note("http", error, tenant=context.labels.get("tenant", ""))
            if exchange.status:
                raise  # the response has begun: the server drops the connection
            await problem_response(scope, error)(scope, receive, exchange.send)


class _Exchange:
    """One request and the status of its response, 0 before that has begun."""

    def __init__(self, scope: Scope, send: Send, context: RequestContext) -> None:
        self._scope = scope
        self._send = send
        self._start = perf_counter()
        self.context = context
        self.status = 0

    async def send(self, message: Message) -> None:
        if message["type"] == "http.response.start":
            self.status = message["status"]
            headers = MutableHeaders(scope=message)
            for name, value in {
                "x-request-id": self.context.request_id,
                **SECURITY_HEADERS,
                **self.context.headers,
            }.items():
                headers[name] = value
        await self._send(message)

    def record(self, span: Span) -> None:
        """Log, count and trace. The route is its template, so no path of a caller becomes a label."""
        route = getattr(self._scope.get("route"), "path", "unmatched")
        status = self.status or CLIENT_GONE
        seconds = round(perf_counter() - self._start, 4)
        labels = self.context.labels
        log.info("http.request", method=self._scope["method"], route=route, status=status, seconds=seconds, **labels)
        span.rename(f"{self._scope['method']} {route}")
        span.note(**{"http.route": route, "http.response.status_code": status, **labels})
        metrics = self.context.server.metrics
        metrics.requests.labels(route, str(status)).inc()
        metrics.http_seconds.labels(route, f"{status // 100}xx").observe(seconds)


def _request_id(scope: Scope) -> str:
    given = Headers(scope=scope).get("x-request-id", "")
    return given if _SANE_ID.fullmatch(given) else uuid4().hex


def _traceparent(scope: Scope) -> str:
    return Headers(scope=scope).get("traceparent", "")


class PreflightMiddleware:
    """Answers the preflight requests of browsers (CORS) for the paths that pages of customers' sites may call."""

    def __init__(self, app: ASGIApp, methods: Mapping[str, frozenset[str]]) -> None:
        """`methods` are the paths and the methods that each of them takes."""
        self._app = app
        self._methods = methods

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a preflight; pass everything else on."""
        if scope["type"] != "http" or scope["method"] != "OPTIONS" or scope["path"] not in self._methods:
            await self._app(scope, receive, send)
            return
        known = await server_of(scope).authenticator.known_origins()
        headers = preflight_headers(known, Headers(scope=scope), self._methods[scope["path"]])
        await Response(status_code=204, headers=headers)(scope, receive, send)


class SlashMiddleware:
    """Replaces several slashes in a row by one, in the paths below a prefix."""

    def __init__(self, app: ASGIApp, prefix: str) -> None:
        self._app = app
        self._prefix = f"{prefix}/"

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass the request on, with another path if it needs one."""
        path = scope.get("path", "")
        if "//" in path and path.startswith(self._prefix):
            scope = {**scope, "path": re.sub("/{2,}", "/", path)}
        await self._app(scope, receive, send)
