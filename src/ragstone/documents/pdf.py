"""PDF reader: pages to Markdown with PDFium.

A PDF has positioned glyphs but no paragraphs or headings. PDFium returns lines in reading
order. Their font size and distance, measured at one character per line, give the structure:
a line clearly larger than the body text is a heading, a gap ends a paragraph.
"""

from __future__ import annotations

import ctypes
import math
import re
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from pypdfium2 import PdfDocument, PdfiumError, PdfTextPage, raw

from ragstone.documents.base import ParserLimits, limit_reached
from ragstone.documents.canonical import MarkdownDraft
from ragstone.errors import EmptyDocument, EncryptedDocument, UnreadableDocument

HEADING_RATIO = 1.15  # of the body's font size; footnote marks and bold text are below it
MAX_HEADING_CHARS = 150
MAX_HEADING_SHARE = 0.3  # of the lines; with more of them the page is a poster, not an outline
MAX_HEADING_LEVEL = 4
PARAGRAPH_GAP_RATIO = 0.6  # of the font size, from the lower edge of a line to the upper edge of the next
MIN_PAGES_WITH_RUNNING_LINES = 4  # on fewer pages a repeated line may be content
RUNNING_LINE_SHARE = 0.6  # of the pages: chapters change running heads, and left and right pages may differ
MAX_LISTED_PAGES = 20

