"""What wraps every request: an id, a log line, a count, safe headers, and the last catch."""

from __future__ import annotations

import re
from time import perf_counter
from uuid import uuid4

import structlog
from starlette.datastructures import Headers, MutableHeaders
from starlette.requests import ClientDisconnect
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from ragstone.http.problems import problem_response
from ragstone.principals import Principal
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
    """Frames each request. Takes the caller's `x-request-id` if it is 8 to 64 letters, digits, `-` or `_`."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Run the application inside the frame."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        request_id = _request_id(scope)
        scope.setdefault("state", {})["request_id"] = request_id
        exchange = _Exchange(scope, send, request_id)
        with (
            structlog.contextvars.bound_contextvars(request_id=request_id),
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
            if platform := getattr(scope["app"].state, "platform", None):
                platform.failures.note("http", error, tenant=exchange.who().get("tenant", ""))
            if exchange.status:
                raise  # the response has begun: the server drops the connection
            await problem_response(scope, error)(scope, receive, exchange.send)


class _Exchange:
    """What is known of one request and its response."""

    def __init__(self, scope: Scope, send: Send, request_id: str) -> None:
        self._scope = scope
        self._send = send
        self._request_id = request_id
        self._start = perf_counter()
        self.status = 0

    async def send(self, message: Message) -> None:
        if message["type"] == "http.response.start":
            self.status = message["status"]
            headers = MutableHeaders(scope=message)
            headers["x-request-id"] = self._request_id
            for name, value in SECURITY_HEADERS.items():
                headers[name] = value
            for name, value in self._scope["state"].get("headers", {}).items():
                headers[name] = value
        await self._send(message)

    def record(self, span: Span) -> None:
        """Log, count and trace. The route is its template, so no path of a caller becomes a label."""
        route = getattr(self._scope.get("route"), "path", "unmatched")
        status = self.status or CLIENT_GONE
        seconds = round(perf_counter() - self._start, 4)
        log.info(
            "http.request",
            method=self._scope["method"],
            route=route,
            status=status,
            seconds=seconds,
            **self.who(),
        )
        span.rename(f"{self._scope['method']} {route}")
        span.note(**{"http.route": route, "http.response.status_code": status, **self.who()})
        if platform := getattr(self._scope["app"].state, "platform", None):
            platform.metrics.requests.labels(route, str(status)).inc()
            platform.metrics.http_seconds.labels(route, f"{status // 100}xx").observe(seconds)

    def who(self) -> dict[str, str]:
        """Whom the door admitted, by id; what was shown at the door is never logged."""
        principal: Principal | None = self._scope["state"].get("principal")
        return {"principal": principal.id, "tenant": principal.tenant} if principal else {}


def _request_id(scope: Scope) -> str:
    given = Headers(scope=scope).get("x-request-id", "")
    return given if _SANE_ID.fullmatch(given) else uuid4().hex


def _traceparent(scope: Scope) -> str:
    return Headers(scope=scope).get("traceparent", "")
