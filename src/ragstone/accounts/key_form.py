"""What a key looks like: its kind, 190 random bits, and a checksum that tells typing errors apart."""

from __future__ import annotations

import re
import secrets
import string
import zlib
from typing import Literal

SECRET_PREFIX = "rs_sk_"  # noqa: S105 — how a key begins, no key
PUBLISHABLE_PREFIX = "rs_pk_"
_DIGITS = string.digits + string.ascii_uppercase + string.ascii_lowercase
_RANDOM_CHARS = 32  # 190 bits
_SHOWN_CHARS = 4  # of them, to tell keys apart; 166 bits stay unknown
_CHECKSUM_CHARS = 6  # 62 ** 6 > 2 ** 32
_FORM = re.compile(rf"rs_[sp]k_[0-9A-Za-z]{{{_RANDOM_CHARS + _CHECKSUM_CHARS}}}")


def well_formed(presented: str) -> bool:
    """Whether it has the form and the checksum of a key; tells typing errors apart without the database."""
    if not _FORM.fullmatch(presented):
        return False
    return presented[-_CHECKSUM_CHARS:] == _checksum(presented[:-_CHECKSUM_CHARS])


def new_key(kind: Literal["secret", "publishable"]) -> str:
    """A key that nobody has."""
    prefix = SECRET_PREFIX if kind == "secret" else PUBLISHABLE_PREFIX
    body = prefix + "".join(secrets.choice(_DIGITS) for _ in range(_RANDOM_CHARS))
    return body + _checksum(body)


def start_of(key: str) -> str:
    """Its first characters, to tell it by; what is left is as hard to guess as ever."""
    return key[: len(SECRET_PREFIX) + _SHOWN_CHARS]


def _checksum(body: str) -> str:
    """CRC-32 in base 62."""
    rest, digits = zlib.crc32(body.encode()), ""
    for _ in range(_CHECKSUM_CHARS):
        rest, digit = divmod(rest, len(_DIGITS))
        digits = _DIGITS[digit] + digits
    return digits
