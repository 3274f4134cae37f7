"""Chats as clients send them, and what any JSON may be."""

from __future__ import annotations

from typing import Any

from hypothesis import strategies as st

SCALARS = st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20)
WORDS = st.sampled_from(
    [
        *("user", "assistant", "system", "tool", "text", "tool_use", "tool_result", "image_url", "function"),
        *("### Task:", "Attached document(s):\n```md", "/bypass", "\n\n**Sources**\n[1] x", "\ud800", "[1]"),
    ]
)
KEYS = st.sampled_from(["role", "content", "type", "text", "tools", "function", "name", "messages", "metadata", "user"])
OTHERS = ["model", "stream", "tools", "system", "metadata", "user", "response_format", "max_tokens"]
JSON = st.recursive(
    SCALARS | WORDS,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(KEYS | st.text(max_size=5), inner, max_size=5),
    max_leaves=12,
)
MESSAGES = st.fixed_dictionaries(
    {"role": st.sampled_from(["user", "assistant", "tool", "system"]) | JSON, "content": JSON},
    optional={"tool_calls": JSON, "function_call": JSON},
)
BODIES = st.dictionaries(KEYS, JSON, max_size=5) | st.fixed_dictionaries(
    {"messages": st.lists(MESSAGES | JSON, max_size=5)},
    optional=dict.fromkeys(OTHERS, JSON),
)
"""Requests that hold anything anywhere, most of them with messages."""


def user(content: Any) -> dict[str, Any]:
    return {"role": "user", "content": content}


def assistant(content: Any, **more: Any) -> dict[str, Any]:
    return {"role": "assistant", "content": content, **more}


def tool(content: str) -> dict[str, Any]:
    return {"role": "tool", "content": content, "name": "look_up", "tool_call_id": "call_1"}


def text_part(text: str, **more: Any) -> dict[str, Any]:
    return {"type": "text", "text": text, **more}


IMAGE = {"type": "image_url", "image_url": {"url": "data:image/png;base64,iVBORw0K", "detail": "auto"}}
FILE = {"type": "file", "file": {"filename": "a.pdf", "file_data": "data:application/pdf;base64,JVBERi0="}}
CALLS = [{"id": "call_1", "type": "function", "function": {"name": "look_up", "arguments": "{}"}}]
SYSTEM = {"role": "system", "content": "You help.\n\nThe user has attached a file: <context>water</context>"}


def librechat(*messages: Any, **more: Any) -> dict[str, Any]:
    """What @librechat/agents 3.9 sends to a custom endpoint."""
    return {"model": "rag-default", "user": "user123", "stream": True, "messages": [SYSTEM, *messages], **more}


def librechat_anthropic(*messages: Any, **more: Any) -> dict[str, Any]:
    """The same to an Anthropic endpoint, where what changes comes in a user message of its own."""
    return {
        "model": "claude-sonnet",
        "stream": True,
        "max_tokens": 8192,
        "system": [text_part("You help.", cache_control={"type": "ephemeral", "ttl": "1h"})],
        "messages": [user("The time is 10:41."), *messages],
        **more,
    }


def uploaded(*documents: tuple[str, str]) -> str:
    """Texts as LibreChat puts them before a question."""
    parts = [f'# "{name}"\n{text}\n' for name, text in documents]
    return "Attached document(s):\n```md" + "\n\n---\n\n".join(parts) + "\n```\n"
