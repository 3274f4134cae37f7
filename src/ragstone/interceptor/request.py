"""A chat request: its bytes and headers, and the question in it."""

from __future__ import annotations

import asyncio
import hashlib
import json
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

from ragstone.errors import InvalidInput
from ragstone.interceptor.sources import without_sources
from ragstone.principals import Principal
from ragstone.vocabulary import Turn

MAX_BODY_BYTES = 32 << 20  # OpenAI and Anthropic take 32 MB; images travel inside
THREAD_BYTES = 256 << 10  # parsing takes about 10 ms a MiB; for smaller bodies a thread costs more than it saves


Body = Mapping[str, Any]
"""The JSON object of a request."""

WireFormatName = Literal["openai", "anthropic"]

OWN_MODEL = "ragstone"
"""The name of the platform's own answerer as a model."""


@dataclass(frozen=True, slots=True)
class ChatRequest:
    """One request: its bytes, their JSON object, its headers by lower-case names, and its caller.

    `path` is appended to the base URL of the upstream. `overage`: the request is beyond the limit of
    the caller's plan.
    """

    wire_format: WireFormatName
    path: str
    body: bytes = field(repr=False)
    parsed: Body = field(repr=False)
    headers: Mapping[str, str] = field(repr=False)
    principal: Principal
    request_id: str
    overage: bool = False

    @property
    def tenant(self) -> str:
        """The tenant of the caller."""
        return self.principal.tenant


def joined_headers(headers: Iterable[tuple[str, str]]) -> Mapping[str, str]:
    """The headers by name; of those that came several times, such as `anthropic-beta`, the values in one line."""
    joined: dict[str, str] = {}
    for name, value in headers:
        joined[name] = f"{joined[name]}, {value}" if name in joined else value
    return joined


async def parsed(body: bytes) -> Body:
    """The JSON object of a request.

    Raises:
        InvalidInput: it is none.
    """
    return _object(body) if len(body) < THREAD_BYTES else await asyncio.to_thread(_object, body)


def _object(body: bytes) -> Body:
    try:
        value = json.loads(body)
    except (ValueError, RecursionError) as error:
        raise InvalidInput("The body is not valid JSON. Send an object as the model's API describes it.") from error
    if not isinstance(value, dict):
        raise InvalidInput("The body has to be a JSON object, as the API of the model describes it.")
    return value


MAX_TURNS = 3  # as many as a conversation of ours is remembered by: `chat.memory.MemoryOptions`
MAX_ANSWER_CHARS = 20_000  # of an earlier answer; a follow-up leans on what it was about
MAX_CLOSING_FENCES = 20  # lines that may end uploaded texts, tried from the last one on
BETWEEN = " … "
"""What stands for the middle that `retrieval_text` leaves out."""

_UPLOADED = re.compile(r"Attached document\(s\):\n```md")
_NEXT_DOCUMENT = re.compile(r'^---\n\n# ".*"$', re.MULTILINE)
_CLOSING_FENCE = re.compile(r"(?<=\n\n)```[ \t]*(?:\n|\Z)")
_FENCE = re.compile(r"^[ ]{0,3}(?P<mark>`{3,}|~{3,})(?P<info>[^\n]*)$", re.MULTILINE)


@dataclass(frozen=True, slots=True)
class ParsedChat:
    """A question to a model, as the body of a chat request holds it.

    `place` is the index of the message that asks `question`. `history` holds the turns
    before it, oldest first, the last `MAX_TURNS`, answers without our lists of sources.
    `tool_loop`: what follows the question are calls of tools and their results.
    `conversation` identifies the conversation, as far as the body tells. `turn_key` is the same
    for each request of a tool loop: a SHA-256 over all that determines retrieval, but
    for the tenant.
    """

    question: str
    place: int
    history: tuple[Turn, ...]
    model: str
    stream: bool
    tool_loop: bool
    conversation: str
    turn_key: str
    wire_format: WireFormatName


def read(body: Body, wire_format: WireFormatName) -> ParsedChat | None:
    """The chat in a request; None where its last message of the user asks nothing in words.

    Raises:
        InvalidInput: it is no chat at all.
    """
    messages = messages_of(body)
    place = next((place for place in reversed(range(len(messages))) if _is_from_user(messages[place])), None)
    question = "" if place is None else _asked(messages[place])
    if place is None or not question.strip():
        return None
    turns = _turns(messages[:place])
    model = _text(body, "model")
    return ParsedChat(
        question=question,
        place=place,
        history=tuple(map(_kept, turns[-MAX_TURNS:])),
        model=model,
        stream=body.get("stream") is True,
        tool_loop=any(_is_tool_step(message) for message in messages[place + 1 :]),
        conversation=_conversation(body, wire_format, turns[0].question if turns else question),
        turn_key=_turn_key(model, messages[: place + 1]),
        wire_format=wire_format,
    )


def retrieval_text(chat: ParsedChat, max_chars: int) -> str:
    """The question within `max_chars`: its beginning and its end, where people put what they want."""
    question = chat.question.strip()
    if len(question) <= max_chars:
        return question
    room = max(0, max_chars - len(BETWEEN))
    head, tail = room - room // 2, room // 2
    return (question[:head] + BETWEEN + question[len(question) - tail :])[:max_chars]


