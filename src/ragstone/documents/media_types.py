"""Media type detection: by a file's content first; by its name and the caller's hint only for text.

Names and hints are not trusted. Binary formats have signatures at their start (and,
for zip and OLE containers, in their directory), so these decide. Text formats have none:
the suffix, then the hint, distinguishes Markdown, CSV and source code.
"""

from __future__ import annotations

import re
import zipfile
from enum import StrEnum
from io import BytesIO
from pathlib import PurePosixPath

from ragstone.documents.encodings import looks_like_text
from ragstone.errors import EmptyDocument, EncryptedDocument, Unsupported


class MediaType(StrEnum):
    """Formats that have a reader."""

    MARKDOWN = "text/markdown"
    PLAIN = "text/plain"
    CODE = "text/x-source"
    HTML = "text/html"
    CSV = "text/csv"
    TSV = "text/tab-separated-values"
    JSON = "application/json"
    JSONL = "application/jsonl"
    NOTEBOOK = "application/x-ipynb+json"
    PDF = "application/pdf"
    DOCX = "application/vnd.openxmlformats-officedocument.wordprocessingml.document"
    XLSX = "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet"
    XLSB = "application/vnd.ms-excel.sheet.binary.macroenabled.12"
    XLS = "application/vnd.ms-excel"
    ODS = "application/vnd.oasis.opendocument.spreadsheet"
    PPTX = "application/vnd.openxmlformats-officedocument.presentationml.presentation"
    EPUB = "application/epub+zip"


_BY_SUFFIX: dict[str, MediaType] = {
    ".md": MediaType.MARKDOWN,
    ".markdown": MediaType.MARKDOWN,
    ".mdx": MediaType.MARKDOWN,
    ".txt": MediaType.PLAIN,
    ".text": MediaType.PLAIN,
    ".rst": MediaType.PLAIN,
    ".adoc": MediaType.PLAIN,
    ".org": MediaType.PLAIN,
    ".tex": MediaType.PLAIN,
    ".log": MediaType.PLAIN,
    ".srt": MediaType.PLAIN,
    ".vtt": MediaType.PLAIN,
    ".html": MediaType.HTML,
    ".htm": MediaType.HTML,
    ".xhtml": MediaType.HTML,
    ".csv": MediaType.CSV,
    ".tsv": MediaType.TSV,
    ".tab": MediaType.TSV,
    ".json": MediaType.JSON,
    ".jsonl": MediaType.JSONL,
    ".ndjson": MediaType.JSONL,
    ".ipynb": MediaType.NOTEBOOK,
    ".pdf": MediaType.PDF,
    ".docx": MediaType.DOCX,
    ".docm": MediaType.DOCX,
    ".xlsx": MediaType.XLSX,
    ".xlsm": MediaType.XLSX,
    ".xlsb": MediaType.XLSB,
    ".xls": MediaType.XLS,
    ".ods": MediaType.ODS,
    ".pptx": MediaType.PPTX,
    ".pptm": MediaType.PPTX,
    ".epub": MediaType.EPUB,
}

CODE_LANGUAGES: dict[str, str] = {
    ".py": "python",
    ".js": "javascript",
    ".mjs": "javascript",
    ".ts": "typescript",
    ".tsx": "tsx",
    ".jsx": "jsx",
    ".java": "java",
    ".kt": "kotlin",
    ".scala": "scala",
    ".go": "go",
    ".rs": "rust",
    ".c": "c",
    ".h": "c",
    ".cc": "cpp",
    ".cpp": "cpp",
    ".hpp": "cpp",
    ".cs": "csharp",
    ".swift": "swift",
    ".rb": "ruby",
    ".php": "php",
    ".pl": "perl",
    ".r": "r",
    ".lua": "lua",
    ".sh": "bash",
    ".bash": "bash",
    ".ps1": "powershell",
    ".sql": "sql",
    ".css": "css",
    ".scss": "scss",
    ".xml": "xml",
    ".yaml": "yaml",
    ".yml": "yaml",
    ".toml": "toml",
    ".ini": "ini",
    ".cfg": "ini",
    ".conf": "ini",
    ".proto": "protobuf",
    ".graphql": "graphql",
    ".tf": "hcl",
}
"""Map from a suffix to the language name after a code fence."""

SUPPORTED_SUFFIXES: frozenset[str] = frozenset(_BY_SUFFIX) | frozenset(CODE_LANGUAGES)

