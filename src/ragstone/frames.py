"""Frame protocol between a process and its child processes, over a pipe or a Unix socket.

A frame has two lengths (uint32, big-endian), a JSON object of the first length, and raw bytes of the second. Nothing
is unpickled. The module needs only the standard library, because child processes have to start quickly.
"""

from __future__ import annotations

import asyncio
import json
import struct
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, BinaryIO

LENGTHS = struct.Struct("!II")
MAX_LENGTH_BYTES = (1 << 32) - 1  # maximum of a uint32

Header = dict[str, Any]


class MalformedFrame(Exception):
    """Bytes that are not a frame, or a frame beyond the limits. The rest of the stream is unreadable."""


@dataclass(frozen=True, slots=True)
class FrameLimits:
    """Maximum sizes of a header and a body that one side of a connection sends or accepts, in bytes."""

    header_bytes: int
    body_bytes: int = MAX_LENGTH_BYTES


def head(header: Mapping[str, Any], body_bytes: int, limits: FrameLimits) -> bytes:
    """Encode the part of a frame before its body: lengths and header. The caller writes the body without a copy.

    Raises:
        MalformedFrame: the frame would exceed the limits.
    """
    text = json.dumps(header, separators=(",", ":")).encode()
    _check_lengths(len(text), body_bytes, limits)
    return LENGTHS.pack(len(text), body_bytes) + text


async def read(stream: asyncio.StreamReader, limits: FrameLimits) -> tuple[Header, bytes]:
    """Read one frame.

    Raises:
        asyncio.IncompleteReadError: the other side closed the stream.
        MalformedFrame: see the class.
    """
    header_bytes, body_bytes = _lengths(await stream.readexactly(LENGTHS.size), limits)
    text = await stream.readexactly(header_bytes)
    return _header(text), await stream.readexactly(body_bytes)


def read_blocking(file: BinaryIO, limits: FrameLimits) -> tuple[Header, bytes]:
    """Read one frame from a buffered file.

    Raises:
        EOFError: the other side closed the file.
        MalformedFrame: see the class.
    """
    header_bytes, body_bytes = _lengths(_exactly(file, LENGTHS.size), limits)
    text = _exactly(file, header_bytes)
    return _header(text), _exactly(file, body_bytes)


def _lengths(packed: bytes, limits: FrameLimits) -> tuple[int, int]:
    header_bytes, body_bytes = LENGTHS.unpack(packed)
    _check_lengths(header_bytes, body_bytes, limits)
    return header_bytes, body_bytes


def _check_lengths(header_bytes: int, body_bytes: int, limits: FrameLimits) -> None:
    if header_bytes > limits.header_bytes or body_bytes > limits.body_bytes:
        raise MalformedFrame(f"A frame of {header_bytes} + {body_bytes} bytes is beyond the limit.")


def _header(text: bytes) -> Header:
    try:
        header = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise MalformedFrame("The header is not JSON.") from error
    if not isinstance(header, dict):
        raise MalformedFrame("The header is not an object.")
    return header


def _exactly(file: BinaryIO, size: int) -> bytes:
    data = file.read(size)
    if len(data) < size:
        raise EOFError("The other side closed the pipe within a frame.")
    return data
