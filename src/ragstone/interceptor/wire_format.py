"""The interface that `openai` and `anthropic` implement: what differs between the two APIs of clients."""

from __future__ import annotations

import json
from dataclasses import dataclass
from math import ceil
from typing import Protocol

from starlette.exceptions import HTTPException

from ragstone.errors import CircuitOpen, Overloaded, RagstoneError, RateLimited, Unavailable
from ragstone.http.streaming import Header, Refusal, StreamErrors
from ragstone.interceptor.sse import Annotations, AnswerChanges, CompletedAnswer, RewritingStream
from ragstone.vocabulary import Usage

FINAL = "insufficient_quota"
"""The error code on which LangChain does not retry."""


class OwnAnswer(Protocol):
    """Writes one answer of the platform's own model."""

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


class WireFormat(Protocol):
    """One API: its streams, whole answers, errors and own answers."""

    def stream(self, changes: AnswerChanges) -> RewritingStream:
        """The rewriter of one streamed answer."""
        ...

    def complete(self, body: bytes, changes: AnswerChanges) -> CompletedAnswer:
        """An answer that came at once, with the changes; byte for byte if there are none."""
        ...

    def errors(self, *, user_agent: str, request_id: str) -> StreamErrors:
        """The writer of failures for one request."""
        ...

    def own_answer(self, model: str, answer_id: str) -> OwnAnswer:
        """The writer of one answer of our own."""
        ...


@dataclass(frozen=True, slots=True)
class ApiError:
    """A failure before it is written in a wire format. `final`: a client gains nothing by asking again at once."""

    status: int
    code: str
    message: str
    retry_after_s: float | None = None
    final: bool = False


def api_error(error: Exception) -> ApiError:
    """The failure that a client is told of."""
    match error:
        case RateLimited():
            return ApiError(error.status, error.code, error.message, error.retry_after_s)
        case Overloaded() | CircuitOpen():
            return ApiError(error.status, error.code, error.message, error.retry_after_s, final=True)
        case Unavailable():
            return ApiError(error.status, error.code, error.message, 1.0, final=True)
        case RagstoneError():
            return ApiError(error.status, error.code, error.message)
        case HTTPException():
            return ApiError(error.status_code, "invalid_request", str(error.detail))
        case _:
            return ApiError(500, "internal", "Something failed inside the server. Its log has the request id.")


def error_response(error: ApiError, body: object) -> Refusal:
    """The response for a failure, with the headers that the vendors' SDKs heed."""
    headers = [("content-type", "application/json")]
    if error.status == 401:
        headers.append(("www-authenticate", "Bearer"))
    if error.retry_after_s is not None:
        headers.append(("retry-after", str(max(1, ceil(error.retry_after_s)))))
    if error.final:
        headers.append(("x-should-retry", "false"))  # the OpenAI and Anthropic SDKs heed it
    return Refusal(error.status, headers, compact_json(body))


def json_response(value: object, headers: tuple[Header, ...] = ()) -> Refusal:
    """A response that carries an object."""
    return Refusal(200, [("content-type", "application/json"), *headers], json.dumps(value).encode())


def compact_json(value: object) -> bytes:
    """JSON without blanks, in UTF-8."""
    return json.dumps(value, ensure_ascii=False, separators=(",", ":")).encode(errors="replace")
