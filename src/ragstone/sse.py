"""Server-sent events: a reader that cuts a stream of bytes into events, and a writer of single events.

The SDKs of the vendors make a validated object of every event, which costs 100 µs of CPU
for a token of a few bytes. Reading events here costs 13 µs, most of it the transport's.
"""

from __future__ import annotations

import json
import re
from collections.abc import AsyncGenerator, AsyncIterator
from typing import Any

MAX_EVENT_BYTES = 4 << 20  # a picture in base64 fits; a stream without an end of line does not fill the memory
DONE = b"[DONE]"
"""The data of the event that ends a stream of OpenAI's API."""
KEEPALIVE = b": ping\n\n"
"""A comment, which clients ignore and which keeps proxies from closing an idle connection."""

_BYTE_ORDER_MARK = b"\xef\xbb\xbf"  # some servers begin with it
_END = re.compile(rb"(?>\r\n|\r|\n)(?>\r\n|\r|\n)")
_FIELD = re.compile(rb"\s*(?:(?::|event|id|retry|data).*)?", re.DOTALL)


class MalformedEvent(ValueError):
    """An event that is no server-sent event, or whose data are no JSON object."""


class EventTooLong(MalformedEvent):
    """An event of more than `MAX_EVENT_BYTES`."""


class EventReader:
    """Cuts a stream of bytes into events, each with its blank line, however the network cut the bytes."""

    def __init__(self) -> None:
        self._rest = bytearray()
        self._searched = 0  # of the rest: no event ends before it

    def feed(self, chunk: bytes) -> list[bytes]:
        """The events that are complete now. A rest of more than `MAX_EVENT_BYTES` is given out as it is."""
        if not self._rest and chunk.endswith(b"\n\n") and chunk.find(b"\n\n") == len(chunk) - 2 and b"\r" not in chunk:
            return [chunk]  # nearly always: one event
        self._rest += chunk
        events, start = [], 0
        while end := self._end(max(start, self._searched)):
            events.append(bytes(self._rest[start:end]))
            start = end
        if len(self._rest) - start > MAX_EVENT_BYTES:
            events.append(bytes(self._rest[start:]))
            start = len(self._rest)
        del self._rest[:start]
        self._searched = max(0, len(self._rest) - 3)  # an end is four bytes at most
        return events

    def take_rest(self) -> bytes:
        """The bytes after the last complete event, without white space at their end; afterwards there are none."""
        rest = bytes(self._rest).rstrip()
        self._rest.clear()
        self._searched = 0
        return rest

    def _end(self, start: int) -> int:
        found = _END.search(self._rest, start)
        # A CR that came last may be half of a CRLF.
        at_risk = found is not None and found.end() == len(self._rest) and self._rest[-1:] == b"\r"
        return found.end() if found and not at_risk else 0


def data_of(event: bytes, *, strict: bool = False) -> bytes:
    """The data of an event, its lines joined; empty for a comment.

    Args:
        event: As `EventReader` cuts it.
        strict: Refuse lines that are no field of an event, instead of ignoring them.

    Raises:
        EventTooLong: it has more than `MAX_EVENT_BYTES`.
        MalformedEvent: a line is no field, if `strict`.
    """
    if len(event) > MAX_EVENT_BYTES:
        raise EventTooLong("the event is too long")
    if event.startswith(b"data:") and event.count(b"\n") == 2 and event.endswith(b"\n\n") and b"\r" not in event:
        return event[5:].strip()
    lines = event.removeprefix(_BYTE_ORDER_MARK).splitlines()
    if strict and not all(map(_FIELD.fullmatch, lines)):
        raise MalformedEvent("a line is no field of an event")
    return b"\n".join(line[5:].removeprefix(b" ") for line in lines if line.startswith(b"data:")).strip()


def json_object(data: bytes) -> dict[str, Any]:
    """The JSON object that an event or a whole answer carries.

    Raises:
        MalformedEvent: it is no JSON object.
    """
    try:
        value = json.loads(data)
    except (ValueError, RecursionError) as error:
        raise MalformedEvent("the data are no JSON") from error
    if not isinstance(value, dict):
        raise MalformedEvent("the data are no JSON object")
    return value


async def json_events(content: AsyncIterator[bytes]) -> AsyncGenerator[dict[str, Any], None]:
    """The JSON object of each event, until the stream or its `[DONE]` ends.

    Raises:
        EventTooLong: an event has more than `MAX_EVENT_BYTES`.
        MalformedEvent: the data of an event are no JSON object.
    """
    reader = EventReader()
    async for chunk in content:
        for event in reader.feed(chunk):
            data = data_of(event)
            if data == DONE:
                return
            if data:
                yield json_object(data)
    rest = data_of(reader.take_rest())
    if rest and rest != DONE:
        yield json_object(rest)


def event(data: bytes, *, name: str = "") -> bytes:
    """One event. `data` is one line, such as compact JSON."""
    return (b"event: " + name.encode() + b"\n" if name else b"") + b"data: " + data + b"\n\n"
