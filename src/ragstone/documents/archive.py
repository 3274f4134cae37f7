"""Zip containers (DOCX, XLSX, PPTX, ODS, EPUB): checks them before a parser unpacks them.

The declared sizes of an archive may be false, and parsers trust different ones of them. So
every entry is inflated here once, only to count its bytes.
"""

from __future__ import annotations

import zipfile
import zlib
from io import BytesIO

from ragstone.documents.base import ParserLimits, limit_reached
from ragstone.errors import EncryptedDocument, UnreadableDocument

_ENCRYPTED_FLAG = 0x1
_LOCAL_HEADER_BYTES = 30  # APPNOTE.TXT 4.3.7: fixed part; lengths of name and extra field at 26 and 28
_INFLATE_STEP_BYTES = 1 << 20


def opened_archive(content: bytes, limits: ParserLimits) -> zipfile.ZipFile:
    """Open the archive in `content` after checking that it unpacks within the limits.

    Raises:
        UnreadableDocument: not an archive, truncated, or with an unknown compression method.
        EncryptedDocument: an entry needs a password.
        ParserLimit: too many entries or too many bytes, declared or real.
    """
    try:
        archive = zipfile.ZipFile(BytesIO(content))
    except (zipfile.BadZipFile, ValueError, NotImplementedError, OSError) as error:
        raise UnreadableDocument("The file's container is damaged or cut off; send the original file again.") from error
    entries = archive.infolist()
    if len(entries) > limits.max_archive_entries:
        raise limit_reached(limits, "max_archive_entries")
    if sum(entry.file_size for entry in entries) > limits.max_expanded_bytes:
        raise limit_reached(limits, "max_expanded_bytes")
    left = limits.max_expanded_bytes
    for entry in entries:
        left -= _inflated_bytes(content, entry, left)
        if left < 0:
            raise limit_reached(limits, "max_expanded_bytes")
    return archive


def _inflated_bytes(content: bytes, entry: zipfile.ZipInfo, most: int) -> int:
    """Real unpacked size of an entry in bytes; counting stops beyond `most`."""
    if entry.flag_bits & _ENCRYPTED_FLAG:
        raise EncryptedDocument("The file is protected by a password; save a copy without one.")
    packed: memoryview | bytes = _packed(content, entry)
    if entry.compress_type == zipfile.ZIP_STORED:
        return len(packed)
    if entry.compress_type != zipfile.ZIP_DEFLATED:
        raise UnreadableDocument("The file uses an unusual compression method; open it in its own program and save it.")
    inflater = zlib.decompressobj(-zlib.MAX_WBITS)
    size = 0
    try:
        while packed and size <= most:
            size += len(inflater.decompress(packed, _INFLATE_STEP_BYTES))
            packed = inflater.unconsumed_tail
    except zlib.error as error:
        raise UnreadableDocument("A compressed part of the file is damaged; send the original file again.") from error
    return size


def _packed(content: bytes, entry: zipfile.ZipInfo) -> memoryview:
    header = entry.header_offset
    name_and_extra = int.from_bytes(content[header + 26 : header + 28], "little") + int.from_bytes(
        content[header + 28 : header + 30], "little"
    )
    start = header + _LOCAL_HEADER_BYTES + name_and_extra
    return memoryview(content)[start : start + entry.compress_size]
