"""Upstreams: the model servers that chats are forwarded to, their headers and the calls to them.

A server that a tenant named has a circuit and a concurrency limit of its own for that
tenant, so that a broken server, key or load of one tenant affects no other. A refusal of a
server goes to the client as it is; only a server that did not answer, or failed by itself,
is asked again.
"""

from __future__ import annotations

import json
import re
from collections.abc import AsyncIterator, Iterable, Iterator, Mapping, Sequence
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass, field
from typing import Final
from urllib.parse import quote, urlsplit

from ragstone.errors import CircuitOpen, InvalidInput, Overloaded, RagstoneError, TooLarge, UpstreamUnavailable
from ragstone.http.streaming import Refusal
from ragstone.interceptor.request import WireFormatName
from ragstone.resilience.http_client import HttpClient, UpstreamResponse
from ragstone.resilience.retry import UpstreamFault
from ragstone.resilience.upstream_policy import UpstreamPolicies, UpstreamPolicy
from ragstone.telemetry.tracing import traceparent
from ragstone.tenants.settings import TenantSettings

Header = tuple[str, str]

ANTHROPIC_VERSION: Final = "2023-06-01"  # what is spoken with clients that name none
BEARER_VERSION: Final = "2026-10-21"  # from this one on, Anthropic's SDKs send the key as a bearer token
REDACTED: Final = b"[redacted]"

_TO_SERVER = frozenset(
    {
        "accept",
        "content-type",
        "http-referer",  # OpenRouter: the name of the application
        "idempotency-key",
        "traceparent",
        "tracestate",
        "user-agent",
        "x-title",  # OpenRouter
    }
)
_TO_SERVER_PREFIXES = ("openai-", "anthropic-", "x-stainless-")
_TO_CLIENT = frozenset({"content-type", "request-id", "retry-after", "retry-after-ms", "x-should-retry"})
_TO_CLIENT_PREFIXES = ("openai-", "anthropic-", "x-ratelimit-", "ratelimit-")
_RENAMED = {"x-request-id": "x-upstream-request-id"}  # ours has the name; theirs is what their support asks for
_TEXT = re.compile(r"[\t\x20-\x7e]{0,8192}")
_KEY = re.compile(rb"\bsk-[\w*.-]{4,}", re.ASCII)  # the vendors quote keys in errors, with stars in the middle
_WITH_PORT = re.compile(r"(?P<host>.+):[0-9]{1,5}")


def outgoing(
    client_headers: Mapping[str, str], *, key: str | None, wire_format: WireFormatName, request_id: str
) -> list[Header]:
    """The headers that go to the server: of the client's, what vendors read; our key; the id of the request.

    Args:
        client_headers: Names in any case. Who the client is, and how it proves it, stays here.
        key: Of the server; without one, none is sent.
        wire_format: Decides how the key is sent.
        request_id: For the logs there.

    Raises:
        InvalidInput: a header holds a line break or another control character.
    """
    lowered = [(name.lower(), value) for name, value in client_headers.items()]
    passed = [(name, value) for name, value in lowered if _goes_to_server(name)]
    for name, value in passed:
        if not _TEXT.fullmatch(value):
            raise InvalidInput(f"The header {name[:80]!r} is too long, or holds more than printable ASCII.")
    known = {name for name, _ in passed}
    if "user-agent" not in known:
        passed.append(("user-agent", "Ragstone"))
    if wire_format == "anthropic" and "anthropic-version" not in known:
        passed.append(("anthropic-version", ANTHROPIC_VERSION))
    traced = [("traceparent", place) for place in [traceparent()] if place]
    return [*passed, *_credential(key, wire_format, dict(passed)), ("x-request-id", request_id), *traced]


def _goes_to_server(name: str) -> bool:
    return name in _TO_SERVER or name.startswith(_TO_SERVER_PREFIXES)


def _credential(key: str | None, wire_format: WireFormatName, sent: Mapping[str, str]) -> list[Header]:
    if not key:
        return []
    # Versions are dates, so they sort as text.
    if wire_format == "anthropic" and sent["anthropic-version"] < BEARER_VERSION:
        return [("x-api-key", key)]
    return [("authorization", f"Bearer {key}")]


def incoming(upstream_headers: Iterable[Header]) -> list[Header]:
    """The headers of the server's answer that go to the client: none that we set ourselves, nor of the connection."""
    passed: list[Header] = []
    for written, value in upstream_headers:
        name = _RENAMED.get(written.lower(), written.lower())
        kept = name in _TO_CLIENT or name.startswith(_TO_CLIENT_PREFIXES) or name in _RENAMED.values()
        if kept and _TEXT.fullmatch(value):
            passed.append((name, value))
    return passed


def redacted(body: bytes, secrets: Sequence[str]) -> bytes:
    """A message of the server without our key, its address, and anything that looks like a key.

    Args:
        body: An error, as JSON, text or an event.
        secrets: In plain; found as they are, in JSON, and in URLs. Of a host with a port, the host alone too.
    """
    for form in sorted({form for secret in secrets for form in _forms(secret)}, key=len, reverse=True):
        body = re.sub(re.escape(form.encode()), REDACTED, body, flags=re.IGNORECASE)
    return _KEY.sub(REDACTED, body)


def redacted_text(text: str, secrets: Sequence[str]) -> str:
    """See `redacted`."""
    return redacted(text.encode(errors="replace"), secrets).decode()


