"""Readers: the Markdown of each format keeps the relevant content."""

from __future__ import annotations

import json
import zipfile
from datetime import date
from io import BytesIO

import pytest

from ragstone.documents.base import ParsedDocument, ParserLimits
from ragstone.documents.read import read
from ragstone.errors import EmptyDocument, EncryptedDocument, ParserLimit, UnreadableDocument
from tests.documents import builders


def parsed(content: bytes, name: str, **limits: int) -> ParsedDocument:
    return read(content, name=name, media_type=None, limits=ParserLimits(**limits))


def pages_of(document: ParsedDocument) -> dict[int, str]:
    return {page.number: document.text[page.start : page.end] for page in document.pages}


def test_markdown_is_kept_as_it_is():
    source = "---\ntitle: A Guide\n---\n\n# Start *here*\n\n- a  \n  b\n\n<div>x</div>\n\n    code\n"
    document = parsed(source.encode(), "guide.md")
    assert document.text == source.rstrip("\n")
    assert document.title == "A Guide"


def test_the_first_heading_is_the_title_of_markdown_without_front_matter():
    assert parsed(b"intro\n\nThe `Guide`\n=====\n", "x.md").title == "The Guide"
    assert parsed(b"# The [Guide](x) #\n", "x.md").title == "The Guide"


def test_source_code_goes_into_one_fence_so_its_comments_are_no_headings():
    document = parsed(b"# not a heading\nx = '```'\n", "tool.py")
    assert document.text == "````python\n# not a heading\nx = '```'\n````"


def test_a_table_of_values_becomes_a_markdown_table_whatever_its_delimiter():
    for delimiter in ",;\t|":
        rows = [["name", "amount", "note"], ["Ada", "1.5", "a, b; c"], ["Bob", "2", ""]]
        content = "\n".join(delimiter.join(f'"{cell}"' for cell in row) for row in rows).encode()
        document = parsed(content, "t.csv")
        assert document.text == "| name | amount | note |\n| --- | --- | --- |\n| Ada | 1.5 | a, b; c |\n| Bob | 2 |  |"


def test_pipes_and_line_breaks_inside_cells_do_not_tear_the_table():
    assert parsed(b'a,b\n"x|y","two\nlines"\n', "t.csv").text.endswith("| x\\|y | two lines |")


def test_each_sheet_is_a_page_under_its_name():
    workbook = builders.xlsx(
        {
            "Costs": [["Costs of 2024"], [], ["Item", "Price", "Sold"], ["Nail", 0.1, True], ["Saw", 12.0, False]],
            "Empty": [],
            "Notes": [["only one column"], ["of notes"]],
        }
    )
    document = parsed(workbook, "book.xlsx")
    assert pages_of(document) == {
        1: "## Costs\n\nCosts of 2024\n\n| Item | Price | Sold |\n| --- | --- | --- |\n| Nail | 0.1 | TRUE |\n"
        "| Saw | 12 | FALSE |",
        3: "## Notes\n\n- only one column\n- of notes",
    }


def test_a_word_document_keeps_headings_and_tables():
    table = builders.docx_table([["Part", "Weight"], ["Bolt", "3 g"]])
    document = parsed(builders.docx(("Heading1", "Parts"), ("", "All of them."), body=table), "parts.docx")
    assert document.text == "# Parts\n\nAll of them.\n\n| Part | Weight |\n| --- | --- |\n| Bolt | 3 g |"


def test_formulas_of_a_word_document_are_not_lost_silently():
    body = '<w:p xmlns:m="urn:m"><w:r><w:t>See</w:t></w:r><m:oMath><m:r/></m:oMath></w:p>'
    assert "Formulas" in parsed(builders.docx(body=body), "f.docx").warnings[0]


def test_each_slide_is_a_page_with_its_title_bullets_and_notes():
    document = parsed(builders.pptx(("Plan", ["first", "second"]), ("End", ["one"]), notes="Speak slowly."), "s.pptx")
    assert pages_of(document) == {1: "## Plan\n\n- first\n- second\n\nNotes: Speak slowly.", 2: "## End\n\none"}


