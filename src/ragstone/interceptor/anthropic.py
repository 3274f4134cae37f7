"""Messages of Anthropic's API on their way to the client: read, and changed only where they must be."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any

from ragstone.interceptor.sse import (
    BROKEN_OFF,
    ENDLESS,
    MAX_MODEL_CHARS,
    MAX_TEXT_CHARS,
    UNREADABLE,
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
from ragstone.vocabulary import Usage

TEXT_ENDS = frozenset({"end_turn", "stop_sequence", "max_tokens", "model_context_window_exceeded"})  # no tool is called
_COUNTED = frozenset({"input_tokens", "cache_creation_input_tokens", "cache_read_input_tokens", "output_tokens"})
MAX_BLOCKS = 10_000  # of one message
STOPPED = event_of({"type": "message_stop"}, name="message_stop")


class AnthropicStream:
    """Passes the events of one streamed message on; no input or output, bytes in, bytes out.

    Events are passed byte for byte, but for: the footer, a text block of its own after the
    last and before the stop reason; text that a mask changes; errors, out of which the
    secrets are taken; and the end, which is never silent.

    Attributes:
        usage: As far as reported; None if it was not.
        finished: The message is complete.
        failed: Why it is not, and never will be.
        text: Gathered if there is a footer or a mask.
    """

    def __init__(
        self,
        *,
        enriched: bool = False,
        footer: Footer | None = None,
        mask: Callable[[], Mask] | None = None,
        secrets: Sequence[str] = (),
    ) -> None:
        del enriched  # this API's events are complete as they are
        self._footer = footer
        self._mask = mask
        self._secrets = secrets
        self._gathers = footer is not None or mask is not None
        self._splitter = Splitter()
        self._masks: dict[int, Mask] = {}
        self._text: list[str] = []
        self._chars = 0
        self._model = ""
        self._spent: dict[str, int] = {}
        self._blocks = 0  # the next free index
        self._stop_reason = ""
        self._stopped = False
        self.failed: str | None = None

    @property
    def usage(self) -> Usage | None:
        """See `AnthropicStream`."""
        return _usage(self._model, self._spent)

    @property
    def finished(self) -> bool:
        """See `AnthropicStream`."""
        return self.failed is None and (self._stopped or bool(self._stop_reason))

    @property
    def over(self) -> bool:
        """Whether all has been said: nothing that still comes is passed on."""
        return self._stopped or self.failed is not None

    @property
    def at_boundary(self) -> bool:
        """Whether a comment may be sent now: always, since only whole events are passed on."""
        return True

    @property
    def text(self) -> str:
        """See `AnthropicStream`."""
        return "".join(self._text)

    def feed(self, chunk: bytes) -> bytes:
        """What the client gets when these bytes have come; nothing once the stream has failed or ended."""
        return b"".join(self._passed(self._splitter.feed(chunk)))

    def finish(self, why: str = BROKEN_OFF) -> bytes:
        """What the client gets when nothing comes any more.

        Args:
            why: Said to the client if the message is not complete.
        """
        passed = b"".join(self._passed(self._splitter.finish()))
        if self.over:
            return passed
        if not self.finished:
            return passed + self._broken(why)
        self._stopped = True
        return passed + STOPPED

    def _passed(self, events: Sequence[bytes]) -> Iterator[bytes]:
        for event in events:
            if self.over:
                return
            try:
                payload = payload_of(event)
                yield from self._read(event, object_of(payload)) if payload else (event,)
            except Unreadable as error:
                yield self._broken(str(error))

    def _read(self, event: bytes, told: dict[str, Any]) -> Iterator[bytes]:
        match told.get("type"):
            case "content_block_delta":
                yield self._read_delta(event, told)
            case "content_block_start":
                self._blocks = max(self._blocks, _index(told) + 1)
                yield event
            case "content_block_stop":
                yield self._held(_index(told))
                yield event
            case "message_start":
                message = mapping(told.get("message"))
                self._model = str(message.get("model") or "")[:MAX_MODEL_CHARS]
                self._count(message.get("usage"))
                yield event
            case "message_delta":
                yield self._end(told)
                yield event
            case "message_stop":
                self._stopped = True
                yield event
            case "error":
                self.failed = redacted_text(error_of(told) or BROKEN_OFF, self._secrets)
                yield redacted(event, self._secrets)
            case _:
                yield event  # a ping, or a kind that is new

    def _read_delta(self, event: bytes, told: dict[str, Any]) -> bytes:
        delta = mapping(told.get("delta"))
        piece = delta.get("text")
        if not self._gathers or delta.get("type") != "text_delta" or not isinstance(piece, str):
            return event
        shown = self._shown(_index(told), piece)
        self._gather(shown)
        if shown == piece:
            return event
        return _named({**told, "delta": {**delta, "text": shown}})

    def _shown(self, index: int, piece: str) -> str:
        if self._mask is None:
            return piece
        if index not in self._masks:
            self._masks[index] = self._mask()
        return self._masks[index].feed(piece)

    def _gather(self, shown: str) -> None:
        self._text.append(shown)
        self._chars += len(shown)
        if self._chars > MAX_TEXT_CHARS:
            raise Unreadable(ENDLESS)

    def _held(self, index: int) -> bytes:
        """What the mask held back of a block, before the block ends."""
        mask = self._masks.pop(index, None)
        held = mask.finish() if mask else ""
        self._gather(held)
        return _text_delta(index, held) if held else b""

    def _end(self, told: dict[str, Any]) -> bytes:
        """The footer, before the first event with a stop reason."""
        self._count(told.get("usage"))
        reason = mapping(told.get("delta")).get("stop_reason")
        if not reason or self._stop_reason:
            return b""
        self._stop_reason = str(reason)
        text = self.text
        footer = self._footer(text) if self._footer and text and self._stop_reason in TEXT_ENDS else ""
        return _block(self._blocks, footer) if footer else b""

    def _count(self, usage: object) -> None:
        """The figures are those of the whole so far, and come again in later events, all or some."""
        self._spent |= {name: tokens(value) for name, value in mapping(usage).items() if name in _COUNTED}

    def _broken(self, why: str) -> bytes:
        self.failed = why
        return _named({"type": "error", "error": {"type": "api_error", "message": why}})


def complete(
    body: bytes,
    *,
    footer: Footer | None = None,
    mask: Callable[[], Mask] | None = None,
    secrets: Sequence[str] = (),
) -> Completed:
    """A message that came at once, with the footer as a last block. Unchanged if there is none."""
    try:
        message = object_of(body)
    except Unreadable as error:
        return Completed(body, failed=str(error))
    if wrong := error_of(message):
        return Completed(redacted(body, secrets), failed=redacted_text(wrong, secrets))
    blocks = objects(message.get("content"))
    shown = [_masked_block(block, mask) for block in blocks]
    text = "".join(str(block["text"]) for block in shown if block.get("type") == "text" and "text" in block)
    ended = footer(text) if footer and text and str(message.get("stop_reason")) in TEXT_ENDS else ""
    if ended:
        shown.append({"type": "text", "text": ended})
    spent = {name: tokens(value) for name, value in mapping(message.get("usage")).items() if name in _COUNTED}
    usage = _usage(str(message.get("model") or "")[:MAX_MODEL_CHARS], spent)
    return Completed(body if shown == blocks else packed({**message, "content": shown}), usage)


def _usage(model: str, spent: dict[str, int]) -> Usage | None:
    """`input_tokens` of this API leaves the cached ones out; ours does not."""
    if not spent:
        return None
    cached = spent.get("cache_read_input_tokens", 0)
    read = spent.get("input_tokens", 0) + spent.get("cache_creation_input_tokens", 0) + cached
    return Usage(model, read, spent.get("output_tokens", 0), cached_tokens=cached)


def _index(told: dict[str, Any]) -> int:
    index = told.get("index", 0)
    if type(index) is not int or not 0 <= index < MAX_BLOCKS:
        raise Unreadable(UNREADABLE)
    return index


def _named(told: dict[str, Any]) -> bytes:
    """The SDKs pass over events without a name."""
    return event_of(told, name=str(told["type"]))


def _text_delta(index: int, text: str) -> bytes:
    return _named({"type": "content_block_delta", "index": index, "delta": {"type": "text_delta", "text": text}})


def _block(index: int, text: str) -> bytes:
    start = {"type": "content_block_start", "index": index, "content_block": {"type": "text", "text": ""}}
    return _named(start) + _text_delta(index, text) + _named({"type": "content_block_stop", "index": index})


def _masked_block(block: dict[str, Any], mask: Callable[[], Mask] | None) -> dict[str, Any]:
    text = block.get("text")
    return (
        {**block, "text": masked(text, mask)}
        if mask and block.get("type") == "text" and isinstance(text, str)
        else block
    )
