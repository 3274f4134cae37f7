"""Rewriting of streamed answers: what the streams of both wire formats share.

Whole events only are passed on. So a heartbeat or an error may follow at any time, an
upstream that breaks off within an event leaves nothing half-written behind it, and the
way in which the bytes were cut on the network changes nothing.
"""

from __future__ import annotations

import json
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from ragstone import sse
from ragstone.interceptor.upstream import redacted, redacted_text
from ragstone.sse import MAX_EVENT_BYTES, EventReader, EventTooLong, MalformedEvent, data_of, json_object
from ragstone.vocabulary import Usage

MAX_TEXT_CHARS = 4 << 20  # of an answer that is gathered; the longest of models are below a million
MAX_MODEL_CHARS = 200
MAX_ERROR_CHARS = 1000
MAX_TOKENS = 1 << 40  # no answer has more; a larger figure is none

BROKEN_OFF = "The model's server ended the answer before it was complete. Ask again."
UNREADABLE = "The model's server sent something that is no answer. Ask again; if it lasts, check the upstream URL."
TOO_LONG = f"The model's server sent an event of more than {MAX_EVENT_BYTES >> 20} MiB. Ask for a shorter answer."
ENDLESS = "The model's server does not stop answering. Ask for a shorter answer."

Annotations = Sequence[Mapping[str, Any]]
"""Citations beside an answer, as OpenAI's API has them."""


class Mask(Protocol):
    """Hides what must not be shown in a text that comes in pieces."""

    def feed(self, piece: str) -> str:
        """What may be shown now."""
        ...

    def finish(self) -> str:
        """What was held back."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class AnswerChanges:
    """What is changed in an answer on its way to the client.

    Attributes:
        enriched: The chat was sent with passages.
        footer: Makes what follows an answer, such as its list of sources, from its text; empty if nothing does.
        annotations: Makes the annotations of an answer from its text.
        mask: Makes the mask of one text.
        secrets: Taken out of the errors of the server.
    """

    enriched: bool = False
    footer: Callable[[str], str] | None = None
    annotations: Callable[[str], Annotations] | None = None
    mask: Callable[[], Mask] | None = None
    secrets: Sequence[str] = ()

    @property
    def need_text(self) -> bool:
        """Whether the text of the answer has to be gathered."""
        return self.footer is not None or self.annotations is not None or self.mask is not None

    def footer_of(self, text: str) -> str:
        """What follows this text."""
        return self.footer(text) if self.footer and text else ""

    def annotations_of(self, text: str) -> Annotations:
        """The annotations of this text."""
        return self.annotations(text) if self.annotations and text else ()

    def masked(self, text: str) -> str:
        """A whole text as it may be shown."""
        if self.mask is None:
            return text
        mask = self.mask()
        return mask.feed(text) + mask.finish()


NO_CHANGES = AnswerChanges()


class UnusableAnswer(Exception):
    """An answer that cannot be passed on. The message is for the reader of the chat."""


@dataclass(frozen=True, slots=True)
class CompletedAnswer:
    """An answer that came at once: what the client gets, what it used, and what is wrong with it."""

    body: bytes
    usage: Usage | None = None
    failed: str | None = None


class GatheredText:
    """The text of an answer so far."""

    def __init__(self) -> None:
        self._pieces: list[str] = []
        self._chars = 0

    def add(self, piece: str) -> None:
        """Keep a piece. Raises: UnusableAnswer, if the text is longer than `MAX_TEXT_CHARS`."""
        self._pieces.append(piece)
        self._chars += len(piece)
        if self._chars > MAX_TEXT_CHARS:
            raise UnusableAnswer(ENDLESS)

    def __str__(self) -> str:
        return "".join(self._pieces)


class RewritingStream(ABC):
    """Passes the events of one streamed answer on: bytes in, bytes out, no input or output.

    Events are passed byte for byte, except for what `AnswerChanges` asks for, errors, out of
    which the secrets are taken, and the end, which is never silent.

    Attributes:
        failed: Why the answer is not complete, and never will be.
    """

    END: bytes
    """The event that ends a complete answer."""

    def __init__(self, changes: AnswerChanges = NO_CHANGES) -> None:
        self._changes = changes
        self._gathers = changes.need_text
        self._reader = EventReader()
        self._ended = False
        self.failed: str | None = None

    @property
    @abstractmethod
    def usage(self) -> Usage | None:
        """The tokens used, as far as the server has reported them."""

    @property
    @abstractmethod
    def finished(self) -> bool:
        """Whether the answer is complete."""

    @property
    @abstractmethod
    def text(self) -> str:
        """The text of the answer, if it is gathered."""

    @property
    def over(self) -> bool:
        """Whether the last event has come: nothing that follows is passed on."""
        return self._ended or self.failed is not None

    def feed(self, chunk: bytes) -> bytes:
        """What the client gets for these bytes; nothing after the stream has failed or ended."""
        return b"".join(self._passed(self._reader.feed(chunk)))

    def finish(self, why: str = BROKEN_OFF) -> bytes:
        """What the client gets when the server has closed the stream.

        Args:
            why: Said to the client if the answer is not complete.
        """
        passed = b"".join(self._passed(self._last_event()))
        if self.over:
            return passed
        if not self.finished:
            return passed + self._fail(why)
        self._ended = True
        return passed + self.END

    @abstractmethod
    def _read(self, event: bytes, data: bytes) -> Iterator[bytes]:
        """What is passed on for an event that carries data. Raises: MalformedEvent, UnusableAnswer."""

    @abstractmethod
    def _error_event(self, why: str) -> bytes:
        """The event that tells the client of a failure."""

    def _passed(self, events: Sequence[bytes]) -> Iterator[bytes]:
        for event in events:
            if self.over:
                return
            try:
                data = data_of(event, strict=True)
                yield from self._read(event, data) if data else (event,)
            except UnusableAnswer as error:
                yield self._fail(str(error))
            except EventTooLong:
                yield self._fail(TOO_LONG)
            except MalformedEvent:
                yield self._fail(UNREADABLE)

    def _last_event(self) -> list[bytes]:
        """The last event, if it lacks no more than its blank line, as some servers leave that out."""
        rest = self._reader.take_rest()
        try:
            data = data_of(rest, strict=True)
            whole = data.startswith(sse.DONE) or bool(json_object(data))
        except MalformedEvent:
            return []
        return [rest + b"\n\n"] if whole else []

    def _fail(self, why: str) -> bytes:
        self.failed = why
        return self._error_event(why)

    def _pass_error(self, event: bytes, message: str) -> bytes:
        """An error of the server's own, without the secrets."""
        self.failed = redacted_text(message, self._changes.secrets)
        return redacted(event, self._changes.secrets)