def messages_of(body: Body) -> Sequence[Any]:
    """The messages of a request, of any kind.

    Raises:
        InvalidInput: there are none.
    """
    messages = body.get("messages") if isinstance(body, Mapping) else None
    if not isinstance(messages, list):
        raise InvalidInput("This is no chat: `messages` has to be a list of messages, as the model's API describes it.")
    return messages


def text_of(content: object) -> str:
    """The text of a message's content: a text, or the texts among its parts, one below the other."""
    return "\n".join(texts_of(content))


def texts_of(content: object) -> Iterator[str]:
    """The texts among the parts of a message's content, in order."""
    if isinstance(content, str):
        yield content
    elif isinstance(content, list):
        for part in content:
            if isinstance(part, str):
                yield part
            elif isinstance(part, Mapping) and part.get("type") == "text":
                yield _text(part, "text")


def role_of(message: object) -> str:
    """The role of a message; empty where it has none."""
    return _text(message, "role") if isinstance(message, Mapping) else ""


def content_of(message: object) -> object:
    """The content of a message; None where it has none."""
    return message.get("content") if isinstance(message, Mapping) else None


def question_of(text: str) -> str:
    """`text` without the documents that LibreChat put before the question.

    They stand in one fenced block whose last line follows an empty one. Documents and
    questions may hold fences of their own, so the block ends with the last such line
    that leaves a question whose fences all close.
    """
    begun = _UPLOADED.match(text)
    if not begun:
        return text
    last_document = max((found.end() for found in _NEXT_DOCUMENT.finditer(text)), default=begun.end())
    ends = [found.end() for found in _CLOSING_FENCE.finditer(text, last_document)][-MAX_CLOSING_FENCES:]
    rests = [text[end:] for end in reversed(ends)]
    asking = [rest for rest in rests if rest.strip()]
    return next((rest for rest in asking if _fences_close(rest)), asking[-1] if asking else "")


def _fences_close(text: str) -> bool:
    fence = ""
    for found in _FENCE.finditer(text):
        mark = found["mark"]
        if not fence:
            fence = mark
        elif mark.startswith(fence) and not found["info"].strip():
            fence = ""
    return not fence


def _text(holder: Mapping[str, Any], key: str) -> str:
    value = holder.get(key)
    return value if isinstance(value, str) else ""


def _is_from_user(message: object) -> bool:
    return role_of(message) == "user" and not _holds(message, "tool_result")


def _is_tool_step(message: object) -> bool:
    return (
        role_of(message) in {"tool", "function"}
        or (isinstance(message, Mapping) and bool(message.get("tool_calls") or message.get("function_call")))
        or _holds(message, "tool_use")
        or _holds(message, "tool_result")
    )


def _holds(message: object, kind: str) -> bool:
    """Whether there is a part of that kind in a message."""
    content = content_of(message)
    return isinstance(content, list) and any(isinstance(part, Mapping) and part.get("type") == kind for part in content)


def _asked(message: object) -> str:
    return "\n".join(filter(None, map(question_of, texts_of(content_of(message))))).strip()


def _turns(messages: Sequence[Any]) -> list[Turn]:
    """Questions with what was answered. Of several in a row the last is the question: others give it context."""
    turns: list[Turn] = []
    question, answers = "", list[str]()
    for message in messages:
        if _is_from_user(message):
            turns += _turn(question, answers)
            question, answers = _asked(message), []
        elif role_of(message) == "assistant":
            answers.append(text_of(content_of(message)))
    return turns + _turn(question, answers)


def _turn(question: str, answers: Sequence[str]) -> list[Turn]:
    answer = "\n\n".join(filter(None, answers))
    return [Turn(question, answer)] if question and answer else []


def _kept(turn: Turn) -> Turn:
    """A turn as the history has it: of an answer that is too long, its beginning."""
    whole = len(turn.answer) <= MAX_ANSWER_CHARS
    return Turn(turn.question, without_sources(turn.answer) if whole else turn.answer[:MAX_ANSWER_CHARS])


def _conversation(body: Body, wire_format: WireFormatName, first_question: str) -> str:
    """A name from the client, else who asks and what they asked first."""
    metadata = body.get("metadata")
    key = "conversation_id" if wire_format == "openai" else "user_id"
    named = _text(metadata, key) if isinstance(metadata, Mapping) else ""
    return named or hashlib.sha256(_joined([_text(body, "user"), first_question])).hexdigest()


def _turn_key(model: str, messages: Sequence[Any]) -> str:
    """Words alone: what else there is, such as marks for prompt caches, may move during a tool loop."""
    said = [
        part
        for message in messages
        if (role := role_of(message)) in {"user", "assistant"}
        for part in (role, text_of(content_of(message)))
    ]
    return hashlib.sha256(_joined([model, *said])).hexdigest()


def _joined(parts: Sequence[str]) -> bytes:
    """The parts with their lengths, so that no two lists are joined to the same bytes."""
    coded = [part.encode("utf-8", "surrogatepass") for part in parts]
    return b"".join(b"%d:%b" % (len(part), part) for part in coded)
