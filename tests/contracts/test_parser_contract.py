"""One suite for every parser. Reading in this process, without limits of the system, is the reference."""

from __future__ import annotations

import asyncio
import unicodedata
from collections.abc import AsyncIterator

import pytest

from ragstone.documents.base import ParsedDocument, Parser, ParserLimits
from ragstone.documents.parser import SandboxedParser
from ragstone.documents.read import read
from ragstone.errors import EmptyDocument, UnreadableDocument, Unsupported

FILES = {
    "notes.txt": "Plain text.\r\nWith a second line.\u200b",
    "notes.md": "# A heading\n\nA paragraph with cafe\u0301.\n",
    "page.html": "<html><head><title>The page</title></head><body><h1>Heading</h1><p>Words.</p></body></html>",
    "table.csv": "name,metres\ntower,330\nbridge,1280\n",
}


class ReferenceParser:
    """The readers, called in this process."""

    async def parse(self, content: bytes, *, name: str, media_type: str | None = None) -> ParsedDocument:
        return read(content, name=name, media_type=media_type, limits=ParserLimits())


@pytest.fixture(params=["reference", "sandboxed"])
async def parser(request: pytest.FixtureRequest) -> AsyncIterator[Parser]:
    if request.param == "reference":
        yield ReferenceParser()
        return
    sandboxed = SandboxedParser(processes=2)
    yield sandboxed
    await sandboxed.close()


async def test_every_parser_reads_what_the_reference_reads(parser: Parser):
    for name, text in FILES.items():
        document = await parser.parse(text.encode(), name=name)
        assert document == await ReferenceParser().parse(text.encode(), name=name)


async def test_the_text_is_canonical(parser: Parser):
    for name, text in FILES.items():
        document = await parser.parse(text.encode(), name=name)
        assert document.text.strip()
        assert document.text == unicodedata.normalize("NFC", document.text)
        assert not {"\r", "\u200b", "\x00"} & set(document.text)


async def test_a_title_comes_from_the_document(parser: Parser):
    assert (await parser.parse(FILES["page.html"].encode(), name="page.html")).title == "The page"


async def test_documents_that_are_parsed_at_once_do_not_mix(parser: Parser):
    texts = [f"The number is {number}." for number in range(6)]
    documents = await asyncio.gather(
        *(parser.parse(text.encode(), name=f"{place}.txt") for place, text in enumerate(texts))
    )
    assert [document.text.strip() for document in documents] == texts


@pytest.mark.parametrize(
    ("content", "name", "error"),
    [
        (b"", "empty.txt", EmptyDocument),
        (b" \n\t\n", "blank.md", EmptyDocument),
        (b"\x7fELF\x02\x01\x01" + b"\x00" * 64, "program", Unsupported),
        (b"%PDF-1.7\nbroken", "broken.pdf", UnreadableDocument),
        (b"PK\x03\x04broken", "broken.docx", UnreadableDocument),
    ],
    ids=["empty", "blank", "program", "damaged-pdf", "damaged-docx"],
)
async def test_what_cannot_be_read_is_refused_with_its_own_error(
    parser: Parser, content: bytes, name: str, error: type[Exception]
):
    with pytest.raises(error):
        await parser.parse(content, name=name)


async def test_a_parser_goes_on_after_a_document_that_cannot_be_read(parser: Parser):
    with pytest.raises(UnreadableDocument):
        await parser.parse(b"%PDF-1.7\nbroken", name="broken.pdf")
    assert (await parser.parse(b"Words.", name="good.txt")).text.strip() == "Words."
