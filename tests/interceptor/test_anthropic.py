"""Streams of Anthropic's API on their way to the client."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ragstone.interceptor.anthropic import AnthropicStream, complete
from ragstone.interceptor.sse import AnswerChanges
from tests.llm.mock_upstreams import anthropic_events

WHOLE = "".join(anthropic_events(["Forty ", "tonnes [1]."])).encode()
TORN = "".join(anthropic_events(["Forty "], ended=False)).encode()
STOP = b'event: message_stop\ndata: {"type": "message_stop"}\n\n'


def footer(text: str) -> str:
    return f"\n\nSources of {text!r}"


def footed() -> AnthropicStream:
    return AnthropicStream(AnswerChanges(footer=footer))


def passed(data: bytes, stream: AnthropicStream | None = None, cuts: Sequence[int] = ()) -> bytes:
    stream = stream or AnthropicStream()
    places = [0, *sorted(cut % (len(data) + 1) for cut in cuts), len(data)]
    out = [stream.feed(data[start:end]) for start, end in pairwise(places)]
    return b"".join([*out, stream.finish()])


def event(kind: str, **fields: Any) -> bytes:
    return f"event: {kind}\ndata: {json.dumps({'type': kind, **fields})}\n\n".encode()


def carried(data: bytes) -> list[Any]:
    """The objects of a stream; each under its own name, without which the SDK passes it over."""
    lines = data.decode().replace("\r\n", "\n").split("\n")
    told = [json.loads(line.removeprefix("data:")) for line in lines if line.startswith("data:")]
    assert [line.removeprefix("event: ") for line in lines if line.startswith("event:")] == [
        item.get("type") for item in told
    ]
    return told


@pytest.mark.parametrize(
    "change",
    [
        lambda data: data,
        lambda data: data.replace(b"\n", b"\r\n"),
        lambda data: data.replace(b"data: ", b"data:"),
        lambda data: b": hello\n\n" + data,
    ],
    ids=["lf", "crlf", "no blank", "comments"],
)
def test_nothing_is_changed_where_nothing_has_to_be(change: Callable[[bytes], bytes]):
    data, stream = change(WHOLE), AnthropicStream()
    assert passed(data, stream) == data
    assert stream.finished
    assert stream.usage is not None  # 5 + 100 written to the cache + 2000 read from it
    assert (stream.usage.input_tokens, stream.usage.output_tokens, stream.usage.cached_tokens) == (2105, 42, 2000)
    assert stream.usage.model == "m"


EVENTS = st.sampled_from(
    [
        *(text.encode() for text in anthropic_events(["naïve \U0001f3d7", "two"])),
        event("ping").replace(b"\n", b"\r\n"),
        event("content_block_delta", index=0, delta={"type": "input_json_delta", "partial_json": "{"}),
        event("message_delta", delta={"stop_reason": "tool_use"}, usage={"output_tokens": 3}),
        event("error", error={"type": "overloaded_error", "message": "Overloaded"}),
        b'event: content_block_delta\ndata: {"type":"con\n\n',
        b"<html>\n\n",
        STOP,
    ]
)


@given(events=st.lists(EVENTS, max_size=8), cuts=st.lists(st.integers(0, 5000), max_size=6), plain=st.booleans())
def test_how_the_bytes_were_cut_on_the_way_changes_nothing(events: list[bytes], cuts: list[int], *, plain: bool):
    def stream() -> AnthropicStream:
        return AnthropicStream() if plain else AnthropicStream(AnswerChanges(footer=footer, mask=Shouting))

    data, one, two = b"".join(events), stream(), stream()
    assert passed(data, one) == passed(data, two, cuts)
    assert (one.usage, one.failed, one.finished, one.text) == (two.usage, two.failed, two.finished, two.text)


@given(events=st.lists(EVENTS, max_size=8))
def test_no_stream_ends_in_silence_or_with_half_an_event(events: list[bytes]):
    stream = footed()
    (*_, last) = carried(passed(b"".join(events), stream))
    assert last["type"] == ("message_stop" if stream.finished else "error")
    assert stream.finished != (stream.failed is not None)


def test_the_footer_is_a_block_of_its_own_before_the_stop_reason():
    out = passed(WHOLE, footed())
    kinds = [told["type"] for told in carried(out)]
    start = kinds.index("content_block_start", 3)
    assert kinds[start:] == [
        "content_block_start",
        "content_block_delta",
        "content_block_stop",
        "message_delta",
        "message_stop",
    ]
    told = carried(out)
    assert [item["index"] for item in told[start : start + 3]] == [1, 1, 1]
    assert told[start + 1]["delta"] == {"type": "text_delta", "text": footer("Forty tonnes [1].")}
    assert out.startswith(WHOLE[: WHOLE.index(b"event: message_delta")])
    assert out.endswith(WHOLE[WHOLE.index(b"event: message_delta") :])


@pytest.mark.parametrize("reason", ["tool_use", "refusal", "pause_turn"])
def test_what_is_no_complete_text_has_no_footer(reason: str):
    data = "".join(anthropic_events(["Let me see."], stop=reason)).encode()
    assert passed(data, footed()) == data


def test_a_message_without_text_has_no_footer():
    data = "".join(anthropic_events([])).encode()
    assert passed(data, footed()) == data


def test_a_stop_reason_that_is_told_twice_has_one_footer():
    data = WHOLE.replace(STOP, event("message_delta", delta={"stop_reason": "end_turn"}, usage={}) + STOP)
    assert passed(data, footed()).count(b"Sources of") == 1


@pytest.mark.parametrize("stream", [AnthropicStream, footed], ids=["plain", "footer"])
def test_a_message_that_breaks_off_ends_with_an_error(stream: Callable[[], AnthropicStream]):
    cut = stream()
    out = passed(TORN + event("content_block_delta", index=0)[:-9], cut)
    assert out.startswith(TORN)
    assert carried(out)[-1] == {"type": "error", "error": {"type": "api_error", "message": cut.failed}}
    assert not cut.finished


def test_a_message_whose_stop_reason_is_known_is_given_its_end():
    assert [told["type"] for told in carried(passed(WHOLE.removesuffix(STOP)))][-1] == "message_stop"


def test_an_end_without_its_blank_line_counts():
    assert passed(WHOLE.rstrip()) == WHOLE


@pytest.mark.parametrize(
    "broken",
    [
        b'data: {"type":"content_bl\n\n',
        b"<html>\n\n",
        b"data: []\n\n",
        event("content_block_start", index=-1),
        event("content_block_stop", index="0"),
    ],
    ids=["half", "html", "list", "negative", "text"],
)
def test_what_is_no_event_becomes_an_error_and_nothing_follows(broken: bytes):
    stream = footed()
    out = passed(TORN + broken + WHOLE, stream)
    assert out.startswith(TORN)
    assert carried(out)[-1]["error"]["message"] == stream.failed
    assert stream.feed(WHOLE) == b""


def test_it_is_known_when_nothing_more_is_passed_on():
    ended, failed = AnthropicStream(), AnthropicStream()
    fed = [(ended.feed(part), ended.over) for part in (WHOLE[:-10], WHOLE[-10:])]
    assert [over for _, over in fed] == [False, True]
    assert ended.feed(WHOLE) + ended.finish() == b""
    failed.feed(b"<html>\n\n")
    assert failed.over


def test_strange_values_do_no_harm():
    strange = [
        event("message_start", message=None),
        event("message_start", message={"usage": {"input_tokens": None, "output_tokens": -1, "cache": {}}}),
        event("content_block_delta", index=0, delta=None),
        event("message_delta", delta=[], usage=7),
        event("message_delta", delta={"stop_reason": ["end_turn"]}),
        event("new_kind"),
    ]
    data = WHOLE[: WHOLE.index(b"event: message_delta")] + b"".join(strange) + STOP
    assert passed(data, AnthropicStream(AnswerChanges(footer=lambda _text: ""))) == data


def test_an_error_of_the_server_passes_without_our_key():
    stream = AnthropicStream(AnswerChanges(secrets=["very-secret"]))
    out = passed(TORN + event("error", error={"type": "overloaded_error", "message": "very-secret"}) + WHOLE, stream)
    assert carried(out)[-1]["error"] == {"type": "overloaded_error", "message": "[redacted]"}
    assert stream.failed == "[redacted]"
    assert not stream.finished


class Shouting:
    """A mask that shows capital letters, a piece late."""

    def __init__(self) -> None:
        self._held = ""

    def feed(self, piece: str) -> str:
        shown, self._held = self._held, piece.upper()
        return shown

    def finish(self) -> str:
        return self._held


def test_a_masked_text_is_shown_to_its_last_letter_before_its_block_ends():
    stream = AnthropicStream(AnswerChanges(footer=footer, mask=Shouting))
    told = carried(passed(WHOLE, stream))
    shown = [item["delta"]["text"] for item in told if item["type"] == "content_block_delta" and item["index"] == 0]
    assert "".join(shown) == stream.text == "FORTY TONNES [1]."
    assert footer("FORTY TONNES [1].") in told[-4]["delta"]["text"]


def answer(*blocks: Any, stop: str = "end_turn") -> bytes:
    usage = {"input_tokens": 5, "cache_read_input_tokens": 60, "output_tokens": 7}
    return json.dumps(
        {"type": "message", "model": "m", "content": blocks, "stop_reason": stop, "usage": usage}
    ).encode()


FORTY = {"type": "text", "text": "Forty.", "citations": None}


def test_a_message_that_came_at_once_is_passed_byte_for_byte_if_nothing_follows():
    strange = answer(FORTY).replace(b'"end_turn"', b'["end_turn"]')
    for body in (answer(FORTY), answer(), answer({"type": "new"}), b'{"content": 7}', strange):
        assert complete(body, AnswerChanges(footer=lambda _text: "")).body == body
    done = complete(answer(FORTY))
    assert done.usage
    assert (done.usage.input_tokens, done.usage.output_tokens, done.usage.cached_tokens) == (65, 7, 60)


def test_a_message_that_came_at_once_gets_its_footer_as_a_last_block():
    done = complete(answer(FORTY), AnswerChanges(footer=footer, mask=Shouting))
    assert json.loads(done.body)["content"] == [
        {**FORTY, "text": "FORTY."},
        {"type": "text", "text": footer("FORTY.")},
    ]


def test_a_call_of_a_tool_that_came_at_once_is_not_changed():
    body = answer(FORTY, {"type": "tool_use", "id": "t"}, stop="tool_use")
    assert complete(body, AnswerChanges(footer=footer)).body == body


def test_an_error_or_no_message_has_failed():
    assert complete(b"<html>").failed
    done = complete(b'{"type":"error","error":{"message":"my-key"}}', AnswerChanges(secrets=["my-key"]))
    assert done.failed == "[redacted]"
    assert b"my-key" not in done.body
