"""Names that people give to things: shown as they are, so they hold nothing that is not seen."""

from __future__ import annotations

from ragstone.errors import InvalidInput

MAX_NAME_CHARS = 200


def checked_name(text: str) -> str:
    """The name without blanks around it; it may be empty.

    Raises:
        InvalidInput: it is too long, or has characters that are not seen.
    """
    name = text.strip()
    if len(name) > MAX_NAME_CHARS:
        raise InvalidInput(f"The name has {len(name)} characters. Use {MAX_NAME_CHARS} at most.")
    if not name.isprintable():
        raise InvalidInput("The name has control characters in it. Use letters, digits, blanks and signs.")
    return name