def test_a_book_is_read_in_the_order_of_its_spine():
    document = parsed(builders.epub("<h1>One</h1><p>a <b>b</b></p>", "<h1>Two</h1><ul><li>c</li></ul>"), "b.epub")
    assert document.title == "A Book"
    assert document.text == "**Authors:** Ada\n\n# One\n\na **b**\n\n# Two\n\n- c"


def test_a_missing_chapter_is_told_and_the_rest_is_read():
    book = builders.epub("<p>one</p>", "<p>two</p>")
    with zipfile.ZipFile(BytesIO(book)) as archive:
        kept = {name: archive.read(name) for name in archive.namelist() if "chapter2" not in name}
    document = parsed(builders.packed(kept), "b.epub")
    assert document.text.endswith("one")
    assert "chapter2.xhtml" in document.warnings[0]


def test_nested_json_is_flattened_to_paths():
    data = {
        "name": "Pump",
        "size": {"height": {"cm": 12}},
        "tags": ["a", "b"],
        "parts": [{"id": 1, "n": 2}, {"id": 2, "n": 3}],
    }
    document = parsed(json.dumps(data).encode(), "p.json")
    assert document.title == "Pump"
    assert document.text == (
        "- name: Pump\n\n## size\n\n- height.cm: 12\n\n## tags\n\n- a, b\n\n## parts\n\n"
        "| id | n |\n| --- | --- |\n| 1 | 2 |\n| 2 | 3 |"
    )


def test_each_line_of_json_lines_is_a_record_with_a_heading():
    lines = b'{"title": "One", "text": "' + b"long " * 60 + b'"}\n{"title": "Two", "text": "short"}\n'
    text = parsed(lines, "c.jsonl").text
    assert text.startswith("## One\n\n- title: One\n\ntext:\n\nlong long")
    assert text.endswith("## Two\n\n- title: Two\n- text: short")


def test_broken_json_is_kept_as_text_with_a_warning():
    document = parsed(b'{"a": 1, // comment\n}', "tsconfig.json")
    assert document.text == '{"a": 1, // comment\n}'
    assert "not valid JSON" in document.warnings[0]


def test_a_notebook_keeps_its_text_code_and_text_output():
    cells = [
        {"cell_type": "markdown", "source": ["# Study\n", "words"]},
        {"cell_type": "code", "source": "print(1)", "outputs": [{"text": ["1\n"]}, {"data": {"image/png": "AAAA"}}]},
    ]
    document = parsed(json.dumps({"cells": cells, "nbformat": 4}).encode(), "s.ipynb")
    assert document.title == "Study"
    assert document.text == "# Study\nwords\n\n```python\nprint(1)\n```\n\n```text\n1\n```"


def test_a_pdf_has_pages_headings_paragraphs_and_whole_words():
    body = [
        "The pump lifts water from the well to",
        "the tank above the house.",
        "",
        "It runs at night when power is cheap.",
    ]
    document = parsed(builders.pdf([(20, "Pumps"), *body], ["Second page, on which nothing is large."]), "p.pdf")
    assert pages_of(document) == {
        1: "# Pumps\n\nThe pump lifts water from the well to\nthe tank above the house.\n\n"
        "It runs at night when power is cheap.",
        2: "Second page, on which nothing is large.",
    }


def test_running_heads_and_page_numbers_are_dropped():
    pages = [["Annual Report", f"Content of page {word} is unique.", str(n)] for n, word in enumerate("abcde", start=1)]
    text = parsed(builders.pdf(*pages), "r.pdf").text
    assert "Annual Report" not in text
    assert text.split("\n\n") == [f"Content of page {word} is unique." for word in "abcde"]


def test_pages_without_text_are_listed():
    document = parsed(builders.pdf(["words"], [], ["more"], []), "scan.pdf")
    assert document.warnings == ("Page 2, 4 contains no text; if it is a scan, recognise its text (OCR) first.",)
    assert [page.number for page in document.pages] == [1, 3]


