"""Whether a chat is enriched, and why not."""

from __future__ import annotations

import base64
import binascii
import hashlib
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from ragstone.errors import InvalidInput
from ragstone.interceptor.request import Body, ParsedChat, WireFormatName, content_of, messages_of, role_of, text_of
from ragstone.tenants.settings import InterceptorSettings

Auxiliary = Literal["title", "summary", "memory", "label", "task"]

_TITLE = "Provide a concise, 5-word-or-less title for the conversation"
_TITLE_ENDS = "\nConversation:\nUser: "
_STRUCTURED_TITLE = "Analyze this conversation and provide:"
_SUMMARIES = (
    "Hold on, before you continue I need you to write me a checkpoint",
    "Hold on again, update your checkpoint",
)
_LABELS = (
    "Write a short label describing what this block of agent activity accomplished",
    "Summarize what this phase of an agent run accomplished",
    "Write a short orientation title for a user-visible",
)
_TASK = "### Task:"


def auxiliary(body: Body, wire_format: WireFormatName) -> Auxiliary | None:
    """The kind of auxiliary request, such as for a title; None if a person asks, or the body is no chat."""
    try:
        messages = messages_of(body)
    except InvalidInput:
        return None
    system = text_of(body.get("system")) if wire_format == "anthropic" else _instructions(messages)
    last = text_of(content_of(messages[-1])) if messages and role_of(messages[-1]) == "user" else ""
    if system.startswith(_LABELS):
        return "label"
    if last.startswith(_SUMMARIES):
        return "summary"
    if body.get("stream") is True:
        return None
    if {"set_memory", "delete_memory"} <= _tools(body):
        return "memory"
    return _alone(last, body) if len(messages) == 1 else None


def _alone(text: str, body: Body) -> Auxiliary | None:
    """The kind of auxiliary request that a single message without streaming is."""
    if text.startswith(_TITLE) and _TITLE_ENDS in text and "tools" not in body:
        return "title"
    if text.startswith(_STRUCTURED_TITLE) and (_extracts(body) or "extract" in _tools(body)):
        return "title"
    return "task" if text.startswith(_TASK) else None


def _instructions(messages: Sequence[Any]) -> str:
    first = messages[0] if messages else None
    return text_of(content_of(first)) if role_of(first) in {"system", "developer"} else ""


def _tools(body: Body) -> set[str]:
    """The names of the tools; OpenAI puts them one level deeper than Anthropic."""
    tools = body.get("tools")
    described = [tool for tool in tools if isinstance(tool, Mapping)] if isinstance(tools, list) else []
    names = [_inside(tool, "function").get("name", tool.get("name")) for tool in described]
    return {name for name in names if isinstance(name, str)}


def _extracts(body: Body) -> bool:
    """Whether the answer has to be an object with a language and a title."""
    schema = _inside(_inside(body, "response_format"), "json_schema")
    properties = _inside(_inside(schema, "schema"), "properties")
    return schema.get("name") == "extract" and {"language", "title"} <= properties.keys()


def _inside(holder: Mapping[str, Any], key: str) -> Mapping[str, Any]:
    value = holder.get(key)
    return value if isinstance(value, Mapping) else {}


Reason = (
    Literal[
        "disabled", "bypass_header", "plain_model", "no_question", "bypass_message", "not_streamed", "rollout", "enrich"
    ]
    | Auxiliary
)
"""Short words for the header `x-ragstone-status` and for the metric."""

BYPASS = "/bypass"
MAX_USER_CHARS = 200

_BYPASSES = re.compile(rf"\s*{BYPASS}(?!\S)")
_YES = frozenset({"1", "true", "yes", "on"})
_NO_ID = frozenset({"", "new", "null", "undefined"})  # what clients send as an id that is not made yet
_UNRESOLVED = "{{"  # older LibreChats send the placeholder itself where they do not know what it stands for
_CODED = "b64:"
_CONVERSATION_HEADERS = ("x-conversation-id", "x-openwebui-chat-id")
_USER_HEADERS = ("x-user-id", "x-openwebui-user-id")


@dataclass(frozen=True, slots=True)
class Decision:
    """Whether a chat is enriched; `reason` is `enrich`, or why not."""

    enrich: bool
    reason: Reason


def decide(
    chat: ParsedChat | None, body: Body, headers: Mapping[str, str], settings: InterceptorSettings, tenant: str
) -> Decision:
    """Decide for one request; `headers` by their names in small letters."""
    reason: Reason = next(_reasons(chat, body, headers, settings, tenant), "enrich")
    return Decision(reason == "enrich", reason)


def _reasons(
    chat: ParsedChat | None, body: Body, headers: Mapping[str, str], settings: InterceptorSettings, tenant: str
) -> Iterator[Reason]:
    """The reasons not to enrich, the cheapest check first."""
    if not settings.enabled:
        yield "disabled"
    if headers.get("x-ragstone-bypass", "").strip().lower() in _YES:
        yield "bypass_header"
    if chat is None:
        yield "no_question"
        return
    if chat.model in settings.plain_models:
        yield "plain_model"
    if kind := auxiliary(body, chat.wire_format):
        yield kind
    if _BYPASSES.match(chat.question):
        yield "bypass_message"
    if settings.streams_only and not chat.stream:
        yield "not_streamed"
    if not rolled_out(tenant, conversation_of(chat, headers), settings.rollout_percent):
        yield "rollout"


def rolled_out(tenant: str, conversation: str, percent: int) -> bool:
    """Whether a conversation is among the `percent`; who is in stays in as the share grows."""
    key = b"\0".join(part.encode("utf-8", "surrogatepass") for part in (tenant, conversation))
    return int.from_bytes(hashlib.blake2b(key, digest_size=8).digest()) % 100 < percent


def conversation_of(chat: ParsedChat, headers: Mapping[str, str]) -> str:
    """The id of the conversation: from the client's headers, else from the body."""
    return _first(headers.get(name, "") for name in _CONVERSATION_HEADERS) or chat.conversation


def user_of(headers: Mapping[str, str], body: Body) -> str:
    """The user as the client names them, on one line; empty where it does not. It proves nothing."""
    metadata = body.get("metadata")
    told = (body.get("user"), metadata.get("user_id") if isinstance(metadata, Mapping) else None)
    named = (_decoded(headers.get(name, "")) for name in _USER_HEADERS)
    user = _first(named) or _first(value for value in told if isinstance(value, str))
    return "".join(letter for letter in user if letter.isprintable())[:MAX_USER_CHARS]


def _first(values: Iterator[str]) -> str:
    """The first value that is one."""
    stripped = (value.strip() for value in values)
    return next((value for value in stripped if value not in _NO_ID and not value.startswith(_UNRESOLVED)), "")


def _decoded(value: str) -> str:
    """`b64:` is how LibreChat sends letters beyond U+00FF in a header."""
    if not value.startswith(_CODED):
        return value
    try:
        return base64.b64decode(value.removeprefix(_CODED), validate=True).decode()
    except (binascii.Error, ValueError):
        return value
