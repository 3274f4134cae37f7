"""Which headers pass between a client and the model's server, and what is taken out of its messages.

Both ways headers pass by a list of those that the vendors and their SDKs read. Any other
may carry a cookie, an identity or an address that is nobody's business there, or tell a
browser to do something in our name.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Final
from urllib.parse import quote

from ragstone.errors import InvalidInput
from ragstone.integrations.interceptor.dialects import DialectName
from ragstone.telemetry.tracing import traceparent

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
    client_headers: Mapping[str, str], *, key: str | None, dialect: DialectName, request_id: str
) -> list[Header]:
    """The headers that go to the server: of the client's, what vendors read; our key; the id of the request.

    Args:
        client_headers: Names in any case. Who the client is, and how it proves it, stays here.
        key: Of the server, in the way of the dialect; without one, none is sent.
        dialect: Decides how the key is sent.
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
    if dialect == "anthropic" and "anthropic-version" not in known:
        passed.append(("anthropic-version", ANTHROPIC_VERSION))
    traced = [("traceparent", place) for place in [traceparent()] if place]
    return [*passed, *_proof(key, dialect, dict(passed)), ("x-request-id", request_id), *traced]


def _goes_to_server(name: str) -> bool:
    return name in _TO_SERVER or name.startswith(_TO_SERVER_PREFIXES)


def _proof(key: str | None, dialect: DialectName, sent: Mapping[str, str]) -> list[Header]:
    if not key:
        return []
    # Versions are dates, so they sort as text.
    if dialect == "anthropic" and sent["anthropic-version"] < BEARER_VERSION:
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