def _forms(secret: str) -> Iterable[str]:
    plain = [secret, *(found["host"] for found in [_WITH_PORT.fullmatch(secret)] if found)]
    for form in filter(None, plain):
        yield from (form, json.dumps(form)[1:-1], json.dumps(form)[1:-1].replace("/", "\\/"), quote(form, safe=""))


BUSY = 429  # the server is well, and says when there is room: asked again only where it says
FAULTS = frozenset({BUSY, 500, 502, 503, 504, 529})  # of the server itself; 529 is Anthropic's "overloaded"
MAX_ERROR_BYTES = 1 << 20


@dataclass(frozen=True, slots=True)
class UpstreamTarget:
    """A server that speaks one of the wire formats; `trusted`: the operator named it."""

    base_url: str
    tenant: str
    trusted: bool
    key: str | None = field(default=None, repr=False)

    @property
    def name(self) -> str:
        """The name of its circuit: its host, with the tenant that named it."""
        host = urlsplit(self.base_url).netloc
        return host if self.trusted else f"{self.tenant}@{host}"

    @property
    def secrets(self) -> list[str]:
        """What a message of the server must not show the client: our key, and the address of the server."""
        return [secret for secret in (self.key, urlsplit(self.base_url).netloc) if secret]


class UpstreamFailed(UpstreamFault):
    """The server answered that it failed, or is at its limit."""

    def __init__(self, refusal: Refusal, retry_after_s: float | None) -> None:
        busy = refusal.status == BUSY
        retryable = not busy or retry_after_s is not None
        super().__init__(f"HTTP {refusal.status}", retryable=retryable, retry_after_s=retry_after_s, refused=busy)
        self.refusal = refusal


class Upstreams:
    """The servers of all tenants, and calls to them."""

    def __init__(self, http: HttpClient, policies: UpstreamPolicies, *, trusted_urls: Iterable[str | None]) -> None:
        """`trusted_urls` are those of the operator's own settings; they may be private addresses."""
        self._http = http
        self._policies = policies
        self._trusted_urls = frozenset(url.rstrip("/") for url in trusted_urls if url)

    def target(self, tenant: str, settings: TenantSettings, wire_format: WireFormatName) -> UpstreamTarget | None:
        """The server that a tenant's chats are forwarded to; None where our own answerer is the model."""
        given, openai = settings.interceptor, wire_format == "openai"
        url, key = (given.upstream_url, given.upstream_key) if openai else (given.anthropic_url, given.anthropic_key)
        shown = key.get_secret_value() if key else None
        return UpstreamTarget(url, tenant, url in self._trusted_urls, shown) if url else None

    @asynccontextmanager
    async def call(
        self, target: UpstreamTarget, method: str, path: str, *, headers: Sequence[tuple[str, str]], body: bytes = b""
    ) -> AsyncIterator[UpstreamResponse | Refusal]:
        """The server's answer, or its refusal; retried, within bounds, while nothing has come.

        Raises:
            Overloaded: the concurrency limit of this server, or of this tenant, is reached.
            CircuitOpen: it failed too often a moment ago.
            UpstreamUnavailable: it cannot be reached, or does not answer.
        """
        guard = self.guard(target)

        async def attempt() -> UpstreamResponse:
            answer = await self._http.begin(
                method, target.base_url + path, headers=headers, body=body, trusted=target.trusted
            )
            if answer.status in FAULTS:
                raise UpstreamFailed(await _refusal(target, answer), _retry_after(answer))
            return answer

        with _without_addresses():
            async with guard.place(target.tenant):
                try:
                    answer = await guard.call(attempt)
                except UpstreamFailed as failed:
                    yield failed.refusal
                    return
                except UpstreamFault as fault:
                    raise UpstreamUnavailable(
                        "The model's server cannot be reached, or does not answer. Try again; "
                        "`ragstone operate circuits` shows its state."
                    ) from fault
                try:
                    yield answer if answer.status < 400 else await _refusal(target, answer)
                finally:
                    answer.close()

    def guard(self, target: UpstreamTarget) -> UpstreamPolicy:
        """The circuit and the concurrency limit of a server."""
        return self._policies.guard(target.name)


@contextmanager
def _without_addresses() -> Iterator[None]:
    """Our own refusals name the server, for the log; the client gets them without its address."""
    try:
        yield
    except CircuitOpen as error:
        raise CircuitOpen(
            "The model's server failed too often a moment ago, and is left alone for now. Try again in a moment.",
            retry_after_s=error.retry_after_s,
        ) from error
    except Overloaded as error:
        raise Overloaded(
            "The model's server is at its concurrency limit. Try again in a moment.",
            retry_after_s=error.retry_after_s,
        ) from error


async def _refusal(target: UpstreamTarget, answer: UpstreamResponse) -> Refusal:
    try:
        body = await answer.read(MAX_ERROR_BYTES)
    except (TooLarge, RagstoneError):
        body = b'{"error":{"message":"The model\'s server gave an error that cannot be read.","type":"api_error"}}'
    finally:
        answer.close()
    return Refusal(answer.status, incoming(answer.headers), redacted(body, target.secrets))


def _retry_after(answer: UpstreamResponse) -> float | None:
    for name, value in answer.headers:
        if name.lower() == "retry-after" and value.strip().isdecimal():
            return float(value)
    return None
