"""The wire format of Anthropic's Messages: streams, whole answers, errors and own answers."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from ragstone import sse
from ragstone.http.streaming import Refusal
from ragstone.interceptor.sse import (
    BROKEN_OFF,
    NO_CHANGES,
    Annotations,
    AnswerChanges,
    CompletedAnswer,
    GatheredText,
    Mask,
    RewritingStream,
    answer_of,
    error_of,
    event_of,
    index_of,
    mapping,
    model_of,
    objects,
    packed,
    tokens,
)
from ragstone.interceptor.wire_format import FINAL, ApiError, api_error, compact_json, error_response
from ragstone.vocabulary import Usage

TEXT_ENDS = frozenset({"end_turn", "stop_sequence", "max_tokens", "model_context_window_exceeded"})  # no tool is called
_COUNTED = frozenset({"input_tokens", "cache_creation_input_tokens", "cache_read_input_tokens", "output_tokens"})
MAX_BLOCKS = 10_000  # of one message

LANGCHAIN = "anthropic/js"  # Anthropic/JS 0.115.0, which LangChain runs on; that SDK passes over the code
_ERROR_TYPES = {
    401: "authentication_error",
    402: "billing_error",
    403: "permission_error",
    404: "not_found_error",
    409: "conflict_error",
    413: "request_too_large",
    429: "rate_limit_error",
    503: "overloaded_error",
}


class AnthropicFormat:
    """See `WireFormat`."""

    def stream(self, changes: AnswerChanges) -> AnthropicStream:
        """See `WireFormat.stream`."""
        return AnthropicStream(changes)

    def complete(self, body: bytes, changes: AnswerChanges) -> CompletedAnswer:
        """See `WireFormat.complete`."""
        return complete(body, changes)

    def errors(self, *, user_agent: str, request_id: str) -> AnthropicErrors:
        """See `WireFormat.errors`."""
        return AnthropicErrors(user_agent, request_id)

    def own_answer(self, model: str, answer_id: str) -> AnthropicAnswer:
        """See `WireFormat.own_answer`."""
        return AnthropicAnswer(model, answer_id)


class AnthropicStream(RewritingStream):
    """See `RewritingStream`.

    The footer is a text block of its own after the last and before the stop reason. This
    API has no annotations, and its events need no change where a chat was enriched.
    """

    END = event_of({"type": "message_stop"}, name="message_stop")

    def __init__(self, changes: AnswerChanges = NO_CHANGES) -> None:
        super().__init__(changes)
        self._masks: dict[int, Mask] = {}
        self._text = GatheredText()
        self._model = ""
        self._used: dict[str, int] = {}
        self._blocks = 0  # the next free index
        self._stop_reason = ""

    @property
    def usage(self) -> Usage | None:
        """See `RewritingStream.usage`."""
        return _usage(self._model, self._used)

    @property
    def finished(self) -> bool:
        """See `RewritingStream.finished`."""
        return self.failed is None and (self._ended or bool(self._stop_reason))

    @property
    def text(self) -> str:
        """See `RewritingStream.text`."""
        return str(self._text)

    def _read(self, event: bytes, data: bytes) -> Iterator[bytes]:
        fields = sse.json_object(data)
        match fields.get("type"):
            case "content_block_delta":
                yield self._read_delta(event, fields)
            case "content_block_start":
                self._blocks = max(self._blocks, index_of(fields, MAX_BLOCKS) + 1)
                yield event
            case "content_block_stop":
                yield self._held(index_of(fields, MAX_BLOCKS))
                yield event
            case "message_start":
                message = mapping(fields.get("message"))
                self._model = model_of(message)
                self._count(message.get("usage"))
                yield event
            case "message_delta":
                yield self._end(fields)
                yield event
            case "message_stop":
                self._ended = True
                yield event
            case "error":
                yield self._pass_error(event, error_of(fields) or BROKEN_OFF)
            case _:
                yield event  # a ping, or a kind that is new

    def _read_delta(self, event: bytes, fields: dict[str, Any]) -> bytes:
        delta = mapping(fields.get("delta"))
        piece = delta.get("text")
        if not self._gathers or delta.get("type") != "text_delta" or not isinstance(piece, str):
            return event
        shown = self._shown(index_of(fields, MAX_BLOCKS), piece)
        self._text.add(shown)
        if shown == piece:
            return event
        return _named({**fields, "delta": {**delta, "text": shown}})

    def _shown(self, index: int, piece: str) -> str:
        if self._changes.mask is None:
            return piece
        if index not in self._masks:
            self._masks[index] = self._changes.mask()
        return self._masks[index].feed(piece)

    def _held(self, index: int) -> bytes:
        """What the mask held back of a block, before the block ends."""
        mask = self._masks.pop(index, None)
        held = mask.finish() if mask else ""
        self._text.add(held)
        return _text_delta(index, held) if held else b""

    def _end(self, fields: dict[str, Any]) -> bytes:
        """The footer, before the first event with a stop reason."""
        self._count(fields.get("usage"))
        reason = mapping(fields.get("delta")).get("stop_reason")
        if not reason or self._stop_reason:
            return b""
        self._stop_reason = str(reason)
        footer = self._changes.footer_of(self.text) if self._stop_reason in TEXT_ENDS else ""
        return _block(self._blocks, footer) if footer else b""

    def _count(self, usage: object) -> None:
        """The figures are those of the whole so far, and come again in later events, all or some."""
        self._used |= _counts(usage)

    def _error_event(self, why: str) -> bytes:
        return _named({"type": "error", "error": {"type": "api_error", "message": why}})


def complete(body: bytes, changes: AnswerChanges = NO_CHANGES) -> CompletedAnswer:
    """A message that came at once, with the footer as a last block. Unchanged if there is none."""
    message = answer_of(body, changes.secrets)
    if isinstance(message, CompletedAnswer):
        return message
    blocks = objects(message.get("content"))
    shown = [_masked_block(block, changes) for block in blocks]
    text = "".join(str(block["text"]) for block in shown if block.get("type") == "text" and "text" in block)
    if footer := changes.footer_of(text if str(message.get("stop_reason")) in TEXT_ENDS else ""):
        shown.append({"type": "text", "text": footer})
    usage = _usage(model_of(message), _counts(message.get("usage")))
    return CompletedAnswer(body if shown == blocks else packed({**message, "content": shown}), usage)


def _counts(usage: object) -> dict[str, int]:
    return {name: tokens(value) for name, value in mapping(usage).items() if name in _COUNTED}


def _usage(model: str, used: Mapping[str, int]) -> Usage | None:
    """`input_tokens` of this API leaves the cached ones out; ours does not."""
    if not used:
        return None
    cached = used.get("cache_read_input_tokens", 0)
    read = used.get("input_tokens", 0) + used.get("cache_creation_input_tokens", 0) + cached
    return Usage(model, read, used.get("output_tokens", 0), cached_tokens=cached)


def _named(fields: Mapping[str, Any]) -> bytes:
    """An event under the name of its type: the SDKs pass over events without a name."""
    return event_of(fields, name=str(fields["type"]))


def _text_delta(index: int, text: str) -> bytes:
    return _named({"type": "content_block_delta", "index": index, "delta": {"type": "text_delta", "text": text}})


def _block(index: int, text: str) -> bytes:
    start = {"type": "content_block_start", "index": index, "content_block": {"type": "text", "text": ""}}
    return _named(start) + _text_delta(index, text) + _named({"type": "content_block_stop", "index": index})


def _masked_block(block: dict[str, Any], changes: AnswerChanges) -> dict[str, Any]:
    text = block.get("text")
    if block.get("type") != "text" or not isinstance(text, str):
        return block
    return {**block, "text": changes.masked(text)}


@dataclass(frozen=True, slots=True)
class AnthropicErrors:
    """See `StreamErrors`."""

    user_agent: str = ""
    request_id: str = ""

    def refusal(self, error: Exception) -> Refusal:
        """See `StreamErrors.refusal`."""
        told = api_error(error)
        return error_response(told, self._body(told))

    def broken(self, error: Exception) -> bytes:
        """See `StreamErrors.broken`."""
        return sse.event(compact_json(self._body(api_error(error))), name="error")

    def _body(self, error: ApiError) -> dict[str, Any]:
        kind = _ERROR_TYPES.get(error.status, "invalid_request_error" if error.status < 500 else "api_error")
        final = error.final and LANGCHAIN in self.user_agent.lower()
        return {
            **({"code": FINAL} if final else {}),
            "type": "error",
            "error": {"type": kind, "message": error.message},
            "request_id": self.request_id or None,
        }


@dataclass(frozen=True, slots=True)
class AnthropicAnswer:
    """See `OwnAnswer`. Annotations are not of this API."""

    model: str
    answer_id: str

    def begin(self) -> bytes:
        """See `OwnAnswer.begin`."""
        block = {"type": "text", "text": ""}
        return self._event("message_start", message=self._message([], None, Usage(self.model))) + self._event(
            "content_block_start", index=0, content_block=block
        )

    def text(self, piece: str) -> bytes:
        """See `OwnAnswer.text`."""
        return self._event("content_block_delta", index=0, delta={"type": "text_delta", "text": piece})

    def end(self, usage: Usage, annotations: Annotations) -> bytes:
        """The end, with all of the usage: some clients read it here only."""
        delta = {"stop_reason": "end_turn", "stop_sequence": None}
        return (
            self._event("content_block_stop", index=0)
            + self._event("message_delta", delta=delta, usage=_usage_fields(usage))
            + self._event("message_stop")
        )

    def whole(self, text: str, usage: Usage, annotations: Annotations) -> bytes:
        """See `OwnAnswer.whole`."""
        return compact_json(self._message([{"type": "text", "text": text, "citations": None}], "end_turn", usage))

    def _message(self, content: Sequence[Any], stop: str | None, usage: Usage) -> dict[str, Any]:
        return {
            "id": f"msg_{self.answer_id}",
            "type": "message",
            "role": "assistant",
            "model": self.model,
            "content": content,
            "stop_reason": stop,
            "stop_sequence": None,
            "usage": _usage_fields(usage),
        }

    def _event(self, kind: str, **fields: object) -> bytes:
        return sse.event(compact_json({"type": kind, **fields}), name=kind)


def _usage_fields(usage: Usage) -> dict[str, Any]:
    return {
        "input_tokens": usage.input_tokens - usage.cached_tokens,  # this API does not count cached ones as input
        "cache_creation_input_tokens": 0,
        "cache_read_input_tokens": usage.cached_tokens,
        "output_tokens": usage.output_tokens,
    }
