"""BACKUP: a consistent copy of the data directory, made while the server runs.

The database is copied first, as a snapshot, then the blobs. If a document was replaced in
between and its blob deleted, the database is copied again. The index is not copied; `rebuild`
restores it from the rest.
"""

from __future__ import annotations

import shutil
import sqlite3
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

from ragstone.errors import Conflict, DataDirectoryError
from ragstone.storage.error_translation import database_failure, disk_failure

ATTEMPTS = 5  # one fails only if a document is replaced within a few milliseconds
DATABASE_NAME = "ragstone.db"
SECRET_NAME = "secret.key"  # noqa: S105 — a file's name
BLOBS_NAME = "blobs"


@dataclass(frozen=True, slots=True)
class Backup:
    """The content of a backup. `database` is False if the rows are in PostgreSQL; `pg_dump` copies them."""

    folder: Path
    database: bool
    blobs: int
    size_bytes: int


def back_up(data_dir: Path, target: Path) -> Backup:
    """Copy the data directory to `target`, which must be new or empty. Blocking.

    Raises:
        Conflict: `target` is not empty.
        DataDirectoryError: the disk is full, or something cannot be read or written.
    """
    try:
        if target.exists() and any(target.iterdir()):
            raise Conflict(f"{target} is not empty. Name a new folder, so that no older backup is mixed in.")
        target.mkdir(parents=True, mode=0o700, exist_ok=True)
        return _copy_all(data_dir, target)
    except OSError as error:
        raise disk_failure(error, target) from error


def _copy_all(data_dir: Path, target: Path) -> Backup:
    database = data_dir / DATABASE_NAME
    for _attempt in range(ATTEMPTS):
        if database.exists():
            _copy_database(database, target / DATABASE_NAME)
        _copy_new(data_dir / BLOBS_NAME, target / BLOBS_NAME)
        if not database.exists() or not _missing(target):
            break
    else:
        raise DataDirectoryError("Documents changed faster than they were copied. Try again when less is ingested.")
    if (data_dir / SECRET_NAME).exists():
        shutil.copy2(data_dir / SECRET_NAME, target)
    files = [path for path in target.rglob("*") if path.is_file()]
    blobs = sum(BLOBS_NAME in path.relative_to(target).parts for path in files)
    return Backup(target, database.exists(), blobs, sum(path.stat().st_size for path in files))


def _copy_database(source: Path, target: Path) -> None:
    """Copy a snapshot of the database with SQLite's online backup, while others write."""
    target.unlink(missing_ok=True)
    try:
        live_url = f"{source.resolve().as_uri()}?mode=ro"
        with closing(sqlite3.connect(live_url, uri=True)) as live, closing(sqlite3.connect(target)) as copy:
            live.backup(copy)
            copy.execute("PRAGMA journal_mode = DELETE")  # no separate WAL file beside the copy
    except sqlite3.Error as error:
        raise database_failure(error, source) from error


def _copy_new(source: Path, target: Path) -> None:
    """Copy the blobs that are not in `target` yet; blobs deleted during the copy are skipped."""
    for path in sorted(source.rglob("*")):
        copy = target / path.relative_to(source)
        if path.name.startswith(".") or copy.exists() or not path.is_file():
            continue
        copy.parent.mkdir(parents=True, exist_ok=True)
        try:
            shutil.copy2(path, copy)
        except FileNotFoundError:
            copy.unlink(missing_ok=True)


def _missing(target: Path) -> set[str]:
    """Blobs that the copied database refers to and that were not copied."""
    wanted = (
        "SELECT blob_key FROM documents WHERE blob_key <> '' "
        "UNION SELECT blob_key FROM job_files WHERE state = 'pending' AND blob_key <> ''"
    )
    with closing(sqlite3.connect(target / DATABASE_NAME)) as copy:
        keys = {key for (key,) in copy.execute(wanted)}
    return keys - {path.name for path in (target / BLOBS_NAME).rglob("*")}
