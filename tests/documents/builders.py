"""Small files of every format, made by code, for tests of all packages."""

from __future__ import annotations

import zipfile
from collections.abc import Mapping, Sequence
from io import BytesIO

DOCX_TYPES = (
    '<?xml version="1.0"?><Types xmlns="http://schemas.openxmlformats.org/package/2006/content-types">'
    '<Default Extension="rels" ContentType="application/vnd.openxmlformats-package.relationships+xml"/>'
    '<Override PartName="/word/document.xml" ContentType='
    '"application/vnd.openxmlformats-officedocument.wordprocessingml.document.main+xml"/></Types>'
)
DOCX_RELATIONS = (
    '<?xml version="1.0"?><Relationships xmlns="http://schemas.openxmlformats.org/package/2006/relationships">'
    '<Relationship Id="r1" Target="word/document.xml" Type='
    '"http://schemas.openxmlformats.org/officeDocument/2006/relationships/officeDocument"/></Relationships>'
)
WORD = "http://schemas.openxmlformats.org/wordprocessingml/2006/main"


def packed(entries: Mapping[str, str | bytes]) -> bytes:
    """A zip archive of `entries`, in their order."""
    target = BytesIO()
    with zipfile.ZipFile(target, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in entries.items():
            archive.writestr(name, content)
    return target.getvalue()


def docx(*paragraphs: tuple[str, str], body: str = "") -> bytes:
    """A Word document of (style, text) paragraphs, then raw `body` XML; style "" is plain text."""
    styled = "".join(
        f'<w:p><w:pPr><w:pStyle w:val="{style}"/></w:pPr><w:r><w:t>{text}</w:t></w:r></w:p>'
        for style, text in paragraphs
    )
    document = f'<?xml version="1.0"?><w:document xmlns:w="{WORD}"><w:body>{styled}{body}</w:body></w:document>'
    return packed({"[Content_Types].xml": DOCX_TYPES, "_rels/.rels": DOCX_RELATIONS, "word/document.xml": document})


def docx_table(rows: Sequence[Sequence[str]]) -> str:
    """XML of a table, for `docx(body=…)`."""
    cells = ("".join(f"<w:tc><w:p><w:r><w:t>{cell}</w:t></w:r></w:p></w:tc>" for cell in row) for row in rows)
    return "<w:tbl>" + "".join(f"<w:tr>{row}</w:tr>" for row in cells) + "</w:tbl>"


def docx_bomb(size_bytes: int) -> bytes:
    """A Word document whose text unpacks to `size_bytes`, at about a thousandth of that."""
    paragraph = "<w:p><w:r><w:t>" + "A" * 10_000 + "</w:t></w:r></w:p>"
    return docx(body=paragraph * (size_bytes // len(paragraph) + 1))


def xlsx(sheets: Mapping[str, Sequence[Sequence[object]]]) -> bytes:
    """A workbook."""
    import xlsxwriter

    target = BytesIO()
    with xlsxwriter.Workbook(target, {"in_memory": True}) as workbook:
        for name, rows in sheets.items():
            sheet = workbook.add_worksheet(name)
            for number, row in enumerate(rows):
                sheet.write_row(number, 0, row)
    return target.getvalue()


def xlsx_with_far_corner() -> bytes:
    """A workbook with two cells, in opposite corners of the largest sheet there is."""
    import xlsxwriter

    target = BytesIO()
    with xlsxwriter.Workbook(target, {"in_memory": True}) as workbook:
        sheet = workbook.add_worksheet("corners")
        sheet.write(0, 0, "first")
        sheet.write(1_048_575, 16_383, "last")
    return target.getvalue()


def pptx(*slides: tuple[str, Sequence[str]], notes: str = "") -> bytes:
    """A presentation of (title, bullets) slides; `notes` go to the first."""
    from pptx import Presentation

    presentation = Presentation()
    for title, bullets in slides:
        slide = presentation.slides.add_slide(presentation.slide_layouts[1])
        slide.shapes.title.text = title
        slide.placeholders[1].text = "\n".join(bullets)
    if notes:
        presentation.slides[0].notes_slide.notes_text_frame.text = notes
    target = BytesIO()
    presentation.save(target)
    return target.getvalue()


def epub(*chapters: str, title: str = "A Book", author: str = "Ada") -> bytes:
    """A book of chapters given as the inner HTML of their bodies; files lie in reverse order."""
    names = [f"chapter{number}.xhtml" for number in range(1, len(chapters) + 1)]
    items = "".join(f'<item id="{n}" href="text/{n}" media-type="application/xhtml+xml"/>' for n in sorted(names)[::-1])
    spine = "".join(f'<itemref idref="{name}"/>' for name in names)
    package = (
        '<?xml version="1.0"?><package xmlns="http://www.idpf.org/2007/opf" version="3.0">'
        f'<metadata xmlns:dc="http://purl.org/dc/elements/1.1/"><dc:title>{title}</dc:title>'
        f"<dc:creator>{author}</dc:creator></metadata><manifest>{items}</manifest><spine>{spine}</spine></package>"
    )
    container = (
        '<?xml version="1.0"?><container xmlns="urn:oasis:names:tc:opendocument:xmlns:container" version="1.0">'
        '<rootfiles><rootfile full-path="OEBPS/content.opf" media-type="application/oebps-package+xml"/>'
        "</rootfiles></container>"
    )
    page = '<?xml version="1.0" encoding="utf-8"?><html xmlns="http://www.w3.org/1999/xhtml"><body>{}</body></html>'
    files = {f"OEBPS/text/{name}": page.format(body) for name, body in zip(names, chapters, strict=True)}
    return packed(
        {"mimetype": "application/epub+zip", "META-INF/container.xml": container, "OEBPS/content.opf": package, **files}
    )


def pdf(*pages: Sequence[str | tuple[int, str]], encrypted: bool = False) -> bytes:
    """A PDF; a page is lines of ASCII, each plain (10 points) or with its type size."""
    objects = ["<< /Type /Catalog /Pages 2 0 R >>"]
    first_page = 4
    kids = " ".join(f"{first_page + 2 * number} 0 R" for number in range(len(pages)))
    objects.append(f"<< /Type /Pages /Kids [{kids}] /Count {len(pages)} >>")
    objects.append("<< /Type /Font /Subtype /Type1 /BaseFont /Helvetica >>")
    for number, lines in enumerate(pages):
        objects.append(
            "<< /Type /Page /Parent 2 0 R /MediaBox [0 0 612 792] /Resources << /Font << /F1 3 0 R >> >> "
            f"/Contents {first_page + 2 * number + 1} 0 R >>"
        )
        stream = _page_stream(lines)
        objects.append(f"<< /Length {len(stream)} >>\nstream\n{stream}\nendstream")
    return _pdf_file(objects, encrypted=encrypted)


def _page_stream(lines: Sequence[str | tuple[int, str]]) -> str:
    y, drawn = 760.0, []
    for line in lines:
        size, text = line if isinstance(line, tuple) else (10, line)
        y -= size * 1.2
        escaped = text.replace("\\", r"\\").replace("(", r"\(").replace(")", r"\)")
        drawn.append(f"BT /F1 {size} Tf 72 {y:.1f} Td ({escaped}) Tj ET")
        if not text:
            y -= size
    return "\n".join(drawn)


def _pdf_file(objects: Sequence[str], *, encrypted: bool) -> bytes:
    file, offsets = b"%PDF-1.4\n", []
    if encrypted:
        locked = f"<< /Filter /Standard /V 1 /R 2 /P -4 /O <{'28BF4E5E' * 8}> /U <{'0055AA11' * 8}> >>"
        objects = [*objects, locked]
    for number, body in enumerate(objects, start=1):
        offsets.append(len(file))
        file += f"{number} 0 obj\n{body}\nendobj\n".encode("ascii")
    table = "".join(f"{offset:010} 00000 n \n" for offset in offsets)
    lock = f" /Encrypt {len(objects)} 0 R /ID [<{'00' * 16}> <{'00' * 16}>]" if encrypted else ""
    trailer = f"trailer\n<< /Size {len(objects) + 1} /Root 1 0 R{lock} >>\nstartxref\n{len(file)}\n%%EOF\n"
    return file + f"xref\n0 {len(objects) + 1}\n0000000000 65535 f \n{table}{trailer}".encode("ascii")
