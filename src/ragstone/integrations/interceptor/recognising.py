"""Requests that a chat program makes for itself: titles, summaries, memories, labels, tasks.

They are no questions of a person, and what is looked up for them would only mislead.
Each is recognised by the words it begins with and by its shape, as LibreChat
(@librechat/agents 3.9) and Open WebUI send them; a person's question that holds
the same words somewhere is none of them.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Literal

from ragstone.errors import InvalidInput
from ragstone.integrations.interceptor.reading import Body, Dialect, content_of, messages_of, role_of, text_of

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


def auxiliary(body: Body, dialect: Dialect) -> Auxiliary | None:
    """What a chat program wants for itself; None for a person's question, and for what is no chat."""
    try:
        messages = messages_of(body)
    except InvalidInput:
        return None
    system = text_of(body.get("system")) if dialect == "anthropic" else _instructions(messages)
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
    """What a single message, whose answer is not streamed, is for."""
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
