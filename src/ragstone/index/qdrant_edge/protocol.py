"""How clients and the index process talk: frames over a Unix socket in the data directory.

A frame is two lengths (uint32, big-endian), a JSON object, and raw little-endian float32
and uint32 numbers that the object describes. A client sends one frame and reads one. The
standard library is all this module needs, because the process has to start quickly.
"""

from __future__ import annotations

import asyncio
import hashlib
import json
import os
import struct
import tempfile
from pathlib import Path
from typing import Any

PROTOCOL = 1
"""Client and process of two releases agree only if this number is the same."""

MAX_HEADER_BYTES = 16 << 20
MAX_NUMBERS_BYTES = 128 << 20
MAX_SOCKET_PATH_BYTES = 100  # sun_path holds 108 on Linux and 104 on macOS, with the final zero

_LENGTHS = struct.Struct("!II")

Header = dict[str, Any]


class MalformedFrame(Exception):
    """What came over the socket is not a frame of this protocol."""


def encode(header: Header, numbers: bytes = b"") -> bytes:
    """Make one frame.

    Raises:
        MalformedFrame: it would exceed the limits.
    """
    text = json.dumps(header, separators=(",", ":")).encode()
    _check_lengths(len(text), len(numbers))
    return _LENGTHS.pack(len(text), len(numbers)) + text + numbers


async def read(stream: asyncio.StreamReader) -> tuple[Header, bytes]:
    """Read one frame.

    Raises:
        asyncio.IncompleteReadError: the other side is gone.
        MalformedFrame: the bytes are no frame; nothing after them can be read.
    """
    header_bytes, numbers_bytes = _LENGTHS.unpack(await stream.readexactly(_LENGTHS.size))
    _check_lengths(header_bytes, numbers_bytes)
    text = await stream.readexactly(header_bytes)
    numbers = await stream.readexactly(numbers_bytes)
    try:
        header = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise MalformedFrame("The header is not JSON.") from error
    if not isinstance(header, dict):
        raise MalformedFrame("The header is not an object.")
    return header, numbers


def _check_lengths(header_bytes: int, numbers_bytes: int) -> None:
    if header_bytes > MAX_HEADER_BYTES or numbers_bytes > MAX_NUMBERS_BYTES:
        raise MalformedFrame(f"A frame of {header_bytes} + {numbers_bytes} bytes is beyond the limit.")


def owner_file(folder: Path) -> Path:
    """The file the index process locks; it holds `{"pid": …, "socket": …}`."""
    return folder / "owner.json"


def served_at(folder: Path) -> str | None:
    """The socket of the process that says it owns `folder`, dead or alive; None if none says so."""
    try:
        path = json.loads(owner_file(folder).read_text())["socket"]
    except (OSError, ValueError, LookupError, TypeError):
        return None
    return path if isinstance(path, str) else None


def log_file(folder: Path) -> Path:
    """Where the index process and its engine write what went wrong."""
    return folder / "index.log"


def socket_path(folder: Path) -> Path:
    """Where the index process of `folder` listens: inside it, or near the system's limit, elsewhere.

    The other place is a folder below the temporary one that only this user can enter.
    Clients take the path from the owner file, since their idea of it may differ.

    Raises:
        PermissionError: the other place exists and belongs to someone else.
    """
    inside = folder / "index.sock"
    if len(os.fsencode(inside)) <= MAX_SOCKET_PATH_BYTES:
        return inside
    name = hashlib.sha256(os.fsencode(folder)).hexdigest()[:16]
    private = Path(tempfile.gettempdir()) / f"ragstone-{os.getuid()}-{name}"
    private.mkdir(mode=0o700, exist_ok=True)
    status = private.lstat()
    if status.st_uid != os.getuid() or status.st_mode & 0o170077 != 0o040000:
        raise PermissionError(f"{private} is not a folder that only you can enter. Remove it, or set TMPDIR.")
    return private / "index.sock"
