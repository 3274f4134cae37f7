"""Where chats go on to: which server, with which key, and how it is asked.

A server that a tenant named has a circuit and places of its own for that tenant, so that
nobody's broken server, key or load is another's. What a server refuses is its answer and
goes to the client as it is; only what never answered, or failed of itself, is asked again.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass, field
from urllib.parse import urlsplit

from ragstone.accounts.interceptors import Interceptor
from ragstone.errors import CircuitOpen, Overloaded, RagstoneError, TooLarge, UpstreamUnavailable
from ragstone.http.relaying import Refusal
from ragstone.integrations.interceptor.dialects import DialectName
from ragstone.integrations.interceptor.headers import incoming, redacted
from ragstone.resilience.guards import Guard, Guards
from ragstone.resilience.http_client import HttpClient, Incoming
from ragstone.resilience.retry import UpstreamFault

BUSY = 429  # the server is well, and says when there is room: asked again only where it says
FAULTS = frozenset({BUSY, 500, 502, 503, 504, 529})  # of the server itself; 529 is Anthropic's "overloaded"
MAX_ERROR_BYTES = 1 << 20


@dataclass(frozen=True, slots=True)
class Target:
    """A server that speaks one of the dialects; `trusted`: the operator named it."""

    base_url: str
    tenant: str
    trusted: bool
    key: str | None = field(default=None, repr=False)

    @property
    def name(self) -> str:
        """What its circuit is called: its host, with the tenant that named it."""
        host = urlsplit(self.base_url).netloc
        return host if self.trusted else f"{self.tenant}@{host}"

    @property
    def secrets(self) -> list[str]:
        """What a message of the server must not tell the client: our key, and where it is."""
        return [secret for secret in (self.key, urlsplit(self.base_url).netloc) if secret]


class Failed(UpstreamFault):
    """The server answered that it failed, or has no room."""

    def __init__(self, refusal: Refusal, retry_after_s: float | None) -> None:
        busy = refusal.status == BUSY
        retryable = not busy or retry_after_s is not None
        super().__init__(f"HTTP {refusal.status}", retryable=retryable, retry_after_s=retry_after_s, refused=busy)
        self.refusal = refusal


class Upstreams:
    """Finds and asks the servers of tenants."""

    def __init__(self, http: HttpClient, guards: Guards, *, operators: frozenset[str]) -> None:
        """`operators` are the URLs of the operator's own settings."""
        self._http = http
        self._guards = guards
        self._operators = operators

    def target(self, tenant: str, known: Interceptor, dialect: DialectName) -> Target | None:
        """The server that a tenant's chats go on to; None where our own answerer is the model."""
        settings, keys = known.settings, known.keys
        if dialect == "openai":
            url, key = settings.upstream_url, keys.upstream
        else:
            url, key = settings.anthropic_url, keys.anthropic
        return Target(url.rstrip("/"), tenant, url in self._operators, key) if url else None

    @asynccontextmanager
    async def asked(
        self, target: Target, method: str, path: str, *, headers: Sequence[tuple[str, str]], body: bytes = b""
    ) -> AsyncIterator[Incoming | Refusal]:
        """The server's answer, or its refusal; asked again, within bounds, while nothing has come.

        Raises:
            Overloaded: no place is free, for this server or for this tenant.
            CircuitOpen: it failed too often a moment ago.
            UpstreamUnavailable: it cannot be reached, or does not answer.
        """
        guard = self.guard(target)

        async def ask() -> Incoming:
            answer = await self._http.begin(
                method, target.base_url + path, headers=headers, body=body, trusted=target.trusted
            )
            if answer.status in FAULTS:
                raise Failed(await _refusal(target, answer), _retry_after(answer))
            return answer

        with _without_addresses():
            async with guard.place(target.tenant):
                try:
                    answer = await guard.call(ask)
                except Failed as failed:
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

    def guard(self, target: Target) -> Guard:
        """The circuit and the places of a server."""
        return self._guards.guard(target.name)


@contextmanager
def _without_addresses() -> Iterator[None]:
    """Our own refusals for want of room name the server, for the log; its address is none of the client's business."""
    try:
        yield
    except CircuitOpen as error:
        raise CircuitOpen(
            "The model's server failed too often a moment ago, and is left alone for now. Try again in a moment.",
            retry_after_s=error.retry_after_s,
        ) from error
    except Overloaded as error:
        raise Overloaded(
            "The model's server is asked as often as it may be. Try again in a moment.",
            retry_after_s=error.retry_after_s,
        ) from error


async def _refusal(target: Target, answer: Incoming) -> Refusal:
    try:
        body = await answer.read(MAX_ERROR_BYTES)
    except (TooLarge, RagstoneError):
        body = b'{"error":{"message":"The model\'s server gave an error that cannot be read.","type":"api_error"}}'
    finally:
        answer.close()
    return Refusal(answer.status, incoming(answer.headers), redacted(body, target.secrets))


def _retry_after(answer: Incoming) -> float | None:
    for name, value in answer.headers:
        if name.lower() == "retry-after" and value.strip().isdecimal():
            return float(value)
    return None
