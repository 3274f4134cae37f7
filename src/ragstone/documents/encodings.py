"""Text encodings: detects whether bytes are text and in which encoding, and decodes them."""

from __future__ import annotations

import codecs
import re
from dataclasses import dataclass

SAMPLE_BYTES = 64 << 10  # enough to detect an encoding; the detector is slow on longer samples
MAX_CONTROL_SHARE = 0.02  # logs contain some escapes; machine code contains 10 % and more

MAX_LOSS_SHARE = 0.01  # a declared encoding with more errors than this is a wrong one

# Candidates for undeclared text. The detector confuses rarer ones (Mac, DOS, Baltic, EBCDIC)
# with these: it took French in cp1252 for Baltic cp1257.
_LIKELY = (
    *("cp1252", "cp1250", "cp1251", "cp1253", "cp1254", "cp1255", "cp1256", "cp874"),
    *("iso8859_2", "iso8859_5", "iso8859_7", "koi8_r", "cp866", "cp850"),
    *("cp932", "euc_jp", "gb18030", "big5hkscs", "cp949", "johab"),
)
_CENTRAL_EUROPEAN = ("cp1250", "iso8859_2")
_BOMS = (
    (codecs.BOM_UTF8, "utf-8-sig"),
    (codecs.BOM_UTF32_LE, "utf-32"),  # begins with the mark of UTF-16, so it comes first
    (codecs.BOM_UTF32_BE, "utf-32"),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
)
_CONTROLS = bytes(c for c in range(32) if c not in b"\t\n\r\f\x1b") + b"\x7f"
_DECLARED = re.compile(
    rb"""<\?xml[^>]*?encoding\s*=\s*["']([\w.:-]+)|<meta[^>]*?charset\s*=\s*["']?\s*([\w.:-]+)""", re.IGNORECASE
)
# Meaning of labels in practice: https://encoding.spec.whatwg.org/#names-and-labels
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
    """Decoded text, its encoding, and the number of lost characters."""

    text: str
    encoding: str
    losses: int = 0

    @property
    def warnings(self) -> tuple[str, ...]:
        """One sentence if characters were lost."""
        if not self.losses:
            return ()
        return (
            f"The encoding is unclear; the file was read as {self.encoding}, and {self.losses} characters are missing.",
        )


def looks_like_text(content: bytes) -> bool:
    """Whether `content`, decoded in its likely encoding, is text: it has few control characters."""
    sample = content[:SAMPLE_BYTES]
    if _marked(sample) or _wide(sample):
        return True
    if b"\x00" in sample.rstrip(b"\x00"):
        return False
    controls = len(sample) - len(sample.translate(None, _CONTROLS))
    return controls <= len(sample) * MAX_CONTROL_SHARE


def decode(content: bytes) -> Decoded:
    """Decode `content` by its byte order mark, as UTF-8, by its declaration (HTML, XML), then by statistics.

    Bytes that are valid UTF-8 beyond ASCII are UTF-8 in practice, so UTF-8 wins over a
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
    if declared and (slightly := _lossy(content, declared)).losses <= len(content) * MAX_LOSS_SHARE:
        return slightly
    return _guessed(content)


def _marked(content: bytes) -> str | None:
    return next((encoding for mark, encoding in _BOMS if content.startswith(mark)), None)


def _wide(sample: bytes) -> str | None:
    """UTF-16 or UTF-32 without a mark: detected by NULs at regular positions and a text without NULs."""
    if b"\x00" not in sample:
        return None
    for width, encoding in ((4, "utf-32-be"), (4, "utf-32-le"), (2, "utf-16-be"), (2, "utf-16-le")):
        text = _strict(sample[: len(sample) // width * width], encoding)
        if text and "\x00" not in text and _mostly_common(text):
            return encoding
    return None


def _mostly_common(text: str) -> bool:
    """Whether most characters are common; a wrong byte order scatters text over rare blocks."""
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
        b"a".decode(label)
    except (LookupError, UnicodeError):  # unknown, or not a text encoding, such as rot13
        return None
    return (
        None if label.startswith(("utf-16", "utf-32", "utf16", "utf32")) else label
    )  # text in these has no label in ASCII


def _seven_bit(content: bytes) -> Decoded:
    if b"\x1b$" in content and (text := _strict(content, "iso2022_jp_2")) is not None:
        return Decoded(text, "iso2022_jp_2")
    return Decoded(content.decode("ascii"), "ascii")


def _guessed(content: bytes) -> Decoded:
    from charset_normalizer import from_bytes

    guesses = [guess.encoding for guess in from_bytes(content[:SAMPLE_BYTES], cp_isolation=list(_LIKELY))]
    best = guesses[0] if guesses else "cp1252"
    if best in _CENTRAL_EUROPEAN and "cp1252" in guesses and not _is_hungarian(content[:SAMPLE_BYTES]):
        best = "cp1252"
    return _lossy(content, best)


def _is_hungarian(sample: bytes) -> bool:
    """Whether the sample is Hungarian in cp1250, which cp1252 also decodes to letters: ő and ű become õ and û."""
    letters = set(sample.decode("cp1252", "replace").lower())
    return bool(letters & set("õû")) and not letters & set("àèêïãñç¿")


def _strict(content: bytes, encoding: str) -> str | None:
    try:
        return content.decode(encoding)
    except UnicodeError:
        return None


def _lossy(content: bytes, encoding: str) -> Decoded:
    text = _strict(content, encoding)
    if text is not None:
        return Decoded(text, encoding)
    text = content.decode(encoding, "replace")
    return Decoded(text, encoding, losses=text.count("\ufffd"))
