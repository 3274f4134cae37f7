"""The parser process: parses files from its stdin, one after the other, until stdin ends.

`parser` starts it as `python -m ragstone.documents.sandbox`. It applies the limits in the
first frame to itself before it parses a file. It exits when its parent ends, because its
stdin ends then.

Input frames: `ParseRequest` and the file. Output frames: `ParseReply` and the text.
"""

from __future__ import annotations

import os
import resource
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any, BinaryIO, TypedDict

from ragstone import frames
from ragstone.documents.base import (
    ParsedDocument,
    ParserLimits,
    end_parse_limit,
    limit_next_parse,
    limit_process,
    limit_reached,
)
from ragstone.errors import RagstoneError, UnreadableDocument
from ragstone.frames import FrameLimits

MAX_HEADER_BYTES = 64 << 20  # for the pages and warnings of the longest document
LIMITS = FrameLimits(MAX_HEADER_BYTES)
MAX_PARSES = 200  # then it is replaced: PDFium and the allocator leak a little per document
RETIRE_AT_MEMORY_SHARE = 0.6  # of the address space limit; a fresh worker uses about 0.2 of the default

# No parser needs these operations, so an attempt is an attack.
_FORBIDDEN_EVENTS = (
    "socket.",
    "subprocess.",
    "os.exec",
    "os.fork",
    "os.posix_spawn",
    "os.spawn",
    "os.system",
    "webbrowser.",
    "urllib.",
    "ftplib.",
)


class ParseRequest(TypedDict):
    """Header of a request to parse a file."""

    name: str
    media_type: str | None


class ParseReply(TypedDict, total=False):
    """Header of a reply: an error, or the fields of a `ParsedDocument` except its text."""

    error: str
    message: str
    media_type: str
    title: str | None
    pages: list[tuple[int, int, int]]
    warnings: list[str]
    retiring: bool


def main() -> None:
    """Serve the parent until it closes the pipe, or until this process has to be replaced."""
    inbox, outbox = _own_pipes()
    forbid_network_and_processes()
    limits = ParserLimits(**_read_frame(inbox)[0])
    limit_process(limits)
    _write_frame(outbox, {}, b"")
    for count in range(1, MAX_PARSES + 1):
        header, content = _read_frame(inbox)
        reply, body = _answer(header, content, limits)
        reply["retiring"] = count == MAX_PARSES or reply.get("retiring", False) or _is_swollen(limits)
        _write_frame(outbox, reply, body)
        if reply["retiring"]:
            return


def forbid_network_and_processes() -> None:
    """Forbid sockets and new processes to Python code in this process, permanently."""

    def refuse(event: str, _: tuple[Any, ...]) -> None:
        if event.startswith(_FORBIDDEN_EVENTS):
            raise PermissionError(f"A document's parser may not use {event}")

    sys.addaudithook(refuse)


def _answer(request: Mapping[str, Any], content: bytes, limits: ParserLimits) -> tuple[ParseReply, bytes]:
    limit_next_parse(limits)
    try:
        document = _parsed(request, content, limits)
        return _reply(document), document.text.encode()
    except RagstoneError as error:
        return ParseReply(error=error.code, message=error.message), b""
    except MemoryError:
        reached = limit_reached(limits, "max_memory_bytes")
        return ParseReply(error=reached.code, message=reached.message, retiring=True), b""
    finally:
        end_parse_limit()


def _parsed(request: Mapping[str, Any], content: bytes, limits: ParserLimits) -> ParsedDocument:
    from ragstone.documents.read import read

    try:
        return read(content, name=request["name"], media_type=request["media_type"], limits=limits)
    except (RagstoneError, MemoryError):
        raise
    except Exception as error:
        raise UnreadableDocument(
            f"The parser failed on this file ({type(error).__name__}); it is damaged, or its name is wrong. "
            "Open it in its own program and save it again."
        ) from error


def _reply(document: ParsedDocument) -> ParseReply:
    return ParseReply(
        media_type=document.media_type,
        title=document.title,
        pages=[(page.number, page.start, page.end) for page in document.pages],
        warnings=list(document.warnings),
    )


def _is_swollen(limits: ParserLimits) -> bool:
    """Whether memory left by earlier documents could make the next one fail (Linux only)."""
    try:
        pages = int(Path("/proc/self/statm").read_text("ascii").split()[0])
    except OSError:
        return False
    return pages * resource.getpagesize() > limits.max_memory_bytes * RETIRE_AT_MEMORY_SHARE


def _own_pipes() -> tuple[BinaryIO, BinaryIO]:
    """Move the pipes of the frames to new file descriptors, so that a stray print cannot corrupt a frame."""
    inbox, outbox = os.fdopen(os.dup(0), "rb"), os.fdopen(os.dup(1), "wb")
    nothing = os.open(os.devnull, os.O_RDONLY)
    os.dup2(nothing, 0)
    os.close(nothing)
    os.dup2(2, 1)
    return inbox, outbox


def _read_frame(inbox: BinaryIO) -> tuple[dict[str, Any], bytes]:
    try:
        return frames.read_blocking(inbox, LIMITS)
    except EOFError:  # the parent has ended
        raise SystemExit(0) from None


def _write_frame(outbox: BinaryIO, header: Mapping[str, Any], body: bytes) -> None:
    try:
        outbox.write(frames.head(header, len(body), LIMITS))
        outbox.write(body)
        outbox.flush()
    except BrokenPipeError:
        raise SystemExit(0) from None


if __name__ == "__main__":
    main()
