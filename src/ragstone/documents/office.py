"""Word reader (DOCX) to Markdown, and the title in the properties of any Office file."""

from __future__ import annotations

from io import BytesIO
from xml.etree.ElementTree import ParseError
from zipfile import BadZipFile, ZipFile

import mammoth
from defusedxml import DefusedXmlException
from defusedxml.ElementTree import fromstring

from ragstone.documents.archive import opened_archive
from ragstone.documents.base import ParserLimits
from ragstone.documents.canonical import MarkdownDraft
from ragstone.documents.html import fragment_to_markdown

_FORMULA = b"<m:oMath"
_WORD_STYLES = """
p[style-name='Title'] => h1:fresh
p[style-name='Subtitle'] => p:fresh
p[style-name='Quote'] => blockquote > p:fresh
p[style-name='Intense Quote'] => blockquote > p:fresh
p[style-name='Code'] => pre:separator('\\n')
p[style-name='HTML Preformatted'] => pre:separator('\\n')
"""


def read_docx(content: bytes, limits: ParserLimits) -> MarkdownDraft:
    """Read headings, lists, tables, emphasis and notes; of a picture, only its description."""
    with opened_archive(content, limits) as archive:
        title = core_title(archive)
        has_formulas = "word/document.xml" in archive.namelist() and _FORMULA in archive.read("word/document.xml")
    result = mammoth.convert_to_html(
        BytesIO(content),
        style_map=_WORD_STYLES,
        include_embedded_style_map=False,  # a style map from an untrusted file
        convert_image=mammoth.images.img_element(lambda _: {"src": ""}),
    )
    warnings = ("Formulas were left out; export the document as PDF to keep them.",) if has_formulas else ()
    return MarkdownDraft((fragment_to_markdown(result.value),), title=title, warnings=warnings)


def core_title(archive: ZipFile) -> str | None:
    """Title in the properties of an Office file."""
    try:
        properties = fromstring(archive.read("docProps/core.xml"))
    except (KeyError, ParseError, DefusedXmlException, BadZipFile):
        return None
    return str(properties.findtext("{http://purl.org/dc/elements/1.1/}title") or "") or None
