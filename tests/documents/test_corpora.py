"""Files of other projects, some hostile on purpose, and mutants of our own: each ends with an answer.

An answer is a document, or an error that says why not; never a hang, a leak or a foreign error.
"""

from __future__ import annotations

import json
import random
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest

from ragstone.documents.base import ParsedDocument
from ragstone.documents.canonical import canonical_text
from ragstone.documents.parser import SandboxedParser
from ragstone.errors import EncryptedDocument, UnreadableDocument, Unsupported
from tests.documents import builders

SEED = 20260101
MUTANTS_PER_FILE = 24

# MarkItDown's own notation, or what Ragstone leaves out on purpose.
NOT_OURS = {
    "data:image/png;base64...",  # a picture is its description; its data is never text
    "data:image/png;base64,iVBORw0KGgoAAAANSU",
    "* A bullet point",  # Ragstone writes list items with a hyphen
    "* Another point",
}


async def outcome(parser: SandboxedParser, content: bytes, name: str) -> ParsedDocument | type[Exception]:
    try:
        document = await parser.parse(content, name=name)
    except (UnreadableDocument, Unsupported) as error:
        return type(error)
    assert document.text.strip()
    assert canonical_text(document.text) == document.text
    ends = [0, *(page.end for page in document.pages)]
    assert all(
        start <= page.start < page.end <= len(document.text) for start, page in zip(ends, document.pages, strict=False)
    )
    return document


async def test_office_files_and_pdfs_made_to_break_parsers_all_get_an_answer(open_data: Path, parser: SandboxedParser):
    folder = open_data / "parser"
    files = [
        path for part in ("office_poi", "pdf", "markitdown") for path in (folder / part).rglob("*") if path.is_file()
    ]
    outcomes = {path.name: await outcome(parser, path.read_bytes(), path.name) for path in files}
    read = [name for name, result in outcomes.items() if isinstance(result, ParsedDocument)]
    assert len(outcomes) > 100
    assert len(read) > 80
    assert outcomes["issue6010_2.pdf"] is EncryptedDocument
    assert (
        Counter(type(outcomes[name]) for name in outcomes if name.endswith((".doc", ".ppt", ".msg")))[ParsedDocument]
        == 0
    )


async def test_texts_that_markitdown_must_find_are_found(open_data: Path, parser: SandboxedParser):
    folder = open_data / "parser" / "markitdown"
    vectors = json.loads((folder / "vectors.json").read_text("utf-8"))
    checked, missing = 0, []
    for vector in vectors:
        path = folder / "files" / vector["filename"]
        if not path.is_file() or path.suffix == ".msg":
            continue
        text = (await parser.parse(path.read_bytes(), name=path.name)).text
        checked += 1
        missing += [(path.name, want) for want in vector["must_include"] if want not in text and want not in NOT_OURS]
        missing += [(path.name, bad) for bad in vector["must_not_include"] if bad in text]
    assert checked >= 7
    assert missing == []


def mutants(content: bytes) -> Iterator[bytes]:
    """Cut off, with bytes changed, and with a piece taken out; the same ones in each run."""
    chance = random.Random(SEED)
    for number in range(MUTANTS_PER_FILE):
        mutant = bytearray(content)
        if number % 3 == 0:
            del mutant[chance.randrange(1, len(mutant)) :]
        elif number % 3 == 1:
            for _ in range(chance.choice((1, 8, 64))):
                mutant[chance.randrange(len(mutant))] = chance.randrange(256)
        else:
            start = chance.randrange(len(mutant))
            del mutant[start : start + chance.randrange(1, 200)]
        yield bytes(mutant)


@pytest.mark.parametrize(
    ("content", "name"),
    [
        (builders.pdf([(18, "Title"), "one line", "another"], ["page two"]), "m.pdf"),
        (
            builders.docx(("Heading1", "Title"), ("", "text"), body=builders.docx_table([["a", "b"], ["1", "2"]])),
            "m.docx",
        ),
        (builders.xlsx({"one": [["a", "b"], [1, 2.5]], "two": [["x"]]}), "m.xlsx"),
        (builders.pptx(("Title", ["a", "b"]), notes="note"), "m.pptx"),
        (builders.epub("<h1>One</h1><p>text</p>", "<p>two</p>"), "m.epub"),
        (b"<html><body><article><h1>T</h1><table><tr><td>a<td>b</table><p>text</article></body></html>", "m.html"),
        (json.dumps({"a": [1, {"b": "c"}], "d": "e" * 300}).encode(), "m.json"),
        ("größe;name\n1;ä\n2;ö\n".encode("cp1252"), "m.csv"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
async def test_damaged_files_get_an_answer(parser: SandboxedParser, content: bytes, name: str):
    assert isinstance(await outcome(parser, content, name), ParsedDocument)
    for mutant in mutants(content):
        await outcome(parser, mutant, name)
