"""Finds the files of folders to ingest, and the ingested files that no longer exist.

A walk is sorted, skips hidden files and folders, honours `.ragstoneignore` files
(gitignore syntax, also in subfolders), and never leaves its root: symbolic links to
folders are not followed, and links to files only within the root.
"""

from __future__ import annotations

import asyncio
import os
import stat
from collections.abc import AsyncIterator, Iterator, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from pathlib import Path
from urllib.parse import unquote_to_bytes, urlsplit

import pathspec

from ragstone.documents.media_types import EXPECTED_SUFFIXES
from ragstone.errors import InvalidInput, NotFound, RagstoneError, UnreadableDocument
from ragstone.ingestion.submit import Rejected, Upload, too_large

IGNORE_FILE = ".ragstoneignore"
MAX_IGNORE_BYTES = 1 << 20
MAX_PATTERN_CHARS = 256


@dataclass(frozen=True, slots=True)
class _Ignore:
    folder: Path
    spec: pathspec.GitIgnoreSpec

    def verdict(self, path: Path, *, folder: bool) -> bool | None:
        """Whether a pattern excludes (True) or re-includes (False) the path; None: no pattern matches it."""
        relative = path.relative_to(self.folder).as_posix()
        return self.spec.check_file(relative + "/" if folder else relative).include


def resolve(paths: Sequence[Path], pattern: str) -> list[Path]:
    """Absolute paths of the given files and folders.

    Raises:
        NotFound: one of them does not exist.
        InvalidInput: one is neither file nor folder, or the pattern is invalid.
    """
    _glob(pattern)
    resolved = []
    for path in paths:
        try:
            real = path.expanduser().resolve(strict=True)
        except (OSError, RuntimeError, ValueError) as error:
            raise NotFound(f"There is no file or folder {str(path)!r}. Check the path.") from error
        if not real.is_file() and not real.is_dir():
            raise InvalidInput(f"{str(path)!r} is neither a file nor a folder. Name one of these.")
        resolved.append(real)
    return resolved


def uploads(paths: Sequence[Path], *, pattern: str, max_file_bytes: int) -> Iterator[Upload | Rejected]:
    """Read the files at `paths`, each when the iterator reaches it.

    `paths` are resolved. A file among them is always read; from a folder, the files that
    match `pattern` and have a parser are read. An unreadable file or folder is yielded as
    `Rejected`.
    """
    for path in paths:
        files = walk(path, pattern) if path.is_dir() else [path]
        for found in files:
            yield found if isinstance(found, Rejected) else _read(found, max_file_bytes)


async def in_threads(files: Iterator[Upload | Rejected]) -> AsyncIterator[Upload | Rejected]:
    """Iterate over `files` asynchronously; a thread reads each file."""
    while (file := await asyncio.to_thread(next, files, None)) is not None:
        yield file


def walk(root: Path, pattern: str) -> Iterator[Path | Rejected]:
    """Files below `root` to ingest, sorted by path; an unreadable folder is yielded as `Rejected`."""
    glob = _glob(pattern)
    for found in _walk(root, root, ()):
        if isinstance(found, Rejected) or _matches(found.relative_to(root).parts, glob):
            yield found


def vanished(folders: Sequence[Path], pattern: str, sources: Sequence[str]) -> list[str]:
    """Select the `sources` of files below one of `folders` that match `pattern` and no longer exist."""
    glob = _glob(pattern)
    return [source for source in sources if _vanished(source, folders, glob)]


def source_of(path: Path) -> str:
    """Source of a file: its `file://` URL."""
    return path.as_uri()


def _glob(pattern: str) -> tuple[str, ...]:
    """The segments of a pattern; `**` stands for any number of folders."""
    segments = pattern.split("/")
    if not all(segments) or len(pattern) > MAX_PATTERN_CHARS or segments[-1] == "**" or ".." in segments:
        raise InvalidInput(f"The pattern {pattern[:80]!r} is invalid. Write one such as **/*.md.")
    return tuple(
        part for part, following in zip(segments, [*segments[1:], ""], strict=True) if part != following or part != "**"
    )


def _matches(parts: Sequence[str], glob: Sequence[str]) -> bool:
    if not glob or not parts:
        return not glob and not parts
    if glob[0] == "**":
        return any(_matches(parts[skip:], glob[1:]) for skip in range(len(parts)))
    return fnmatchcase(parts[0], glob[0]) and _matches(parts[1:], glob[1:])


def _walk(root: Path, folder: Path, ignores: tuple[_Ignore, ...]) -> Iterator[Path | Rejected]:
    try:
        with os.scandir(folder) as listing:
            entries = sorted(listing, key=lambda entry: entry.name)
        ignores = (*ignores, *_ignore_file(folder))
    except OSError as error:
        yield Rejected(source_of(folder), _unreadable(error))
        return
    for entry in entries:
        path = folder / entry.name
        if entry.name.startswith("."):
            continue
        if entry.is_dir(follow_symlinks=False):
            if not _ignored(ignores, path, folder=True):
                yield from _walk(root, path, ignores)
        elif path.suffix.lower() in EXPECTED_SUFFIXES and _inside(root, path) and not _ignored(ignores, path):
            yield path


def _ignore_file(folder: Path) -> Iterator[_Ignore]:
    path = folder / IGNORE_FILE
    if path.is_file():
        with path.open(encoding="utf-8", errors="replace") as file:
            yield _Ignore(folder, pathspec.GitIgnoreSpec.from_lines(file.read(MAX_IGNORE_BYTES).splitlines()))


def _ignored(ignores: Sequence[_Ignore], path: Path, *, folder: bool = False) -> bool:
    """The innermost ignore file with a matching pattern decides, as with git."""
    verdicts = (ignore.verdict(path, folder=folder) for ignore in reversed(ignores))
    return next((verdict for verdict in verdicts if verdict is not None), False)


def _inside(root: Path, path: Path) -> bool:
    try:
        real = path.resolve(strict=True)
        return real.is_relative_to(root) and stat.S_ISREG(real.stat().st_mode)
    except (OSError, RuntimeError):
        return not path.is_symlink()  # a broken link is skipped; a file is read, and its error reported


def _read(path: Path, max_file_bytes: int) -> Upload | Rejected:
    try:
        with path.open("rb") as file:
            content = file.read(max_file_bytes + 1)
    except OSError as error:
        return Rejected(source_of(path), _unreadable(error))
    if len(content) > max_file_bytes:
        return Rejected(source_of(path), too_large(max_file_bytes))
    return Upload(source=source_of(path), title="", content=content)


def _unreadable(error: OSError) -> RagstoneError:
    return UnreadableDocument(f"The file cannot be read: {error.strerror}. Give this user the permission to read it.")


def _vanished(source: str, folders: Sequence[Path], glob: Sequence[str]) -> bool:
    if not source.startswith("file://"):
        return False
    path = Path(os.fsdecode(unquote_to_bytes(urlsplit(source).path)))
    root = next((folder for folder in folders if path.is_relative_to(folder)), None)
    if root is None or not _matches(path.relative_to(root).parts, glob):
        return False
    try:
        path.lstat()
    except (FileNotFoundError, NotADirectoryError):
        return True
    except OSError:  # a path that cannot be read may still exist
        return False
    return False
