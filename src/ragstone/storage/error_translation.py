"""Translates errors of the disk and the database into errors of `errors.py`."""

from __future__ import annotations

import errno
import socket
import sqlite3
from pathlib import Path

from sqlalchemy import exc

from ragstone.errors import ConfigurationError, DataDirectoryError, InvalidInput, RagstoneError, Unavailable

_FULL = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}
BROKEN_CONNECTION = "InternalClientError"  # class of asyncpg, if the server closes the connection during a statement
_READ_ONLY = {errno.EROFS, errno.EACCES, errno.EPERM}


def disk_failure(error: OSError, folder: Path) -> DataDirectoryError:
    """The error for a failure of the file system in the data directory."""
    if error.errno in _FULL:
        return _full(folder)
    if error.errno in _READ_ONLY:
        return DataDirectoryError(f"{folder} cannot be written. Make it writable for this user, or choose another.")
    return DataDirectoryError(f"Writing to {folder} failed: {error.strerror}. Check the disk.")


def database_failure(error: BaseException | None, file: Path) -> RagstoneError:
    """The error for a failure of SQLite on the database `file`."""
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
            return Unavailable("Another process has locked the database. Try again in a moment.")
        case _:
            return DataDirectoryError(f"The database {file} failed: {error}. Check the disk and its free space.")


def _full(folder: Path) -> DataDirectoryError:
    return DataDirectoryError(f"The disk that holds {folder} is full; the write was rolled back. Free some space.")


def postgres_failure(error: BaseException | None, place: str, user: str) -> RagstoneError:
    """The error for a failure of PostgreSQL or of the connection to it.

    Args:
        error: What the driver raised.
        place: The database, as messages name it.
        user: The login of the connection.
    """
    state = getattr(error, "sqlstate", None) or ""
    if state in _REFUSED:
        return ConfigurationError(_REFUSED[state].format(place=place, user=user))
    if sentence := _UNUSABLE.get(state) or _UNUSABLE.get(_argument_fault(error)):
        return InvalidInput(sentence)
    if sentence := _LATER.get(state) or _LATER.get(state[:2]):
        return Unavailable(sentence.format(place=place))
    if state == "42501":
        return _not_permitted(str(error), user)
    if not state:
        return _no_answer(error, place)
    return _unforeseen(state, place)


# By SQLSTATE, or its first two characters: https://www.postgresql.org/docs/current/errcodes-appendix.html
_REFUSED = {
    "28P01": "The database {place} refuses the password of {user}. Correct RAGSTONE_DATABASE__URL.",
    "28000": "The database {place} refuses the login of {user}. Correct RAGSTONE_DATABASE__URL, or its pg_hba.conf.",
    "3D000": "There is no database {place}. Create it, or correct RAGSTONE_DATABASE__URL.",
    "53100": "The disk of the database {place} is full; the write was rolled back. Free some space.",
}
NOT_TEXT = "The text contains a lone surrogate, which the database cannot store. Remove it."
_UNUSABLE = {
    "surrogates not allowed": NOT_TEXT,
    "value out of": "A number is larger than the database can store. Use a smaller one.",
    "22021": "The text contains a NUL character, which the database cannot store. Remove it.",
    "22P05": "The text contains a NUL character, which the database cannot store. Remove it.",
    "22001": "A value is longer than the database can store. Shorten it.",
    "22003": "A number is larger than the database can store. Use a smaller one.",
}
_BUSY = "The database {place} is busy: another transaction holds a lock. Try again in a moment."
_LOST = "The connection to the database {place} was lost. Try again in a moment."
_LATER = {
    "40": _BUSY,  # serialization failure, deadlock
    "55P03": _BUSY,  # waited too long for a lock
    "57014": _BUSY,  # a statement took too long
    "25P03": _BUSY,  # a transaction did nothing for too long
    "08": _LOST,
    "57P01": _LOST,
    "57P02": _LOST,
    "57P03": "The database {place} is starting or stopping. Try again in a moment.",
    "25006": "The database {place} is read-only at the moment. Try again in a moment.",
    "53": "The database {place} has no free connection or transaction. "
    "Try again in a moment; lower RAGSTONE_DATABASE__POOL_SIZE if it happens again.",
}


def _argument_fault(error: BaseException | None) -> str:
    """The reason for which the driver refused an argument, taken from the message: it has one code for all."""
    return next((words for words in ("surrogates not allowed", "value out of") if words in str(error)), "")


def _not_permitted(message: str, user: str) -> RagstoneError:
    if "row-level security" in message:
        return RagstoneError(
            "The database refused to write a row of another tenant. This is a fault of Ragstone; please report it."
        )
    return ConfigurationError(
        f"The database does not permit {user} to do this ({message.splitlines()[0]}). "
        "Set RAGSTONE_DATABASE__OWNER_URL to a user that owns the tables and may create roles; "
        "or, as an administrator, run: CREATE ROLE ragstone_tenant NOLOGIN; CREATE ROLE ragstone_system NOLOGIN; "
        f'GRANT ragstone_tenant, ragstone_system TO "{user}";'
    )


def _no_answer(error: BaseException | None, place: str) -> RagstoneError:
    match error:
        case socket.gaierror():
            return ConfigurationError(
                f"The host of the database {place} cannot be resolved. Correct RAGSTONE_DATABASE__URL."
            )
        case exc.TimeoutError():
            return Unavailable(
                "All connections to the database are in use. Try again in a moment; "
                "raise RAGSTONE_DATABASE__POOL_SIZE if it happens again."
            )
        case OSError():
            return Unavailable(
                f"The database {place} does not answer ({type(error).__name__}). Check that it is running."
            )
        case _ if type(error).__name__ == BROKEN_CONNECTION or "closed" in str(error):
            return Unavailable(_LOST.format(place=place))
        case _:
            return _unforeseen(type(error).__name__, place)


def _unforeseen(code: str, place: str) -> RagstoneError:
    """The error for an unknown code, without the database's message, which may quote a tenant's data."""
    return RagstoneError(f"The database {place} failed with {code}. This is a fault of Ragstone; please report it.")
