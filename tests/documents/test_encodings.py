"""Encodings: bytes are decoded to the text that their author wrote."""

from __future__ import annotations

import codecs
import re
from pathlib import Path

import pytest

from ragstone.documents.encodings import decode, looks_like_text

RUSSIAN = "В гимназии он не был в числе первых учеников, но любил математику и русскую словесность. " * 3


@pytest.mark.parametrize(
    ("content", "text"),
    [
        (codecs.BOM_UTF8 + "äöü".encode(), "äöü"),
        ("äöü".encode("utf-16"), "äöü"),
        ("äöü".encode("utf-32"), "äöü"),
        (RUSSIAN.encode("utf-16-be"), RUSSIAN),
        (RUSSIAN.encode("utf-16-le"), RUSSIAN),
        ("plain words".encode("utf-32-be"), "plain words"),
        ("日本語".encode("iso2022_jp"), "日本語"),
        (RUSSIAN.encode("cp1251"), RUSSIAN),
        (
            "L'été dernier, à Noël, les garçons étaient déjà là où le maître l'espérait.".encode("cp1252"),
            "L'été dernier, à Noël, les garçons étaient déjà là où le maître l'espérait.",
        ),
        (b'<?xml version="1.0" encoding="IBM866"?>' + "Привет".encode("cp866"), None),
        (b'<meta charset="shift_jis"><p>' + "髙橋".encode("cp932"), '<meta charset="shift_jis"><p>髙橋'),
        (b'<meta charset="iso-8859-1">' + b"\x93quoted\x94", '<meta charset="iso-8859-1">“quoted”'),
        (b'<meta charset="iso-8859-1">' + "naïve".encode(), '<meta charset="iso-8859-1">naïve'),
        (b'<meta charset="rot13">' + "naïve".encode("cp1252"), '<meta charset="rot13">naïve'),
    ],
)
def test_text_is_decoded_as_it_was_written(content: bytes, text: str | None):
    assert decode(content).text == (text or '<?xml version="1.0" encoding="IBM866"?>Привет')


def test_lost_characters_are_told():
    broken = decode(codecs.BOM_UTF8 + b"good \xff bad")
    assert broken.text == "good \ufffd bad"
    assert "utf-8" in broken.warnings[0]


def test_binary_is_not_text():
    assert not looks_like_text(bytes(range(256)) * 10)
    assert not looks_like_text(b"text with a\x00NUL in it, and more text")


# What the folder's name says, where the label means more in practice or Python has another name.
CODECS = {
    "MacCyrillic": "mac-cyrillic",
    "Johab": "johab",
    "Big5": "big5hkscs",
    "SHIFT_JIS": "cp932",
    "UTF-16": "utf-16",
}


def test_every_file_of_the_encodings_corpus_is_decoded_right(open_data: Path):
    wrong = []
    for path in sorted((open_data / "parser" / "encodings").glob("*/*")):
        label = path.parent.name
        if not label.startswith(("utf", "UTF")):
            label = CODECS.get(label) or re.sub(r"-[a-z]+$", "", label)
        content = path.read_bytes()
        decoded = decode(content)
        if decoded.text.strip("\ufeff") != content.decode(label, "replace").strip("\ufeff"):
            wrong.append((path.parent.name, path.name, decoded.encoding))
    assert wrong == []
