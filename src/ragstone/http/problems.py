"""What is told of a failure, as problem+json (RFC 9457), whatever framework the server is made of.

`RagstoneError` keeps its code, status and sentence. An unforeseen error becomes a 500
that says nothing about the inside; the request id leads to the log.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from http import HTTPStatus
from urllib.parse import quote

from starlette.exceptions import HTTPException
from starlette.responses import Response
from starlette.types import Scope

from ragstone.errors import CircuitOpen, Overloaded, RagstoneError, RateLimited, Unauthenticated
from ragstone.http.context import REQUEST_KEY
from ragstone.http.rate_limit_headers import whole_seconds

PROBLEM_JSON = "application/problem+json"
TYPE_PREFIX = "urn:ragstone:problem:"
MAX_INSTANCE_CHARS = 200


@dataclass(frozen=True, slots=True)
class FieldFault:
    """One field that does not fit, and why."""

    field: str
    message: str


@dataclass(frozen=True, slots=True)
class Fault:
    """What went wrong, in the words of HTTP."""

    status: int
    code: str
    detail: str
    retryable: bool = False
    headers: Mapping[str, str] = field(default_factory=dict)
    errors: tuple[FieldFault, ...] = ()


def problem_response(scope: Scope, error: Exception) -> Response:
    """The response for an error; its headers say which key to send, or which methods there are."""
    return fault_response(scope, fault_of(error, scope))


def fault_response(scope: Scope, fault: Fault) -> Response:
    """The response that tells of a fault."""
    body = json.dumps(problem_fields(fault, scope), ensure_ascii=False, separators=(",", ":"))
    return Response(body.encode(errors="replace"), fault.status, headers=dict(fault.headers), media_type=PROBLEM_JSON)


def problem_fields(fault: Fault, scope: Scope) -> dict[str, object]:
    """The fields of the problem, as `errors.Problem` describes them; `errors` only where there are some."""
    fields: dict[str, object] = {
        "type": TYPE_PREFIX + fault.code,
        "title": fault.code.replace("_", " ").capitalize(),
        "status": int(fault.status),
        "detail": fault.detail,
        "code": fault.code,
        "instance": quote(scope["path"], errors="replace")[:MAX_INSTANCE_CHARS],
        "request_id": context.request_id if (context := scope.get(REQUEST_KEY)) else "",
        "retryable": fault.retryable,
    }
    return fields | {"errors": [asdict(one) for one in fault.errors]} if fault.errors else fields


def fault_of(error: Exception, scope: Scope) -> Fault:
    """What is told of an error."""
    # FastAPI turns what is raised while it reads a body into a 400, and keeps the reason as the cause.
    if isinstance(error, HTTPException) and isinstance(error.__cause__, RagstoneError):
        error = error.__cause__
    match error:
        case RagstoneError():
            return Fault(error.status, error.code, error.message, error.retryable, _error_headers(error))
        case HTTPException() if isinstance(error.__cause__, OSError):
            return Fault(
                500,
                "temporary_folder",
                "The server could not keep the upload while it arrived: its temporary folder is full or read-only. "
                "Its operator has to make room, or set TMPDIR to another folder.",
            )
        case HTTPException():
            return _from_framework(error, scope)
        case _:
            return Fault(500, "internal", "Something failed inside the server. Its log has the request id.")


def _error_headers(error: RagstoneError) -> dict[str, str]:
    match error:
        case Unauthenticated():
            return {"www-authenticate": "Bearer"}
        case RateLimited() | CircuitOpen() | Overloaded():
            return {"retry-after": whole_seconds(max(error.retry_after_s, 1))}
        case _:
            return {}


def _from_framework(error: HTTPException, scope: Scope) -> Fault:
    status = HTTPStatus(error.status_code)
    headers = {name.lower(): value for name, value in (error.headers or {}).items()}
    match status:
        case HTTPStatus.NOT_FOUND:
            detail = "There is nothing at this address. GET /openapi.json lists what there is."
        case HTTPStatus.METHOD_NOT_ALLOWED:
            detail = (
                f"This address does not take {scope['method'][:20]}; it takes {headers.get('allow', 'other methods')}."
            )
        case HTTPStatus.BAD_REQUEST:
            detail = f"The request body cannot be read: {error.detail.rstrip('.')}. Check it against /openapi.json."
        case _:
            detail = error.detail
    return Fault(status, status.name.lower(), detail, headers=headers)
