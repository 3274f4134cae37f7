"""How clients of OpenAI and of Anthropic want to hear of failures.

The OpenAI SDKs, Anthropic's and LangChain repeat what fails with 408, 409, 429 or 5xx.
LangChain, which LibreChat is made with, ignores `x-should-retry` and repeats a 503 seven
times within a minute and a half, while its reader waits; the one thing it takes for
final is the code `insufficient_quota`. So a refusal for lack of room, or of an upstream
that is known to be down, carries that code for LangChain, and for nobody else. Towards
Anthropic's API it is called as the SDK beneath it, and looks for the code beside `error`.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from math import ceil
from typing import Any, Literal

from starlette.exceptions import HTTPException

from ragstone.errors import CircuitOpen, Overloaded, RagstoneError, RateLimited, Unavailable
from ragstone.http.relaying import Header, Refusal

DialectName = Literal["openai", "anthropic"]

LANGCHAIN = "langchain"  # langchainjs-openai/1.0.0
LANGCHAIN_OVER_ANTHROPIC = "anthropic/js"  # Anthropic/JS 0.115.0; that SDK passes over the code
FINAL = "insufficient_quota"
_OPENAI_TYPES = {
    401: "authentication_error",
    402: "insufficient_quota",
    403: "permission_error",
    404: "not_found_error",
    429: "rate_limit_error",
}
_OPENAI_CODES = {401: "invalid_api_key", 402: "insufficient_quota", 429: "rate_limit_exceeded"}
_ANTHROPIC_TYPES = {
    401: "authentication_error",
    402: "billing_error",
    403: "permission_error",
    404: "not_found_error",
    409: "conflict_error",
    413: "request_too_large",
    429: "rate_limit_error",
    503: "overloaded_error",
}


@dataclass(frozen=True, slots=True)
class _Fault:
    status: int
    code: str
    message: str
    retry_after_s: float | None = None
    final: bool = False


@dataclass(frozen=True, slots=True)
class OpenAIDialect:
    """See `Dialect`. `user_agent` and `request_id` are those of the request."""

    user_agent: str = ""
    request_id: str = ""

    def refusal(self, error: Exception) -> Refusal:
        """See `Dialect.refusal`."""
        fault = _fault(error)
        return Refusal(fault.status, _headers(fault), _json(self._error(fault)))

    def broken(self, error: Exception) -> bytes:
        """See `Dialect.broken`; the SDKs raise what an `error` says, and take a silent end for a whole answer."""
        return b"data: " + _json(self._error(_fault(error))) + b"\n\n"

    def _error(self, fault: _Fault) -> dict[str, Any]:
        kind = _OPENAI_TYPES.get(fault.status, "invalid_request_error" if fault.status < 500 else "api_error")
        code = _OPENAI_CODES.get(fault.status, fault.code)
        if fault.final and LANGCHAIN in self.user_agent.lower():
            code = FINAL
        return {"error": {"message": fault.message, "type": kind, "param": None, "code": code}}


@dataclass(frozen=True, slots=True)
class AnthropicDialect:
    """See `Dialect`."""

    user_agent: str = ""
    request_id: str = ""

    def refusal(self, error: Exception) -> Refusal:
        """See `Dialect.refusal`."""
        fault = _fault(error)
        return Refusal(fault.status, _headers(fault), _json(self._error(fault)))

    def broken(self, error: Exception) -> bytes:
        """See `Dialect.broken`."""
        return b"event: error\ndata: " + _json(self._error(_fault(error))) + b"\n\n"

    def _error(self, fault: _Fault) -> dict[str, Any]:
        kind = _ANTHROPIC_TYPES.get(fault.status, "invalid_request_error" if fault.status < 500 else "api_error")
        final = fault.final and LANGCHAIN_OVER_ANTHROPIC in self.user_agent.lower()
        return {
            **({"code": FINAL} if final else {}),
            "type": "error",
            "error": {"type": kind, "message": fault.message},
            "request_id": self.request_id or None,
        }


def dialect_of(name: DialectName, headers: Mapping[str, str], request_id: str) -> OpenAIDialect | AnthropicDialect:
    """The dialect of a request; `headers` by their names in small letters."""
    kind = OpenAIDialect if name == "openai" else AnthropicDialect
    return kind(headers.get("user-agent", ""), request_id)


def _fault(error: Exception) -> _Fault:
    match error:
        case RateLimited():
            return _Fault(error.status, error.code, error.message, error.retry_after_s)
        case Overloaded() | CircuitOpen():
            return _Fault(error.status, error.code, error.message, error.retry_after_s, final=True)
        case Unavailable():
            return _Fault(error.status, error.code, error.message, 1.0, final=True)
        case RagstoneError():
            return _Fault(error.status, error.code, error.message)
        case HTTPException():
            return _Fault(error.status_code, "invalid_request", str(error.detail))
        case _:
            return _Fault(500, "internal", "Something failed inside the server. Its log has the request id.")


def _headers(fault: _Fault) -> list[Header]:
    headers = [("content-type", "application/json")]
    if fault.status == 401:
        headers.append(("www-authenticate", "Bearer"))
    if fault.retry_after_s is not None:
        headers.append(("retry-after", str(max(1, ceil(fault.retry_after_s)))))
    if fault.final:
        headers.append(("x-should-retry", "false"))  # the OpenAI and Anthropic SDKs heed it
    return headers


def _json(value: object) -> bytes:
    return json.dumps(value, ensure_ascii=False, separators=(",", ":")).encode(errors="replace")
