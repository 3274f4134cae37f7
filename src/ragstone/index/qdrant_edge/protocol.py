"""The protocol of the index process: frames over a Unix socket in the data directory.

The body of a frame is little-endian float32 and uint32 numbers that its header describes. A client sends
one frame and reads one. The module imports little, because the process has to start quickly.
"""

from __future__ import annotations

import hashlib
import json
import os
import tempfile
from pathlib import Path

from ragstone import frames
from ragstone.frames import FrameLimits, Header

PROTOCOL = 1
"""Client and process of two releases agree only if this number is the same."""

LIMITS = FrameLimits(header_bytes=16 << 20, body_bytes=128 << 20)
MAX_SOCKET_PATH_BYTES = 100  # sun_path holds 108 on Linux and 104 on macOS, with the final zero


def encode(header: Header, numbers: bytes = b"") -> bytes:
    """Make one frame.

    Raises:
        MalformedFrame: it would exceed the limits.
    """
    return frames.head(header, len(numbers), LIMITS) + numbers


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
