"""Streams of OpenAI-compatible servers on their way to the client."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ragstone.interceptor.openai import OpenAIStream, complete
from ragstone.interceptor.sse import AnswerChanges
from ragstone.sse import MAX_EVENT_BYTES
from tests.llm.mock_upstreams import openai_events

USAGE = {"prompt_tokens": 100, "completion_tokens": 7, "prompt_tokens_details": {"cached_tokens": 60}}
NOTE = {"type": "url_citation", "url_citation": {"url": "https://a.example/1", "start_index": 0, "end_index": 3}}
WHOLE = "".join(openai_events(["Forty ", "tonnes [1]."], usage=USAGE)).encode()
TORN = "".join(openai_events(["Forty ", "tonnes"])[:-3]).encode()


def footer(text: str) -> str:
    return f"\n\n---\nSources of {text!r}"


def passed(data: bytes, stream: OpenAIStream | None = None, cuts: Sequence[int] = ()) -> bytes:
    """What the client gets, with the bytes cut at these places."""
    stream = stream or OpenAIStream()
    places = [0, *sorted(cut % (len(data) + 1) for cut in cuts), len(data)]
    out = [stream.feed(data[start:end]) for start, end in pairwise(places)]
    return b"".join([*out, stream.finish()])


def chunk(delta: dict[str, Any], finish: str | None = None, *, index: int = 0, **more: Any) -> bytes:
    choice = {"index": index, "delta": delta, "finish_reason": finish}
    head = {"id": "c1", "object": "chat.completion.chunk", "created": 1, "model": "m"}
    return f"data: {json.dumps({**head, 'choices': [choice], **more})}\n\n".encode()


def carried(data: bytes) -> list[Any]:
    """The objects of a stream, as a client reads them."""
    lines = data.decode().replace("\r\n", "\n").replace("\r", "\n").split("\n")
    payloads = [line.removeprefix("data:").strip() for line in lines if line.startswith("data:")]
    return [json.loads(payload) for payload in payloads if payload and not payload.startswith("[DONE]")]


def text_of(data: bytes, index: int = 0) -> str:
    """The text of a choice up to its finish reason, where some clients stop."""
    text = ""
    for told in carried(data):
        for choice in told.get("choices", []):
            if choice["index"] == index:
                text += choice["delta"].get("content") or ""
                if choice["finish_reason"]:
                    return text
    return text


@pytest.mark.parametrize(
    "change",
    [
        lambda data: data,
        lambda data: data.replace(b"\n", b"\r\n"),
        lambda data: data.replace(b"\n", b"\r")[:-2] + b"\n\n",
        lambda data: data.replace(b"data: ", b"data:"),
        lambda data: data.replace(b"data: ", b"id: 7\nevent: message\ndata: "),
        lambda data: data.replace(b'"choices": ', b'\ndata: "choices": '),
        lambda data: b": hello\n\n\n\n" + data,
        lambda data: b"\xef\xbb\xbf" + data,
        lambda data: data.replace(b'"finish_reason"', b'"finish\\u005freason"'),
    ],
    ids=["lf", "crlf", "cr", "no blank", "fields", "lines", "comments", "bom", "escapes"],
)
def test_nothing_is_changed_where_nothing_has_to_be(change: Callable[[bytes], bytes]):
    data, stream = change(WHOLE), OpenAIStream()
    assert passed(data, stream) == data
    assert stream.finished
    assert stream.failed is None
    assert stream.usage is not None
    assert (stream.usage.input_tokens, stream.usage.output_tokens, stream.usage.cached_tokens) == (100, 7, 60)


EVENTS = st.sampled_from(
    [
        b": keepalive\n\n",
        b"\n",
        b"data:\r\n\r\n",
        chunk({"role": "assistant", "content": ""}),
        chunk({"content": "naïve \U0001f3d7 "}),
        chunk({"content": "and "}).replace(b"\n", b"\r\n"),
        chunk({"content": "more"}).replace(b"\n", b"\r"),
        chunk({"content": "two"}, index=1),
        chunk({}, "stop"),
        chunk({"content": "last"}, "length"),
        chunk({"tool_calls": [{"index": 0}]}),
        chunk({}, "tool_calls"),
        chunk({}, usage=USAGE),
        b'data: {"choices":[],"usage":null}\n\n',
        b'data: {"error":{"message":"no"}}\n\n',
        b'data: {"choices":[{"delta":{"con\n\n',
        b"<html>\n\n",
        b"data: [DONE]\n\n",
        b"data: [DONE]",
        b"data: 7\n\n",
    ]
)


@given(events=st.lists(EVENTS, max_size=8), cuts=st.lists(st.integers(0, 5000), max_size=6), plain=st.booleans())
def test_how_the_bytes_were_cut_on_the_way_changes_nothing(events: list[bytes], cuts: list[int], *, plain: bool):
    def stream() -> OpenAIStream:
        return OpenAIStream() if plain else OpenAIStream(AnswerChanges(enriched=True, footer=footer, mask=Shouting))

    data, one, two = b"".join(events), stream(), stream()
    assert passed(data, one) == passed(data, two, cuts)
    assert (one.usage, one.failed, one.finished, one.text) == (two.usage, two.failed, two.finished, two.text)


@given(events=st.lists(EVENTS, max_size=8))
def test_no_stream_ends_in_silence_or_with_half_an_event(events: list[bytes]):
    stream = OpenAIStream(AnswerChanges(footer=footer))
    out = passed(b"".join(events), stream)
    assert stream.finished != (stream.failed is not None)
    assert all(isinstance(told, dict) for told in carried(out))
    assert (b"data: [DONE]" in out) != ("error" in (carried(out) or [{}])[-1])


def test_every_byte_alone_comes_out_the_same():
    stream = OpenAIStream(AnswerChanges(footer=footer))
    one_by_one = b"".join([stream.feed(WHOLE[at : at + 1]) for at in range(len(WHOLE))]) + stream.finish()
    assert one_by_one == passed(WHOLE, OpenAIStream(AnswerChanges(footer=footer)))


def test_every_place_to_cut_is_as_good_between_two_kinds_of_line_ends():
    data = WHOLE.replace(b"\n", b"\r\n")
    whole = passed(data, footed())
    assert all(passed(data, footed(), cuts=[cut]) == whole for cut in range(len(data)))


def test_a_finish_reason_that_is_told_twice_has_one_footer():
    data = chunk({"content": "Forty."}) + chunk({}, "stop") + chunk({}, "stop", usage=USAGE) + b"data: [DONE]\n\n"
    assert passed(data, footed()).count(b"Sources of") == 1


def test_the_footer_comes_before_the_finish_reason_in_a_chunk_of_the_same_answer():
    out = passed(WHOLE, OpenAIStream(AnswerChanges(footer=footer, annotations=lambda _text: [NOTE])))
    assert text_of(out) == "Forty tonnes [1]." + footer("Forty tonnes [1].")
    added = next(told for told in carried(out) if told["choices"] and "annotations" in told["choices"][0]["delta"])
    assert {name: added[name] for name in ("id", "object", "created", "model")} == {
        "id": "c1",
        "object": "chat.completion.chunk",
        "created": 1,
        "model": "m",
    }
    assert added["choices"][0]["delta"]["annotations"] == [NOTE]
    assert added["choices"][0]["finish_reason"] is None
    without = out.replace(b"data: " + json.dumps(added, separators=(",", ":")).encode() + b"\n\n", b"")
    assert without == WHOLE  # all else is as it was


def test_text_that_comes_with_the_finish_reason_stays_before_the_footer():
    out = passed(chunk({"role": "assistant", "content": "Forty"}) + chunk({"content": " tonnes."}, "stop"), footed())
    assert text_of(out) == "Forty tonnes." + footer("Forty tonnes.")


def footed() -> OpenAIStream:
    return OpenAIStream(AnswerChanges(footer=footer))


def test_each_choice_has_a_footer_of_its_own():
    both = chunk({"content": "one"}) + chunk({"content": "two"}, index=1)
    out = passed(both + chunk({}, "stop", index=1) + chunk({}, "stop"), footed())
    assert (text_of(out), text_of(out, 1)) == ("one" + footer("one"), "two" + footer("two"))


@pytest.mark.parametrize("reason", ["tool_calls", "function_call", "content_filter"])
def test_what_is_no_complete_text_has_no_footer(reason: str):
    data = chunk({"role": "assistant", "content": "Let me see."}) + chunk({}, reason) + b"data: [DONE]\n\n"
    assert passed(data, footed()) == data


def test_calls_of_tools_have_no_footer_whatever_the_finish_reason_says():
    data = chunk({"tool_calls": [{"index": 0}]}) + chunk({"content": "x"}) + chunk({}, "stop") + b"data: [DONE]\n\n"
    assert passed(data, footed()) == data


def test_an_answer_without_text_or_with_an_empty_footer_is_not_changed():
    empty = chunk({"role": "assistant", "content": ""}) + chunk({}, "stop") + b"data: [DONE]\n\n"
    assert passed(empty, footed()) == empty
    assert passed(WHOLE, OpenAIStream(AnswerChanges(footer=lambda _text: ""))) == WHOLE


def test_the_footer_comes_before_the_end_mark_where_there_is_no_finish_reason():
    out = passed(chunk({"content": "Forty."}) + b"data: [DONE]\n\n", footed())
    assert text_of(out) == "Forty." + footer("Forty.")
    assert out.endswith(b"data: [DONE]\n\n")


def test_an_enriched_answer_begins_with_a_role():
    data = chunk({"tool_calls": [{"index": 0}]}) + chunk({}, "tool_calls") + b"data: [DONE]\n\n"
    (first, *_) = carried(passed(data, OpenAIStream(AnswerChanges(enriched=True))))
    assert first["choices"][0]["delta"] == {"tool_calls": [{"index": 0}], "role": "assistant"}
    assert passed(data) == data
    assert passed(WHOLE, OpenAIStream(AnswerChanges(enriched=True))) == WHOLE


@pytest.mark.parametrize("stream", [OpenAIStream, footed], ids=["plain", "footer"])
def test_an_answer_that_breaks_off_ends_with_an_error_and_no_end_mark(stream: Callable[[], OpenAIStream]):
    cut = stream()
    out = passed(TORN + chunk({"content": "lost"})[:-9], cut)
    assert out.startswith(TORN)
    (*_, last) = carried(out)
    assert last["error"]["message"] == cut.failed
    assert last["error"]["code"] == "answer_broke_off"
    assert b"[DONE]" not in out
    assert b"lost" not in out
    assert not cut.finished


def test_the_reason_of_the_end_is_told_where_it_is_known():
    stream = OpenAIStream()
    out = stream.feed(TORN) + stream.finish("The server is stopping.")
    assert carried(out)[-1]["error"]["message"] == "The server is stopping."


def test_a_complete_answer_without_an_end_mark_is_given_one():
    data = WHOLE.removesuffix(b"data: [DONE]\n\n")
    stream = OpenAIStream()
    assert passed(data, stream) == WHOLE
    assert stream.finished


@pytest.mark.parametrize("ending", [b"data: [DONE]", b"data: [DONE]\n", b"data: [DONE]\r\n"])
def test_an_end_mark_without_its_blank_line_counts(ending: bytes):
    assert passed(WHOLE.removesuffix(b"data: [DONE]\n\n") + ending) == WHOLE


def test_one_choice_of_two_that_never_finishes_makes_the_answer_broken():
    stream = OpenAIStream()
    passed(chunk({"content": "one"}) + chunk({"content": "two"}, index=1) + chunk({}, "stop"), stream)
    assert stream.failed


@pytest.mark.parametrize(
    "broken",
    [
        b'data: {"choices":[{"delta":{"con\n\n',
        b"<!doctype html>\n\n",
        b"HTTP/1.1 200 OK\r\n\r\n",
        b"data: [1]\n\n",
        b"data: " + b"[" * 100_000 + b"\n\n",
        b"data: " + b"9" * 10_000 + b"\n\n",
        b"data: \xff\xfe\n\n",
        b'data: {"choices":[{"index":-1,"delta":{}}]}\n\n',
        b'data: {"choices":[{"index":1e9,"delta":{}}]}\n\n',
        b"data: " + b"x" * (MAX_EVENT_BYTES + 1),
        b'data: {"choices":[],"x":"' + b"x" * MAX_EVENT_BYTES + b'"}\n\n',
    ],
    ids=["half", "html", "http", "list", "deep", "number", "bytes", "index", "float", "endless", "long"],
)
def test_what_is_no_chunk_becomes_an_error_and_nothing_follows(broken: bytes):
    stream = OpenAIStream()
    out = passed(TORN + broken, stream, cuts=[len(TORN)])
    assert out.startswith(TORN)
    assert carried(out)[-1]["error"]["message"] == stream.failed
    assert len(out) < len(TORN) + 1000
    assert stream.feed(WHOLE) == b""
    assert stream.finish() == b""


def test_it_is_known_when_nothing_more_is_passed_on():
    ended, failed = OpenAIStream(), OpenAIStream()
    fed = [(ended.feed(part), ended.over) for part in (WHOLE[:-10], WHOLE[-10:])]
    assert [over for _, over in fed] == [False, True]
    assert ended.feed(WHOLE) + ended.finish() == b""
    failed.feed(b"<html>\n\n")
    assert failed.over


def test_strange_values_in_a_chunk_do_no_harm():
    strange = [
        b'data: {"choices":null}\n\n',
        b'data: {"choices":[null,7,{"delta":null}]}\n\n',
        b'data: {"choices":[{"delta":{"content":["a"]},"finish_reason":""}],"usage":[]}\n\n',
        b'data: {"choices":[{"index":3,"delta":{},"finish_reason":["stop"]}]}\n\n',
        b'data: {"choices":[],"usage":{"prompt_tokens":-1,"completion_tokens":"7","prompt_tokens_details":[]}}\n\n',
    ]
    data = b"".join(strange) + WHOLE
    stream = OpenAIStream(AnswerChanges(footer=lambda _text: ""))
    assert passed(data, stream) == data
    assert stream.failed is None


def test_halves_of_characters_survive_where_a_chunk_is_written_again():
    data = b'data: {"choices":[{"index":0,"delta":{"content":"\\ud83c"}}]}\n\n' + WHOLE
    out = passed(data, OpenAIStream(AnswerChanges(enriched=True)))
    assert b"\\ud83c" in out
    assert b'"role":"assistant"' in out


@pytest.mark.parametrize("name", [b"", b"event: error\n"])
def test_an_error_of_the_server_passes_without_our_key_and_its_address(name: bytes):
    stream = OpenAIStream(AnswerChanges(secrets=["very-secret/key", "models.internal:8000"]))
    error = {"error": {"message": "Key very-secret/key at MODELS.internal is wrong.", "type": "t", "code": 7}}
    out = passed(TORN + name + f"data: {json.dumps(error)}\n\n".encode() + WHOLE, stream)
    assert carried(out)[-1]["error"] == {
        "message": "Key [redacted] at [redacted] is wrong.",
        "type": "t",
        "code": 7,
    }
    assert stream.failed == "Key [redacted] at [redacted] is wrong."
    assert not stream.finished


def test_usage_on_any_chunk_counts_and_the_last_one_wins():
    running = [chunk({"content": "a"}, usage={"prompt_tokens": 5, "completion_tokens": at}) for at in range(3)]
    stream = OpenAIStream()
    passed(b"".join(running) + chunk({}, "stop", usage=None), stream)
    assert stream.usage
    assert (stream.usage.model, stream.usage.input_tokens, stream.usage.output_tokens) == ("m", 5, 2)


class Shouting:
    """A mask that shows capital letters, a piece late."""

    def __init__(self) -> None:
        self._held = ""

    def feed(self, piece: str) -> str:
        shown, self._held = self._held, piece.upper()
        return shown

    def finish(self) -> str:
        return self._held


def test_a_masked_text_is_shown_to_its_last_letter_and_the_footer_is_made_from_it():
    stream = OpenAIStream(AnswerChanges(footer=footer, mask=Shouting))
    out = passed(WHOLE, stream)
    assert text_of(out) == "FORTY TONNES [1]." + footer("FORTY TONNES [1].")
    assert stream.text == "FORTY TONNES [1]."
    assert b"onnes" not in out


def answer(content: Any, **more: Any) -> bytes:
    message = {"role": "assistant", "content": content, **more}
    choice = {"index": 0, "message": message, "finish_reason": "stop"}
    return json.dumps({"id": "c1", "model": "m", "choices": [choice], "usage": USAGE}).encode()


def test_an_answer_that_came_at_once_is_passed_byte_for_byte_if_nothing_follows():
    strange = answer("x").replace(b'"stop"', b'["stop"]')
    for body in (answer("Forty."), answer(None), answer([{"type": "text"}]), b'{"choices": 7}', strange):
        assert complete(body).body == body
    done = complete(answer("Forty."))
    assert done.failed is None
    assert done.usage
    assert (done.usage.input_tokens, done.usage.cached_tokens) == (100, 60)


def test_an_answer_that_came_at_once_gets_its_footer_and_annotations():
    theirs = {"type": "url_citation", "url_citation": {"url": "https://theirs.example"}}
    body = answer("Forty.", annotations=[theirs])
    done = complete(body, AnswerChanges(footer=footer, annotations=lambda _text: [NOTE], mask=Shouting))
    message = json.loads(done.body)["choices"][0]["message"]
    assert message["content"] == "FORTY." + footer("FORTY.")
    assert message["annotations"] == [theirs, NOTE]


def test_calls_of_tools_that_came_at_once_are_not_changed():
    body = answer("Let me see.", tool_calls=[{"id": "c"}])
    assert complete(body, AnswerChanges(footer=footer, annotations=lambda _text: [NOTE])).body == body


@pytest.mark.parametrize("body", [b"", b"<html>", b'{"choices":[', b"[]", b"[" * 100_000, b"\xff"])
def test_a_body_that_is_no_answer_has_failed(body: bytes):
    assert complete(body).failed


def test_an_error_with_status_200_has_failed_and_quotes_no_key():
    done = complete(b'{"error":{"message":"bad my-key"}}', AnswerChanges(secrets=["my-key"]))
    assert done.failed == "bad [redacted]"
    assert b"my-key" not in done.body
