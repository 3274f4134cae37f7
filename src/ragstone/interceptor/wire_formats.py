"""Our own answers in the words of both APIs, streamed and whole."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from math import ceil
from typing import Any, Literal, Protocol

from starlette.exceptions import HTTPException

from ragstone.errors import CircuitOpen, Overloaded, RagstoneError, RateLimited, Unavailable
from ragstone.http.streaming import Header, Refusal
from ragstone.vocabulary import Usage

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


Annotations = Sequence[Mapping[str, Any]]


class Wire(Protocol):
    """Writes one answer in one API's words."""

    def begin(self) -> bytes:
        """What comes before the text."""
        ...

    def text(self, piece: str) -> bytes:
        """A piece of the text."""
        ...

    def end(self, usage: Usage, annotations: Annotations) -> bytes:
        """What comes after the text."""
        ...

    def whole(self, text: str, usage: Usage, annotations: Annotations) -> bytes:
        """The answer at once."""
        ...


@dataclass(frozen=True, slots=True)
class OpenAIWire:
    """Chat completions."""

    model: str
    answer_id: str
    created: int

    def begin(self) -> bytes:
        """A first chunk with the role: some clients lose what comes without."""
        return self._chunk({"role": "assistant", "content": ""})

    def text(self, piece: str) -> bytes:
        """See `Wire.text`."""
        return self._chunk({"content": piece})

    def end(self, usage: Usage, annotations: Annotations) -> bytes:
        """The sources for clients that read them, the end, what it used, and the end of the stream."""
        noted = self._chunk({"annotations": list(annotations)}) if annotations else b""
        ended = self._chunk({}, finish="stop")
        used = _data({**self._head("chat.completion.chunk"), "choices": [], "usage": _openai_usage(usage)})
        return noted + ended + used + b"data: [DONE]\n\n"

    def whole(self, text: str, usage: Usage, annotations: Annotations) -> bytes:
        """See `Wire.whole`."""
        message: dict[str, Any] = {"role": "assistant", "content": text, "refusal": None}
        if annotations:
            message["annotations"] = list(annotations)
        choice = {"index": 0, "message": message, "finish_reason": "stop", "logprobs": None}
        return _json({**self._head("chat.completion"), "choices": [choice], "usage": _openai_usage(usage)})

    def _chunk(self, delta: Mapping[str, Any], finish: str | None = None) -> bytes:
        choice = {"index": 0, "delta": delta, "finish_reason": finish}
        return _data({**self._head("chat.completion.chunk"), "choices": [choice]})

    def _head(self, kind: str) -> dict[str, Any]:
        return {"id": f"chatcmpl-{self.answer_id}", "object": kind, "created": self.created, "model": self.model}


@dataclass(frozen=True, slots=True)
class AnthropicWire:
    """Messages. Annotations are not of this API."""

    model: str
    answer_id: str

    def begin(self) -> bytes:
        """See `Wire.begin`."""
        block = {"type": "text", "text": ""}
        return self._event("message_start", message=self._message([], None, Usage(self.model))) + self._event(
            "content_block_start", index=0, content_block=block
        )

    def text(self, piece: str) -> bytes:
        """See `Wire.text`."""
        return self._event("content_block_delta", index=0, delta={"type": "text_delta", "text": piece})

    def end(self, usage: Usage, annotations: Annotations) -> bytes:
        """The end, with all of the usage: some clients read it here only."""
        delta = {"stop_reason": "end_turn", "stop_sequence": None}
        return (
            self._event("content_block_stop", index=0)
            + self._event("message_delta", delta=delta, usage=_anthropic_usage(usage))
            + self._event("message_stop")
        )

    def whole(self, text: str, usage: Usage, annotations: Annotations) -> bytes:
        """See `Wire.whole`."""
        return _json(self._message([{"type": "text", "text": text, "citations": None}], "end_turn", usage))

    def _message(self, content: Sequence[Any], stop: str | None, usage: Usage) -> dict[str, Any]:
        return {
            "id": f"msg_{self.answer_id}",
            "type": "message",
            "role": "assistant",
            "model": self.model,
            "content": content,
            "stop_reason": stop,
            "stop_sequence": None,
            "usage": _anthropic_usage(usage),
        }

    def _event(self, kind: str, **fields: object) -> bytes:
        return b"event: " + kind.encode() + b"\n" + _data({"type": kind, **fields})


def wire_of(
    dialect: DialectName, model: str, answer_id: str, *, clock: Callable[[], float] = time.time
) -> OpenAIWire | AnthropicWire:
    """The words of a dialect for one answer."""
    if dialect == "openai":
        return OpenAIWire(model, answer_id, int(clock()))
    return AnthropicWire(model, answer_id)


def example(wire: Wire) -> dict[str, Any]:
    """A whole answer, for descriptions."""
    answer: dict[str, Any] = json.loads(wire.whole("A citation that nobody checked is decoration [1].", Usage("m"), ()))
    return answer


def _openai_usage(usage: Usage) -> dict[str, Any]:
    return {
        "prompt_tokens": usage.input_tokens,
        "completion_tokens": usage.output_tokens,
        "total_tokens": usage.input_tokens + usage.output_tokens,
        "prompt_tokens_details": {"cached_tokens": usage.cached_tokens},
    }


def _anthropic_usage(usage: Usage) -> dict[str, Any]:
    return {
        "input_tokens": usage.input_tokens - usage.cached_tokens,  # this API does not count cached ones as input
        "cache_creation_input_tokens": 0,
        "cache_read_input_tokens": usage.cached_tokens,
        "output_tokens": usage.output_tokens,
    }


def _data(value: object) -> bytes:
    return b"data: " + _json(value) + b"\n\n"
