"""Server-sent events of models as bytes: where one ends, what it carries, and how one is written.

Whole events only are passed on. So a heartbeat or an error may follow at any time, an
upstream that breaks off within an event leaves nothing half-written behind it, and the
way in which the bytes were cut on the network changes nothing.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from ragstone.vocabulary import Usage

MAX_EVENT_BYTES = 4 << 20  # a picture in base64 fits; a stream without an end of line does not fill the memory
MAX_TEXT_CHARS = 4 << 20  # of an answer that is gathered; the longest of models are below a million
MAX_MODEL_CHARS = 200
MAX_ERROR_CHARS = 1000
MAX_TOKENS = 1 << 40  # no answer has more; a larger figure is none

_BYTE_ORDER_MARK = b"\xef\xbb\xbf"  # some servers begin with it
_END = re.compile(rb"(?>\r\n|\r|\n)(?>\r\n|\r|\n)")
_FIELD = re.compile(rb"\s*(?:(?::|event|id|retry|data).*)?", re.DOTALL)

BROKEN_OFF = "The model's server ended the answer before it was complete. Ask again."
UNREADABLE = "The model's server sent something that is no answer. Ask again; if it lasts, check the upstream URL."
TOO_LONG = f"The model's server sent an event of more than {MAX_EVENT_BYTES >> 20} MiB. Ask for a shorter answer."
ENDLESS = "The model's server does not stop answering. Ask for a shorter answer."

Footer = Callable[[str], str]
"""What follows an answer, such as its list of sources, made from its text; empty if nothing does."""

Annotations = Callable[[str], Sequence[Mapping[str, Any]]]
"""The OpenAI annotations of an answer, made from its text."""


class Mask(Protocol):
    """Hides what must not be shown in a text that comes in pieces."""

    def feed(self, piece: str) -> str:
        """What may be shown now."""
        ...

    def finish(self) -> str:
        """What was held back."""
        ...


class Unreadable(Exception):
    """An event, or a whole answer, that cannot be passed on. The message is for the reader."""


@dataclass(frozen=True, slots=True)
class Completed:
    """An answer that came at once: what the client gets, what it used, and what is wrong with it."""

    body: bytes
    usage: Usage | None = None
    failed: str | None = None


class Splitter:
    """Cuts a stream of bytes into events, each with its blank line."""

    def __init__(self) -> None:
        self._rest = bytearray()
        self._seen = 0  # of the rest: no event ends before it

    def feed(self, chunk: bytes) -> list[bytes]:
        """The events that are complete now. A rest of more than `MAX_EVENT_BYTES` is given out as it is."""
        if not self._rest and chunk.endswith(b"\n\n") and chunk.find(b"\n\n") == len(chunk) - 2 and b"\r" not in chunk:
            return [chunk]  # nearly always: one event
        self._rest += chunk
        events, start = [], 0
        while end := self._end(max(start, self._seen)):
            events.append(bytes(self._rest[start:end]))
            start = end
        if len(self._rest) - start > MAX_EVENT_BYTES:
            events.append(bytes(self._rest[start:]))
            start = len(self._rest)
        del self._rest[:start]
        self._seen = max(0, len(self._rest) - 3)  # an end is four bytes at most
        return events

    def finish(self) -> list[bytes]:
        """The last event, if it lacks no more than its blank line, as some servers leave that out."""
        rest = bytes(self._rest).rstrip()
        self._rest.clear()
        self._seen = 0
        try:
            payload = payload_of(rest)
            whole = payload.startswith(b"[DONE]") or bool(object_of(payload))
        except Unreadable:
            return []
        return [rest + b"\n\n"] if whole else []

    def _end(self, start: int) -> int:
        found = _END.search(self._rest, start)
        # A CR that came last may be half of a CRLF.
        at_risk = found is not None and found.end() == len(self._rest) and self._rest[-1:] == b"\r"
        return found.end() if found and not at_risk else 0


def payload_of(event: bytes) -> bytes:
    """What an event carries; empty if it carries nothing, such as a comment.

    Raises:
        Unreadable: it is too long, or no event at all.
    """
    if len(event) > MAX_EVENT_BYTES:
        raise Unreadable(TOO_LONG)
    if event.startswith(b"data:") and event.count(b"\n") == 2 and event.endswith(b"\n\n") and b"\r" not in event:
        return event[5:].strip()
    lines = event.removeprefix(_BYTE_ORDER_MARK).splitlines()
    if not all(map(_FIELD.fullmatch, lines)):
        raise Unreadable(UNREADABLE)
    return b"\n".join(line[5:].removeprefix(b" ") for line in lines if line.startswith(b"data:")).strip()


def object_of(payload: bytes) -> dict[str, Any]:
    """The JSON object that an event or a body carries.

    Raises:
        Unreadable: it is none.
    """
    try:
        value = json.loads(payload)
    except (ValueError, RecursionError) as error:
        raise Unreadable(UNREADABLE) from error
    if not isinstance(value, dict):
        raise Unreadable(UNREADABLE)
    return value


def error_of(answer: Mapping[str, Any]) -> str | None:
    """What an answer says went wrong; None where it says nothing of that kind."""
    error = answer.get("error")
    if not error:
        return None
    return str(mapping(error).get("message") or mapping(error).get("type") or error)[:MAX_ERROR_CHARS]


def objects(value: object) -> list[dict[str, Any]]:
    """Those items of a list that are objects; none where it is no list."""
    return [item for item in value if isinstance(item, dict)] if isinstance(value, list) else []


def mapping(value: object) -> dict[str, Any]:
    """An object, empty where it is none."""
    return value if isinstance(value, dict) else {}


def masked(text: str, mask: Callable[[], Mask] | None) -> str:
    """A whole text as it may be shown."""
    if mask is None:
        return text
    hiding = mask()
    return hiding.feed(text) + hiding.finish()


def tokens(value: object) -> int:
    """A count of tokens as a server reports it; 0 for what is none."""
    return value if type(value) is int and 0 <= value <= MAX_TOKENS else 0


def packed(value: object) -> bytes:
    """As JSON. Halves of characters, which models stream too, stay as they are escaped."""
    return json.dumps(value, separators=(",", ":")).encode("ascii")


def event_of(value: object, *, name: str = "") -> bytes:
    """An event that carries an object."""
    return (f"event: {name}\n".encode() if name else b"") + b"data: " + packed(value) + b"\n\n"
