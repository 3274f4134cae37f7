"""The reader of server-sent events gives whole events, however the bytes were cut."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from ragstone.sse import MAX_EVENT_BYTES, EventReader, MalformedEvent, data_of, event, json_events

STREAM = (
    'event: a\r\ndata: {"n": 1}\r\n\r\n: ping\n\ndata:{"n": "zwei ü"}\n\ndata: [DONE]\n\ndata: {"n": 3}\n\n'.encode()
)


async def cut(content: bytes, size: int) -> AsyncIterator[bytes]:
    for start in range(0, len(content), size):
        yield content[start : start + size]


@pytest.mark.parametrize("size", [1, 2, 3, 7, 1000])
async def test_events_come_out_whole_however_the_bytes_are_cut(size: int):
    assert [found async for found in json_events(cut(STREAM, size))] == [{"n": 1}, {"n": "zwei ü"}]


async def test_a_last_line_without_its_end_is_read():
    assert [found async for found in json_events(cut(b'data: {"n": 1}', 5))] == [{"n": 1}]


@pytest.mark.parametrize(
    "line", [b"data: {half", b"data: [1]", b"data: \xff", b"data: " + b"9" * 5000, b"data: " + b"[" * 200_000]
)
async def test_what_is_no_json_object_is_refused(line: bytes):
    with pytest.raises(ValueError):
        [found async for found in json_events(cut(line + b"\n\n", 100))]


async def test_a_line_without_end_is_given_up():
    async def endless() -> AsyncIterator[bytes]:
        while True:
            yield b"x" * (1 << 16)

    with pytest.raises(ValueError, match="too long"):
        [found async for found in json_events(endless())]
    assert MAX_EVENT_BYTES < 8 << 20


def test_an_event_that_is_written_is_read_as_it_was():
    written = event(b'{"n":1}', name="delta") + event(b"[DONE]")
    assert [data_of(one) for one in EventReader().feed(written)] == [b'{"n":1}', b"[DONE]"]


def test_a_line_that_is_no_field_is_ignored_unless_the_caller_is_strict():
    page = b"<html>\n\n"
    assert data_of(page) == b""
    with pytest.raises(MalformedEvent):
        data_of(page, strict=True)
