"""Frames come back whole from a stream and from a file; what is no frame is refused before it is read."""

from __future__ import annotations

import asyncio
import io
import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ragstone import frames
from ragstone.frames import FrameLimits, Header, MalformedFrame

LIMITS = FrameLimits(header_bytes=1 << 20, body_bytes=1 << 10)

JSON = st.recursive(st.none() | st.booleans() | st.integers() | st.text(), st.lists, max_leaves=5)

MALFORMED = {
    "not a frame": b"GET / HTTP/1.1\r\n\r\n",
    "too large a header": struct.pack("!II", (1 << 20) + 1, 0),
    "too large a body": struct.pack("!II", 2, (1 << 10) + 1) + b"{}",
    "not JSON": struct.pack("!II", 3, 0) + b"{no",
    "not UTF-8": struct.pack("!II", 4, 0) + b"\xff\xfe{}",
    "not an object": struct.pack("!II", 6, 0) + b"[1, 2]",
    "deeply nested": struct.pack("!II", 100_000, 0) + b"[" * 100_000,
}


def from_file(data: bytes) -> tuple[Header, bytes]:
    return frames.read_blocking(io.BytesIO(data), LIMITS)


def from_stream(data: bytes) -> tuple[Header, bytes]:
    async def read() -> tuple[Header, bytes]:
        stream = asyncio.StreamReader()
        stream.feed_data(data)
        stream.feed_eof()
        return await frames.read(stream, LIMITS)

    return asyncio.run(read())


READERS = pytest.mark.parametrize("read", [from_file, from_stream])


@READERS
@given(header=st.dictionaries(st.text(), JSON), body=st.binary(max_size=1 << 10))
def test_a_frame_comes_back_as_it_was_sent(read, header: Header, body: bytes):
    assert read(frames.head(header, len(body), LIMITS) + body) == (header, body)


@READERS
@pytest.mark.parametrize("name", MALFORMED)
def test_a_malformed_frame_is_refused(read, name: str):
    with pytest.raises(MalformedFrame):
        read(MALFORMED[name])


@READERS
def test_a_frame_that_ends_early_is_no_frame(read):
    whole = frames.head({"op": "count"}, 4, LIMITS) + b"1234"
    for end in range(len(whole)):
        with pytest.raises(EOFError):
            read(whole[:end])


def test_a_frame_beyond_the_limits_is_not_made():
    with pytest.raises(MalformedFrame, match="beyond the limit"):
        frames.head({}, LIMITS.body_bytes + 1, LIMITS)
    with pytest.raises(MalformedFrame, match="beyond the limit"):
        frames.head({"long": "x" * LIMITS.header_bytes}, 0, LIMITS)