_TEXT = frozenset(kind for kind in MediaType if kind.startswith("text/") or "json" in kind)
_HINTS = {
    "text/x-markdown": MediaType.MARKDOWN,
    "application/xhtml+xml": MediaType.HTML,
    "application/x-ndjson": MediaType.JSONL,
    **{str(kind): kind for kind in MediaType},
}
_PACKAGE_PARTS = (  # the main part of an Office package, by folder
    ("word/document", MediaType.DOCX),
    ("xl/workbook.xml", MediaType.XLSX),
    ("xl/workbook.bin", MediaType.XLSB),
    ("ppt/presentation", MediaType.PPTX),
)
_PACKAGE_MIMETYPES = {
    "application/epub+zip": MediaType.EPUB,
    "application/vnd.oasis.opendocument.spreadsheet": MediaType.ODS,
}
_OTHER_SUFFIXES = {  # frequent formats without a reader, with the text of the error message
    ".doc": "a Word document of the old kind; save it as .docx",
    ".ppt": "a PowerPoint file of the old kind; save it as .pptx",
    ".msg": "an Outlook message; save it as .html or .txt",
    ".odt": "an OpenDocument text; save it as .docx",
    ".odp": "an OpenDocument presentation; save it as .pptx",
    ".mobi": "a Kindle book; convert it to .epub",
}

EXPECTED_SUFFIXES: frozenset[str] = SUPPORTED_SUFFIXES | frozenset(_OTHER_SUFFIXES)
"""Suffixes of files taken from a folder: readable formats, and formats that fail with advice instead of silently."""

_OLE_MARK = b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1"
_OLE_STREAMS = (  # a stream that only this program writes, and the error text; "": Ragstone reads the format
    ("EncryptedPackage", "encrypted"),
    ("WordDocument", "a Word document of the old kind; save it as .docx"),
    ("PowerPoint Document", "a PowerPoint file of the old kind; save it as .pptx"),
    ("__properties_version1.0", "an Outlook message; save it as .html or .txt"),
    ("VisioDocument", "a Visio drawing; export it as .pdf"),
    ("Workbook", ""),
    ("Book", ""),
)
_MARKS = (
    (b"\x7fELF", "a program"),
    (b"MZ", "a program"),
    (b"\xcf\xfa\xed\xfe", "a program"),
    (b"\x89PNG", "an image; recognise its text (OCR) and ingest the result"),
    (b"\xff\xd8\xff", "an image; recognise its text (OCR) and ingest the result"),
    (b"GIF8", "an image; recognise its text (OCR) and ingest the result"),
    (b"II*\x00", "an image; recognise its text (OCR) and ingest the result"),
    (b"MM\x00*", "an image; recognise its text (OCR) and ingest the result"),
    (b"\x1f\x8b", "a packed file; unpack it and ingest what is inside"),
    (b"BZh", "a packed file; unpack it and ingest what is inside"),
    (b"\xfd7zXZ", "a packed file; unpack it and ingest what is inside"),
    (b"7z\xbc\xaf", "a packed file; unpack it and ingest what is inside"),
    (b"Rar!", "a packed file; unpack it and ingest what is inside"),
    (b"{\\rtf", "a rich text (RTF) file; save it as .docx"),
    (b"SQLite format 3", "a database; export its tables as .csv"),
)
_HTML_START = re.compile(rb"(?:\s|<!--.*?-->|<\?xml[^>]*>)*<(?:!doctype\s+html|html[\s>])", re.IGNORECASE | re.DOTALL)
_SNIFF_BYTES = 4096  # a signature has to be within these; PDF readers search the first 1024


def suffix_of(name: str) -> str:
    """The lower-case suffix of a file name, with its dot; empty if there is none."""
    return PurePosixPath(name.replace("\\", "/")).suffix.lower()


def detect_media_type(content: bytes, *, name: str, hint: str | None = None) -> str:
    """Media type as which `content` will be read.

    A damaged container gets the type that its name claims: the reader then reports the damage.

    Raises:
        EmptyDocument: no bytes.
        EncryptedDocument: an Office file that needs a password.
        Unsupported: no reader exists for its format; the message says what to do instead.
    """
    if not content.strip(b"\x00 \t\r\n"):
        raise EmptyDocument("The file is empty. Check that it is the right file.")
    claimed = _claimed(name, hint)
    if _is_pdf(content, claimed):
        return MediaType.PDF
    if content.startswith((b"PK\x03\x04", b"PK\x05\x06")):
        return _zip_type(content, claimed)
    if content.startswith(_OLE_MARK):
        return _ole_type(content, claimed)
    for mark, what in _MARKS:
        if content.startswith(mark) and (len(mark) > 3 or not looks_like_text(content)):
            raise _unsupported(what)
    if not looks_like_text(content):
        raise Unsupported(_binary_sentence(name, claimed))
    return _text_type(content, name, claimed)