def test_a_scan_asks_for_ocr():
    with pytest.raises(EmptyDocument, match="OCR"):
        parsed(builders.pdf([], []), "scan.pdf")


def test_a_locked_pdf_asks_for_a_copy_without_password():
    with pytest.raises(EncryptedDocument, match="password"):
        parsed(builders.pdf(["x"], encrypted=True), "x.pdf")


@pytest.mark.parametrize(
    ("content", "name"),
    [
        (b"%PDF-1.7\nnothing else", "x.pdf"),
        (builders.docx(("", "x"))[:300], "x.docx"),
        (builders.epub("<p>x</p>")[:-60], "x.epub"),
        (b"{}", "x.ipynb"),
        (builders.packed({"xl/workbook.xml": "<broken"}), "x.xlsx"),
        (b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1" + bytes(600), "x.xls"),
    ],
)
def test_a_damaged_file_is_called_damaged(content: bytes, name: str):
    with pytest.raises(UnreadableDocument) as caught:
        parsed(content, name)
    assert type(caught.value) is UnreadableDocument


@pytest.mark.parametrize(
    ("content", "name"),
    [
        (builders.pdf(["a"], ["b"], ["c"]), "x.pdf"),
        (builders.pptx(("a", ["b"]), ("c", ["d"]), ("e", ["f"])), "x.pptx"),
        (builders.xlsx({"a": [[1]], "b": [[1]], "c": [[1]]}), "x.xlsx"),
    ],
)
def test_too_many_pages_name_the_setting(content: bytes, name: str):
    with pytest.raises(ParserLimit, match="RAGSTONE_PARSER__MAX_PAGES"):
        parsed(content, name, max_pages=2)


def test_an_archive_with_too_many_entries_is_refused():
    many = builders.packed({"word/document.xml": "<x/>", **{f"word/{n}.xml": "" for n in range(50)}})
    with pytest.raises(ParserLimit, match="RAGSTONE_PARSER__MAX_ARCHIVE_ENTRIES"):
        parsed(many, "x.docx", max_archive_entries=20)


@pytest.mark.parametrize("name", ["x.docx", "x.xlsx", "x.pptx", "x.epub"])
def test_a_bomb_is_refused_before_its_parser_sees_it(name: str):
    parts = {"x.docx": "word/document.xml", "x.xlsx": "xl/workbook.xml", "x.pptx": "ppt/presentation.xml"}
    entries = {"mimetype": "application/epub+zip"} if name == "x.epub" else {parts[name]: "<x/>"}
    bomb = builders.packed({**entries, "media/zeros": bytes(5 << 20)})
    assert len(bomb) < 10_000
    with pytest.raises(ParserLimit, match="RAGSTONE_PARSER__MAX_EXPANDED_BYTES"):
        parsed(bomb, name, max_expanded_bytes=4 << 20)


def test_an_archive_that_lies_about_its_size_is_measured():
    honest = builders.packed({"word/document.xml": bytes(5 << 20)})
    declared = (5 << 20).to_bytes(4, "little")
    assert honest.count(declared) == 2
    with pytest.raises(ParserLimit, match="RAGSTONE_PARSER__MAX_EXPANDED_BYTES"):
        parsed(honest.replace(declared, (100).to_bytes(4, "little")), "x.docx", max_expanded_bytes=4 << 20)


def test_dates_read_as_iso():
    import xlsxwriter

    target = BytesIO()
    with xlsxwriter.Workbook(target, {"in_memory": True, "default_date_format": "yyyy-mm-dd"}) as workbook:
        sheet = workbook.add_worksheet("s")
        sheet.write_row(0, 0, ["day", "n"])
        sheet.write_datetime(1, 0, date(2024, 3, 1))
        sheet.write(1, 1, 2.5)
    assert "| 2024-03-01 | 2.5 |" in parsed(target.getvalue(), "d.xlsx").text
