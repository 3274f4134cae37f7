"""The protocol of the index process: frames over a Unix socket in the data directory.

The body of a frame contains little-endian float32 and uint32 numbers, described by its header. A client
sends one frame and reads one. The module imports little, because the process has to start quickly.
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
"""Protocol version; client and process need the same one."""

LIMITS = FrameLimits(header_bytes=16 << 20, body_bytes=128 << 20)
MAX_SOCKET_PATH_BYTES = 100  # sun_path has 108 on Linux and 104 on macOS, with the final zero


def encode(header: Header, numbers: bytes = b"") -> bytes:
    """Encode one frame.

    Raises:
        MalformedFrame: the frame would exceed the limits.
    """
    return frames.head(header, len(numbers), LIMITS) + numbers


def owner_file(folder: Path) -> Path:
    """Path of the file that the index process locks; it contains `{"pid": …, "socket": …}`."""
    return folder / "owner.json"


def served_at(folder: Path) -> str | None:
    """Socket of the process named as owner of `folder`, which may have ended; None without one."""
    try:
        path = json.loads(owner_file(folder).read_text())["socket"]
    except (OSError, ValueError, LookupError, TypeError):
        return None
    return path if isinstance(path, str) else None


def log_file(folder: Path) -> Path:
    """Path of the error log of the index process and its engine."""
    return folder / "index.log"


def socket_path(folder: Path) -> Path:
    """Path of the socket of the index process: in `folder`, or elsewhere if that path is too long for the system.

    The alternative is a folder in the temporary directory that only this user can enter.
    Clients read the path from the owner file, because they might compute another one.

    Raises:
        PermissionError: the alternative folder belongs to another user.
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