def _claimed(name: str, hint: str | None) -> MediaType | None:
    suffix = suffix_of(name)
    if suffix in CODE_LANGUAGES:
        return MediaType.CODE
    if suffix in _BY_SUFFIX:
        return _BY_SUFFIX[suffix]
    return _HINTS.get((hint or "").split(";")[0].strip().lower())


def _is_pdf(content: bytes, claimed: MediaType | None) -> bool:
    start = content[:_SNIFF_BYTES]
    return start.lstrip(b"\xef\xbb\xbf\x00 \t\r\n").startswith(b"%PDF-") or (
        claimed is MediaType.PDF and b"%PDF-" in start
    )


def _zip_type(content: bytes, claimed: MediaType | None) -> MediaType:
    try:
        with zipfile.ZipFile(BytesIO(content)) as package:
            names = package.namelist()
            kind = _package_mimetype(package) if "mimetype" in names else None
    except (zipfile.BadZipFile, ValueError, OSError, NotImplementedError, RuntimeError):
        if claimed is not None and claimed not in _TEXT:
            return claimed
        raise _unsupported("a damaged zip archive; send the original file again") from None
    for part, office in _PACKAGE_PARTS:
        if any(name.startswith(part) for name in names):
            return office
    if kind is None:
        raise _unsupported("a zip archive or a packed format that Ragstone does not know; unpack it or export it")
    return kind


def _package_mimetype(package: zipfile.ZipFile) -> MediaType:
    with package.open("mimetype") as entry:
        mimetype = entry.read(128).decode("ascii", "replace").strip()
    if mimetype in _PACKAGE_MIMETYPES:
        return _PACKAGE_MIMETYPES[mimetype]
    raise _unsupported("an OpenDocument or other packed file; save it as .docx, .pptx or .pdf")


def _ole_type(content: bytes, claimed: MediaType | None) -> MediaType:
    """Media type of an OLE container, from the first stream in its directory that identifies a program.

    Embedded objects add streams of other programs, but after those of the container.
    """
    sector = 1 << min(int.from_bytes(content[30:32], "little"), 20)
    directory = (int.from_bytes(content[48:52], "little") + 1) * sector
    found = [
        (place, what)
        for stream, what in _OLE_STREAMS
        if (place := content.find(stream.encode("utf-16-le") + b"\x00\x00", min(directory, len(content)))) >= 0
    ]
    what = min(found)[1] if found else "of the old Office kind, or damaged; save it as .docx, .xlsx or .pptx"
    if claimed is MediaType.XLS and ("" in {sentence for _, sentence in found} or not found):
        return MediaType.XLS
    if what == "encrypted":
        raise EncryptedDocument("The Office file is protected by a password; save a copy without one.")
    if what:
        raise _unsupported(what)
    return MediaType.XLS


def _text_type(content: bytes, name: str, claimed: MediaType | None) -> MediaType:
    if claimed is MediaType.CODE:
        return claimed
    if _HTML_START.match(content[:_SNIFF_BYTES].lstrip(b"\xef\xbb\xbf")):
        return MediaType.HTML
    if claimed in _TEXT and claimed is not None:
        return claimed
    if claimed is None and not suffix_of(name) and content.lstrip().startswith((b"{", b"[")):
        return MediaType.JSON
    return MediaType.PLAIN


def _binary_sentence(name: str, claimed: MediaType | None) -> str:
    if suffix_of(name) in _OTHER_SUFFIXES:
        return f"The file is {_OTHER_SUFFIXES[suffix_of(name)]}."
    if claimed is None or claimed is MediaType.CODE:
        return "The file is binary, in a format that no parser reads; export it as PDF, DOCX, HTML or text."
    suffix = suffix_of(name) or claimed
    return f"The file claims to be {suffix} but its content is not; it is damaged or wrongly named. Send the original."


def _unsupported(what: str) -> Unsupported:
    return Unsupported(f"The file is {what}.")
