"""Whether a chat is enriched, and why not."""

from __future__ import annotations

import base64
import binascii
import hashlib
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Literal

from ragstone.accounts.interceptors import InterceptorSettings
from ragstone.integrations.interceptor.reading import Body, Chat
from ragstone.integrations.interceptor.recognising import Auxiliary, auxiliary

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
_NOBODY = frozenset({"", "new", "null", "undefined"})  # what clients send as an id that is not made yet
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
    chat: Chat | None, body: Body, headers: Mapping[str, str], settings: InterceptorSettings, tenant: str
) -> Decision:
    """Decide for one request; `headers` by their names in small letters."""
    reason: Reason = next(_reasons(chat, body, headers, settings, tenant), "enrich")
    return Decision(reason == "enrich", reason)


def _reasons(
    chat: Chat | None, body: Body, headers: Mapping[str, str], settings: InterceptorSettings, tenant: str
) -> Iterator[Reason]:
    """What speaks against it, the plainest first."""
    if not settings.enabled:
        yield "disabled"
    if headers.get("x-ragstone-bypass", "").strip().lower() in _YES:
        yield "bypass_header"
    if chat is None:
        yield "no_question"
        return
    if chat.model in settings.plain_models:
        yield "plain_model"
    if kind := auxiliary(body, chat.dialect):
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


def conversation_of(chat: Chat, headers: Mapping[str, str]) -> str:
    """What stays the same for a whole conversation: its id from the client, else what the body tells."""
    return _first(headers.get(name, "") for name in _CONVERSATION_HEADERS) or chat.conversation


def user_of(headers: Mapping[str, str], body: Body) -> str:
    """Who asks, as the client says, on one line; nothing where it does not. No proof of who it is."""
    metadata = body.get("metadata")
    told = (body.get("user"), metadata.get("user_id") if isinstance(metadata, Mapping) else None)
    named = (_decoded(headers.get(name, "")) for name in _USER_HEADERS)
    user = _first(named) or _first(value for value in told if isinstance(value, str))
    return "".join(letter for letter in user if letter.isprintable())[:MAX_USER_CHARS]


def _first(values: Iterator[str]) -> str:
    """The first value that is one."""
    stripped = (value.strip() for value in values)
    return next((value for value in stripped if value not in _NOBODY and not value.startswith(_UNRESOLVED)), "")


def _decoded(value: str) -> str:
    """`b64:` is how LibreChat sends letters beyond U+00FF in a header."""
    if not value.startswith(_CODED):
        return value
    try:
        return base64.b64decode(value.removeprefix(_CODED), validate=True).decode()
    except (binascii.Error, ValueError):
        return value
