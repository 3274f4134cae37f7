"""The API access token of Vectorize.io, as far as it can be judged without asking: its shape and its end.

It is a JWT. Who signed it is Vectorize's business, so the signature is not looked at.
"""

from __future__ import annotations

import base64
import binascii
import json
import re
from datetime import UTC, datetime, timedelta
from typing import Any

import structlog

from ragstone.errors import ConfigurationError

log = structlog.get_logger()

SOON = timedelta(days=7)  # long enough to make a new one before a pipeline falls silent
MAX_TOKEN_CHARS = 16_384

_PARTS = re.compile(r"[A-Za-z0-9_-]+\.[A-Za-z0-9_-]+\.[A-Za-z0-9_-]+")
_OPAQUE = re.compile(r"[\x21-\x7e]+")


def checked_token(token: str, *, now: datetime, opaque: bool = False) -> None:
    """Refuse a token that cannot work; an event warns of one that ends within a week.

    Args:
        token: What the operator or tenant gave.
        now: With a time zone.
        opaque: Another form is accepted too, as gateways of the older form have.

    Raises:
        ConfigurationError: it is no token, or has expired; the sentence does not hold it.
    """
    if _PARTS.fullmatch(token) is None and opaque:
        if len(token) > MAX_TOKEN_CHARS or not _OPAQUE.fullmatch(token):
            raise ConfigurationError("The token of the pipeline holds blanks or line ends. Copy it again.")
        return
    ends = expiry_of(token)
    if ends is None:
        return
    if ends <= now:
        raise ConfigurationError(
            f"The token of the pipeline expired on {ends:%Y-%m-%d}. "
            "Make a new API access token at Vectorize and set it."
        )
    if ends - now <= SOON:
        log.warning("vectorize.token_ends_soon", ends=f"{ends:%Y-%m-%d}", days=(ends - now).days)


def expiry_of(token: str) -> datetime | None:
    """When a JWT ends; `None` if it does not.

    Raises:
        ConfigurationError: it is no JWT.
    """
    if len(token) > MAX_TOKEN_CHARS or not _PARTS.fullmatch(token):
        raise _no_jwt()
    header, payload, _ = token.split(".")
    if "alg" not in _decoded(header):
        raise _no_jwt()
    ends = _decoded(payload).get("exp")
    if ends is None:
        return None
    if isinstance(ends, bool) or not isinstance(ends, int | float):
        raise _no_jwt()
    try:
        return datetime.fromtimestamp(ends, UTC)
    except (OverflowError, ValueError, OSError):
        raise _no_jwt() from None


def _decoded(part: str) -> dict[str, Any]:
    try:
        value = json.loads(base64.urlsafe_b64decode(part + "=" * (-len(part) % 4)))
    except (binascii.Error, ValueError, RecursionError):
        raise _no_jwt() from None  # the cause holds what it could not read
    if not isinstance(value, dict):
        raise _no_jwt()
    return value


def _no_jwt() -> ConfigurationError:
    return ConfigurationError(
        "The token of the pipeline is no API access token: that is a JWT, three parts with dots between them. "
        "Make one at Vectorize, and copy the whole of it."
    )
