"""Answers of OpenAI-compatible servers on their way to the client: read, and changed only where they must be."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

from ragstone.interceptor.sse import (
    BROKEN_OFF,
    ENDLESS,
    MAX_MODEL_CHARS,
    MAX_TEXT_CHARS,
    UNREADABLE,
    Annotations,
    Completed,
    Footer,
    Mask,
    Splitter,
    Unreadable,
    error_of,
    event_of,
    mapping,
    masked,
    object_of,
    objects,
    packed,
    payload_of,
    tokens,
)
from ragstone.interceptor.upstream import redacted, redacted_text
from ragstone.resilience.http_client import BrokenOff
from ragstone.vocabulary import Usage

DONE = b"data: [DONE]\n\n"
MAX_CHOICES = 128  # OpenAI's own limit of `n`
_HEAD = ("id", "object", "created", "model", "system_fingerprint")
TEXT_ENDS = frozenset({"stop", "length"})  # a text is complete; after a call of tools there comes another answer


@dataclass(slots=True)
class _Choice:
    """One of the answers that a stream carries."""

    index: int
    mask: Mask | None
    text: list[str] = field(default_factory=list)
    chars: int = 0
    begun: bool = False
    tools: bool = False
    finished: bool = False

    def gather(self, piece: str) -> str:
        """Keep a piece of the text, as it may be shown.

        Raises:
            Unreadable: no answer is so long.
        """
        shown = self.mask.feed(piece) if self.mask else piece
        self.text.append(shown)
        self.chars += len(shown)
        if self.chars > MAX_TEXT_CHARS:
            raise Unreadable(ENDLESS)
        return shown

    def rest(self) -> str:
        """What the mask held back, kept too."""
        held = self.mask.finish() if self.mask else ""
        self.text.append(held)
        return held


class OpenAIStream:
    """Passes the events of one streamed chat completion on; no input or output, bytes in, bytes out.

    Events are passed byte for byte, but for: the first chunk of an enriched answer, which
    is given a role if it has none (LibreChat loses calls of tools without); the footer,
    one more chunk before that with the finish reason, where some clients stop reading;
    text that a mask changes; errors, out of which the secrets are taken; and the end,
    which is never silent.

    Attributes:
        usage: As last reported; None if it was not.
        finished: The answer is complete.
        failed: Why it is not, and never will be.
        text: Of the first choice, gathered if there is a footer, annotations or a mask.
    """

    def __init__(
        self,
        *,
        enriched: bool = False,
        footer: Footer | None = None,
        annotations: Annotations | None = None,
        mask: Callable[[], Mask] | None = None,
        secrets: Sequence[str] = (),
    ) -> None:
        self._enriched = enriched
        self._footer = footer
        self._annotations = annotations
        self._mask = mask
        self._secrets = secrets
        self._gathers = footer is not None or annotations is not None or mask is not None
        self._splitter = Splitter()
        self._choices: dict[int, _Choice] = {}
        self._head: dict[str, Any] = {}
        self._done = False
        self.usage: Usage | None = None
        self.failed: str | None = None

    @property
    def finished(self) -> bool:
        """See `OpenAIStream`."""
        ended = bool(self._choices) and all(choice.finished for choice in self._choices.values())
        return self.failed is None and (self._done or ended)

    @property
    def over(self) -> bool:
        """Whether all has been said: nothing that still comes is passed on."""
        return self._done or self.failed is not None

    @property
    def at_boundary(self) -> bool:
        """Whether a comment may be sent now: always, since only whole events are passed on."""
        return True

    @property
    def text(self) -> str:
        """See `OpenAIStream`."""
        return "".join(self._choices[0].text) if 0 in self._choices else ""

    def feed(self, chunk: bytes) -> bytes:
        """What the client gets when these bytes have come; nothing once the stream has failed or ended."""
        return b"".join(self._passed(self._splitter.feed(chunk)))

    def finish(self, why: str = BROKEN_OFF) -> bytes:
        """What the client gets when nothing comes any more.

        Args:
            why: Said to the client if the answer is not complete.
        """
        passed = b"".join(self._passed(self._splitter.finish()))
        if self.over:
            return passed
        if not self.finished:
            return passed + self._broken(why)
        self._done = True
        return passed + DONE

    def _passed(self, events: Sequence[bytes]) -> Iterator[bytes]:
        for event in events:
            if self.over:
                return
            try:
                yield from self._read(event)
            except Unreadable as error:
                yield self._broken(str(error))

    def _read(self, event: bytes) -> Iterator[bytes]:
        payload = payload_of(event)
        if not payload:
            yield event
        elif payload.startswith(b"[DONE]"):
            yield from self._closing()
            self._done = True
            yield event
        else:
            yield from self._read_chunk(event, object_of(payload))

    def _read_chunk(self, event: bytes, chunk: dict[str, Any]) -> Iterator[bytes]:
        if error := error_of(chunk):
            self.failed = redacted_text(error, self._secrets)
            yield redacted(event, self._secrets)
            return
        self.usage = _usage(chunk) or self.usage
        self._head = self._head or {name: chunk[name] for name in _HEAD if name in chunk}
        changed = False
        for item in objects(chunk.get("choices")):
            delta = mapping(item.get("delta"))
            choice = self._choice(item)
            changed = self._read_delta(choice, item, delta) or changed
            if (reason := item.get("finish_reason")) and not choice.finished:
                content = delta.get("content")
                yield self._end(choice, str(reason), delta)
                changed = changed or delta.get("content") != content
        yield event_of(chunk) if changed else event

    def _choice(self, item: dict[str, Any]) -> _Choice:
        index = item.get("index", 0)
        if type(index) is not int or not 0 <= index < MAX_CHOICES:
            raise Unreadable(UNREADABLE)
        if index not in self._choices:
            self._choices[index] = _Choice(index, self._mask() if self._mask else None)
        return self._choices[index]

    def _read_delta(self, choice: _Choice, item: dict[str, Any], delta: dict[str, Any]) -> bool:
        """Take what a chunk adds to a choice. True: the chunk has been changed."""
        changed = False
        if not choice.begun and self._enriched and not delta.get("role"):
            item["delta"] = delta
            delta["role"] = "assistant"
            changed = True
        choice.begun = True
        choice.tools = choice.tools or bool(delta.get("tool_calls") or delta.get("function_call"))
        content = delta.get("content")
        if not self._gathers or not isinstance(content, str) or not content:
            return changed
        delta["content"] = choice.gather(content)
        return changed or delta["content"] != content

    def _end(self, choice: _Choice, reason: str, delta: dict[str, Any]) -> bytes:
        """One more chunk before the one with the finish reason, which loses its text to it; mostly empty."""
        choice.finished = True
        if not self._gathers:
            return b""
        held = choice.rest()
        text = "".join(choice.text)
        told = bool(text) and reason in TEXT_ENDS and not choice.tools
        footer = self._footer(text) if told and self._footer else ""
        notes = self._annotations(text) if told and self._annotations else ()
        if not (held or footer or notes):
            return b""
        last = delta.get("content")
        moved = last if isinstance(last, str) else ""
        added: dict[str, Any] = {"content": moved + held + footer}
        if moved:
            del delta["content"]
        if notes:
            added["annotations"] = list(notes)
        return self._chunk(choice, added)

    def _chunk(self, choice: _Choice, delta: dict[str, Any]) -> bytes:
        item = {"index": choice.index, "delta": delta, "finish_reason": None}
        return event_of({**self._head, "choices": [item]})

    def _closing(self) -> Iterator[bytes]:
        """For servers that end without a finish reason."""
        for choice in self._choices.values():
            if not choice.finished:
                yield self._end(choice, "stop", {})

    def _broken(self, why: str) -> bytes:
        self.failed = why
        # The SDKs raise this; nothing follows, since an end mark would say that all is well.
        error = {"message": why, "type": "upstream_error", "param": None, "code": BrokenOff.code}
        return event_of({"error": error})


def complete(
    body: bytes,
    *,
    footer: Footer | None = None,
    annotations: Annotations | None = None,
    mask: Callable[[], Mask] | None = None,
    secrets: Sequence[str] = (),
) -> Completed:
    """A chat completion that came at once, with what follows each text. Unchanged if nothing does."""
    try:
        answer = object_of(body)
    except Unreadable as error:
        return Completed(body, failed=str(error))
    if wrong := error_of(answer):
        return Completed(redacted(body, secrets), failed=redacted_text(wrong, secrets))
    changed = False
    for item in objects(answer.get("choices")):
        changed = _complete(item, footer, annotations, mask) or changed
    return Completed(packed(answer) if changed else body, _usage(answer))


def _complete(
    item: dict[str, Any], footer: Footer | None, annotations: Annotations | None, mask: Callable[[], Mask] | None
) -> bool:
    message = mapping(item.get("message"))
    content = message.get("content")
    if not isinstance(content, str) or not content:
        return False
    text = masked(content, mask)
    told = str(item.get("finish_reason")) in TEXT_ENDS and not message.get("tool_calls")
    notes = annotations(text) if told and annotations else ()
    message["content"] = text + (footer(text) if told and footer else "")
    if notes:
        message["annotations"] = [*objects(message.get("annotations")), *notes]
    return bool(notes) or message["content"] != content


def _usage(answer: dict[str, Any]) -> Usage | None:
    """The usage that an answer or a chunk reports; `prompt_tokens` includes the cached ones."""
    usage = mapping(answer.get("usage"))
    if not usage:
        return None
    cached = tokens(mapping(usage.get("prompt_tokens_details")).get("cached_tokens"))
    spent = tokens(usage.get("prompt_tokens")), tokens(usage.get("completion_tokens"))
    return Usage(str(answer.get("model") or "")[:MAX_MODEL_CHARS], *spent, cached_tokens=cached)