_LINE_BREAK = re.compile(r"\r\n|\r|\n")
_LOOKS_LIKE_HEADING = re.compile(r"#{1,6}\s")
_LEADERS = re.compile(r"(?:\. ?){4}|\u2026{2}")
_NO_TITLE = re.compile(r"\(?(?:untitled|anonymous|unspecified)\)?|(?:Microsoft \w+ - )?[^ ]*\.\w{1,5}", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class _Line:
    """A line with its font size, and its upper and lower edge in points from the bottom of the page."""

    text: str
    size: float
    top: float
    bottom: float


def read_pdf(content: bytes, limits: ParserLimits) -> MarkdownDraft:
    """Read the text of each page in reading order; words hyphenated at line ends are joined.

    Raises:
        EncryptedDocument: it needs a password.
        EmptyDocument: no page contains text, as in a scan.
        UnreadableDocument: PDFium cannot open it.
        ParserLimit: more than `max_pages`, or too much text.
    """
    document = _opened(content)
    if len(document) > limits.max_pages:
        raise limit_reached(limits, "max_pages")
    pages, broken = _pages(document, limits)
    pages = _without_running_lines(pages)
    levels = _heading_levels([line for page in pages for line in page])
    parts = tuple("".join(_markdown(page, levels)) for page in pages)
    without_text = [number for number, part in enumerate(parts, start=1) if not part.strip() and number not in broken]
    if len(broken) == len(pages):
        raise UnreadableDocument("No page of the PDF can be read; export it again.")
    if len(without_text) + len(broken) == len(pages):
        raise EmptyDocument("No page of the PDF contains text; it is probably a scan. Recognise its text (OCR) first.")
    warnings = (
        *_about_pages(without_text, "contains no text; if it is a scan, recognise its text (OCR) first"),
        *_about_pages(broken, "is damaged and was left out"),
    )
    return MarkdownDraft(parts, paged=True, title=_title(document), warnings=warnings)


def _opened(content: bytes) -> PdfDocument:
    try:
        return PdfDocument(content)
    except PdfiumError as error:
        if error.err_code == raw.FPDF_ERR_PASSWORD:
            raise EncryptedDocument("The PDF is protected by a password; save a copy without one.") from error
        raise UnreadableDocument("The PDF is damaged and cannot be opened; export it again.") from error


def _title(document: PdfDocument) -> str | None:
    title = str(document.get_metadata_value("Title")).strip()
    return None if _NO_TITLE.fullmatch(title) else title


def _pages(document: PdfDocument, limits: ParserLimits) -> tuple[list[list[_Line]], list[int]]:
    """Lines of each page, and the numbers of unreadable pages."""
    pages: list[list[_Line]] = []
    broken: list[int] = []
    chars = 0
    for number in range(len(document)):
        try:
            lines = list(_page_lines(document, number))
        except PdfiumError:
            broken.append(number + 1)
            lines = []
        chars += sum(len(line.text) for line in lines)
        if chars > limits.max_text_chars:
            raise limit_reached(limits, "max_text_chars")
        pages.append(lines)
    return pages, broken


def _without_running_lines(pages: list[list[_Line]]) -> list[list[_Line]]:
    """Pages without running heads and feet: first and last lines that most pages share, apart from digits."""
    if len(pages) < MIN_PAGES_WITH_RUNNING_LINES:
        return pages
    for edge in (0, -1):
        shapes = Counter(_shape(page[edge]) for page in pages if page)
        shape, count = max(shapes.items(), key=lambda item: item[1], default=(("", 0.0), 0))
        if count > len(pages) * RUNNING_LINE_SHARE:
            pages = [_without(page, edge) if page and _shape(page[edge]) == shape else page for page in pages]
    return pages


def _without(page: list[_Line], edge: int) -> list[_Line]:
    return page[1:] if edge == 0 else page[:-1]


def _shape(line: _Line) -> tuple[str, float]:
    return re.sub(r"\d+", "0", line.text), line.size


def _page_lines(document: PdfDocument, number: int) -> Iterator[_Line]:
    page = document[number]
    textpage = page.get_textpage()
    try:
        text = textpage.get_text_range()
        start = 0
        for ending in (*_LINE_BREAK.finditer(text), None):
            line = text[start : ending.start() if ending else len(text)]
            if shown := line.strip():
                yield _measured(textpage, shown, start + line.index(shown[0]))
            start = ending.end() if ending else len(text)
    finally:
        textpage.close()
        page.close()


def _measured(textpage: PdfTextPage, line: str, text_index: int) -> _Line:
    """Measure the size at the first character, and the edges at the first and last; zero if PDFium has none.

    The last character may be a row lower, if PDFium has joined a hyphenated word.
    """
    first = raw.FPDFText_GetCharIndexFromTextIndex(textpage, text_index)
    last = raw.FPDFText_GetCharIndexFromTextIndex(textpage, text_index + len(line) - 1)
    matrix, head, foot = raw.FS_MATRIX(), raw.FS_RECTF(), raw.FS_RECTF()
    known = (
        min(first, last) >= 0
        and raw.FPDFText_GetMatrix(textpage, first, ctypes.byref(matrix))
        and raw.FPDFText_GetLooseCharBox(textpage, first, ctypes.byref(head))
        and raw.FPDFText_GetLooseCharBox(textpage, last, ctypes.byref(foot))
    )
    if not known:
        return _Line(line, 0, 0, 0)
    size = raw.FPDFText_GetFontSize(textpage, first) * math.hypot(matrix.c, matrix.d)
    return _Line(line, round(size * 2) / 2, head.top, foot.bottom)


def _heading_levels(lines: Sequence[_Line]) -> dict[float, int]:
    """Map from font size to heading level, the largest first; empty if sizes do not indicate headings."""
    chars: Counter[float] = Counter()
    for line in lines:
        chars[line.size] += len(line.text)
    if not chars:
        return {}
    body = chars.most_common(1)[0][0]
    larger = [line for line in lines if line.size >= body * HEADING_RATIO and _is_titular(line.text)]
    if not body or len(larger) > len(lines) * MAX_HEADING_SHARE:
        return {}
    sizes = sorted({line.size for line in larger}, reverse=True)
    return {size: min(level, MAX_HEADING_LEVEL) for level, size in enumerate(sizes, start=1)}


def _is_titular(text: str) -> bool:
    """Whether a line can be a heading: short, with letters, and not part of a table of contents."""
    return len(text) <= MAX_HEADING_CHARS and sum(map(str.isalpha, text)) > 1 and not _LEADERS.search(text)


def _markdown(page: Sequence[_Line], levels: dict[float, int]) -> Iterator[str]:
    before: _Line | None = None
    for line in page:
        level = levels.get(line.size, 0) if _is_titular(line.text) else 0
        if before is not None:
            yield _separator(before, line, is_heading=level > 0)
        if level and (before is None or not _continues(before, line)):
            yield "#" * level + " "
        yield "\\" + line.text if not level and _LOOKS_LIKE_HEADING.match(line.text) else line.text
        before = line


def _separator(before: _Line, line: _Line, *, is_heading: bool) -> str:
    if is_heading and _continues(before, line):
        return " "
    gap = before.bottom - line.top
    if line.size != before.size or gap > line.size * PARAGRAPH_GAP_RATIO or line.top > before.top:
        return "\n\n"
    return "\n"


def _continues(before: _Line, line: _Line) -> bool:
    """Whether two lines of heading size belong to one heading."""
    return line.size == before.size and 0 < before.top - line.top < 2 * line.size


def _about_pages(numbers: Sequence[int], what: str) -> tuple[str, ...]:
    if not numbers:
        return ()
    listed = ", ".join(map(str, numbers[:MAX_LISTED_PAGES]))
    more = f" and {len(numbers) - MAX_LISTED_PAGES} more" if len(numbers) > MAX_LISTED_PAGES else ""
    return (f"Page {listed}{more} {what}.",)
