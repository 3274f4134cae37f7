"""The wire format of OpenAI's chat completions: streams, whole answers, errors and own answers."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from ragstone import sse
from ragstone.http.streaming import Refusal
from ragstone.interceptor.sse import (
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
from ragstone.resilience.http_client import BrokenOff
from ragstone.vocabulary import Usage

MAX_CHOICES = 128  # OpenAI's own limit of `n`
_HEAD = ("id", "object", "created", "model", "system_fingerprint")
TEXT_ENDS = frozenset({"stop", "length"})  # a text is complete; after a call of tools there comes another answer

LANGCHAIN = "langchain"  # langchainjs-openai/1.0.0
_ERROR_TYPES = {
    401: "authentication_error",
    402: "insufficient_quota",
    403: "permission_error",
    404: "not_found_error",
    429: "rate_limit_error",
}
_ERROR_CODES = {401: "invalid_api_key", 402: "insufficient_quota", 429: "rate_limit_exceeded"}


class OpenAIFormat:
    """See `WireFormat`."""

    def __init__(self, clock: Callable[[], float] = time.time) -> None:
        self._clock = clock

    def stream(self, changes: AnswerChanges) -> OpenAIStream:
        """See `WireFormat.stream`."""
        return OpenAIStream(changes)

    def complete(self, body: bytes, changes: AnswerChanges) -> CompletedAnswer:
        """See `WireFormat.complete`."""
        return complete(body, changes)

    def errors(self, *, user_agent: str, request_id: str) -> OpenAIErrors:
        """See `WireFormat.errors`."""
        return OpenAIErrors(user_agent)

    def own_answer(self, model: str, answer_id: str) -> OpenAIAnswer:
        """See `WireFormat.own_answer`."""
        return OpenAIAnswer(model, answer_id, int(self._clock()))


@dataclass(slots=True)
class _Choice:
    """One of the answers that a stream carries."""

    index: int
    mask: Mask | None
    text: GatheredText = field(default_factory=GatheredText)
    begun: bool = False
    tools: bool = False
    finished: bool = False

    def gather(self, piece: str) -> str:
        """Keep a piece of the text; what may be shown of it. Raises: UnusableAnswer."""
        shown = self.mask.feed(piece) if self.mask else piece
        self.text.add(shown)
        return shown

    def rest(self) -> str:
        """What the mask held back, kept too."""
        held = self.mask.finish() if self.mask else ""
        self.text.add(held)
        return held


class OpenAIStream(RewritingStream):
    """See `RewritingStream`.

    Changed are: the first chunk of an enriched answer, which is given a role if it has none
    (LibreChat loses calls of tools without); and the footer, one more chunk before that with
    the finish reason, where some clients stop reading. `text` is that of the first choice.
    """

    END = sse.event(sse.DONE)

    def __init__(self, changes: AnswerChanges = NO_CHANGES) -> None:
        super().__init__(changes)
        self._choices: dict[int, _Choice] = {}
        self._head: dict[str, Any] = {}
        self._usage: Usage | None = None

    @property
    def usage(self) -> Usage | None:
        """See `RewritingStream.usage`: the last that was reported."""
        return self._usage

    @property
    def finished(self) -> bool:
        """See `RewritingStream.finished`."""
        ended = bool(self._choices) and all(choice.finished for choice in self._choices.values())
        return self.failed is None and (self._ended or ended)

    @property
    def text(self) -> str:
        """See `RewritingStream.text`."""
        return str(self._choices[0].text) if 0 in self._choices else ""

    def _read(self, event: bytes, data: bytes) -> Iterator[bytes]:
        if data.startswith(sse.DONE):
            yield from self._close_choices()
            self._ended = True
            yield event
        else:
            yield from self._read_chunk(event, sse.json_object(data))

    def _read_chunk(self, event: bytes, chunk: dict[str, Any]) -> Iterator[bytes]:
        if error := error_of(chunk):
            yield self._pass_error(event, error)
            return
        self._usage = _usage(chunk) or self._usage
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
        index = index_of(item, MAX_CHOICES)
        if index not in self._choices:
            mask = self._changes.mask
            self._choices[index] = _Choice(index, mask() if mask else None)
        return self._choices[index]

    def _read_delta(self, choice: _Choice, item: dict[str, Any], delta: dict[str, Any]) -> bool:
        """Take what a chunk adds to a choice. True: the chunk has been changed."""
        changed = False
        if not choice.begun and self._changes.enriched and not delta.get("role"):
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
        """One more chunk before the one with the finish reason, whose text moves into it; mostly empty."""
        choice.finished = True
        if not self._gathers:
            return b""
        held = choice.rest()
        text = str(choice.text) if reason in TEXT_ENDS and not choice.tools else ""
        footer, notes = self._changes.footer_of(text), self._changes.annotations_of(text)
        if not (held or footer or notes):
            return b""
        last = delta.get("content")
        moved = last if isinstance(last, str) else ""
        added: dict[str, Any] = {"content": moved + held + footer}
        if moved:
            del delta["content"]
        if notes:
            added["annotations"] = list(notes)
        item = {"index": choice.index, "delta": added, "finish_reason": None}
        return event_of({**self._head, "choices": [item]})

    def _close_choices(self) -> Iterator[bytes]:
        """End the choices of a server that sends no finish reason."""
        for choice in self._choices.values():
            if not choice.finished:
                yield self._end(choice, "stop", {})

    def _error_event(self, why: str) -> bytes:
        # The SDKs raise this; nothing follows, since an end mark would say that all is well.
        error = {"message": why, "type": "upstream_error", "param": None, "code": BrokenOff.code}
        return event_of({"error": error})


def complete(body: bytes, changes: AnswerChanges = NO_CHANGES) -> CompletedAnswer:
    """A chat completion that came at once, with what follows each text. Unchanged if nothing does."""
    answer = answer_of(body, changes.secrets)
    if isinstance(answer, CompletedAnswer):
        return answer
    changed = False
    for item in objects(answer.get("choices")):
        changed = _complete_choice(item, changes) or changed
    return CompletedAnswer(packed(answer) if changed else body, _usage(answer))


def _complete_choice(item: dict[str, Any], changes: AnswerChanges) -> bool:
    """Change one choice of an answer that was parsed here. True: it has been changed."""
    message = mapping(item.get("message"))
    content = message.get("content")
    if not isinstance(content, str) or not content:
        return False
    text = changes.masked(content)
    ended = text if str(item.get("finish_reason")) in TEXT_ENDS and not message.get("tool_calls") else ""
    notes = changes.annotations_of(ended)
    message["content"] = text + changes.footer_of(ended)
    if notes:
        message["annotations"] = [*objects(message.get("annotations")), *notes]
    return bool(notes) or message["content"] != content


def _usage(answer: dict[str, Any]) -> Usage | None:
    """The usage that an answer or a chunk reports; `prompt_tokens` includes the cached ones."""
    usage = mapping(answer.get("usage"))
    if not usage:
        return None
    cached = tokens(mapping(usage.get("prompt_tokens_details")).get("cached_tokens"))
    used = tokens(usage.get("prompt_tokens")), tokens(usage.get("completion_tokens"))
    return Usage(model_of(answer), *used, cached_tokens=cached)


@dataclass(frozen=True, slots=True)
class OpenAIErrors:
    """See `StreamErrors`."""

    user_agent: str = ""

    def refusal(self, error: Exception) -> Refusal:
        """See `StreamErrors.refusal`."""
        told = api_error(error)
        return error_response(told, self._body(told))

    def broken(self, error: Exception) -> bytes:
        """See `StreamErrors.broken`; the SDKs raise what an `error` says, and take a silent end for a whole answer."""
        return sse.event(compact_json(self._body(api_error(error))))

    def _body(self, error: ApiError) -> dict[str, Any]:
        kind = _ERROR_TYPES.get(error.status, "invalid_request_error" if error.status < 500 else "api_error")
        code = _ERROR_CODES.get(error.status, error.code)
        if error.final and LANGCHAIN in self.user_agent.lower():
            code = FINAL
        return {"error": {"message": error.message, "type": kind, "param": None, "code": code}}


@dataclass(frozen=True, slots=True)
class OpenAIAnswer:
    """See `OwnAnswer`. `created` is a Unix time in seconds."""

    model: str
    answer_id: str
    created: int

    def begin(self) -> bytes:
        """A first chunk with the role: some clients lose what comes without."""
        return self._chunk({"role": "assistant", "content": ""})

    def text(self, piece: str) -> bytes:
        """See `OwnAnswer.text`."""
        return self._chunk({"content": piece})

    def end(self, usage: Usage, annotations: Annotations) -> bytes:
        """The annotations for clients that read them, the finish reason, the usage, and the end of the stream."""
        noted = self._chunk({"annotations": list(annotations)}) if annotations else b""
        ended = self._chunk({}, finish="stop")
        used = self._event({"choices": [], "usage": _usage_fields(usage)})
        return noted + ended + used + OpenAIStream.END

    def whole(self, text: str, usage: Usage, annotations: Annotations) -> bytes:
        """See `OwnAnswer.whole`."""
        message: dict[str, Any] = {"role": "assistant", "content": text, "refusal": None}
        if annotations:
            message["annotations"] = list(annotations)
        choice = {"index": 0, "message": message, "finish_reason": "stop", "logprobs": None}
        return compact_json({**self._head("chat.completion"), "choices": [choice], "usage": _usage_fields(usage)})

    def _chunk(self, delta: Mapping[str, Any], finish: str | None = None) -> bytes:
        return self._event({"choices": [{"index": 0, "delta": delta, "finish_reason": finish}]})

    def _event(self, fields: Mapping[str, Any]) -> bytes:
        return sse.event(compact_json({**self._head("chat.completion.chunk"), **fields}))

    def _head(self, kind: str) -> dict[str, Any]:
        return {"id": f"chatcmpl-{self.answer_id}", "object": kind, "created": self.created, "model": self.model}


def _usage_fields(usage: Usage) -> dict[str, Any]:
    return {
        "prompt_tokens": usage.input_tokens,
        "completion_tokens": usage.output_tokens,
        "total_tokens": usage.input_tokens + usage.output_tokens,
        "prompt_tokens_details": {"cached_tokens": usage.cached_tokens},
    }