def error_of(answer: Mapping[str, Any]) -> str | None:
    """The error message in an answer; None where it reports no error."""
    error = answer.get("error")
    if not error:
        return None
    return str(mapping(error).get("message") or mapping(error).get("type") or error)[:MAX_ERROR_CHARS]


def answer_of(body: bytes, secrets: Sequence[str]) -> dict[str, Any] | CompletedAnswer:
    """The object of a whole answer; a failed answer where it is none, or an error."""
    try:
        answer = json_object(body)
    except MalformedEvent:
        return CompletedAnswer(body, failed=UNREADABLE)
    if error := error_of(answer):
        return CompletedAnswer(redacted(body, secrets), failed=redacted_text(error, secrets))
    return answer


def objects(value: object) -> list[dict[str, Any]]:
    """Those items of a list that are objects; none where it is no list."""
    return [item for item in value if isinstance(item, dict)] if isinstance(value, list) else []


def mapping(value: object) -> dict[str, Any]:
    """An object, empty where it is none."""
    return value if isinstance(value, dict) else {}


def index_of(item: Mapping[str, Any], bound: int) -> int:
    """The index of a choice or block, below `bound`. Raises: MalformedEvent."""
    index = item.get("index", 0)
    if type(index) is not int or not 0 <= index < bound:
        raise MalformedEvent("the index is out of range")
    return index


def model_of(answer: Mapping[str, Any]) -> str:
    """The name of the model that an answer is from."""
    return str(answer.get("model") or "")[:MAX_MODEL_CHARS]


def tokens(value: object) -> int:
    """A count of tokens as a server reports it; 0 for what is none."""
    return value if type(value) is int and 0 <= value <= MAX_TOKENS else 0


def packed(value: object) -> bytes:
    """As JSON. Halves of characters, which models stream too, stay as they are escaped."""
    return json.dumps(value, separators=(",", ":")).encode("ascii")


def event_of(value: object, *, name: str = "") -> bytes:
    """An event that carries an object."""
    return sse.event(packed(value), name=name)
