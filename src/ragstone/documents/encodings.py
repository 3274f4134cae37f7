"""Bytes to text: which encoding, and whether it is text at all."""

from __future__ import annotations

import codecs
import re
from dataclasses import dataclass

SAMPLE_BYTES = 64 << 10  # enough to tell an encoding; the detector is slow beyond
MAX_CONTROL_SHARE = 0.02  # logs hold some escapes; machine code holds 10 % and more

_BOMS = (
    (codecs.BOM_UTF8, "utf-8-sig"),
    (codecs.BOM_UTF32_LE, "utf-32"),  # begins like that of UTF-16, so it comes first
    (codecs.BOM_UTF32_BE, "utf-32"),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
)
_CONTROLS = bytes(c for c in range(32) if c not in b"\t\n\r\f\x1b") + b"\x7f"
_DECLARED = re.compile(
    rb"""<\?xml[^>]*?encoding\s*=\s*["']([\w.:-]+)|<meta[^>]*?charset\s*=\s*["']?\s*([\w.:-]+)""", re.IGNORECASE
)
# What a label means in practice: https://encoding.spec.whatwg.org/#names-and-labels
_LABELS = {
    "iso-8859-1": "cp1252",
    "latin-1": "cp1252",
    "latin1": "cp1252",
    "ascii": "cp1252",
    "us-ascii": "cp1252",
    "iso-8859-9": "cp1254",
    "iso-8859-11": "cp874",
    "tis-620": "cp874",
    "gb2312": "gb18030",
    "gbk": "gb18030",
    "shift_jis": "cp932",
    "shift-jis": "cp932",
    "sjis": "cp932",
    "x-sjis": "cp932",
    "euc-kr": "cp949",
    "ks_c_5601-1987": "cp949",
    "big5": "big5hkscs",
    "x-mac-cyrillic": "mac-cyrillic",
}


@dataclass(frozen=True, slots=True)
class Decoded:
    """Text, the encoding it was in, and whether that was a guess that lost characters."""

    text: str
    encoding: str
    lossy: bool = False

    @property
    def warnings(self) -> tuple[str, ...]:
        """One sentence if characters were lost."""
        if not self.lossy:
            return ()
        return (f"The encoding is unclear; it was read as {self.encoding}, and some characters are missing.",)


def looks_like_text(content: bytes) -> bool:
    """Whether `content` decodes to text: few control characters, in its likely encoding."""
    sample = content[:SAMPLE_BYTES]
    if _marked(sample) or _wide(sample):
        return True
    if b"\x00" in sample.rstrip(b"\x00"):
        return False
    controls = len(sample) - len(sample.translate(None, _CONTROLS))
    return controls <= len(sample) * MAX_CONTROL_SHARE


def decode(content: bytes) -> Decoded:
    """Text of `content`: by byte order mark, UTF-8, declaration (HTML, XML), then statistics.

    Valid UTF-8 beyond ASCII is never anything else in practice, so it wins over a wrong
    declaration.
    """
    if marked := _marked(content):
        return _lossy(content, marked)
    if wide := _wide(content[:SAMPLE_BYTES]):
        return _lossy(content, wide)
    is_seven_bit = content.isascii()
    if not is_seven_bit and (text := _strict(content, "utf-8")) is not None:
        return Decoded(text, "utf-8")
    if (declared := _declared(content)) and (text := _strict(content, declared)) is not None:
        return Decoded(text, declared)
    if is_seven_bit:
        return _seven_bit(content)
    return _guessed(content)


def _marked(content: bytes) -> str | None:
    return next((encoding for mark, encoding in _BOMS if content.startswith(mark)), None)


def _wide(sample: bytes) -> str | None:
    """UTF-16 or UTF-32 without a mark: NULs at regular places, and text without NULs."""
    if b"\x00" not in sample:
        return None
    for width, encoding in ((4, "utf-32-be"), (4, "utf-32-le"), (2, "utf-16-be"), (2, "utf-16-le")):
        text = _strict(sample[: len(sample) // width * width], encoding)
        if text and "\x00" not in text and _mostly_common(text):
            return encoding
    return None


def _mostly_common(text: str) -> bool:
    """Right byte order shows: wrong order scatters text over the rare blocks."""
    common = sum(c in "\t\n\r" or " " <= c < "\u0600" for c in text)
    printable = sum(c.isprintable() or c in "\t\n\r" for c in text)
    return printable >= 0.95 * len(text) and common >= 0.1 * len(text)


def _declared(content: bytes) -> str | None:
    found = _DECLARED.search(content[:4096])
    if not found:
        return None
    label = (found[1] or found[2]).decode("ascii").lower()
    label = _LABELS.get(label, label)
    try:
        codec = codecs.lookup(label)
    except LookupError:
        return None
    return None if codec.name.startswith(("utf-16", "utf-32")) else codec.name  # no declaration survives in these


def _seven_bit(content: bytes) -> Decoded:
    if b"\x1b$" in content and (text := _strict(content, "iso2022_jp_2")) is not None:
        return Decoded(text, "iso2022_jp_2")
    return Decoded(content.decode("ascii"), "ascii")


def _guessed(content: bytes) -> Decoded:
    from charset_normalizer import from_bytes

    best = from_bytes(content[:SAMPLE_BYTES]).best()
    encoding = best.encoding if best else "cp1252"
    if encoding.startswith("utf"):
        encoding = "utf-8"
    return _lossy(content, _LABELS.get(encoding.replace("_", "-"), encoding))


def _strict(content: bytes, encoding: str) -> str | None:
    try:
        return content.decode(encoding)
    except (UnicodeError, LookupError):  # LookupError: a declared codec that is not of text
        return None


def _lossy(content: bytes, encoding: str) -> Decoded:
    text = _strict(content, encoding)
    if text is not None:
        return Decoded(text, encoding)
    return Decoded(content.decode(encoding, "replace"), encoding, lossy=True)
