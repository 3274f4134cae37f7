"""PDF to Markdown, page by page, through PDFium."""

from __future__ import annotations

import pypdfium2 as pdfium
from pypdfium2 import PdfDocument

from ragstone.documents.base import ParserLimits
from ragstone.documents.canonical import Draft
from ragstone.documents.limits import limit_reached
from ragstone.errors import EmptyDocument, EncryptedDocument, UnreadableDocument


def read_pdf(content: bytes, limits: ParserLimits) -> Draft:
    """The text of each page in reading order.

    Raises:
        EncryptedDocument: it opens with a password only.
        EmptyDocument: no page holds text, as in a scan.
        UnreadableDocument: PDFium cannot open it.
        ParserLimit: more than `max_pages`.
    """
    document = _opened(content)
    if len(document) > limits.max_pages:
        raise limit_reached(limits, "max_pages")
    pages = tuple(_page_text(document, number) for number in range(len(document)))
    blank = [number for number, text in enumerate(pages, start=1) if not text.strip()]
    if len(blank) == len(pages):
        raise EmptyDocument("No page of the PDF holds text; it is probably a scan. Recognise its text (OCR) first.")
    return Draft(pages, paged=True, title=document.get_metadata_value("Title") or None, warnings=_missing(blank))


def _opened(content: bytes) -> PdfDocument:
    try:
        return PdfDocument(content)
    except pdfium.PdfiumError as error:
        if getattr(error, "err_code", None) == pdfium.raw.FPDF_ERR_PASSWORD:
            raise EncryptedDocument("The PDF is protected by a password; save a copy without one.") from error
        raise UnreadableDocument("The PDF is damaged and cannot be opened; export it again.") from error


def _page_text(document: PdfDocument, number: int) -> str:
    page = document[number]
    textpage = page.get_textpage()
    try:
        return str(textpage.get_text_bounded())
    finally:
        textpage.close()
        page.close()


def _missing(blank: list[int]) -> tuple[str, ...]:
    if not blank:
        return ()
    listed = ", ".join(map(str, blank[:20])) + (" and others" if len(blank) > 20 else "")
    return (f"No text on page {listed}; if these are scans, recognise their text (OCR) first.",)
