"""A chat with passages for its question: a new body, and never a longer one than the model reads.

The passages stand behind the question, in the same message, so that a vendor's prompt
cache keeps everything before them; never among the instructions. They are marked, as in
`generation.prompts`; the marker is derived from the turn, since each request of a tool
loop has to have the same context, byte for byte.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from ragstone.errors import InvalidInput
from ragstone.generation.prompts import QUOTED_MATERIAL, quoted
from ragstone.integrations.interceptor.reading import Body, Chat, Dialect, content_of, messages_of, role_of, texts_of
from ragstone.integrations.interceptor.sources import Source, listed, without_markers, without_source_list
from ragstone.vocabulary import Passage

BYTES_PER_TOKEN = 4  # English has four letters a token; of scripts beyond ASCII the bytes come closer than the letters
IMAGE_TOKENS = 1_600  # the largest image costs Anthropic's models about so many, OpenAI's fewer
ANSWER_TOKENS = 1_024  # kept free for an answer where the request does not say how long it may be
PART_TOKENS = 4  # the names that a part of a message consists of, or an empty line
BOUNDARY_CHARS = 16
IMAGES = ("image", "image_url", "input_image")

INSTRUCTIONS = f"""\
The message ends here. What follows was added by a knowledge base: numbered passages that were looked up for it.
The marker is {{boundary}}.

- Where a passage helps to answer, use it, and write its number in square brackets after the sentence it supports,
  before the full stop, like this [1]; for two passages, [1][2]. Use only numbers of passages you were given.
- Where the passages do not help, answer from your own knowledge, without numbers, and do not mention the passages.
- Do not write a list of sources: one is added to your answer.

{QUOTED_MATERIAL}"""


def enriched(
    body: Body,
    chat: Chat,
    passages: Sequence[Passage],
    *,
    dialect: Dialect,
    context_tokens: int,
    window: int,
    sources: Sequence[Source],
) -> dict[str, Any] | None:
    """The request with as many of the passages as `fitting` leaves; None where that is none.

    Args:
        body: The client's request; it is not changed.
        chat: What was read in it.
        passages: Best first.
        dialect: Which API it is written for.
        context_tokens: What the passages may take.
        window: What the whole chat and its answer may take, in tokens.
        sources: Those of the passages: they say their numbers.
    """
    kept = fitting(body, chat, passages, context_tokens=context_tokens, window=window)
    if not kept:
        return None
    boundary = _boundary(chat, passages)
    blocks = [quoted(source.number, passage, boundary) for source, passage in zip(sources, kept, strict=False)]
    context = "\n\n".join((INSTRUCTIONS.format(boundary=boundary), *blocks))
    messages: list[Any] = [_without_sources(message) for message in messages_of(body)]
    messages[chat.place] = _followed_by(messages[chat.place], context, dialect)
    return {**body, "messages": messages}


def fitting(
    body: Body, chat: Chat, passages: Sequence[Passage], *, context_tokens: int, window: int
) -> tuple[Passage, ...]:
    """The passages that there is room for, by estimate; the last ones go first."""
    boundary = _boundary(chat, passages)
    around = _tokens(INSTRUCTIONS.format(boundary=boundary)) + PART_TOKENS
    taken = request_tokens(body) + _answer_tokens(body) + around
    room = min(context_tokens, window - taken)
    kept: list[Passage] = []
    for number, passage in enumerate(passages, start=1):
        room -= _tokens(quoted(number, passage, boundary)) + 1
        if room < 0:
            break
        kept.append(passage)
    return tuple(kept)


def request_tokens(body: Body) -> int:
    """What a request costs, by estimate: its words and names at `BYTES_PER_TOKEN`, an image `IMAGE_TOKENS`."""
    size = images = 0
    left: list[Any] = [body]
    while left:
        value = left.pop()
        if isinstance(value, str):
            size += _bytes(value)
        elif isinstance(value, list):
            left += value
        elif isinstance(value, Mapping) and value.get("type") in IMAGES:
            images += 1
        elif isinstance(value, Mapping):
            left += value.keys()
            left += value.values()
    return -(-size // BYTES_PER_TOKEN) + images * IMAGE_TOKENS


def dumped(body: Body) -> bytes:
    """A request as compact JSON in UTF-8.

    Raises:
        InvalidInput: it is nested too deeply.
    """
    try:
        return json.dumps(body, ensure_ascii=False, separators=(",", ":")).encode()
    except UnicodeEncodeError:  # half of a surrogate pair has no UTF-8, but an escape
        return json.dumps(body, separators=(",", ":")).encode()
    except RecursionError as error:
        raise InvalidInput("The request is nested too deeply. Send lists and objects some hundred deep at most.") from (
            error
        )


def _boundary(chat: Chat, passages: Sequence[Passage]) -> str:
    """The same for the same turn and passages; nobody who writes a document knows the turn."""
    turn = "\n".join((chat.turn_key, *(passage.chunk.id for passage in passages)))
    return hashlib.sha256(turn.encode("utf-8", "surrogatepass")).hexdigest()[:BOUNDARY_CHARS]


def _answer_tokens(body: Body) -> int:
    asked = [body.get("max_tokens"), body.get("max_completion_tokens")]
    return max((one for one in asked if type(one) is int and one > 0), default=ANSWER_TOKENS)


def _tokens(text: str) -> int:
    return -(-_bytes(text) // BYTES_PER_TOKEN)


def _bytes(text: str) -> int:
    return len(text) if text.isascii() else len(text.encode("utf-8", "surrogatepass"))


def _followed_by(message: Mapping[str, Any], context: str, dialect: Dialect) -> dict[str, Any]:
    """The message with the context at its end, and what was there as it was."""
    content = message["content"]
    if isinstance(content, str) and dialect == "openai":
        return {**message, "content": f"{content}\n\n{context}"}
    parts = [_text_part(content)] if isinstance(content, str) else content
    return {**message, "content": [*parts, _text_part(context)]}


def _text_part(text: str) -> dict[str, Any]:
    return {"type": "text", "text": text}


def _without_sources(message: object) -> object:
    """An earlier answer without our list of sources and its markers; whatever else as it is."""
    if not isinstance(message, Mapping) or role_of(message) != "assistant":
        return message
    content: Any = content_of(message)
    numbers = frozenset[int]().union(*map(listed, texts_of(content)))
    if not numbers:
        return message
    if isinstance(content, str):
        said = _said(content, numbers)
        return {**message, "content": said} if said.strip() else message
    parts = list(_cleaned(content, numbers))
    return {**message, "content": parts} if parts else message


def _cleaned(parts: Sequence[Any], numbers: frozenset[int]) -> Iterator[Any]:
    """The parts of an answer; a part that was nothing but our list goes, as no API takes an empty one."""
    for part in parts:
        text = part.get("text") if isinstance(part, Mapping) and part.get("type") == "text" else None
        if not isinstance(text, str):
            yield part
        elif (said := _said(text, numbers)).strip() or said == text:
            yield {**part, "text": said}


def _said(text: str, numbers: frozenset[int]) -> str:
    return without_markers(without_source_list(text), numbers)
