"""Content of files: the whole text, the chunks, and the bytes of a file below the upload root."""

from __future__ import annotations

import os
import stat
from collections.abc import Sequence
from pathlib import Path

from ragstone.errors import NotFound
from ragstone.librechat.files import Caller, FileStore, LibreChatParts
from ragstone.librechat.query import content, metadata
from ragstone.vocabulary import Chunk, PageSpan, Scope

UNKNOWN_IDS = "One or more IDs not found"
UNKNOWN_FILE = "The specified file_id was not found"
NO_TEXT = "No document found for the given ID"
NO_SUCH_FILE = "The specified file was not found."


async def whole_text(parts: LibreChatParts, scope: Scope, caller: Caller, file_id: str) -> str:
    """The name of a file and its text, with a line `# PAGE n` before each page.

    Raises:
        NotFound: the file does not exist, is not readable for the caller, or is not ready.
    """
    files = await FileStore(parts.database, scope).readable(caller, [file_id])
    if not files:
        raise NotFound(UNKNOWN_FILE)
    if files[0].version is None:
        raise NotFound(NO_TEXT)
    text = await parts.library.text(scope, files[0].document_id, version=files[0].version)
    chunks = await parts.library.chunks(scope, files[0].document_id)
    return f"{files[0].name}\n{paged(text, _pages(chunks))}"


def paged(text: str, pages: Sequence[PageSpan]) -> str:
    """The text with a line before each page."""
    ends = [page.start for page in pages[1:]] + [len(text)] * bool(pages)
    before = text[: pages[0].start] if pages else text
    below = [f"# PAGE {page.number}\n{text[page.start : end].rstrip()}" for page, end in zip(pages, ends, strict=True)]
    return "\n".join([before.rstrip(), *below]).lstrip("\n")


def _pages(chunks: Sequence[Chunk]) -> list[PageSpan]:
    """The pages that hold text, in order."""
    pages = {page.number: page for chunk in chunks for page in chunk.pages}
    return sorted(pages.values(), key=lambda page: page.start)


async def chunks_of(
    parts: LibreChatParts, scope: Scope, caller: Caller, file_ids: Sequence[str]
) -> list[dict[str, object]]:
    """All chunks of the files, in reading order.

    Raises:
        NotFound: a file does not exist or is not readable for the caller.
    """
    files = await FileStore(parts.database, scope).readable(caller, file_ids)
    if len(files) < len(set(file_ids)):
        raise NotFound(UNKNOWN_IDS)
    return [
        {"page_content": content(chunk), "metadata": metadata(chunk, file)}
        for file in files
        for chunk in await parts.library.chunks(scope, file.document_id)
    ]


def local_file(root: Path | None, path: str, *, user: str, max_bytes: int) -> bytes:
    """Read up to `max_bytes` of a file below `root`, in a folder named after the user. Blocks.

    LibreChat stores uploads in one folder per user. Without this check, a user who guesses a
    path could read the file of another user.

    Raises:
        NotFound: there is no such file, or it belongs to another user; always the same message.
    """
    if root is None or "\x00" in path:
        raise NotFound(NO_SUCH_FILE)
    try:
        base = root.resolve(strict=True)
        found = (base / path.lstrip("/")).resolve(strict=True)
        if user not in found.relative_to(base).parts[:-1]:
            raise NotFound(NO_SUCH_FILE)
        # Links were followed above. A link that replaced the file since is refused, and a pipe does not block.
        opened = os.open(found, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
        with os.fdopen(opened, "rb") as file:
            if not stat.S_ISREG(os.fstat(opened).st_mode):
                raise NotFound(NO_SUCH_FILE)
            return file.read(max_bytes)
    except (OSError, RuntimeError, ValueError) as error:  # ValueError: outside the root; RuntimeError: a loop of links
        raise NotFound(NO_SUCH_FILE) from error
