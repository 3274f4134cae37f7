"""The OpenAPI description of /v1 and /rage/health, which are no routes of FastAPI."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from ragstone.interceptor.anthropic import AnthropicAnswer
from ragstone.interceptor.openai import OpenAIAnswer
from ragstone.interceptor.wire_format import OwnAnswer
from ragstone.vocabulary import Usage

Json = dict[str, Any]

TAG = "interceptor"
SECURITY: list[dict[str, list[str]]] = [{"HTTPBearer": []}, {"APIKeyHeader": []}, {"APIKeyCookie": []}]
"""The ways to send a credential, as `http.routing` declares them."""
TEXT = "An unchecked citation is decoration [1]."
CHAT = {"model": "ragstone", "messages": [{"role": "user", "content": "Why are citations checked?"}], "stream": True}
CHUNK = (
    'data: {"id":"chatcmpl-1","object":"chat.completion.chunk","created":1763700000,"model":"ragstone",'
    f'"choices":[{{"index":0,"delta":{{"content":"{TEXT}"}},"finish_reason":null}}]}}\n\n'
)
EVENT = (
    'event: content_block_delta\ndata: {"type":"content_block_delta","index":0,'
    f'"delta":{{"type":"text_delta","text":"{TEXT}"}}}}\n\n'
)
MODEL = {"id": "ragstone", "object": "model", "created": 0, "owned_by": "ragstone"}
VECTORS = {
    "object": "list",
    "data": [{"object": "embedding", "index": 0, "embedding": [0.02, -0.11]}],
    "model": "all-MiniLM-L6-v2",
    "usage": {"prompt_tokens": 5, "total_tokens": 5},
}
OPENAI_ERROR = {
    "error": {"message": "No key was sent.", "type": "authentication_error", "param": None, "code": "invalid_api_key"}
}
ANTHROPIC_ERROR = {"type": "error", "error": {"type": "authentication_error", "message": "No key was sent."}}
STATUSES = {
    400: "The request cannot be used as it is.",
    401: "No key was sent, or one that is not known.",
    403: "The caller may not do this, or not from there.",
    404: "There is no such model, or no collection.",
    413: "The request body is too large.",
    422: "The model's server finds that the request does not fit.",
    429: "Too many requests for the plan, or for the model's server; `Retry-After` says when there is room again.",
    503: "The model's server does not answer, or no place is free; `Retry-After` says when to try again.",
}


def describe_v1(openapi: Json, problems: Mapping[int | str, Json]) -> Json:
    """The description of the whole server, with the addresses of the interceptor.

    Args:
        openapi: What FastAPI describes.
        problems: The error responses of /rage/health.
    """
    return {**openapi, "paths": {**_v1_paths(), **openapi["paths"], "/rage/health": {"get": _rage(problems)}}}


def _v1_paths() -> Json:
    return {
        "/v1/chat/completions": {
            "post": _operation(
                "chat_completions_v1_chat_completions_post",
                "Chat, as OpenAI's clients do",
                "Enrich a chat from the collection, and pass it on to the model's server; else answer it here.\n\n"
                "Takes what OpenAI's chat completions take, streamed or not. "
                "`x-ragstone-status` says what was done.",
                _responses(_whole(OpenAIAnswer("ragstone", "1", 0)), stream=CHUNK),
                body=CHAT,
            )
        },
        "/v1/messages": {
            "post": _operation(
                "anthropic_messages_v1_messages_post",
                "Chat, as Anthropic's clients do",
                "The same for Anthropic's messages, of both live versions of that API.",
                _responses(_whole(AnthropicAnswer("ragstone", "1")), error=ANTHROPIC_ERROR, stream=EVENT),
                body={**CHAT, "max_tokens": 500},
            )
        },
        "/v1/messages/count_tokens": {
            "post": _operation(
                "count_tokens_v1_messages_count_tokens_post",
                "Count a chat's tokens",
                "As the model's server counts them; estimated, four bytes a token, where there is none.",
                _responses({"input_tokens": 12}, error=ANTHROPIC_ERROR),
                body=CHAT,
            )
        },
        "/v1/embeddings": {
            "post": _operation(
                "embeddings_v1_embeddings_post",
                "Embed texts",
                "Vectors of the platform's own model, or of one that the model's server has.",
                _responses(VECTORS),
                body={"model": "all-MiniLM-L6-v2", "input": "The tide is out."},
            )
        },
        "/v1/models": {
            "get": _operation(
                "list_models_v1_models_get",
                "List models",
                "The models that a chat may name.",
                _responses({"object": "list", "data": [MODEL]}),
            )
        },
        "/v1/models/{model}": {
            "get": {
                **_operation(
                    "show_model_v1_models__model__get",
                    "Show a model",
                    "One of the models that a chat may name.",
                    _responses(MODEL),
                ),
                "parameters": [
                    {
                        "name": "model",
                        "in": "path",
                        "required": True,
                        "schema": {"type": "string", "maxLength": 200, "title": "Model"},
                    }
                ],
            }
        },
    }


def _operation(operation_id: str, summary: str, description: str, responses: Json, body: Json | None = None) -> Json:
    operation: Json = {
        "tags": [TAG],
        "summary": summary,
        "description": description,
        "operationId": operation_id,
        "responses": responses,
        "security": SECURITY,
    }
    if body is not None:
        content = {"application/json": {"schema": {"type": "object"}, "example": body}}
        operation["requestBody"] = {"required": True, "content": content}
    return operation


def _responses(answer: object, *, error: Json = OPENAI_ERROR, stream: str = "") -> Json:
    """An example of the answer, and the errors in the wire format of the client."""
    content: Json = {"application/json": {"schema": {}, "example": answer}}
    if stream:
        content["text/event-stream"] = {"schema": {"type": "string"}, "example": stream}
    failures = {
        str(status): {"description": text, "content": {"application/json": {"example": error}}}
        for status, text in STATUSES.items()
    }
    return {"200": {"description": "The answer.", "content": content}, **failures}


def _rage(problems: Mapping[int | str, Json]) -> Json:
    example = {"status": "ok", "version": "0.1.0", "circuits": {"api.openai.com": "closed"}}
    content = {"application/json": {"schema": {}, "example": example}}
    return {
        "tags": [TAG],
        "summary": "Is the interceptor alive?",
        "description": "It answers. A caller with a key of an operator is told the state of each circuit too.",
        "operationId": "rage_health_rage_health_get",
        "responses": {
            "200": {"description": "Successful Response", "content": content},
            **{str(status): response for status, response in problems.items()},
        },
    }


def _whole(answer: OwnAnswer) -> Json:
    value: Json = json.loads(answer.whole(TEXT, Usage("m"), ()))
    return value
