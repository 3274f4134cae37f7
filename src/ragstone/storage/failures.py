"""What disk and database refuse, as sentences for the operator."""

from __future__ import annotations

import errno
import sqlite3
from pathlib import Path

from ragstone.errors import DataDirectoryError, RagstoneError, Unavailable

_FULL = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}
_READ_ONLY = {errno.EROFS, errno.EACCES, errno.EPERM}


def disk_failure(error: OSError, folder: Path) -> DataDirectoryError:
    """The sentence for an error of the file system under the data directory."""
    if error.errno in _FULL:
        return _full(folder)
    if error.errno in _READ_ONLY:
        return DataDirectoryError(f"{folder} cannot be written. Make it writable for this user, or choose another.")
    return DataDirectoryError(f"Writing to {folder} failed: {error.strerror}. Check the disk.")


def database_failure(error: BaseException | None, file: Path) -> RagstoneError:
    """The sentence for an error of SQLite on the database `file`."""
    folder = file.parent
    match getattr(error, "sqlite_errorcode", 0) & 0xFF:  # the upper bits only refine the kind
        case sqlite3.SQLITE_FULL:
            return _full(folder)
        case sqlite3.SQLITE_READONLY | sqlite3.SQLITE_PERM:
            return DataDirectoryError(f"{file} cannot be written. Make {folder} writable for this user.")
        case sqlite3.SQLITE_CANTOPEN:
            return DataDirectoryError(f"{file} cannot be opened. Check that this user may write to {folder}.")
        case sqlite3.SQLITE_NOTADB:
            return DataDirectoryError(f"{file} is not a Ragstone database. Move it away, or restore a backup.")
        case sqlite3.SQLITE_CORRUPT:
            return DataDirectoryError(f"The database {file} is damaged. Restore a backup of it.")
        case sqlite3.SQLITE_BUSY | sqlite3.SQLITE_LOCKED:
            return Unavailable("Another process keeps the database locked. Try again in a moment.")
        case _:
            return DataDirectoryError(f"The database {file} failed: {error}. Check the disk and its free space.")


def _full(folder: Path) -> DataDirectoryError:
    return DataDirectoryError(f"The disk that holds {folder} is full; nothing was half-written. Free some space.")
