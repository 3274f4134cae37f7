"""Names of uploaded files, made safe to store and to show."""

from __future__ import annotations

import re
import unicodedata

from ragstone.errors import InvalidInput

MAX_NAME_CHARS = 200
_SEPARATORS = re.compile(r"[/\\]")


def safe_name(name: str) -> str:
    """What is left of a file name: its last part, without what hides or turns text.

    A long one is cut in the middle, so that its suffix stays.

    Raises:
        InvalidInput: nothing is left.
    """
    cleaned = visible_line(_SEPARATORS.split(name)[-1]).lstrip(".")
    if not cleaned:
        raise InvalidInput("A file came without a usable name. Send each with a file name such as report.pdf.")
    if len(cleaned) <= MAX_NAME_CHARS:
        return cleaned
    return f"{cleaned[: MAX_NAME_CHARS // 2]}…{cleaned[1 - MAX_NAME_CHARS // 2 :]}"


def visible_line(text: str) -> str:
    """The text on one line, normalised (NFC), without control, format and unassigned characters.

    Those of the kind format, such as right-to-left override or zero-width space, hide or turn what is read.
    """
    shown = "".join(" " if character.isspace() else character for character in text)
    kept = "".join(character for character in shown if unicodedata.category(character)[0] != "C")
    return unicodedata.normalize("NFC", " ".join(kept.split()))
