"""READ: parses one file: bytes → media type → reader of that format → canonical text.

Runs inside the sandbox. The reader of a binary format is imported with the first file of that format.
"""

from __future__ import annotations

from typing import assert_never

from ragstone.documents.base import ParsedDocument, ParserLimits
from ragstone.documents.canonical import MarkdownDraft, fenced, finish, markdown_title
from ragstone.documents.encodings import decode
from ragstone.documents.media_types import CODE_LANGUAGES, MediaType, detect_media_type, suffix_of


def read(content: bytes, *, name: str, media_type: str | None, limits: ParserLimits) -> ParsedDocument:
    """Parse one file in this process.

    Raises:
        Unsupported: no reader exists for its format.
        UnreadableDocument: empty, encrypted, corrupt, or beyond a limit.
    """
    kind = MediaType(detect_media_type(content, name=name, hint=media_type))
    draft = _draft(content, kind, name, limits)
    return finish(draft, media_type=kind, limits=limits)


def _draft(content: bytes, kind: MediaType, name: str, limits: ParserLimits) -> MarkdownDraft:  # noqa: C901 - one table
    match kind:
        case MediaType.MARKDOWN:
            return _read_markdown(content)
        case MediaType.PLAIN:
            return _read_plain(content)
        case MediaType.CODE:
            return _read_code(content, language=CODE_LANGUAGES[suffix_of(name)])
        case MediaType.HTML:
            from ragstone.documents.html import read_html

            return read_html(content)
        case MediaType.PDF:
            from ragstone.documents.pdf import read_pdf

            return read_pdf(content, limits)
        case MediaType.CSV | MediaType.TSV:
            from ragstone.documents.sheets import read_csv

            return read_csv(content)
        case MediaType.JSON | MediaType.JSONL:
            from ragstone.documents.structured import read_json

            return read_json(content, lines=kind is MediaType.JSONL)
        case MediaType.NOTEBOOK:
            from ragstone.documents.structured import read_notebook

            return read_notebook(content)
        case MediaType.DOCX:
            from ragstone.documents.office import read_docx

            return read_docx(content, limits)
        case MediaType.PPTX:
            from ragstone.documents.slides import read_pptx

            return read_pptx(content, limits)
        case MediaType.XLSX | MediaType.XLSB | MediaType.XLS | MediaType.ODS:
            from ragstone.documents.sheets import read_workbook

            return read_workbook(content, limits)
        case MediaType.EPUB:
            from ragstone.documents.epub import read_epub

            return read_epub(content, limits)
        case _:
            assert_never(kind)


def _read_markdown(content: bytes) -> MarkdownDraft:
    """Read Markdown unchanged; the title is that of the front matter, else the first heading of level one."""
    decoded = decode(content)
    return MarkdownDraft((decoded.text,), title=markdown_title(decoded.text), warnings=decoded.warnings)


def _read_plain(content: bytes) -> MarkdownDraft:
    """Read plain text unchanged, without a title."""
    decoded = decode(content)
    return MarkdownDraft((decoded.text,), warnings=decoded.warnings)


def _read_code(content: bytes, *, language: str) -> MarkdownDraft:
    """Read source code into one fence, so that comments are not parsed as headings."""
    decoded = decode(content)
    return MarkdownDraft((fenced(decoded.text, language),), warnings=decoded.warnings)
