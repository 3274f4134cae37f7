"""FastAPI's failures become problem+json (RFC 9457) as well, and OpenAPI describes what that is.

A body or parameter that does not fit becomes 422 with one sentence a field; the rest is
told as in `problems`.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from fastapi import FastAPI
from fastapi.exceptions import RequestValidationError
from pydantic import BaseModel, ConfigDict, Field
from pydantic.json_schema import models_json_schema
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.types import Scope

from ragstone.errors import RagstoneError
from ragstone.http.context import context_of
from ragstone.http.problems import PROBLEM_JSON, Fault, FieldFault, fault_of, fault_response, problem_fields

MAX_NAMED_FIELDS = 20  # a body of a million wrong fields gets a short answer


class FieldProblem(BaseModel):
    """One field that does not fit, and why."""

    field: str
    message: str


class Problem(BaseModel):
    """What went wrong, and what to do next (RFC 9457)."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {
                    "type": "urn:ragstone:problem:not_found",
                    "title": "Not found",
                    "status": 404,
                    "detail": "There is no document 7f3a in the collection default. List them with GET /api/documents.",
                    "code": "not_found",
                    "instance": "/api/documents/7f3a",
                    "request_id": "b8f0c6d25f1e4c0e",
                    "retryable": False,
                }
            ]
        }
    )

    type: str = Field(description="URN of the kind of problem; ends with `code`.")
    title: str = Field(description="The kind of problem in words; the same for all of its kind.")
    status: int = Field(description="The HTTP status.")
    detail: str = Field(description="What is wrong here, and what to do next.")
    code: str = Field(description="Stable name for programs to branch on.")
    instance: str = Field(description="Path of the request.")
    request_id: str = Field(description="Leads to this request in the server's log.")
    retryable: bool = Field(description="Whether the same call may succeed later without a change.")
    errors: list[FieldProblem] | None = Field(None, description="The fields that do not fit, for status 422.")


_PROBLEM_TEXTS = {
    400: "The request cannot be used as it is.",
    401: "No key or session was sent, or one that is not known, or more than one.",
    403: "The caller may not do this, or not from there.",
    404: "No such object here; also for objects of other tenants and users.",
    409: "The present state forbids it.",
    413: "The request body is too large.",
    415: "No parser reads this kind of file.",
    422: "A field is missing, unknown or does not fit; `errors` names it.",
    402: "The tenant's plan has no room for more.",
    429: "Too many requests for the plan; `Retry-After` says when there is room again.",
    503: "A part is down; the same call may work later.",
}


def install_error_handlers(app: FastAPI) -> None:
    """Answer every error of `app` with a problem; see `middleware` for the unforeseen ones."""
    for kind in (RagstoneError, RequestValidationError, HTTPException):
        app.add_exception_handler(kind, _respond)


def problems(*statuses: int) -> dict[int | str, dict[str, Any]]:
    """The error responses of a route, for its OpenAPI description."""
    content = {PROBLEM_JSON: {"schema": {"$ref": "#/components/schemas/Problem"}}}
    return {status: {"description": _PROBLEM_TEXTS[status], "content": content} for status in statuses}


def describe_problem(openapi: dict[str, Any]) -> dict[str, Any]:
    """The OpenAPI description, with the schema that `problems` refers to."""
    _, definitions = models_json_schema([(Problem, "serialization")], ref_template="#/components/schemas/{model}")
    openapi.setdefault("components", {}).setdefault("schemas", {}).update(definitions["$defs"])
    return openapi


async def _respond(request: Request, error: Exception) -> Response:
    if isinstance(error, RagstoneError) and error.status >= 500:
        context = context_of(request)
        context.server.failures.note("http", error, tenant=context.labels.get("tenant", ""))
    return request_problem_response(request.scope, error)


def request_problem_response(scope: Scope, error: Exception) -> Response:
    """The response for an error; its headers say which key to send, or which methods there are."""
    return fault_response(scope, _fault(error, scope))


def problem_of(scope: Scope, error: Exception) -> Problem:
    """The problem alone, for an event stream whose status has been sent already."""
    return Problem.model_validate(problem_fields(_fault(error, scope), scope))


def _fault(error: Exception, scope: Scope) -> Fault:
    return _invalid(error) if isinstance(error, RequestValidationError) else fault_of(error, scope)


def _invalid(error: RequestValidationError) -> Fault:
    problems = tuple(_field_problem(item) for item in error.errors()[:MAX_NAMED_FIELDS])
    sentences = "; ".join(f"{problem.field}: {problem.message}" for problem in problems)
    return Fault(422, "invalid_request", f"The request does not fit. {sentences}.", errors=problems)


def _field_problem(item: Mapping[str, object]) -> FieldFault:
    location = item["loc"]
    assert isinstance(location, tuple)
    path = ".".join(str(part) for part in location[1:])[:100]
    match item["type"]:
        case "missing":
            message = "is missing"
        case "extra_forbidden":
            message = "is not a field of this request"
        case "json_invalid":
            return FieldFault(field="body", message=f"is not valid JSON at character {location[-1]}")
        case "model_attributes_type" if not path:
            message = "has to be a JSON object, sent with Content-Type: application/json"
        case _:
            message = str(item["msg"]).removeprefix("Value error, ").rstrip(".")
    return FieldFault(field=path or str(location[0]), message=message)
