"""Media types: the content decides; the name counts for text only."""

from __future__ import annotations

import pytest

from ragstone.documents.media_types import SUPPORTED_SUFFIXES, MediaType, detect_media_type
from ragstone.errors import EmptyDocument, EncryptedDocument, Unsupported
from tests.documents import builders


def ole(*streams: str) -> bytes:
    directory = b"".join(stream.encode("utf-16-le").ljust(128, b"\x00") for stream in ("Root Entry", *streams))
    header = b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1".ljust(30, b"\x00") + (9).to_bytes(2, "little")
    return header.ljust(512, b"\x00") + directory


PDF = builders.pdf(["text"])


@pytest.mark.parametrize(
    ("content", "name", "expected"),
    [
        (PDF, "report.pdf", MediaType.PDF),
        (PDF, "notes.txt", MediaType.PDF),
        (b"junk before\n" + PDF, "x.pdf", MediaType.PDF),
        (b"How a PDF starts: %PDF-1.7", "x.md", MediaType.MARKDOWN),
        (builders.docx(("", "x")), "letter.pdf", MediaType.DOCX),
        (builders.xlsx({"s": [[1]]}), "table", MediaType.XLSX),
        (builders.pptx(("t", ["b"])), "slides.zip", MediaType.PPTX),
        (builders.epub("<p>x</p>"), "book", MediaType.EPUB),
        (builders.docx(("", "x"))[:200], "cut.docx", MediaType.DOCX),
        (ole("Workbook"), "old.xls", MediaType.XLS),
        (ole("Workbook", "WordDocument"), "embeds.xls", MediaType.XLS),
        (b"<!-- c -->\n<!DOCTYPE html><p>x", "page.txt", MediaType.HTML),
        (b"# Title", "readme.md", MediaType.MARKDOWN),
        (b"a,b\n1,2", "t.csv", MediaType.CSV),
        (b'{"a": 1}', "data", MediaType.JSON),
        (b"def f(): ...", "a.py", MediaType.CODE),
        (b"MZ is a postal code prefix", "notes.txt", MediaType.PLAIN),
        ("Привет, мир".encode("utf-16-le"), "nobom.txt", MediaType.PLAIN),
        (b"no suffix", "LICENSE", MediaType.PLAIN),
    ],
)
def test_a_file_is_what_its_content_says(content: bytes, name: str, expected: MediaType):
    assert detect_media_type(content, name=name) == expected


def test_a_hint_counts_where_the_name_says_nothing():
    assert detect_media_type(b"# T", name="upload", hint="text/markdown; charset=utf-8") == MediaType.MARKDOWN
    assert detect_media_type(PDF, name="upload", hint="text/markdown") == MediaType.PDF


@pytest.mark.parametrize(
    ("content", "name", "advice"),
    [
        (b"\x7fELF\x02\x01\x01" + bytes(64), "paper.pdf", "program"),
        (ole("WordDocument"), "letter.doc", "save it as .docx"),
        (ole("PowerPoint Document"), "slides.ppt", "save it as .pptx"),
        (ole("__properties_version1.0"), "mail.msg", "Outlook"),
        (b"\x89PNG\r\n\x1a\n" + bytes(64), "scan.png", "OCR"),
        (b"{\\rtf1 x}", "a.rtf", "save it as .docx"),
        (builders.packed({"a.txt": "x"}), "a.zip", "unpack"),
        (builders.packed({"mimetype": "application/vnd.oasis.opendocument.text"}), "a.odt", ".docx"),
        (bytes(range(256)) * 8, "noise.bin", "binary"),
        (bytes(range(256)) * 8, "noise.pdf", "claims to be .pdf"),
    ],
)
def test_what_no_reader_knows_is_refused_with_advice(content: bytes, name: str, advice: str):
    with pytest.raises(Unsupported, match=advice):
        detect_media_type(content, name=name)


def test_a_protected_office_file_is_told_from_a_broken_one():
    with pytest.raises(EncryptedDocument, match="password"):
        detect_media_type(ole("EncryptedPackage"), name="secret.xlsx")


@pytest.mark.parametrize("content", [b"", b" \n\t ", b"\x00\x00\x00"])
def test_an_empty_file_is_called_empty(content: bytes):
    with pytest.raises(EmptyDocument):
        detect_media_type(content, name="a.txt")


def test_supported_suffixes_are_lower_case_with_a_dot():
    assert {".md", ".pdf", ".docx", ".xlsx", ".ods", ".csv", ".pptx", ".epub", ".json", ".html"} <= SUPPORTED_SUFFIXES
    assert all(suffix == suffix.lower() and suffix.startswith(".") for suffix in SUPPORTED_SUFFIXES)
